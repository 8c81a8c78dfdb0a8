"""Ollama's times and dates."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from moe.core import ChatRequest, Done, Refusal, Text, Usage
from moe.dialects.ollama import CHAT, CHAT_SHAPE, GENERATE, Endpoint, Stamp
from moe.dialects.ollama_wire import parse_chat
from moe.replies import Ending, Head, Whole

HEAD = Head(request_id="r1", model='we"ird', created=0)


def test_the_date_moves_with_the_clock() -> None:
    times = iter([999_999_999, 1_000_000_000, 1_000_000_007, 86_400_000_000_000])
    stamp = Stamp(lambda: next(times))
    assert [stamp.read() for _ in range(4)] == [
        b"1970-01-01T00:00:00.999999999Z",
        b"1970-01-01T00:00:01.000000000Z",
        b"1970-01-01T00:00:01.000000007Z",
        b"1970-01-02T00:00:00.000000000Z",
    ]


def test_each_line_has_its_own_time() -> None:
    times: Iterator[int] = iter(range(5, 9))
    writer = Endpoint(parse_chat, CHAT_SHAPE, lambda: next(times)).writer(ChatRequest(), HEAD)
    lines = [json.loads(writer.chunk(Text("x"))) for _ in range(3)]
    assert [line["created_at"][-4:] for line in lines] == ["005Z", "006Z", "007Z"]
    assert {line["model"] for line in lines} == {'we"ird'}


@pytest.mark.parametrize("usage", [None, Usage(), Usage(load_ns=10**9, prompt_tokens=1)])
@pytest.mark.parametrize(("elapsed_ns", "first_token_ns"), [(0, 0), (5, 0), (5, 5), (5, 7)])
def test_no_duration_is_zero(usage: Usage | None, elapsed_ns: int, first_token_ns: int) -> None:
    ending = Ending(done=Done(usage=usage), elapsed_ns=elapsed_ns, first_token_ns=first_token_ns)
    line = json.loads(CHAT.writer(ChatRequest(), HEAD).end(ending))
    assert all(value >= 1 for name, value in line.items() if name.endswith("_duration"))


@pytest.mark.parametrize("dialect", [CHAT, GENERATE])
def test_an_answer_that_was_filtered_or_refused_says_so(dialect: Endpoint) -> None:
    head = Head(request_id="r", model="m", created=0.0)
    ending = Ending(done=Done(finish="content_filter"), elapsed_ns=1, first_token_ns=1)
    writer = dialect.writer(ChatRequest(), head)
    assert b"I will not." in writer.chunk(Refusal("I will not."))
    for line in (writer.end(ending), dialect.reply(Whole(text="I will not."), head, ending)):
        assert json.loads(line)["done_reason"] == "content_filter"
