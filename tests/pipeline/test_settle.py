"""What is counted about an answer on its way out."""

from __future__ import annotations

import logging
import time
from collections.abc import Generator
from pathlib import Path

import pytest

from moe.core import (
    ChatRequest,
    Chunk,
    Completion,
    Decision,
    Done,
    Finish,
    Heartbeat,
    Message,
    Started,
    Text,
    Thinking,
    ToolCall,
    Usage,
)
from moe.errors import BrokenStream
from moe.experts import Expert
from moe.metrics import Statistics
from moe.pipeline.settle import settle

ASKED = ChatRequest(messages=(Message("user", (Text("x" * 40),)),))
DECISION = Decision(expert=Expert(id=1, label="math"), stage="keyword", confidence=0.9)
STARTED = Started(expert="math", model="phi4:14b")


@pytest.fixture
def statistics(tmp_path: Path) -> Statistics:
    return Statistics(tmp_path / "models.json")


def stream(*chunks: Chunk, error: Exception | None = None) -> Generator[Chunk, None, None]:
    yield from chunks
    if error is not None:
        raise error


def run(statistics: Statistics, chunks: Generator[Chunk, None, None], asked: ChatRequest = ASKED) -> list[Chunk]:
    return list(settle(chunks, asked, DECISION, statistics=statistics, request_id="id-1"))


def test_a_usage_that_was_told_is_passed_on_and_recorded(statistics: Statistics) -> None:
    usage = Usage(prompt_tokens=3, completion_tokens=4)
    chunks = run(statistics, stream(STARTED, Text("hi"), Done(usage=usage)))
    assert chunks == [STARTED, Text("hi"), Done(usage=usage)]
    tally = statistics.snapshot()["math phi4:14b"]
    assert (tally["answers"], tally["prompt_tokens"], tally["completion_tokens"]) == (1, 3, 4)


def test_a_usage_nobody_told_is_estimated_and_says_so(statistics: Statistics) -> None:
    chunks = run(statistics, stream(STARTED, Text("y" * 8), ToolCall("1", "abcd", "{}{}"), Done()))
    done = chunks[-1]
    assert isinstance(done, Done)
    assert done.usage == Usage(prompt_tokens=10, completion_tokens=4, estimated=True)


def test_everything_else_passes_as_it_is(statistics: Statistics) -> None:
    chunks: list[Chunk] = [
        Heartbeat(), STARTED, Thinking("hm"), Heartbeat(), Text(""), ToolCall("1", "f"), Done(usage=Usage()),
    ]
    assert run(statistics, stream(*chunks)) == chunks


def test_an_estimate_changes_nothing_but_the_usage(statistics: Statistics) -> None:
    done = run(statistics, stream(STARTED, Thinking("y" * 5), Done(finish="length", context=(1, 2))))[-1]
    usage = Usage(prompt_tokens=10, completion_tokens=2, estimated=True)
    assert done == Done(finish="length", context=(1, 2), usage=usage)


def test_the_times_are_of_the_first_word_and_of_the_whole(statistics: Statistics) -> None:
    settled = settle(stream(STARTED, Text("hi"), Done(usage=Usage())), ASKED, DECISION, statistics=statistics,
                     request_id="id-1")
    assert [next(settled), next(settled)] == [STARTED, Text("hi")]
    time.sleep(0.05)
    before = time.time()
    next(settled)
    tally = statistics.snapshot()["math phi4:14b"]
    assert tally["first_token_ms"] + 50 <= tally["total_ms"]
    assert before <= tally["last_used"] <= time.time()


def test_a_completions_prompt_counts_too(statistics: Statistics) -> None:
    asked = ChatRequest(completion=Completion(prompt="x" * 8, suffix="y" * 4))
    done = run(statistics, stream(STARTED, Text("z"), Done()), asked)[-1]
    assert isinstance(done, Done)
    assert done.usage is not None
    assert done.usage.prompt_tokens == 3


@pytest.mark.parametrize("finish", ["load", "unload"])
def test_loading_a_model_is_no_answer(statistics: Statistics, finish: Finish) -> None:
    assert run(statistics, stream(STARTED, Done(finish=finish)))[-1] == Done(finish=finish)
    assert not statistics.snapshot()


def test_an_answer_that_breaks_is_not_counted(statistics: Statistics) -> None:
    with pytest.raises(BrokenStream):
        run(statistics, stream(STARTED, Text("hi"), error=BrokenStream()))
    assert not statistics.snapshot()


def test_leaving_closes_what_is_behind_it(statistics: Statistics) -> None:
    behind = stream(STARTED, Text("hi"), Done())
    settled = settle(behind, ASKED, DECISION, statistics=statistics, request_id="id-1")
    next(settled)
    settled.close()  # type: ignore[attr-defined]
    assert behind.gi_frame is None  # type: ignore[attr-defined]


def test_one_line_is_logged_without_a_word_of_the_prompt(
    statistics: Statistics, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "moe.answers"):
        run(statistics, stream(STARTED, Text("secret answer"), Done()))
    assert len(caplog.messages) == 1
    assert "request=id-1 stage=keyword expert=math model=phi4:14b" in caplog.messages[0]
    assert "xxx" not in caplog.text
    assert "secret" not in caplog.text
