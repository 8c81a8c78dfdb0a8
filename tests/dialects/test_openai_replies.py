"""What ends an OpenAI answer in another way than well: a filter, a refusal; and what it took in detail."""

from __future__ import annotations

import json
from typing import Any

import pytest

from moe.core import ChatRequest, Chunk, Done, Refusal, Text, TokenLogprob, Usage
from moe.dialects.base import Dialect
from moe.dialects.openai import CHAT
from moe.dialects.openai_completions import COMPLETIONS
from moe.replies import Ending, Head
from moe.web.choices import Gathering

HEAD = Head(request_id="0123abcd", model="math", created=1_700_000_000.75)


def answer(dialect: Dialect, *chunks: Chunk, done: Done) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The same answer whole, and in the rows of a stream."""
    ending = Ending(done=done, elapsed_ns=9, first_token_ns=4)
    gathering = Gathering()
    assert all(gathering.take(chunk) for chunk in chunks)
    whole = json.loads(dialect.reply(gathering.finish(done), HEAD, ending))
    writer = dialect.writer(ChatRequest(include_usage=True), HEAD)
    stream = b"".join((*map(writer.chunk, chunks), writer.end(ending))).decode()
    rows = [json.loads(row.removeprefix("data: ")) for row in stream.split("\n\n") if row and "[DONE]" not in row]
    return whole, rows


@pytest.mark.parametrize("chunks", [(Text("Well"),), ()])
@pytest.mark.parametrize("dialect", [CHAT, COMPLETIONS])
def test_an_answer_cut_by_a_filter_says_so(dialect: Dialect, chunks: tuple[Chunk, ...]) -> None:
    whole, rows = answer(dialect, *chunks, done=Done(finish="content_filter"))
    assert whole["choices"][0]["finish_reason"] == "content_filter"
    assert [row["choices"][0]["finish_reason"] for row in rows if row["choices"]][-1] == "content_filter"


def test_a_refusal_has_a_place_of_its_own() -> None:
    whole, rows = answer(CHAT, Refusal("I must "), Refusal("not."), done=Done())
    assert whole["choices"][0]["message"] == {"role": "assistant", "content": None, "refusal": "I must not."}
    deltas = [row["choices"][0]["delta"] for row in rows if row["choices"]]
    begun = {"role": "assistant", "content": "", "refusal": None}
    assert deltas == [begun, {"refusal": "I must "}, {"refusal": "not."}, {}]
    assert whole["choices"][0]["finish_reason"] == "stop"


def test_what_was_said_before_a_refusal_stays_the_content() -> None:
    odds = (TokenLogprob("Well", -0.5),)
    whole, _ = answer(CHAT, Text("Well", odds), Refusal(" no."), done=Done())
    message = whole["choices"][0]["message"]
    assert (message["content"], message["refusal"]) == ("Well", " no.")
    assert [token["token"] for token in whole["choices"][0]["logprobs"]["content"]] == ["Well"]


def test_where_there_is_no_place_for_it_a_refusal_is_text() -> None:
    whole, rows = answer(COMPLETIONS, Text("Well"), Refusal(" no."), done=Done())
    assert whole["choices"][0]["text"] == "Well no."
    assert "".join(row["choices"][0]["text"] for row in rows if row["choices"]) == "Well no."


@pytest.mark.parametrize("dialect", [CHAT, COMPLETIONS])
def test_usage_is_told_in_the_detail_that_is_known(dialect: Dialect) -> None:
    usage = Usage(prompt_tokens=9, completion_tokens=5, cached_tokens=4, reasoning_tokens=0)
    told = {"prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 14,
            "prompt_tokens_details": {"cached_tokens": 4}, "completion_tokens_details": {"reasoning_tokens": 0}}
    whole, rows = answer(dialect, Text("x"), done=Done(usage=usage))
    assert (whole["usage"], rows[-1]["usage"]) == (told, told)
    whole, _ = answer(dialect, Text("x"), done=Done(usage=Usage(prompt_tokens=9, completion_tokens=5)))
    assert whole["usage"] == {"prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 14}
