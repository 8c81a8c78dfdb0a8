"""The scheduling alone, over a model that is a few lines of Python: token t is followed by t + 1."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from moe.backends.dialogue.plan import Plan
from moe.backends.llama.batcher import Batcher
from moe.backends.llama.job import Job, Outcome
from moe.backends.llama.runner import Part, Row, Shape
from moe.errors import BackendError, BadAnswer, BrokenStream, NotReady

HANG_S = 20.0
WORDS = 1000
END = 999


class Counting:
    """Every sequence holds its tokens; a batch that does not follow from what it holds is an error."""

    can_cut = True

    def __init__(
        self, *, cells: int = 4096, sequences: int = 8, batch_tokens: int = 128, held: bool = False,
        is_endless: bool = False, step_s: float = 0.0,
    ) -> None:
        self.shape = Shape(cells=cells, sequences=sequences, threads=1, batch_tokens=batch_tokens)
        self.steps: list[list[tuple[int, int]]] = []
        self.closed_choosers = 0
        self.opened_choosers = 0
        self.fails_with = 0
        self.breaks = False
        self.step_s = step_s
        self.pauses_after = 0
        self.highest = END - 1 if is_endless else END
        self.may_step = threading.Event()
        if not held:
            self.may_step.set()
        self._tokens: dict[int, list[int]] = {}
        self._owners: dict[int, list[object]] = {}  # the cells of each sequence; shared ones are the same object
        self._last: list[int] = []

    def used(self) -> int:
        return len({id(cell) for cells in self._owners.values() for cell in cells})

    def cut(self, sequence: int, length: int) -> bool:
        self._tokens[sequence] = self._tokens.get(sequence, [])[:length]
        self._owners[sequence] = self._owners.get(sequence, [])[:length]
        return True

    def share(self, source: int, target: int, start: int, end: int) -> None:
        assert len(self._tokens.get(target, [])) == start
        self._tokens.setdefault(target, []).extend(self._tokens[source][start:end])
        self._owners.setdefault(target, []).extend(self._owners[source][start:end])

    def forget_all(self) -> None:
        self._tokens.clear()
        self._owners.clear()

    def decode(self, parts: Sequence[Part]) -> int:
        assert self.may_step.wait(HANG_S)
        time.sleep(self.step_s)
        if self.breaks:
            raise ZeroDivisionError("the model is out of order")
        if self.fails_with:
            code, self.fails_with = self.fails_with, 0
            return code
        count = sum(len(tokens) for _, _, tokens, _ in parts)
        assert 0 < count <= self.shape.batch_tokens
        if self.used() + count > self.shape.cells:
            return 1
        self._last = []
        for sequence, start, tokens, is_wanted in parts:
            held = self._tokens.setdefault(sequence, [])
            assert len(held) == start
            held.extend(tokens)
            self._owners.setdefault(sequence, []).extend(object() for _ in tokens)
            if is_wanted:
                self._last.append(tokens[-1])
        self.steps.append([(sequence, len(tokens)) for sequence, _, tokens, _ in parts])
        if len(self.steps) == self.pauses_after:
            self.may_step.clear()
        return 0

    def logits(self, count: int) -> Row:
        assert count == len(self._last)
        rows = np.zeros((count, WORDS), np.float32)
        for row, last in zip(rows, self._last, strict=True):
            row[min(last + 1, self.highest)] = 20.0
        return rows

    def log_total(self, row: Row) -> float:
        return float(np.log(np.exp(row.astype(np.float64)).sum()))

    def sampler(self, plan: Plan, grammar: str = "") -> Chooser:
        self.opened_choosers += 1
        return Chooser(self)

    def piece(self, token: int) -> bytes:
        return f"{token} ".encode()

    def is_end(self, token: int) -> bool:
        return token == END


class Chooser:
    def __init__(self, model: Counting) -> None:
        self._model = model

    def accept(self, tokens: Sequence[int]) -> None:
        pass

    def sample(self, place: int, row: Row) -> int:
        return int(row.argmax())

    def close(self) -> None:
        self._model.closed_choosers += 1


@contextmanager
def batching(model: Counting, *, most_running: int = 4) -> Iterator[Batcher]:
    batcher = Batcher(model, name="test", most_running=most_running)
    try:
        yield batcher
    finally:
        model.may_step.set()
        batcher.close()
        assert model.opened_choosers == model.closed_choosers


def job(prompt: Sequence[int], limit: int = 5, **options: Any) -> Job:
    return Job(prompt, limit=limit, plan=Plan(), **options)


def hear(asked: Job) -> tuple[str, Outcome]:
    text = ""
    while True:
        said = asked.said.get(timeout=HANG_S)
        if isinstance(said, BackendError):
            raise said
        if isinstance(said, Outcome):
            return text, said
        text += said


def wait_for(is_so: Any) -> None:
    until = time.monotonic() + HANG_S
    while not is_so():
        assert time.monotonic() < until, "it did not come to be"
        time.sleep(0.002)


def counted(start: int, length: int) -> str:
    return "".join(f"{number} " for number in range(start + 1, start + 1 + length))


def test_an_answer_goes_on_from_its_prompt_up_to_its_limit() -> None:
    with batching(Counting()) as batcher:
        batcher.submit(asked := job([3, 4, 5], limit=4))
        text, outcome = hear(asked)
    assert text == counted(5, 4)
    assert (outcome.finish, outcome.prompt_tokens, outcome.tokens) == ("length", 3, (6, 7, 8, 9))
    assert outcome.prompt_ns > 0 and outcome.completion_ns > 0


def test_an_answer_ends_with_the_models_own_end() -> None:
    model = Counting()
    with batching(model) as batcher:
        batcher.submit(asked := job([995], limit=50))
        text, outcome = hear(asked)
    assert text == counted(995, 3)
    assert outcome.finish == "stop"


def test_the_models_confidence_comes_as_plain_floats() -> None:
    with batching(Counting()) as batcher:
        batcher.submit(asked := job([1]))
        _, outcome = hear(asked)
    sure = outcome.certainty
    assert all(type(value) is float for value in sure.values())
    assert -0.01 < sure["min_logprob"] <= sure["mean_logprob"] <= 0


def test_many_answers_are_written_in_the_same_steps() -> None:
    model = Counting(held=True, step_s=0.005)
    with batching(model) as batcher:
        jobs = [job([100 * place], limit=20) for place in range(1, 5)]
        for asked in jobs:
            batcher.submit(asked)
        model.may_step.set()
        told = [hear(asked)[0] for asked in jobs]
    assert told == [counted(100 * place, 20) for place in range(1, 5)]
    assert max(len(step) for step in model.steps) == 4
    assert len(model.steps) < 30


def test_more_answers_than_places_wait_and_all_are_served_in_order() -> None:
    model = Counting(held=True)
    with batching(model, most_running=2) as batcher:
        jobs = [job([10 * place], limit=3) for place in range(1, 9)]
        for asked in jobs:
            batcher.submit(asked)
        model.may_step.set()
        assert [hear(asked)[0] for asked in jobs] == [counted(10 * place, 3) for place in range(1, 9)]
    assert max(len(step) for step in model.steps) == 2


def test_a_long_prompt_is_read_in_pieces_and_running_answers_go_on_in_every_step() -> None:
    model = Counting(cells=8192, batch_tokens=512, held=True)
    with batching(model) as batcher:
        model.pauses_after = 3
        batcher.submit(writer := job([1], limit=900))
        model.may_step.set()
        wait_for(lambda: len(model.steps) == 3)
        batcher.submit(reader := job([7] * 3000, limit=1))
        model.may_step.set()
        hear(reader)
        hear(writer)
    reading = [dict(step) for step in model.steps if any(count > 1 for _, count in step)]
    assert len(reading) > 10
    assert all(count <= 128 for step in reading for count in step.values())
    both = [step for step in reading if len(step) == 2]
    assert len(both) > 10, "the answer under way stood still while the prompt was read"


def test_a_short_prompt_passes_a_long_one() -> None:
    model = Counting(cells=16384, batch_tokens=64, held=True)
    with batching(model) as batcher:
        batcher.submit(long := job([7] * 4000, limit=1))
        batcher.submit(short := job([5] * 30, limit=2))
        model.may_step.set()
        hear(short)
        hear(long)
    read_in = [place for place, step in enumerate(model.steps) if any(sequence == 1 for sequence, _ in step)]
    assert max(read_in) < 5 < len(model.steps)


def test_the_same_beginning_is_read_once_even_by_prompts_that_come_together() -> None:
    system = [3] * 400
    model = Counting(batch_tokens=64, held=True)
    with batching(model) as batcher:
        jobs = [job([*system, 10 * place], limit=2) for place in range(1, 5)]
        for asked in jobs:
            batcher.submit(asked)
        model.may_step.set()
        assert [hear(asked)[0] for asked in jobs] == [counted(10 * place, 2) for place in range(1, 5)]
    assert sum(count for step in model.steps for _, count in step) < 400 + 4 * 20


def test_those_who_wait_for_a_shared_beginning_read_it_themselves_when_its_reader_leaves() -> None:
    system = [3] * 400
    model = Counting(batch_tokens=64, held=True)
    with batching(model) as batcher:
        batcher.submit(leader := job([*system, 10], limit=2))
        batcher.submit(follower := job([*system, 20], limit=2))
        leader.give_up()
        model.may_step.set()
        assert hear(follower)[0] == counted(20, 2)


def test_one_who_gives_up_frees_the_place_for_the_next() -> None:
    model = Counting(cells=10**7, held=True, is_endless=True)
    with batching(model, most_running=1) as batcher:
        batcher.submit(first := job([1], limit=10**6))
        batcher.submit(second := job([500], limit=2))
        model.may_step.set()
        first.said.get(timeout=HANG_S)
        first.give_up()
        assert hear(second)[0] == counted(500, 2)


def test_one_who_gives_up_while_waiting_is_never_begun() -> None:
    model = Counting(held=True)
    with batching(model, most_running=1) as batcher:
        jobs = [job([1], limit=2), job([100], limit=2), job([200], limit=2)]
        for asked in jobs:
            batcher.submit(asked)
        jobs[1].give_up()
        model.may_step.set()
        hear(jobs[0])
        hear(jobs[2])
        assert jobs[1].said.empty()
    assert model.opened_choosers == 2


def test_a_full_cache_first_gives_up_conversations_that_nobody_goes_on_with() -> None:
    model = Counting(cells=300)
    with batching(model) as batcher:
        for start in range(5):
            batcher.submit(asked := job([start] * 100, limit=20))
            assert hear(asked)[0] == counted(start, 20)
    assert model.used() <= 300


def test_a_cache_too_small_for_all_sets_the_last_one_aside_and_no_answer_is_lost() -> None:
    model = Counting(cells=400, held=True)
    with batching(model) as batcher:
        jobs = [job([place * 10] * 20, limit=150) for place in range(1, 5)]
        for asked in jobs:
            batcher.submit(asked)
        model.may_step.set()
        told = [hear(asked) for asked in jobs]
    for place, (text, outcome) in enumerate(told, 1):
        assert text == counted(place * 10, 150)
        assert (outcome.prompt_tokens, len(outcome.tokens)) == (20, 150)


def test_an_answer_that_alone_is_too_much_for_the_cache_fails_alone() -> None:
    with batching(Counting(cells=100)) as batcher:
        batcher.submit(huge := job([1] * 50, limit=500))
        with pytest.raises(BadAnswer, match="cannot hold"):
            hear(huge)
        batcher.submit(small := job([5], limit=2))
        assert hear(small)[0] == counted(5, 2)


def test_a_failed_step_fails_its_answers_and_the_next_ones_start_clean() -> None:
    model = Counting(held=True)
    with batching(model) as batcher:
        batcher.submit(unlucky := job([1], limit=50))
        model.fails_with = -3
        model.may_step.set()
        with pytest.raises(BrokenStream, match="-3"):
            hear(unlucky)
        batcher.submit(asked := job([5], limit=2))
        assert hear(asked)[0] == counted(5, 2)
        assert not batcher.is_broken


def test_a_scheduler_that_breaks_tells_everybody_and_takes_no_more(caplog: pytest.LogCaptureFixture) -> None:
    model = Counting(held=True)
    with batching(model, most_running=1) as batcher:
        batcher.submit(running := job([1]))
        batcher.submit(waiting := job([2]))
        model.breaks = True
        model.may_step.set()
        for asked in (running, waiting):
            with pytest.raises(BrokenStream, match="out of order"):
                hear(asked)
        assert batcher.is_broken
        with pytest.raises(BrokenStream):
            batcher.submit(job([3]))
    assert "the scheduler failed" in caplog.text


def test_closing_ends_answers_under_way_and_waiting_with_an_error() -> None:
    model = Counting(cells=10**7, held=True, is_endless=True)
    with batching(model, most_running=1) as batcher:
        jobs = [job([1], limit=10**6), job([2], limit=10**6)]
        for asked in jobs:
            batcher.submit(asked)
        model.may_step.set()
        jobs[0].said.get(timeout=HANG_S)
        batcher.close()
        for asked in jobs:
            with pytest.raises(NotReady, match="unloaded"):
                hear(asked)
        with pytest.raises(NotReady):
            batcher.submit(job([3]))


def test_numbers_that_are_none_fail_the_one_answer() -> None:
    model = Counting()
    model.log_total = lambda row: float("nan")  # type: ignore[method-assign]
    with batching(model) as batcher:
        batcher.submit(asked := job([1]))
        with pytest.raises(BadAnswer, match="damaged"):
            hear(asked)


def test_a_limit_of_nothing_is_reached_at_once() -> None:
    with batching(Counting()) as batcher:
        batcher.submit(asked := job([1], limit=0))
        text, outcome = hear(asked)
    assert (text, outcome.finish, outcome.tokens) == ("", "length", ())


def test_stop_strings_end_an_answer_between_two_tokens() -> None:
    with batching(Counting()) as batcher:
        batcher.submit(asked := job([1], limit=50, stops=("4 5",)))
        text, outcome = hear(asked)
    assert (text, outcome.finish) == ("2 3 ", "stop")


def test_under_a_storm_of_answers_that_come_and_go_each_that_stays_is_right() -> None:
    model = Counting(cells=600, sequences=12)
    wrong: list[str] = []

    def ask(seed: int) -> None:
        random = np.random.default_rng(seed)
        for _ in range(40):
            start = int(random.integers(0, 700))
            asked = job([3] * int(random.integers(0, 60)) + [start], limit=int(random.integers(1, 90)))
            batcher.submit(asked)
            if random.random() < 0.2:
                asked.give_up()
                continue
            text, _ = hear(asked)
            if text != counted(start, asked.limit):
                wrong.append(text)

    with batching(model, most_running=6) as batcher:
        threads = [threading.Thread(target=ask, args=(seed,)) for seed in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(HANG_S * 3)
            assert not thread.is_alive()
    assert wrong == []


def test_clients_take_turns_however_much_each_asks() -> None:
    model = Counting(held=True)
    with batching(model, most_running=1) as batcher:
        asked = [(client, job([number], limit=1)) for number, client in enumerate("aaab", start=1)]
        order: list[int] = []
        for client, each in asked:
            each.end = _noting(each, order)  # type: ignore[method-assign]
            batcher.submit(each, client=client)
        model.may_step.set()
        for _, each in asked:
            hear(each)
    assert order[0] == 1 and order.index(4) < order.index(3)


def _noting(asked: Job, order: list[int]) -> Any:
    end = asked.end

    def note(finish: Any) -> None:
        order.append(asked.tokens[0])
        end(finish)

    return note
