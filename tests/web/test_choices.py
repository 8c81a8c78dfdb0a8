"""Several answers as one: what each is asked, and what comes of them together."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from moe.core import (
    Answer,
    ChatRequest,
    Chunk,
    Completion,
    Decision,
    Done,
    Heartbeat,
    Message,
    Refusal,
    Sampling,
    Started,
    Text,
    Thinking,
    TokenLogprob,
    ToolCall,
    Usage,
)
from moe.errors import BrokenStream
from moe.experts import Expert
from moe.replies import Whole
from moe.web.choices import LARGEST_SEED, Gathering, Turn, answer_all, close

DECISION = Decision(expert=Expert(id=0, label="fallback"), stage="fallback", confidence=1.0)
HI = (Message("user", (Text("hi"),)),)


class Line:
    """Gives each request an answer that names its place; keeps what was asked, and which answers were left."""

    def __init__(self, *, breaks_at: int = -1) -> None:
        self.asked: list[ChatRequest] = []
        self.left: list[int] = []
        self._breaks_at = breaks_at

    def __call__(self, request: ChatRequest) -> Answer:
        self.asked.append(request)
        return Answer(DECISION, self._speak(len(self.asked)))

    def _speak(self, place: int) -> Iterator[Chunk]:
        try:
            yield Started(expert="fallback", model="m")
            yield Text(f"answer {place}")
            if place == self._breaks_at:
                raise BrokenStream("gone")
            yield Done(usage=Usage(prompt_tokens=10, completion_tokens=place, completion_ns=5))
        finally:
            self.left.append(place)


def test_one_answer_passes_as_it_is() -> None:
    line = Line()
    first, chunks = answer_all(asked := ChatRequest(messages=HI), line)
    assert chunks is first.chunks
    assert line.asked == [asked]


def test_there_is_one_start_a_turn_between_two_and_one_end() -> None:
    line = Line()
    _, pieces = answer_all(ChatRequest(messages=HI, n=3), line)
    kinds = [type(piece).__name__ for piece in pieces if not isinstance(piece, Heartbeat)]
    assert kinds == ["Started", "Text", "Turn", "Text", "Turn", "Text", "Done"]
    assert [request.n for request in line.asked] == [1, 1, 1]


def test_the_prompt_of_all_counts_once_and_what_they_said_together() -> None:
    *_, done = answer_all(ChatRequest(messages=HI, n=3), Line())[1]
    assert isinstance(done, Done) and done.usage is not None
    assert (done.usage.prompt_tokens, done.usage.completion_tokens, done.usage.completion_ns) == (10, 6, 15)
    two_prompts = ChatRequest(completion=Completion(prompt="a", further=("b",)), n=2)
    *_, done = answer_all(two_prompts, Line())[1]
    assert isinstance(done, Done) and done.usage is not None and done.usage.prompt_tokens == 20


@pytest.mark.parametrize(("seed", "seeds"), [
    (None, [None, None]), (7, [7, 8]), (-1, [-1, 0]), (LARGEST_SEED, [LARGEST_SEED, 1]),
])
def test_each_answer_has_a_seed_of_its_own(seed: int | None, seeds: list[int | None]) -> None:
    line = Line()
    list(answer_all(ChatRequest(messages=HI, n=2, sampling=Sampling(seed=seed)), line)[1])
    assert [request.sampling.seed for request in line.asked] == seeds


@pytest.mark.parametrize(("first", "second", "together"), [
    ((4, 3), (9, 2), (4, 5)), ((4, None), (9, 2), (4, None)), ((None, None), (None, None), (None, None)),
])
def test_the_details_of_all_are_told_where_all_are_known(
    first: tuple[int | None, ...], second: tuple[int | None, ...], together: tuple[int | None, ...]
) -> None:
    usages = iter(Usage(prompt_tokens=10, cached_tokens=one[0], reasoning_tokens=one[1]) for one in (first, second))
    asked = ChatRequest(messages=HI, n=2)
    *_, done = answer_all(asked, lambda _: Answer(DECISION, iter([Done(usage=next(usages))])))[1]
    assert isinstance(done, Done) and done.usage is not None
    assert (done.usage.cached_tokens, done.usage.reasoning_tokens) == together


def test_an_answer_is_asked_for_when_the_one_before_is_over() -> None:
    line = Line()
    _, pieces = answer_all(ChatRequest(messages=HI, n=2), line)
    next(piece for piece in pieces if isinstance(piece, Text))
    assert len(line.asked) == 1


def test_who_leaves_leaves_all() -> None:
    line = Line()
    _, pieces = answer_all(ChatRequest(messages=HI, n=3), line)
    while len(line.asked) < 2:
        next(pieces)
    next(pieces)
    close(pieces)
    assert (len(line.asked), line.left) == (2, [1, 2])


def test_an_answer_that_breaks_ends_them_all() -> None:
    line = Line(breaks_at=2)
    with pytest.raises(BrokenStream):
        list(answer_all(ChatRequest(messages=HI, n=3), line)[1])
    assert line.left == [1, 2]


def test_an_echo_goes_before_each_answer() -> None:
    asked = ChatRequest(completion=Completion(prompt="a ", further=("b ",), echo=True))
    texts = "".join(piece.text if isinstance(piece, Text) else "|" for piece in answer_all(asked, Line())[1]
                    if isinstance(piece, (Text, Turn)))
    assert texts == "a answer 1|b answer 2"
    alone = ChatRequest(completion=Completion(prompt="a ", echo=True))
    assert [piece.text for piece in answer_all(alone, Line())[1] if isinstance(piece, Text)] == ["a ", "answer 1"]


def test_whole_answers_are_gathered_apart() -> None:
    gathering = Gathering()
    token, call = TokenLogprob("c", -1.0), ToolCall("1", "f")
    for piece in (Text("ab"), Text("c", (token,)), Turn(Done()), Thinking("hm"), call):
        assert gathering.take(piece)
    assert not gathering.take(Started(expert="e", model="m"))
    done = Done(finish="length")
    assert gathering.finish(done) == Whole(
        text="abc", logprobs=(token,), text_at=2, others=(Whole(thinking="hm", tool_calls=(call,), done=done),))


def test_a_refusal_is_gathered_as_the_end_of_the_text() -> None:
    gathering = Gathering()
    for piece in (Text("Well"), Refusal(" no"), Refusal(".")):
        assert gathering.take(piece)
    whole = gathering.finish(Done())
    assert (whole.text, whole.refusal, whole.said) == ("Well no.", " no.", "Well")
