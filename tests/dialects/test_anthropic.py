"""Anthropic's dialect: what is written, byte for byte, and the order of its events."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moe.core import ChatRequest, Chunk, Done, Heartbeat, Message, Started, Text, Thinking, ToolCall, Usage
from moe.dialects.anthropic import MESSAGES, error_body, estimate, list_models
from moe.dialects.anthropic_wire import Asked
from moe.errors import (
    BadRequest,
    BrokenStream,
    Busy,
    Forbidden,
    MethodNotAllowed,
    ModelNotFound,
    MoeError,
    TimedOut,
    TooLarge,
    TooManyRequests,
    UpstreamRefusal,
)
from moe.replies import Ending, Head, ModelCard, Whole

from . import golden

HEAD = Head(request_id="0123abcd", model="math", created=1_700_000_000.75)
USAGE = Usage(prompt_tokens=12, completion_tokens=5)
ASKED = ChatRequest(messages=(Message("user", (Text("What is the weather in Rome?"),)),), think=True)
SCRIPTS: dict[str, tuple[tuple[Chunk, ...], Done]] = {
    "text": (
        (Heartbeat(), Started(expert="math", model="phi4"), Text("Es ist "), Text(""), Text("4 \u2028🙂\n")),
        Done(usage=USAGE),
    ),
    "thinking": ((Thinking("2+2…"), Thinking("is 4"), Text("4")), Done(usage=USAGE)),
    "parallel_calls": (
        (Text("I look."), ToolCall("toolu_1", "weather", '{"city":"Rom"}'), ToolCall("", "now", "not json")),
        Done(usage=USAGE),
    ),
    "only_a_call": ((ToolCall("toolu_1", "weather", ""),), Done(finish="tool_calls", usage=USAGE)),
    "everything": (
        (Thinking("hm"), Text("a"), ToolCall("toolu_1", "now"), Thinking("so"), Text("b")), Done(usage=USAGE),
    ),
    "length": ((Text("Es ist"),), Done(finish="length", usage=USAGE)),
    "stop_sequence": ((Text("Es ist"),), Done(stop_sequence="END", usage=USAGE)),
    "nothing": ((), Done()),
}


def write(chunks: tuple[Chunk, ...], done: Done, *, asked: ChatRequest = ASKED, **extras: Any) -> str:
    writer = MESSAGES.writer(asked, HEAD)
    ending = Ending(done=done, elapsed_ns=9, first_token_ns=4, extras=extras)
    return (b"".join(writer.chunk(chunk) for chunk in (*chunks, done)) + writer.end(ending)).decode()


def read_events(stream: str) -> list[dict[str, Any]]:
    events = []
    for frame in stream.removesuffix("\n\n").split("\n\n"):
        name, data = frame.split("\n")
        event = json.loads(data.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        events.append(event)
    return events


def gather(chunks: tuple[Chunk, ...], done: Done) -> Whole:
    return Whole(
        text="".join(c.text for c in chunks if isinstance(c, Text)),
        thinking="".join(c.text for c in chunks if isinstance(c, Thinking)),
        tool_calls=tuple(c for c in chunks if isinstance(c, ToolCall)),
        done=done,
    )


@pytest.mark.parametrize("script", SCRIPTS)
def test_an_answer_is_written_as_before(script: str) -> None:
    chunks, done = SCRIPTS[script]
    reply = MESSAGES.reply(gather(chunks, done), HEAD, Ending(done=done, elapsed_ns=9, first_token_ns=4))
    golden.assert_same(f"anthropic/{script}.stream.txt", write(chunks, done))
    golden.assert_same(f"anthropic/{script}.reply.json", json.dumps(json.loads(reply), indent=2) + "\n")


@pytest.mark.parametrize("chunks", [(), (Text("4"),), (Thinking("hm"),)], ids=["before", "text", "thinking"])
def test_a_broken_stream_is_written_as_before(chunks: tuple[Chunk, ...]) -> None:
    writer = MESSAGES.writer(ASKED, HEAD)
    stream = b"".join(map(writer.chunk, chunks)) + writer.fail(BrokenStream("http://10.0.0.1:11434 reset"))
    name = type(chunks[0]).__name__.lower() if chunks else "nothing"
    golden.assert_same(f"anthropic/broken_{name}.stream.txt", stream.decode())
    assert "message_stop" not in stream.decode()


PIECES = st.lists(st.one_of(
    st.builds(Text, st.text(max_size=3)), st.builds(Thinking, st.text(max_size=3)),
    st.builds(ToolCall, st.sampled_from(["", "a"]), st.just("f"), st.sampled_from(["", "{}", '{"a":1}', "[", "null"])),
))


@given(PIECES)
def test_blocks_rise_one_by_one_and_add_up_to_the_answer(pieces: list[Chunk]) -> None:
    events = [event for event in read_events(write(tuple(pieces), Done())) if event["type"] != "ping"]
    assert events[0]["type"] == "message_start"
    assert [event["type"] for event in events[-2:]] == ["message_delta", "message_stop"]
    middle = events[1:-2]
    assert [event["index"] for event in middle if event["type"] == "content_block_start"] == list(
        range(sum(event["type"] == "content_block_start" for event in middle)))
    for before, after in pairwise([{"type": "content_block_stop", "index": -1}, *middle]):
        is_next = after["type"] == "content_block_start"
        assert is_next == (before["type"] == "content_block_stop")
        assert after["index"] == before["index"] + is_next
    assert not middle or middle[-1]["type"] == "content_block_stop"
    deltas = [event["delta"] for event in middle if event["type"] == "content_block_delta"]
    assert "".join(d.get("text", "") for d in deltas) == "".join(p.text for p in pieces if isinstance(p, Text))
    assert "".join(d.get("thinking", "") for d in deltas) == "".join(
        p.text for p in pieces if isinstance(p, Thinking))
    calls = [json.loads(d["partial_json"]) for d in deltas if d["type"] == "input_json_delta"]
    assert len(calls) == sum(isinstance(p, ToolCall) for p in pieces)
    assert all(isinstance(call, dict) for call in calls)


def test_who_did_not_ask_for_thoughts_hears_only_that_there_is_life() -> None:
    asked = ChatRequest(messages=ASKED.messages, think=False)
    events = read_events(write((Thinking("secret"), Text("4")), Done(), asked=asked))
    assert [event["type"] for event in events[:2]] == ["ping", "message_start"]
    assert "secret" not in str(events)


def test_who_wants_thoughts_omitted_sees_that_there_was_thinking_and_no_word_of_it() -> None:
    asked = Asked(messages=ASKED.messages, think=True, shows_thoughts=False)
    chunks = (Thinking("secret"), Thinking("secret"), Text("4"), Thinking("secret"))
    events = [event for event in read_events(write(chunks, Done(), asked=asked)) if event["type"] != "ping"]
    assert "secret" not in str(events)
    kinds = [event["content_block"]["type"] for event in events if event["type"] == "content_block_start"]
    assert kinds == ["thinking", "text", "thinking"]
    deltas = [event["delta"]["type"] for event in events if event["type"] == "content_block_delta"]
    assert deltas == ["signature_delta", "text_delta", "signature_delta"]
    head = Head(request_id="0123abcd", model="math", created=0, asked=asked)
    reply = MESSAGES.reply(gather(chunks, Done()), head, Ending(done=Done(), elapsed_ns=9, first_token_ns=4))
    assert json.loads(reply)["content"] == [{"type": "thinking", "thinking": "", "signature": ""},
                                            {"type": "text", "text": "4"}]


def test_the_last_event_tells_the_true_usage_and_the_first_one_about_how_much_came_in() -> None:
    events = read_events(write((Text("4"),), Done(usage=USAGE), fallback="medical"))
    first = events[0]["message"]["usage"]
    assert (first["input_tokens"], first["output_tokens"]) == (estimate(ASKED), 1)
    told = next(event for event in events if event["type"] == "message_delta")
    assert told["usage"] == {"input_tokens": 12, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0,
                             "output_tokens": 5}
    assert told["x_moe"] == {"fallback": "medical"}


@pytest.mark.parametrize(("error", "kind"), [
    (BadRequest("no", param="model"), "invalid_request_error"), (Forbidden("no"), "permission_error"),
    (ModelNotFound("m"), "not_found_error"), (MethodNotAllowed("no"), "invalid_request_error"),
    (TooLarge("no"), "request_too_large"), (TooManyRequests("no", retry_after_s=1), "rate_limit_error"),
    (Busy(), "overloaded_error"), (TimedOut("slow"), "timeout_error"), (BrokenStream("cut"), "api_error"),
    (MoeError(), "api_error"),
])
def test_every_error_has_a_type_that_its_clients_know(error: MoeError, kind: str) -> None:
    told = json.loads(error_body(error, "0123"))
    assert (told["type"], told["error"]["type"], told["request_id"]) == ("error", kind, "0123")
    assert told["error"]["message"]
    assert json.loads(MESSAGES.error(error))["error"] == told["error"]


def test_a_prompt_that_is_too_long_is_told_in_the_words_that_clients_look_for() -> None:
    error = UpstreamRefusal("9 tokens and the context holds 8", code="context_length_exceeded")
    told = json.loads(error_body(error))
    assert told["error"]["message"] == "prompt is too long: 9 tokens and the context holds 8"
    assert told["request_id"] is None


CARDS = [ModelCard(name=name, modified=1_700_000_000.5) for name in "abcde"]


@pytest.mark.parametrize(("asked", "names", "has_more"), [
    ({}, "abcde", False), ({"limit": "2"}, "ab", True), ({"limit": "2", "after": "b"}, "cd", True),
    ({"limit": "2", "after": "c"}, "de", False), ({"after": "e"}, "", False),
    ({"limit": "2", "before": "d"}, "bc", True), ({"limit": "9", "before": "b"}, "a", False),
    ({"after": "a", "before": "e"}, "bcd", False),
])
def test_the_model_list_is_cut_into_pages(asked: dict[str, str], names: str, has_more: bool) -> None:
    page = list_models(CARDS, **asked)
    assert "".join(model["id"] for model in page["data"]) == names
    assert page["has_more"] is has_more
    assert (page["first_id"], page["last_id"]) == ((names[0], names[-1]) if names else (None, None))


@pytest.mark.parametrize("asked", [{"limit": "0"}, {"limit": "1001"}, {"limit": "x"}, {"limit": "9" * 999},
                                   {"after": "z"}, {"before": "z"}])
def test_a_page_that_cannot_be_is_refused_by_its_field(asked: dict[str, str]) -> None:
    with pytest.raises(BadRequest) as caught:
        list_models(CARDS, **asked)
    (name,) = asked
    assert caught.value.param in (name, f"{name}_id")


def test_a_model_is_described_as_its_clients_expect() -> None:
    virtual = ModelCard(name="lemoe", kind="virtual", description="routes each prompt", context_length=8192)
    assert list_models([*CARDS[:1], virtual])["data"] == [
        {"type": "model", "id": "a", "display_name": "a", "created_at": "2023-11-14T22:13:20Z",
         "lifecycle": "active", "max_input_tokens": None},
        {"type": "model", "id": "lemoe", "display_name": "lemoe: routes each prompt",
         "created_at": "1970-01-01T00:00:00Z", "lifecycle": "active", "max_input_tokens": 8192},
    ]
