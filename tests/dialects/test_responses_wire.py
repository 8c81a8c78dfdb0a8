"""Responses requests: what each becomes inside, and what is refused."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from moe.core import ChatRequest, Document, Image, ImageLink, Message, Refusal, Text, Thinking, ToolCall, ToolResult
from moe.dialects.responses_tools import LONGEST_NAME, flat_name, free_text
from moe.dialects.responses_wire import Asked, Memory, parse_responses
from moe.errors import BadRequest

from . import golden

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
FUNCTION = {"type": "function", "name": "f", "description": "Does.", "parameters": {"type": "object"}, "strict": False}
CALL = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": '{"x":1}'}
RESULT = {"type": "function_call_output", "call_id": "c1", "output": "one"}


def parse(*items: dict[str, Any], memory: Memory | None = None, **more: Any) -> Asked:
    return parse_responses(json.dumps({"input": list(items) or "hi", **more}).encode(), memory)


def refused(*items: dict[str, Any], **more: Any) -> BadRequest:
    with pytest.raises(BadRequest) as caught:
        parse(*items, **more)
    return caught.value


def user(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"role": "user", "content": list(parts)}


@pytest.mark.parametrize("path", golden.bodies("responses"), ids=lambda path: path.stem)
def test_a_recorded_request_is_read_as_before(path: Any) -> None:
    picture = golden.picture(parse_responses(path.read_bytes()))
    golden.assert_same(f"responses/{path.name.replace('.request.json', '.parsed.json')}", picture)


def test_a_text_is_what_the_user_says() -> None:
    asked = parse(instructions="Be brief.", max_output_tokens=9, temperature=0.1, top_p=0.9, stream=True)
    assert asked.messages == (Message("system", (Text("Be brief."),)), Message("user", (Text("hi"),)))
    assert (asked.sampling.max_tokens, asked.sampling.temperature, asked.sampling.top_p) == (9, 0.1, 0.9)
    assert asked.stream
    assert asked.items is None


def test_what_a_model_thinks_says_and_calls_is_one_turn() -> None:
    asked = parse(
        {"role": "developer", "content": "Rules."}, {"type": "message", "role": "user", "content": "Go."},
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "hm"}],
         "encrypted_content": None},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "I look."}]},
        CALL, {**CALL, "call_id": "c2", "namespace": "mcp__a__"}, RESULT, {**RESULT, "call_id": "c2"},
    )
    assert asked.messages == (
        Message("system", (Text("Rules."),)),
        Message("user", (Text("Go."),)),
        Message("assistant", (Thinking("hm"), Text("I look."), ToolCall("c1", "f", '{"x":1}'),
                              ToolCall("c2", "mcp__a__f", '{"x":1}'))),
        Message("tool", (ToolResult("c1", "f", "one"),)),
        Message("tool", (ToolResult("c2", "mcp__a__f", "one"),)),
    )


def test_pictures_of_tools_are_shown_by_the_user_once_all_results_are_there() -> None:
    shown = [{"type": "input_text", "text": "see"},
             {"type": "input_image", "image_url": f"data:image/png;base64,{PIXEL}"}]
    asked = parse(CALL, {**CALL, "call_id": "c2"}, {**RESULT, "output": shown}, {**RESULT, "call_id": "c2"})
    assert [message.role for message in asked.messages] == ["assistant", "tool", "tool", "user"]
    assert asked.messages[1].parts == (ToolResult("c1", "f", "see\n[image]"),)
    assert asked.messages[3].parts == (Image(PIXEL),)
    joined = parse(CALL, {**RESULT, "output": shown}, user({"type": "input_text", "text": "And?"}))
    assert joined.messages[-1].parts == (Image(PIXEL), Text("And?"))


def test_pictures_and_files() -> None:
    asked = parse(user(
        {"type": "input_image", "image_url": f"data:image/png;base64,{PIXEL}", "detail": "auto"},
        {"type": "input_image", "image_url": "https://example.org/a.png"},
        {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERg=="},
        {"type": "input_file", "filename": "b.pdf", "file_data": "JVBERg=="},
    ))
    assert asked.messages[0].parts == (
        Image(PIXEL, detail="auto"), ImageLink("https://example.org/a.png"),
        Document("JVBERg==", "application/pdf", "a.pdf", place="input[0].content[2].file_data"),
        Document("JVBERg==", "", "b.pdf", place="input[0].content[3].file_data"),
    )


@pytest.mark.parametrize("item", [
    {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search"}},
    {"type": "mcp_call", "id": "mcp_1", "name": "f", "arguments": "{}", "server_label": "s", "output": "found"},
    {"type": "compaction", "id": "cmp_1", "encrypted_content": "x"},
])
def test_items_of_a_server_that_is_not_here_are_left_out_and_named(item: dict[str, Any]) -> None:
    asked = parse(user({"type": "input_text", "text": "hi"}), item, item)
    assert asked.messages == (Message("user", (Text("hi"),)),)
    assert asked.unheeded == (f"input.{item['type']}",)


@pytest.mark.parametrize("kind", [
    f"{tool}_call{end}" for tool in ("shell", "apply_patch", "local_shell", "computer") for end in ("", "_output")
])
def test_items_of_tools_that_cannot_be_told_to_a_model_are_refused(kind: str) -> None:
    assert refused(user({"type": "input_text", "text": "hi"}), {"type": kind, "call_id": "c"}).param == "input[1].type"


def test_an_earlier_refusal_stays_in_the_conversation() -> None:
    said = [{"type": "output_text", "text": "Well."}, {"type": "refusal", "refusal": "No."}]
    asked = parse({"role": "assistant", "content": said})
    assert asked.messages[0].parts == (Text("Well."), Refusal("No."))


@pytest.mark.parametrize("data", ["", "data:text/plain;base64,", "data:text/plain;base64, "])
def test_an_empty_file_is_called_empty(data: str) -> None:
    error = refused(user({"type": "input_file", "filename": "a.txt", "file_data": data}))
    assert (error.param, error.message) == ("input[0].content[0].file_data",
                                            "input[0].content[0].file_data: the file is empty")


def test_what_only_an_api_understands_is_kept() -> None:
    asked = parse(service_tier="priority", text={"verbosity": "low"})
    assert asked.beside == {"service_tier": "priority", "verbosity": "low"}
    assert asked.echo["service_tier"] == "default"


def test_tools_in_a_namespace_are_tools() -> None:
    space = {"type": "namespace", "name": "mcp__a__", "tools": [FUNCTION, {**FUNCTION, "name": "g"}]}
    asked = parse(tools=[FUNCTION, space, {"type": "web_search", "external_web_access": False}])
    assert [tool["function"]["name"] for tool in asked.tools] == ["f", "mcp__a__f", "mcp__a__g"]
    assert asked.unheeded == ("tools.web_search",)
    assert asked.box.named_by("mcp__a__g").name == "g"


def test_a_long_name_stays_one_that_every_provider_takes() -> None:
    names = {flat_name("tool_" + "x" * 60 + str(i), "mcp__server__") for i in range(20)}
    assert len(names) == 20
    assert all(len(name) <= LONGEST_NAME for name in names)


def test_a_custom_tool_takes_text() -> None:
    form = {"type": "grammar", "syntax": "lark", "definition": "start: /.+/"}
    tool = parse(tools=[{"type": "custom", "name": "patch", "description": "Patches.", "format": form}]).tools[0]
    assert "start: /.+/" in tool["function"]["description"]
    assert tool["function"]["parameters"]["required"] == ["input"]
    assert (free_text('{"input":"a"}'), free_text("a"), free_text('{"input":1}')) == ("a", "a", '{"input":1}')
    calls = parse({"type": "custom_tool_call", "call_id": "c", "name": "patch", "input": "a"},
                  {"type": "custom_tool_call_output", "call_id": "c", "output": "done"}).messages
    assert calls[0].parts == (ToolCall("c", "patch", '{"input":"a"}'),)
    assert calls[1].parts == (ToolResult("c", "patch", "done"),)


@pytest.mark.parametrize(("choice", "read", "left"), [
    ("required", "required", ["f", "mcp__a__g"]),
    ({"type": "function", "name": "f"}, {"type": "function", "function": {"name": "f"}}, ["f", "mcp__a__g"]),
    ({"type": "function", "name": "g"}, {"type": "function", "function": {"name": "mcp__a__g"}}, ["f", "mcp__a__g"]),
    ({"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "g"}]}, "required",
     ["mcp__a__g"]),
])
def test_the_choice_of_a_tool(choice: Any, read: Any, left: list[str]) -> None:
    space = {"type": "namespace", "name": "mcp__a__", "tools": [{**FUNCTION, "name": "g"}]}
    asked = parse(tools=[FUNCTION, space], tool_choice=choice)
    assert asked.tool_choice == read
    assert [tool["function"]["name"] for tool in asked.tools] == left


def test_formats_effort_and_log_probabilities() -> None:
    schema = {"type": "object", "properties": {}}
    wanted = {"format": {"type": "json_schema", "name": "n", "schema": schema, "strict": True}, "verbosity": "low"}
    asked = parse(text=wanted, reasoning={"effort": "high", "summary": "auto"}, top_logprobs=2)
    assert (asked.format, asked.format_name, asked.format_strict) == (schema, "n", True)
    assert (asked.think, asked.effort, asked.logprobs) == ("high", "high", 2)
    assert asked.beside == {"verbosity": "low"}
    assert parse(text={"format": {"type": "json_object"}}).format == "json"
    assert parse(text={"format": {"type": "text"}}, reasoning={"effort": "none"}).think is False
    assert parse(include=["message.output_text.logprobs"]).logprobs == 0


def test_what_is_to_be_kept_is_only_kept_where_it_may() -> None:
    memory = Memory(conversation=lambda name: [{"role": "user", "content": f"before {name}"}],
                    item=lambda name: [{"id": name, "role": "assistant", "content": "said"}], keeps=True)
    assert not parse(store=True).is_kept
    said = user({"type": "input_text", "text": "b"})
    asked = parse({"type": "item_reference", "id": "msg_1_0"}, {"id": "msg_1_1"}, said, memory=memory, store=True,
                  previous_response_id="resp_1")
    assert [message.text for message in asked.messages] == ["before resp_1", "said\nsaid", "b"]
    assert asked.items is not None
    assert len(asked.items) == 4
    assert (asked.is_kept, asked.echo["store"]) == (True, True)
    for more in ({}, {"store": None}, {"store": False}):
        asked = parse(memory=memory, **more)
        assert (asked.is_kept, asked.echo["store"]) == (False, False)
    only_for_a_while = parse(memory=structs.replace(memory, keeps=False), store=True)
    assert (only_for_a_while.is_kept, only_for_a_while.echo["store"]) == (False, False)


def test_what_is_not_to_be_stored_is_not_remembered_either() -> None:
    memory = Memory(conversation=lambda _: [], item=lambda _: [])
    assert parse(memory=memory, store=False).items is None
    for more in ({}, {"store": None}, {"store": True}):
        assert parse(user({"type": "input_text", "text": "b"}), memory=memory, **more).items == [
            user({"type": "input_text", "text": "b"})]


@pytest.mark.parametrize(("fields", "code", "words"), [
    ({"previous_response_id": "resp_1"}, "previous_response_not_found", "Previous response with id 'resp_1' not found"),
    ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "item_not_found", "Item with id 'msg_1' not found"),
])
def test_what_is_forgotten_is_told_in_openai_s_words_and_with_what_to_do(
    fields: dict[str, Any], code: str, words: str
) -> None:
    error = refused(**fields)
    assert (error.status, error.code) == (400, code)
    assert error.message.startswith(f"{words}. ")
    assert "instead." in error.message


@pytest.mark.parametrize(("fields", "param"), [
    ({"input": None}, "input"),
    ({"input": []}, "input"),
    ({"input": [{"type": "nonsense"}]}, "input[0].type"),
    ({"input": [{"role": "user"}]}, "input[0].content"),
    ({"input": [{"role": "king", "content": "x"}]}, "input[0].role"),
    ({"input": [{"role": "user", "content": [{"type": "input_audio"}]}]}, "input[0].content[0].type"),
    ({"input": [{"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}]},
     "input[0].content[0].image_url"),
    ({"input": [{"role": "user", "content": [{"type": "input_file", "file_url": "http://x"}]}]},
     "input[0].content[0].file_data"),
    ({"input": [{"role": "user", "content": [{"type": "input_text"}]}]}, "input[0].content[0].text"),
    ({"input": [{"type": "function_call", "name": "f"}]}, "input[0].call_id"),
    ({"input": [{"type": "function_call_output", "call_id": "c", "output": [1]}]}, "input[0].output"),
    ({"input": [{"type": "function_call_output", "call_id": "c", "output": {"a": 1}}]}, "input[0].output"),
    ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "input"),
    ({"input": [{"type": "item_reference"}]}, "input[0].id"),
    ({"input": [{}]}, "input[0].type"),
    ({"previous_response_id": "resp_1"}, "previous_response_id"),
    ({"conversation": "conv_1"}, "conversation"),
    ({"background": True}, "background"),
    ({"prompt": {"id": "p"}}, "prompt"),
    ({"truncation": "maybe"}, "truncation"),
    ({"reasoning": {"effort": "huge"}}, "reasoning.effort"),
    ({"text": {"format": {"type": "xml"}}}, "text.format.type"),
    ({"text": {"format": {"type": "json_schema"}}}, "text.format.schema"),
    ({"tools": [{"name": "f"}]}, "tools[0].type"),
    ({"tools": [{"type": "function"}]}, "tools[0].name"),
    ({"tools": [{"type": "function", "name": "f", "parameters": 1}]}, "tools[0].parameters"),
    ({"tools": [{"type": "namespace", "name": "n"}]}, "tools[0].tools"),
    ({"tool_choice": "maybe"}, "tool_choice"),
    ({"tool_choice": {"type": "function", "name": "g"}}, "tool_choice.name"),
    ({"tool_choice": {"type": "web_search"}}, "tool_choice.type"),
    ({"tool_choice": "required", "tools": [{"type": "web_search"}]}, "tool_choice"),
    ({"tool_choice": {"type": "allowed_tools", "mode": "required", "tools": []}}, "tool_choice"),
    ({"tool_choice": {"type": "allowed_tools", "mode": "none", "tools": []}}, "tool_choice"),
    ({"max_output_tokens": 0}, "max_output_tokens"),
])
def test_a_refusal_names_the_field(fields: dict[str, Any], param: str) -> None:
    assert refused(**{"input": "hi", **fields}).param == param


def test_an_unknown_item_is_told_in_the_usual_words() -> None:
    assert "unknown input item type" in refused({"type": "nonsense"}).message


KINDS = st.sampled_from(["message", "reasoning", "function_call", "function_call_output", "custom_tool_call",
                         "web_search_call", "item_reference", "x", None])
PARTS = st.lists(st.fixed_dictionaries(
    {"type": st.sampled_from(["input_text", "output_text", "input_image", "input_file", "refusal", "x"])},
    optional={"text": st.text(), "image_url": st.text() | st.dictionaries(st.just("url"), st.integers() | st.text()),
              "file_data": st.sampled_from(["", "data:,x", "data:a;base64,AAAA", "AA"]), "refusal": st.text()},
), max_size=2)
ITEMS = st.fixed_dictionaries({"type": KINDS}, optional={
    "role": st.sampled_from(["user", "assistant", "developer", "tool", "x"]), "content": st.text() | PARTS | st.none(),
    "call_id": st.text(), "name": st.text(), "namespace": st.text(), "arguments": st.text(), "summary": PARTS,
    "output": st.text() | PARTS | st.integers(), "id": st.text(), "input": st.text(),
})


TOOLS = st.lists(st.dictionaries(
    st.sampled_from(["type", "name", "tools", "parameters", "description"]),
    st.sampled_from(["function", "namespace", "custom", "f", 1, None, [], [{"type": "function", "name": "g"}], {}]),
), max_size=2)


@given(st.lists(ITEMS, max_size=4), TOOLS)
def test_any_items_and_tools_are_read_or_refused(items: list[Any], tools: list[Any]) -> None:
    with contextlib.suppress(BadRequest):
        assert isinstance(parse_responses(json.dumps({"input": items, "tools": tools}).encode()), ChatRequest)


@given(st.binary())
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    with contextlib.suppress(BadRequest):
        parse_responses(body)
