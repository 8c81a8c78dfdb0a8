"""The trace of one request: what is added while it runs, closed once, and no word of it kept without leave."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from werkzeug.exceptions import RequestEntityTooLarge

from moe.backends.echo import Echo
from moe.core import ChatRequest, Chunk, Completion, Decision, Done, Message, Started, Text, Usage
from moe.errors import BadRequest, MoeError, Unanswered, UpstreamRefusal
from moe.experts import Expert
from moe.pipeline.breaker import Breaker
from moe.pipeline.lineup import Candidate
from moe.pipeline.noting import Call, note_decision
from moe.store import Requests
from moe.trace import LONGEST_NAME, LONGEST_TEXT, MOST_SPANS, Record, Span, Trace, decode, encode, summarise, tell
from moe.web.chat import ClientLeft

ASKED = ChatRequest(model="lemoe", stream=True, messages=(Message("user", (Text("first"),)),
                                                          Message("user", (Text("a secret question"),))))
DECISION = Decision(expert=Expert(id=1, label="math"), stage="keyword", confidence=0.98765)


def worker(**fields: Any) -> Span:
    plain = {"stage": "workers", "name": "math", "model": "phi4:14b", "started_ms": 1.0, "ended_ms": 2.0}
    return Span(**{**plain, **fields})


def run(*, keeps_text: bool = False) -> Record:
    records: list[Record] = []
    trace = Trace("id-1", path="/api/chat", keeps_text=keeps_text, on_end=records.append)
    trace.ask(ASKED)
    trace.decide(DECISION)
    trace.add(worker(outcome="failed", text="a secret detail"))
    trace.add(worker(prompt_tokens=3, completion_tokens=4))
    trace.start(Started(expert="math", model="phi4:14b"))
    trace.speak()
    trace.hear("a secret ")
    trace.hear("answer")
    trace.end(Done(finish="length", usage=Usage(prompt_tokens=3, completion_tokens=4, estimated=True)))
    (record,) = records
    return record


def test_it_tells_who_was_asked_what_it_took_and_how_it_ended() -> None:
    record = run()
    assert (record.id, record.path, record.stream, record.status, record.outcome) == ("id-1", "/api/chat", True, 200,
                                                                                      "done")
    assert (record.stage, record.confidence, record.strategy) == ("keyword", 0.9877, "direct")
    assert (record.expert, record.model, record.finish, record.calls) == ("math", "phi4:14b", "length", 2)
    assert (record.prompt_tokens, record.completion_tokens, record.estimated) == (3, 4, True)
    assert record.first_ms is not None and 0 <= record.first_ms <= record.elapsed_ms
    assert [span.outcome for span in record.spans] == ["failed", "done"]


def test_no_word_is_kept_without_leave() -> None:
    assert b"secret" not in encode(run())
    assert not run().has_text


def test_with_leave_the_question_the_answer_and_the_details_are_there() -> None:
    record = run(keeps_text=True)
    assert (record.prompt, record.answer, record.asked) == ("a secret question", "a secret answer", "lemoe")
    assert record.spans[0].text == "a secret detail"
    assert record.has_text
    assert b"secret" not in encode(record.without_text())
    assert record.without_text().spans[0].outcome == "failed"


def test_a_summary_has_neither_steps_nor_words() -> None:
    record = run(keeps_text=True)
    assert not summarise(record).keys() & {"spans", "prompt", "answer", "complaint"}
    assert "secret" not in str(summarise(record))
    assert tell(record)["answer"] == "a secret answer"
    assert "answer" not in tell(run())
    assert decode(encode(record)) == record


def test_it_ends_once_and_nothing_counts_afterwards() -> None:
    records: list[Record] = []
    trace = Trace(on_end=records.append)
    trace.fail(BadRequest("no"))
    trace.add(worker())
    trace.end(Done())
    trace.leave()
    (record,) = records
    assert (record.status, record.error, record.outcome, record.spans) == (400, "bad_request", "failed", ())


@pytest.mark.parametrize(("error", "status", "code"), [
    (Unanswered(()), 503, "no_expert_available"), (UpstreamRefusal("x", status=422, code="odd"), 422, "odd"),
    (MoeError(), 500, "internal_error"), (RequestEntityTooLarge(), 413, "bad_request"),
    (ZeroDivisionError(), 500, "internal_error"), (KeyError("secret"), 500, "internal_error"),
])
def test_a_failure_has_its_status_and_its_code(error: Exception, status: int, code: str) -> None:
    records: list[Record] = []
    for has_begun in (False, True):
        Trace(on_end=records.append).fail(error, has_begun=has_begun)
    assert [(record.status, record.error, record.outcome) for record in records] == [
        (status, code, "failed"), (200, code, "failed")]
    assert not any(record.has_text for record in records)


def test_the_words_of_an_error_are_text() -> None:
    records: list[Record] = []
    Trace(keeps_text=True, on_end=records.append).fail(BadRequest("the field 'secret' is none"))
    assert records[0].complaint == "the field 'secret' is none"


def test_who_left_is_told_from_who_failed() -> None:
    records: list[Record] = []
    Trace(on_end=records.append).fail(ClientLeft(), has_begun=True)
    Trace(on_end=records.append).leave()
    assert [(record.outcome, record.status, record.error) for record in records] == [
        ("left", 499, "client_closed_request")] * 2


def test_calls_are_those_of_models_that_were_asked() -> None:
    records: list[Record] = []
    trace = Trace(on_end=records.append)
    for span in (worker(), worker(outcome="skipped"), worker(outcome="failed"), worker(model=""),
                 worker(stage="critic")):
        trace.add(span)
    trace.end(Done())
    assert records[0].calls == 3


def test_an_answer_can_be_rated_when_its_step_is_over() -> None:
    records: list[Record] = []
    trace = Trace(on_end=records.append)
    for span in (worker(), worker(), worker(name="other")):
        trace.add(span)
    trace.rate("math", "phi4:14b", 0.61239)
    trace.rate("nobody", "phi4:14b", 0.1)
    trace.plan("escalate")
    trace.judge(0.9)
    trace.end(Done())
    (record,) = records
    assert [span.confidence for span in record.spans] == [None, 0.6124, None]
    assert (record.strategy, record.answer_confidence) == ("escalate", 0.9)


def test_no_request_can_make_its_trace_endless() -> None:
    records: list[Record] = []
    trace = Trace(keeps_text=True, on_end=records.append)
    trace.ask(ChatRequest(model="m" * 10**6, completion=Completion(prompt="p" * 10**6)))
    for _ in range(MOST_SPANS + 7):
        trace.add(worker(name="n" * 10_000, reason="r" * 10_000))
    for _ in range(100):
        trace.hear("t" * 1000)
    trace.end(Done())
    (record,) = records
    assert (len(record.spans), record.left_off, record.calls) == (MOST_SPANS, 7, MOST_SPANS + 7)
    assert (len(record.asked), len(record.prompt), len(record.answer)) == (LONGEST_NAME, LONGEST_TEXT, LONGEST_TEXT)
    assert len(record.spans[0].name) == LONGEST_NAME


def test_half_a_character_is_no_obstacle() -> None:
    records: list[Record] = []
    trace = Trace(keeps_text=True, on_end=records.append)
    trace.ask(ChatRequest(model="m\ud800", messages=(Message("user", (Text("a\udfffb"),)),)))
    trace.end(Done())
    assert decode(encode(records[0])).prompt == "a?b"


def test_many_threads_lose_no_step() -> None:
    records: list[Record] = []
    trace = Trace(on_end=records.append)
    threads = [threading.Thread(target=lambda: [trace.add(worker()) for _ in range(40)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    enders = [threading.Thread(target=trace.end, args=(Done(),)) for _ in range(8)]
    for thread in enders:
        thread.start()
    for thread in enders:
        thread.join()
    (record,) = records
    assert (len(record.spans), record.calls) == (320, 320)


def test_an_answer_that_is_given_whole_has_no_first_word() -> None:
    records: list[Record] = []
    trace = Trace(on_end=records.append)
    trace.ask(ChatRequest())
    trace.speak()
    trace.end(Done())
    assert records[0].first_ms is None


@pytest.mark.bench
def test_a_trace_costs_its_request_less_than_a_tenth_of_a_millisecond(tmp_path: Path) -> None:
    store = Requests(tmp_path / "moe.sqlite")
    store.start()
    breaker = Breaker(failures=1, cooldown_s=1, clock=time.monotonic)
    candidate = Candidate(DECISION.expert, Echo(), "phi4:14b", breaker)
    answer = (Started(expert="math", model="phi4:14b"), *[Text("word ")] * 50, Done(usage=Usage()))

    def speak() -> Iterator[Chunk]:
        yield from answer

    def run_one() -> int:
        began = time.thread_time_ns()
        trace = Trace("id-1", path="/api/chat", keeps_text=True, on_end=store.put)
        trace.ask(ASKED)
        note_decision(trace, DECISION, began_ms=trace.now_ms())
        for chunk in Call(trace, candidate).follow(speak(), streams=True):
            if isinstance(chunk, Text):
                trace.hear(chunk.text)
        trace.end(Done(usage=Usage()))
        return time.thread_time_ns() - began

    costs = sorted(run_one() for _ in range(3000))
    store.close()
    assert costs[1500] < 100_000
