"""The Responses dialect: what is written, byte for byte, and the order of its events."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.responses import ResponseStreamEvent
from pydantic import TypeAdapter

from moe.core import (
    Chunk,
    Done,
    Heartbeat,
    Refusal,
    Started,
    Text,
    Thinking,
    TokenLogprob,
    ToolCall,
    ToolCallPiece,
    Usage,
)
from moe.dialects.responses import RESPONSES, list_items
from moe.dialects.responses_wire import Asked, parse_responses
from moe.errors import BrokenStream, Busy, MoeError, UpstreamRefusal
from moe.replies import Ending, Head, Whole
from moe.web.choices import Gathering

from . import golden

USAGE = Usage(prompt_tokens=12, completion_tokens=5)
DETAILS = Usage(prompt_tokens=12, completion_tokens=5, cached_tokens=8, reasoning_tokens=3)
ASKED = parse_responses(json.dumps({
    "model": "math", "input": "How much is 2+2?", "instructions": "Be brief.", "temperature": 0.5,
    "metadata": {"a": "b"},
    "tools": [
        {"type": "function", "name": "weather", "parameters": {"type": "object", "properties": {}}, "strict": True},
        {"type": "namespace", "name": "mcp__clock__", "description": "Time.", "tools": [
            {"type": "function", "name": "now", "parameters": {"type": "object", "properties": {}}}]},
        {"type": "custom", "name": "patch"},
    ],
}).encode())
HEAD = Head(request_id="0123abcd", model="math", created=1_700_000_000.75, asked=ASKED)
SCRIPTS: dict[str, tuple[tuple[Chunk, ...], Done]] = {
    "text": (
        (Heartbeat(), Started(expert="math", model="phi4"), Text("Es ist "), Text(""), Text("4 \u2028🙂\n")),
        Done(usage=USAGE),
    ),
    "thinking": ((Thinking("2+2…"), Thinking("is 4"), Text("4")), Done(usage=USAGE)),
    "parallel_calls": (
        (Text("I look."), ToolCall("call_1", "weather", '{"city":"Rom"}'), ToolCall("", "mcp__clock__now", "")),
        Done(usage=USAGE),
    ),
    "custom_call": ((ToolCall("call_1", "patch", '{"input":"*** Begin"}'),), Done(finish="tool_calls", usage=USAGE)),
    "everything": (
        (Thinking("hm"), Text("a"), ToolCall("call_1", "weather"), Thinking("so"), Text("b")), Done(usage=USAGE),
    ),
    "length": ((Text("Es ist"),), Done(finish="length", usage=USAGE)),
    "logprobs": ((Text("yes", (TokenLogprob("yes", -0.25, (TokenLogprob("no", -1.5),)),)),), Done(usage=USAGE)),
    "nothing": ((), Done()),
    "refusal": ((Refusal("I must "), Refusal("not.")), Done(usage=USAGE)),
    "refusal_at_last": ((Thinking("hm"), Text("Well"), Refusal(" no.")), Done(usage=USAGE)),
    "filtered": ((Text("Es ist"),), Done(finish="content_filter", usage=USAGE)),
    "filtered_nothing": ((), Done(finish="content_filter", usage=DETAILS)),
}
SPOKEN = {"response.output_text.delta", "response.refusal.delta", "response.reasoning_summary_text.delta"}


def write(chunks: tuple[Chunk, ...], done: Done, **extras: Any) -> str:
    writer = RESPONSES.writer(ASKED, HEAD)
    ending = Ending(done=done, elapsed_ns=9, first_token_ns=4, extras=extras)
    return (b"".join(writer.chunk(chunk) for chunk in (*chunks, done)) + writer.end(ending)).decode()


def read_events(stream: str) -> list[dict[str, Any]]:
    """The events, checked for what holds of every stream."""
    events = []
    for frame in stream.removesuffix("\n\n").split("\n\n"):
        name, data = frame.split("\n")
        event = json.loads(data.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        events.append(event)
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert [event["type"] for event in events[:2]] == ["response.created", "response.in_progress"]
    return events


def gather(chunks: tuple[Chunk, ...], done: Done) -> Whole:
    gathering = Gathering()
    for chunk in chunks:
        gathering.take(chunk)
    return gathering.finish(done)


@pytest.mark.parametrize("script", SCRIPTS)
def test_an_answer_is_written_as_before(script: str) -> None:
    chunks, done = SCRIPTS[script]
    reply = RESPONSES.reply(gather(chunks, done), HEAD, Ending(done=done, elapsed_ns=9, first_token_ns=4))
    golden.assert_same(f"responses/{script}.stream.txt", write(chunks, done))
    golden.assert_same(f"responses/{script}.reply.json", json.dumps(json.loads(reply), indent=2) + "\n")


@pytest.mark.parametrize("chunks", [(), (Text("4"),), (Thinking("hm"),)], ids=["before", "text", "thinking"])
def test_a_broken_stream_is_written_as_before(chunks: tuple[Chunk, ...]) -> None:
    writer = RESPONSES.writer(ASKED, HEAD)
    stream = (b"".join(map(writer.chunk, chunks)) + writer.fail(BrokenStream("http://10.0.0.1:11434 reset"))).decode()
    name = type(chunks[0]).__name__.lower() if chunks else "nothing"
    golden.assert_same(f"responses/broken_{name}.stream.txt", stream)
    events = read_events(stream)
    assert [event["type"] for event in events[-2:]] == ["error", "response.failed"]
    assert events[-1]["response"]["status"] == "failed"
    assert "10.0.0.1" not in stream


@pytest.mark.parametrize("script", sorted(SCRIPTS.keys() - {"everything"}))
def test_the_last_event_of_a_stream_is_the_reply_that_does_not_stream(script: str) -> None:
    chunks, done = SCRIPTS[script]
    ending = Ending(done=done, elapsed_ns=9, first_token_ns=4, extras={"usage_estimated": True})
    reply = json.loads(RESPONSES.reply(gather(chunks, done), HEAD, ending))
    last = read_events(write(chunks, done, usage_estimated=True))[-1]
    assert last["type"] == f"response.{reply['status']}"
    assert last["response"] == reply


PIECES = st.lists(st.one_of(
    st.builds(Text, st.text(max_size=3)), st.builds(Thinking, st.text(max_size=3)),
    st.builds(Refusal, st.text(max_size=3)),
    st.builds(ToolCall, st.sampled_from(["", "a"]), st.sampled_from(["f", "mcp__clock__now", "patch"]),
              st.sampled_from(["", "{}", '{"input":"a"}', "[", "null"])),
))


@given(PIECES)
def test_items_rise_one_by_one_and_add_up_to_the_response(pieces: list[Chunk]) -> None:
    events = read_events(write(tuple(pieces), Done()))
    output = events[-1]["response"]["output"]
    opened = [event for event in events if event["type"] == "response.output_item.added"]
    closed = [event for event in events if event["type"] == "response.output_item.done"]
    assert [event["output_index"] for event in opened] == list(range(len(output)))
    assert [event["item"] for event in closed] == output
    assert [event["item"]["id"] for event in opened] == [item["id"] for item in output]
    assert len({item["id"] for item in output}) == len(output)
    spoken = "".join(event["delta"] for event in events if event["type"] in SPOKEN)
    assert spoken.encode("utf-8", "replace") == "".join(
        piece.text for piece in pieces if isinstance(piece, Text | Thinking)).encode("utf-8", "replace")
    assert any(item["type"] != "reasoning" for item in output)


def test_a_call_begins_before_it_is_done() -> None:
    for script in ("parallel_calls", "custom_call"):
        events = read_events(write(*SCRIPTS[script]))
        opened = [event["item"] for event in events if event["type"] == "response.output_item.added"]
        assert {item["status"] for item in opened} == {"in_progress"}


def test_the_arguments_of_a_call_are_streamed_as_they_come() -> None:
    calls = (ToolCall("c1", "weather", '{"at":1}'), ToolCall("c2", "patch", '{"input":"a"}'), ToolCall("c3", "weather"))
    pieces = (Text("I look."), ToolCallPiece("c1", "weather", '{"at"'), Text("Still."), Thinking("hm"),
              ToolCallPiece("c1", "weather", ":1}"), calls[0], ToolCallPiece("c2", "patch", '{"inp'), calls[1],
              ToolCallPiece("c3", "weather"), calls[2])
    events = read_events(write(pieces, Done(usage=USAGE)))
    output = events[-1]["response"]["output"]
    assert [item["type"] for item in output] == ["message", "function_call", "message", "reasoning", "custom_tool_call",
                                                 "function_call"]
    assert [event["item"] for event in events if event["type"] == "response.output_item.done"] == output
    deltas = [(event["output_index"], event["delta"]) for event in events
              if event["type"].endswith(("arguments.delta", "input.delta"))]
    assert deltas == [(1, '{"at"'), (1, ":1}"), (4, "a"), (5, "{}")]
    whole = read_events(write(tuple(p for p in pieces if not isinstance(p, ToolCallPiece)), Done(usage=USAGE)))
    assert [item["type"] for item in whole[-1]["response"]["output"]] == ["message", "reasoning", "function_call",
                                                                       "custom_tool_call", "function_call"]


def test_a_call_that_is_cut_is_told_as_incomplete() -> None:
    pieces = (ToolCallPiece("c1", "weather", '{"a'), Text("Still."), ToolCallPiece("c1", "weather", 't"'))
    events = read_events(write(pieces, Done(finish="length", usage=USAGE)))
    call, said = events[-1]["response"]["output"]
    assert (call["status"], call["arguments"], said["content"][0]["text"]) == ("incomplete", '{"at"', "Still.")
    assert "".join(event["delta"] for event in events if event["type"].endswith("arguments.delta")) == '{"at"'


@pytest.mark.parametrize("script", ["refusal", "refusal_at_last", "filtered", "filtered_nothing"])
def test_openais_own_types_allow_every_event(script: str) -> None:
    known = TypeAdapter[Any](ResponseStreamEvent)
    kinds = [known.validate_python(event).type for event in read_events(write(*SCRIPTS[script]))]
    assert ("response.refusal.done" in kinds) == script.startswith("refusal")
    assert kinds[-1] == ("response.completed" if script.startswith("refusal") else "response.incomplete")


def test_a_call_gets_the_name_that_its_client_knows() -> None:
    chunks, done = SCRIPTS["parallel_calls"]
    _, known, spaced = read_events(write(chunks, done))[-1]["response"]["output"]
    assert (known["name"], known["call_id"]) == ("weather", "call_1")
    assert "namespace" not in known
    assert (spaced["namespace"], spaced["name"], spaced["arguments"]) == ("mcp__clock__", "now", "{}")
    assert spaced["call_id"]


def test_a_response_repeats_what_was_asked() -> None:
    reply = json.loads(RESPONSES.reply(Whole(text="4"), HEAD, Ending(done=Done(), elapsed_ns=9, first_token_ns=4)))
    assert (reply["id"], reply["object"], reply["model"]) == ("resp_0123abcd", "response", "math")
    assert (reply["instructions"], reply["temperature"], reply["metadata"]) == ("Be brief.", 0.5, {"a": "b"})
    assert reply["tools"][1]["tools"][0]["name"] == "now"
    assert (reply["tool_choice"], reply["parallel_tool_calls"], reply["store"]) == ("auto", True, False)


@pytest.mark.parametrize(("error", "code"), [
    (Busy(), "server_error"), (UpstreamRefusal("too long", code="context_length_exceeded"), "context_length_exceeded"),
    (MoeError(), "server_error"),
])
def test_a_failure_in_a_stream_has_a_code_that_clients_know(error: MoeError, code: str) -> None:
    events = read_events(RESPONSES.writer(ASKED, HEAD).fail(error).decode())
    assert events[-1]["response"]["error"]["code"] == code
    assert events[-2]["message"] == events[-1]["response"]["error"]["message"]


def test_a_page_of_items() -> None:
    assert list_items([]) == {"object": "list", "data": [], "first_id": None, "last_id": None, "has_more": False}
    assert list_items([{"id": "a"}, {"id": "b"}], has_more=True)["last_id"] == "b"


def test_another_dialect_s_request_can_be_answered_too() -> None:
    assert isinstance(RESPONSES.parse(b'{"input":"hi"}'), Asked)
