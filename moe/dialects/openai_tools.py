"""Tools as OpenAI's chats write them, and their functions of old -> the internal form."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from ..core import ToolCall
from ..errors import BadRequest
from .responses_tools import Named, Toolbox, choose, read_allowed, read_tool
from .responses_tools import read_choice as read_flat_choice
from .tool import check_name, check_tool

Choice = str | dict[str, Any] | None


class Function(Struct):
    name: str
    arguments: str | None = None


class Custom(Struct):
    name: str
    input: str | None = None


class Call(Struct):
    """A call in the conversation: of a function, or of a custom tool."""

    function: Function | None = None
    custom: Custom | None = None
    id: str | None = None


def read_tools(tools: list[dict[str, Any]] | None) -> Toolbox:
    """Raises BadRequest."""
    found: list[dict[str, Any]] = []
    named: dict[str, Named] = {}
    for place, tool in enumerate(tools or ()):
        read = _read(tool, f"tools[{place}]")
        name = read["function"]["name"]
        found.append(read)
        named[name] = Named(name, is_custom=tool.get("type") == "custom")
    return Toolbox(tuple(found), named)


def _read(tool: dict[str, Any], where: str) -> dict[str, Any]:
    kind, custom = tool.get("type"), tool.get("custom") or {}
    if kind == "custom":
        check_name(custom, f"{where}.custom")
        return read_tool({**custom, "type": kind}, custom["name"], f"{where}.custom")
    if kind not in (None, "function"):
        message = f"{where}.type: only 'function' and 'custom' are supported, got {str(kind)[:40]!r}"
        raise BadRequest(message, param=f"{where}.type")
    return check_tool(tool, where)


def read_functions(functions: list[dict[str, Any]] | None) -> Toolbox:
    """Tools as they were defined before they were called that. Raises BadRequest."""
    for place, function in enumerate(functions or ()):
        check_name(function, f"functions[{place}]")
    return read_tools([{"type": "function", "function": function} for function in functions or ()])


def read_choice(choice: Choice, box: Toolbox) -> tuple[Choice, tuple[dict[str, Any], ...]]:
    """The choice in the internal form, and the tools that it leaves. Raises BadRequest."""
    kind = choice.get("type") if isinstance(choice, dict) else None
    if not isinstance(choice, dict) or kind not in ("function", "custom", "allowed_tools"):
        return read_flat_choice(choice, box)
    told = choice.get(kind)
    if kind != "allowed_tools":
        return choose(told, box, f"tool_choice.{kind}"), box.tools
    if not isinstance(told, dict):
        raise BadRequest("tool_choice.allowed_tools: expected an object", param="tool_choice.allowed_tools")
    tools = told.get("tools")
    return read_allowed({**told, "tools": _flatten(tools) if isinstance(tools, list) else None}, box)


def _flatten(tools: list[Any]) -> list[Any]:
    """Each with its name beside its type."""
    inner = [tool.get(str(tool.get("type"))) if isinstance(tool, dict) else None for tool in tools]
    return [{**told, "type": tool["type"]} if isinstance(told, dict) else tool
            for tool, told in zip(tools, inner, strict=True)]


def read_function_choice(choice: Choice, box: Toolbox) -> Choice:
    """Raises BadRequest."""
    if isinstance(choice, dict):
        return choose(choice, box, "function_call")
    if choice not in (None, "none", "auto"):
        raise BadRequest("function_call: expected none, auto or a function", param="function_call")
    return choice


def read_calls(calls: list[Call] | None, where: str) -> list[ToolCall]:
    """Raises BadRequest."""
    return [_read_call(call, f"{where}[{place}]") for place, call in enumerate(calls or ())]


def _read_call(call: Call, where: str) -> ToolCall:
    if call.custom is not None:
        given = msgspec.json.encode({"input": call.custom.input or ""}).decode()
        return ToolCall(call.id or "", call.custom.name, given)
    if call.function is None:
        raise BadRequest(f"invalid '{where}': missing required field 'function'", param=f"{where}.function")
    return read_call_of(call.function, call.id or "")


def read_call_of(function: Function, call_id: str = "") -> ToolCall:
    return ToolCall(call_id, function.name, function.arguments or "{}")
