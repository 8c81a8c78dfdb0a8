"""Anthropic's requests, field by field."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moe.core import ChatRequest, Document, Extract, Image, ImageLink, Message, Text, ToolCall, ToolResult
from moe.dialects.anthropic import MESSAGES, parse_count
from moe.dialects.anthropic_wire import Asked
from moe.errors import BadRequest

from . import golden
from .test_hostile_bodies import JSON, places, replace

HI = [{"role": "user", "content": "hi"}]
TOOL = {"name": "now", "input_schema": {"type": "object"}}
CASES = golden.bodies("anthropic")
BODIES = [json.loads(path.read_bytes()) for path in CASES]


def parse(**fields: Any) -> ChatRequest:
    return MESSAGES.parse(json.dumps({"max_tokens": 9, "messages": HI, **fields}).encode())


def parse_turn(*blocks: dict[str, Any], role: str = "user") -> tuple[Message, ...]:
    return parse(messages=[{"role": role, "content": list(blocks)}]).messages


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_a_recorded_request_is_read_as_before(path: Path) -> None:
    name = path.name.replace(".request.json", ".parsed.json")
    golden.assert_same(f"anthropic/{name}", golden.picture(MESSAGES.parse(path.read_bytes())))


def block(**fields: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": [fields]}]}


@pytest.mark.parametrize(("fields", "param"), [
    ({"max_tokens": None}, "max_tokens"),
    ({"max_tokens": 0}, "max_tokens"),
    ({"max_tokens": "9"}, "max_tokens"),
    ({"model": 5}, "model"),
    ({"messages": []}, "messages"),
    ({"messages": None}, "messages"),
    ({"messages": "hi"}, "messages"),
    ({"messages": [{"role": "tool", "content": "hi"}]}, "messages[0].role"),
    ({"messages": [{"content": "hi"}]}, "messages[0]"),
    ({"messages": [{"role": "user"}]}, "messages[0].content"),
    ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
    ({"messages": [{"role": "system", "content": [{"type": "image"}]}]}, "messages[0].content[0].type"),
    ({"system": 5}, "system"),
    ({"system": [{"type": "image"}]}, "system[0].type"),
    ({"system": [{"type": "text"}]}, "system[0].text"),
    (block(type="text"), "messages[0].content[0].text"),
    (block(type="hologram"), "messages[0].content[0].type"),
    (block(type="tool_result"), "messages[0].content[0].tool_use_id"),
    (block(type="tool_use", name="f"), "messages[0].content[0].id"),
    (block(type="tool_use", id="t", name="f", input=[1]), "messages[0].content[0].input"),
    (block(type="image"), "messages[0].content[0].source"),
    (block(type="image", source={"type": "base64"}), "messages[0].content[0].source.data"),
    (block(type="image", source={"type": "base64", "data": "?"}), "messages[0].content[0].source.data"),
    (block(type="image", source={"type": "url"}), "messages[0].content[0].source.url"),
    (block(type="image", source={"type": "file", "file_id": "f"}), "messages[0].content[0].source.type"),
    (block(type="document", source={"type": "url", "url": "https://x"}), "messages[0].content[0].source.type"),
    (block(type="document", source={"type": "text"}), "messages[0].content[0].source.data"),
    (block(type="document", source={"type": "content"}), "messages[0].content[0].source.content"),
    (block(type="document", source={"type": "content", "content": [{"type": "x"}]}),
     "messages[0].content[0].source.content[0].type"),
    ({"temperature": -1}, "temperature"),
    ({"top_p": 2}, "top_p"),
    ({"top_k": -1}, "top_k"),
    ({"stop_sequences": [""]}, "stop_sequences"),
    ({"stop_sequences": ["x"] * 65}, "stop_sequences"),
    ({"stream": "true"}, "stream"),
    ({"tools": [{"name": "f"}]}, "tools[0].input_schema"),
    ({"tools": [{"input_schema": {}}]}, "tools[0].name"),
    ({"tools": [{**TOOL, "description": 5}]}, "tools[0].description"),
    ({"tools": [{"type": 5}]}, "tools[0].type"),
    ({"tools": [{"type": "bash_20250124"}]}, "tools[0].name"),
    ({"tool_choice": {"type": "any"}}, "tool_choice"),
    ({"tool_choice": {"type": "tool", "name": "later"}, "tools": [TOOL]}, "tool_choice.name"),
    ({"tool_choice": {"type": "tool", "name": "web_search"},
      "tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "tool_choice.name"),
    ({"tool_choice": {"type": "sometimes"}}, "tool_choice.type"),
    ({"tool_choice": "auto"}, "tool_choice"),
    ({"output_config": {"effort": "extreme"}}, "output_config.effort"),
    ({"thinking": {"type": "adaptive", "display": "loud"}}, "thinking.display"),
    (block(type="tool_result", tool_use_id="t", content=[{"type": "thinking", "thinking": "hm"}]),
     "messages[0].content[0].content"),
    ({"output_format": {"type": "grammar"}}, "output_format.type"),
    ({"output_config": {"format": {"type": "json_schema"}}}, "output_config.format.schema"),
])
def test_a_wrong_value_is_refused_by_its_field(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(BadRequest) as caught:
        parse(**fields)
    assert caught.value.param == param
    assert param.rpartition(".")[2] in caught.value.message


@pytest.mark.parametrize(("thinking", "config", "think"), [
    (None, None, False),
    (None, {"effort": "high"}, False),
    ({"type": "disabled"}, {"effort": "high"}, False),
    ({"type": "adaptive"}, None, True),
    ({"type": "adaptive", "display": "summarized"}, {"effort": "low"}, "low"),
    ({"type": "adaptive"}, {"effort": "max"}, "high"),
    ({"type": "enabled", "budget_tokens": 1024}, None, "low"),
    ({"type": "enabled", "budget_tokens": 10_000}, None, "medium"),
    ({"type": "enabled", "budget_tokens": 31_999}, None, "high"),
    ({"type": "enabled"}, {"effort": None}, True),
])
def test_thinking_is_taken_in_every_form(thinking: Any, config: Any, think: bool | str) -> None:
    assert parse(thinking=thinking, output_config=config).think == think


@pytest.mark.parametrize(("thinking", "word", "effort", "unheeded"), [
    ({"type": "adaptive"}, "max", "max", ()), ({"type": "adaptive"}, "xhigh", "xhigh", ()),
    (None, "high", "", ("output_config.effort",)), ({"type": "disabled"}, "low", "", ("output_config.effort",)),
    (None, None, "", ()),
])
def test_an_effort_goes_on_in_its_own_word_or_is_named_as_left_out(
    thinking: Any, word: str | None, effort: str, unheeded: tuple[str, ...]
) -> None:
    asked = parse(thinking=thinking, output_config={"effort": word})
    assert (asked.effort, asked.unheeded) == (effort, unheeded)


@pytest.mark.parametrize(("display", "shows"), [(None, True), ("summarized", True), ("omitted", False)])
def test_thoughts_may_be_wished_away(display: str | None, shows: bool) -> None:
    asked = parse(thinking={"type": "adaptive", "display": display})
    assert isinstance(asked, Asked) and (asked.think, asked.shows_thoughts) == (True, shows)


@pytest.mark.parametrize(("choice", "expected"), [
    ({"type": "auto"}, ("auto", None)),
    ({"type": "none"}, ("none", None)),
    ({"type": "any", "disable_parallel_tool_use": False}, ("required", True)),
    ({"type": "tool", "name": "now", "disable_parallel_tool_use": True},
     ({"type": "function", "function": {"name": "now"}}, False)),
])
def test_the_choice_of_a_tool_is_carried_over(choice: Any, expected: Any) -> None:
    asked = parse(tools=[TOOL], tool_choice=choice)
    assert (asked.tool_choice, asked.parallel_tool_calls) == expected


def test_tools_of_the_original_s_servers_are_left_out_by_name() -> None:
    kinds = ["web_search_20250305", "web_search_20250305", "computer_20250124", "brand_new_20300101"]
    asked = parse(tools=[{"type": kind, "name": "x"} for kind in kinds] + [{**TOOL, "type": "custom", "strict": True}])
    assert asked.unheeded == ("tools.web_search_20250305", "tools.computer_20250124", "tools.brand_new_20300101")
    function = {"name": "now", "parameters": {"type": "object"}, "strict": True}
    assert asked.tools == ({"type": "function", "function": function},)


@pytest.mark.parametrize(("kind", "field"), [("bash_20250124", "restart"), ("text_editor_20250728", "view_range"),
                                             ("text_editor_20250124", "old_str"), ("memory_20250818", "new_path")])
def test_tools_that_a_client_runs_itself_are_offered_though_it_only_names_them(kind: str, field: str) -> None:
    asked = parse(tools=[{"type": kind, "name": "it"}], tool_choice={"type": "tool", "name": "it"})
    (tool,) = asked.tools
    assert (tool["function"]["name"], asked.unheeded) == ("it", ())
    assert field in tool["function"]["parameters"]["properties"]
    assert tool["function"]["description"]


@pytest.mark.parametrize("line", ["x-anthropic-billing-header: cch=1;", "x-anthropic-billing-header: cch=2;"])
def test_a_line_that_changes_from_request_to_request_is_dropped(line: str) -> None:
    blocks = [{"type": "text", "text": line}, {"type": "text", "text": "Be kind."}]
    expected = (Message("system", (Text("Be kind."),)), Message("user", (Text("hi"),)))
    for system in (blocks, f"{line}\nBe kind.", [{"type": "text", "text": f"{line}\nBe kind."}]):
        assert parse(system=system).messages == expected
    assert parse(system=line).messages == expected[1:]
    kept = "Say x-anthropic-billing-header."
    assert parse(system=kept).messages[0].text == kept


def test_a_system_message_may_stand_anywhere() -> None:
    turns = [*HI, {"role": "system", "content": [{"type": "text", "text": "Now in German."}]}]
    assert [(m.role, m.text) for m in parse(system="A", messages=turns).messages] == [
        ("system", "A"), ("user", "hi"), ("system", "Now in German.")]


def test_results_come_before_what_is_said_and_take_the_names_of_their_calls() -> None:
    call = {"type": "tool_use", "id": "t1", "name": "now", "input": {"at": "Rom"}}
    said = {"type": "text", "text": "go on"}
    results = [{"type": "tool_result", "tool_use_id": name} for name in ("t1", "t2")]
    turns = [{"role": "assistant", "content": [call]}, {"role": "user", "content": [said, *results]}]
    assert parse(messages=turns).messages == (
        Message("assistant", (ToolCall("t1", "now", '{"at":"Rom"}'),)),
        Message("tool", (ToolResult("t1", "now", ""),)),
        Message("tool", (ToolResult("t2", "", ""),)),
        Message("user", (Text("go on"),)),
    )


@pytest.mark.parametrize(("content", "is_error", "text"), [
    ("done", False, "done"), ("done", None, "done"), ("disk full", True, "Error: disk full"),
    ("error: disk full", True, "error: disk full"), (None, True, "Error: "),
    ([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], False, "a\nb"),
])
def test_a_result_is_text_and_says_if_it_is_an_error(content: Any, is_error: Any, text: str) -> None:
    (message,) = parse_turn({"type": "tool_result", "tool_use_id": "t", "content": content, "is_error": is_error})
    assert message.parts == (ToolResult("t", "", text),)


def test_pictures_in_a_result_are_shown_by_the_user() -> None:
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}}
    result, shown = parse_turn({"type": "tool_result", "tool_use_id": "t", "content": [picture]})
    assert result.parts == (ToolResult("t", "", "[image]"),)
    assert (shown.role, [type(part) for part in shown.parts]) == ("user", [Image])


def test_files_in_results_stay_in_their_places_to_be_read() -> None:
    source = {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}
    text = [{"type": "text", "text": word} for word in ("before", "after")]
    contents = [[text[0], {"type": "document", "source": source}, text[1]], [{"type": "document", "source": source}]]
    results = parse_turn(*[{"type": "tool_result", "tool_use_id": "t", "content": content} for content in contents])
    files = [Document("JVBERi0=", "application/pdf", "", f"messages[0].content[{place}]")
             for place in ("0].content[1", "1].content[0")]
    assert results == (Message("tool", (ToolResult("t", "", "before"), files[0], Text("after"))),
                       Message("tool", (ToolResult("t", "", ""), files[1])))


def test_a_picture_sent_as_a_document_is_a_picture() -> None:
    source = {"type": "base64", "media_type": "application/pdf", "data": "iVBORw0KGgo="}
    assert parse_turn({"type": "document", "source": source})[0].parts == (Image("iVBORw0KGgo=", "image/png"),)


RESULTS: list[tuple[str, Any, str]] = [
    ("mcp_tool_result", [{"type": "text", "text": "It rains."}], "It rains."), ("mcp_tool_result", "dry", "dry"),
    ("web_search_tool_result", [{"type": "web_search_result", "title": "News", "url": "https://a.example",
                                 "encrypted_content": "c2VjcmV0"}], "News\nhttps://a.example"),
    ("web_search_tool_result", {"type": "web_search_tool_result_error", "error_code": "unavailable"}, "unavailable"),
    ("web_fetch_tool_result", {"type": "web_fetch_result", "url": "https://a.example", "content": {
        "type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "the page"}}},
     "https://a.example\nthe page"),
    ("bash_code_execution_tool_result", {"stdout": "1", "stderr": "2", "return_code": 0}, "1\n2"),
]


@pytest.mark.parametrize(("kind", "content", "text"), RESULTS)
def test_what_a_server_s_tool_found_is_kept_as_far_as_it_can_be_read(kind: str, content: Any, text: str) -> None:
    asked = parse(messages=[*HI, {"role": "assistant", "content": [{"type": kind, "tool_use_id": "t",
                                                                    "content": content}]}, *HI])
    assert asked.messages[1].parts == (Extract(f"[{kind}]\n{text}"),)
    assert asked.unheeded == ()


def test_what_cannot_be_read_is_named_once() -> None:
    source = {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}
    left_out = [{"type": "container_upload", "file_id": "f"}, {"type": "container_upload", "file_id": "g"},
                {"type": "mcp_tool_use", "id": "m", "name": "rain", "input": {}},
                {"type": "web_fetch_tool_result", "content": {"content": {"type": "document", "source": source}}},
                {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "tool_reference", "tool_name": "x"}]},
                {"type": "redacted_thinking", "data": "x"}]
    asked = parse(messages=[{"role": "user", "content": left_out}])
    assert asked.unheeded == tuple(f"messages.{kind}" for kind in (
        "container_upload", "mcp_tool_use", "web_fetch_tool_result", "tool_reference"))


def test_what_stands_for_a_shortened_conversation_is_kept() -> None:
    (message,) = parse_turn({"type": "compaction", "content": "We spoke of cats."}, role="assistant")
    assert message.parts == (Text("We spoke of cats."),)


def test_a_picture_s_type_is_read_from_the_picture() -> None:
    source = {"type": "base64", "media_type": "image/jpeg", "data": "iVBORw0KGgo="}
    (message,) = parse_turn({"type": "image", "source": source})
    assert message.parts == (Image("iVBORw0KGgo=", "image/png"),)


@pytest.mark.parametrize(("url", "kind"), [("https://example.com/a.png", ImageLink),
                                           ("data:image/png;base64,iVBORw0KGgo=", Image)])
def test_a_picture_by_url_is_a_link_unless_it_is_the_picture_itself(url: str, kind: type) -> None:
    (message,) = parse_turn({"type": "image", "source": {"type": "url", "url": url}})
    assert [type(part) for part in message.parts] == [kind]


def test_a_count_needs_no_limit_and_reads_the_same_conversation() -> None:
    for body in BODIES:
        asked = MESSAGES.parse(json.dumps(body).encode())
        del body["max_tokens"]
        counted = parse_count(json.dumps(body).encode())
        assert (counted.messages, counted.tools, counted.model) == (asked.messages, asked.tools, asked.model)
        body["max_tokens"] = 9


def try_both(body: bytes) -> None:
    for read in (MESSAGES.parse, parse_count):
        with contextlib.suppress(BadRequest):
            assert isinstance(read(body), ChatRequest)


@given(st.binary())
def test_any_bytes(body: bytes) -> None:
    try_both(body)


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_a_good_body_with_any_one_value_replaced(data: st.DataObject) -> None:
    body = data.draw(st.sampled_from(BODIES))
    try_both(json.dumps(replace(body, data.draw(st.sampled_from(places(body))), data.draw(JSON))).encode())


@settings(deadline=None)
@given(st.data())
def test_a_good_body_with_bytes_flipped_or_cut(data: st.DataObject) -> None:
    body = bytearray(json.dumps(data.draw(st.sampled_from(BODIES)), ensure_ascii=False).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    try_both(bytes(body[: data.draw(st.integers(1, len(body)))]))
