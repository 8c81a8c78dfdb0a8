"""What is counted on an answer's way out, and that the answer itself is left alone."""

from __future__ import annotations

import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from moe.core import (
    ChatRequest,
    Chunk,
    Completion,
    Decision,
    Done,
    Expert,
    Heartbeat,
    Message,
    Started,
    Text,
    Thinking,
    ToolCall,
    Usage,
)
from moe.errors import BrokenStream
from moe.metrics import Statistics
from moe.pipeline.settle import prompt_tokens, settle

STARTED = Started(expert="math", model="phi4:14b")
DECISION = Decision(expert=Expert(id=1, label="math"), stage="keyword", confidence=0.8)
KEY = "math phi4:14b"


class Source:
    """Chunks that tell whether they were closed, and may end in an error."""

    def __init__(self, *chunks: Chunk | Exception) -> None:
        self._chunks = chunks
        self.is_closed = False

    def __iter__(self) -> Generator[Chunk, None, None]:
        try:
            for chunk in self._chunks:
                if isinstance(chunk, Exception):
                    raise chunk
                yield chunk
        finally:
            self.is_closed = True


@pytest.fixture
def statistics(tmp_path: Path) -> Statistics:
    return Statistics(tmp_path / "models.json")


def ask(text: str = "hello") -> ChatRequest:
    return ChatRequest(messages=(Message("user", (Text(text),)),))


def run(source: Source, statistics: Statistics, request: ChatRequest | None = None) -> Generator[Chunk, None, None]:
    chunks: Any = settle(iter(source), request or ask(), DECISION, statistics=statistics, request_id="r1")
    return chunks  # type: ignore[no-any-return]


def test_everything_passes_in_order(statistics: Statistics) -> None:
    chunks = (Heartbeat(), STARTED, Thinking("hm"), Heartbeat(), Text("four"), ToolCall("1", "f"), Done(usage=Usage()))
    assert tuple(run(Source(*chunks), statistics)) == chunks


def test_a_count_that_was_told_is_kept(statistics: Statistics) -> None:
    usage = Usage(prompt_tokens=11, completion_tokens=7, load_ns=5)
    done = list(run(Source(STARTED, Text("four"), Done(finish="length", usage=usage)), statistics))[-1]
    assert done == Done(finish="length", usage=usage)
    tally = statistics.snapshot()[KEY]
    assert (tally["answers"], tally["prompt_tokens"], tally["completion_tokens"]) == (1, 11, 7)


def test_a_missing_count_is_estimated_and_says_so(statistics: Statistics) -> None:
    said = (Text("x" * 7), Thinking("y" * 4), ToolCall("1", "abc", '{"d":1}'))
    done = list(run(Source(STARTED, *said, Done(finish="tool_calls", context=(1, 2))), statistics, ask("z" * 41)))[-1]
    assert done == Done(
        finish="tool_calls", context=(1, 2),
        usage=Usage(prompt_tokens=11, completion_tokens=6, estimated=True),
    )
    assert statistics.snapshot()[KEY]["completion_tokens"] == 6


@pytest.mark.parametrize("finish", ["load", "unload"])
def test_a_load_is_no_answer_and_counts_for_nothing(statistics: Statistics, finish: Any) -> None:
    assert list(run(Source(STARTED, Done(finish=finish)), statistics)) == [STARTED, Done(finish=finish)]
    assert statistics.snapshot() == {}


def test_times_are_of_the_first_word_and_of_the_whole(statistics: Statistics) -> None:
    chunks = run(Source(Heartbeat(), STARTED, Text("a"), Done(usage=Usage())), statistics)
    next(chunks)
    time.sleep(0.05)
    assert [next(chunks), next(chunks)] == [STARTED, Text("a")]
    time.sleep(0.05)
    before = time.time()
    next(chunks)
    tally = statistics.snapshot()[KEY]
    assert tally["first_token_ms"] >= 50
    assert tally["first_token_ms"] + 50 <= tally["total_ms"]
    assert before <= tally["last_used"] <= time.time()


def test_answers_add_up(statistics: Statistics) -> None:
    usage = Usage(prompt_tokens=2, completion_tokens=3)
    for _ in range(3):
        list(run(Source(STARTED, Text("a"), Done(usage=usage)), statistics))
    tally = statistics.snapshot()[KEY]
    assert (tally["answers"], tally["prompt_tokens"], tally["completion_tokens"]) == (3, 6, 9)


def test_an_answer_that_broke_off_is_not_counted_and_its_error_passes(statistics: Statistics) -> None:
    source = Source(STARTED, Text("four"), BrokenStream("gone"))
    chunks = run(source, statistics)
    assert [next(chunks), next(chunks)] == [STARTED, Text("four")]
    with pytest.raises(BrokenStream):
        next(chunks)
    assert source.is_closed
    assert statistics.snapshot() == {}


def test_whoever_leaves_closes_the_source_and_is_not_counted(statistics: Statistics) -> None:
    source = Source(STARTED, Text("four"), Text("five"), Done(usage=Usage()))
    chunks = run(source, statistics)
    next(chunks)
    assert not source.is_closed
    chunks.close()
    assert source.is_closed
    assert statistics.snapshot() == {}


def test_a_prompt_is_about_a_quarter_of_its_characters() -> None:
    assert prompt_tokens(ChatRequest()) == 0
    assert prompt_tokens(ask("x")) == 1
    turns = ChatRequest(messages=(Message("system", (Text("x" * 8),)), Message("user", (Text("y" * 9),))))
    assert prompt_tokens(turns) == 5
    assert prompt_tokens(ChatRequest(completion=Completion(prompt="abcd", suffix="efgh"))) == 2
