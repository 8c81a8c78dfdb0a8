"""Tools in OpenAI's chats: those of both kinds, the choice among them, and the calls of either."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec import structs

from moe.core import ChatRequest, Done, ToolCall, ToolCallPiece, ToolResult
from moe.dialects.openai import CHAT
from moe.errors import BadRequest
from moe.replies import Ending, Head, Whole

F = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
G = {"type": "function", "function": {"name": "g"}}
GRAMMAR = {"type": "grammar", "grammar": {"syntax": "lark", "definition": "start: /.+/"}}
PATCH = {"type": "custom", "custom": {"name": "patch", "description": "Patches.", "format": GRAMMAR}}
HEAD = Head(request_id="0123abcd", model="math", created=1_700_000_000.75)
ENDING = Ending(done=Done(finish="tool_calls"), elapsed_ns=9, first_token_ns=4)


def parse(*messages: dict[str, Any], **fields: Any) -> ChatRequest:
    body = {"messages": [{"role": "user", "content": "hi"}, *messages], **fields}
    return CHAT.parse(json.dumps(body).encode())


def names(asked: ChatRequest) -> list[str]:
    return [tool["function"]["name"] for tool in asked.tools]


@pytest.mark.parametrize(("fields", "param", "told"), [
    ({"tools": [F], "tool_choice": {"type": "function", "function": {"name": "nope"}}}, "tool_choice.function.name",
     "no tool is called 'nope'"),
    ({"tool_choice": {"type": "function", "function": {"name": "f"}}}, "tool_choice.function.name", "'f'"),
    ({"tool_choice": {"type": "custom", "custom": {"name": "f"}}, "tools": [G]}, "tool_choice.custom.name", "'f'"),
    ({"tool_choice": "required"}, "tool_choice", "there is no tool to choose"),
    ({"tool_choice": "required", "tools": []}, "tool_choice", "there is no tool to choose"),
    ({"functions": [F["function"]], "function_call": {"name": "nope"}}, "function_call.name", "'nope'"),
    ({"function_call": {"name": "f"}}, "function_call.name", "'f'"),
    ({"tool_choice": {"type": "allowed_tools"}, "tools": [F]}, "tool_choice.allowed_tools", "expected an object"),
    ({"tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto"}}}, "tool_choice", "needs tools"),
    ({"tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [G]}}, "tools": [F]},
     "tool_choice.tools.name", "no tool is called 'g'"),
    ({"tool_choice": {"type": "web_search"}, "tools": [F]}, "tool_choice.type", "only function, custom"),
    ({"tools": [{"type": "web_search"}]}, "tools[0].type", "web_search"),
    ({"tools": [F, {"type": "custom"}]}, "tools[1].custom.name", "non-empty"),
    ({"tools": [{"type": "custom", "custom": {"name": "p", "description": 5}}]}, "tools[0].custom.description",
     "expected a string"),
])
def test_a_wrong_tool_or_choice_is_refused_by_its_field(fields: dict[str, Any], param: str, told: str) -> None:
    with pytest.raises(BadRequest) as caught:
        parse(**fields)
    assert caught.value.param == param
    assert told in caught.value.message


@pytest.mark.parametrize(("choice", "read", "left"), [
    (None, None, ["f", "g", "patch"]),
    ("required", "required", ["f", "g", "patch"]),
    ({"type": "function", "function": {"name": "g"}}, {"type": "function", "function": {"name": "g"}},
     ["f", "g", "patch"]),
    ({"type": "custom", "custom": {"name": "patch"}}, {"type": "function", "function": {"name": "patch"}},
     ["f", "g", "patch"]),
    ({"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [F]}}, "auto", ["f"]),
    ({"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [PATCH, G]}}, "required", ["g", "patch"]),
])
def test_the_choice_of_a_tool(choice: Any, read: Any, left: list[str]) -> None:
    asked = parse(tools=[F, G, PATCH], tool_choice=choice)
    assert (asked.tool_choice, names(asked)) == (read, left)


def test_a_custom_tool_is_a_function_of_one_text() -> None:
    (tool,) = parse(tools=[PATCH]).tools
    assert (tool["type"], tool["function"]["name"]) == ("function", "patch")
    assert tool["function"]["parameters"]["required"] == ["input"]
    assert "start: /.+/" in tool["function"]["description"]


def test_an_earlier_call_of_a_custom_tool_stays_in_the_conversation() -> None:
    call = {"id": "c", "type": "custom", "custom": {"name": "patch", "input": "*** Begin"}}
    asked = parse({"role": "assistant", "tool_calls": [call]}, {"role": "tool", "tool_call_id": "c", "content": "done"})
    assert asked.messages[1].parts == (ToolCall("c", "patch", '{"input":"*** Begin"}'),)
    assert asked.messages[2].parts == (ToolResult("c", "patch", "done"),)


def write(asked: ChatRequest, *chunks: ToolCall | ToolCallPiece) -> list[dict[str, Any]]:
    """The deltas of a stream."""
    writer = CHAT.writer(asked, HEAD)
    stream = b"".join((*map(writer.chunk, chunks), writer.end(ENDING))).decode()
    rows = [json.loads(row.removeprefix("data: ")) for row in stream.split("\n\n") if row and "[DONE]" not in row]
    return [choice["delta"] for row in rows for choice in row["choices"]]


def test_a_call_of_a_custom_tool_comes_back_as_one() -> None:
    asked = parse(tools=[F, PATCH])
    calls = (ToolCall("c1", "patch", '{"input":"*** Begin"}'), ToolCall("c2", "f", "{}"))
    custom = {"id": "c1", "type": "custom", "custom": {"name": "patch", "input": "*** Begin"}}
    plain = {"id": "c2", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    whole = json.loads(CHAT.reply(Whole(tool_calls=calls), structs.replace(HEAD, asked=asked), ENDING))
    assert whole["choices"][0]["message"]["tool_calls"] == [custom, plain]
    told = [call for delta in write(asked, *calls) for call in delta.get("tool_calls", ())]
    assert told == [{"index": 0, **custom}, {"index": 1, **plain}]


def test_the_arguments_of_a_call_are_streamed_as_they_come() -> None:
    calls = [ToolCall("c1", "f", '{"a":1}'), ToolCall("c2", "g")]
    pieces = [ToolCallPiece("c1", "f", ""), ToolCallPiece("c1", "f", '{"a"'), ToolCallPiece("c1", "f", ":1}"), calls[0],
              ToolCallPiece("c2", "g"), calls[1]]
    told = [call for delta in write(parse(tools=[F, G]), *pieces) for call in delta.get("tool_calls", ())]
    assert [(call["index"], call.get("id"), call["function"].get("name"), call["function"]["arguments"])
            for call in told] == [(0, "c1", "f", ""), (0, None, None, '{"a"'), (0, None, None, ":1}"),
                                  (1, "c2", "g", ""), (1, None, None, "{}")]


def test_the_text_of_a_custom_tool_is_not_streamed_wrapped_in_json() -> None:
    call = ToolCall("c1", "patch", '{"input":"a"}')
    told = write(parse(tools=[PATCH]), ToolCallPiece("c1", "patch", '{"input"'), call)
    assert [delta["tool_calls"][0]["custom"]["input"] for delta in told if "tool_calls" in delta] == ["a"]


def test_a_client_of_old_gets_the_pieces_in_its_own_form() -> None:
    asked = parse(functions=[F["function"]])
    told = write(asked, ToolCallPiece("c1", "f", '{"a"'), ToolCall("c1", "f", '{"a":1}'))
    assert [delta["function_call"] for delta in told if "function_call" in delta] == [
        {"name": "f", "arguments": '{"a"'}, {"arguments": ":1}"}]
