"""Tool definitions, the names of results, and arguments."""

from __future__ import annotations

from typing import Any

import pytest

from moe.core import Message, ToolCall, ToolResult
from moe.dialects.tool import check_tools, name_results, read_arguments, role_of
from moe.errors import BadRequest

GOOD = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}, "strict": True}}


def test_good_tools_stay_as_given() -> None:
    assert check_tools([GOOD]) == (GOOD,)
    assert check_tools(None) == check_tools([]) == ()


def test_a_missing_type_is_filled_in() -> None:
    assert check_tools([{"function": {"name": "f"}}]) == ({"type": "function", "function": {"name": "f"}},)


@pytest.mark.parametrize(
    ("tool", "param"),
    [
        ({"type": "web_search"}, "tools[1].type"),
        ({"type": 5, "function": {"name": "f"}}, "tools[1].type"),
        ({}, "tools[1].function"),
        ({"type": "function", "function": "f"}, "tools[1].function"),
        ({"type": "function", "function": {}}, "tools[1].function.name"),
        ({"type": "function", "function": {"name": ""}}, "tools[1].function.name"),
        ({"type": "function", "function": {"name": ["f"]}}, "tools[1].function.name"),
        ({"type": "function", "function": {"name": "f", "parameters": []}}, "tools[1].function.parameters"),
    ],
)
def test_a_bad_tool_is_refused_by_its_field(tool: dict[str, Any], param: str) -> None:
    with pytest.raises(BadRequest) as caught:
        check_tools([GOOD, tool])
    assert caught.value.param == param
    assert caught.value.message.startswith(param)


def test_a_result_gets_the_name_of_its_call() -> None:
    call = Message("assistant", (ToolCall("a", "weather"), ToolCall("", "nameless id")))
    results = [Message("tool", (ToolResult(call_id, "", "x"),)) for call_id in ("a", "b", "")]
    named = name_results([call, *results])
    assert [part.name for message in named[1:] for part in message.parts if isinstance(part, ToolResult)] == [
        "weather",
        "",
        "",
    ]


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ('{"a": [1, "ü"]}', {"a": [1, "ü"]}),
        ("", {}),
        ("not json", {"_raw": "not json"}),
        ("[1]", {"_raw": "[1]"}),
        ('{"a": NaN}', {"_raw": '{"a": NaN}'}),
        ('{"a": "\ud83d"}', {"_raw": '{"a": "\ud83d"}'}),
        ('{"a":' * 9999, {"_raw": '{"a":' * 9999}),
    ],
)
def test_arguments_become_an_object(text: str, arguments: dict[str, Any]) -> None:
    assert read_arguments(text) == arguments


def test_an_unknown_role_is_refused_with_its_place() -> None:
    assert role_of("Developer", "messages[0]") == "system"
    with pytest.raises(BadRequest, match="'narrator' is not one of") as caught:
        role_of("narrator", "messages[3]")
    assert caught.value.param == "messages[3].role"
