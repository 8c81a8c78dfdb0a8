"""Tools in requests and answers: definitions checked, results named, arguments as objects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import structs

from ..core import Message, Role, ToolCall, ToolResult
from ..errors import BadRequest

_ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
    "function": "tool",
}
_decode_object = msgspec.json.Decoder(dict[str, Any]).decode


def role_of(word: str, where: str) -> Role:
    role = _ROLES.get(word) or _ROLES.get(word.lower())
    if role is None:
        known = ", ".join(_ROLES)
        raise BadRequest(f"invalid '{where}.role': '{word[:40]}' is not one of {known}", param=f"{where}.role")
    return role


def check_tools(tools: Sequence[dict[str, Any]] | None) -> tuple[dict[str, Any], ...]:
    """The definitions as given, a missing `type` filled in. Raises BadRequest."""
    return tuple(check_tool(tool, f"tools[{i}]") for i, tool in enumerate(tools)) if tools else ()


def check_tool(tool: dict[str, Any], where: str) -> dict[str, Any]:
    """One of them."""
    kind = tool.get("type")
    if kind not in (None, "function"):
        raise BadRequest(f"{where}.type: only 'function' is supported, got {str(kind)[:40]!r}", param=f"{where}.type")
    function = tool.get("function")
    if not isinstance(function, dict):
        raise BadRequest(f"{where}.function: expected an object", param=f"{where}.function")
    check_name(function, f"{where}.function")
    if not isinstance(function.get("parameters"), dict | None):
        raise BadRequest(f"{where}.function.parameters: expected an object", param=f"{where}.function.parameters")
    return tool if kind else {**tool, "type": "function"}


def check_name(function: Any, where: str) -> None:
    """Whether it is an object with a `name`. Raises BadRequest."""
    name = function.get("name") if isinstance(function, dict) else None
    if not isinstance(name, str) or not name:
        raise BadRequest(f"{where}.name: expected a non-empty string", param=f"{where}.name")


def name_results(messages: list[Message]) -> tuple[Message, ...]:
    """Gives each tool result the name of the call it answers, where the client sent only the call's id."""
    if not any(message.role == "tool" for message in messages):
        return tuple(messages)
    calls = {p.id: p.name for message in messages for p in message.parts if isinstance(p, ToolCall) and p.id}
    return tuple(_name_result(message, calls) if message.role == "tool" else message for message in messages)


def _name_result(message: Message, calls: dict[str, str]) -> Message:
    parts = tuple(
        ToolResult(part.call_id, part.name or calls.get(part.call_id, ""), part.content)
        if isinstance(part, ToolResult)
        else part
        for part in message.parts
    )
    return structs.replace(message, parts=parts)


def read_arguments(text: str) -> dict[str, Any]:
    """A call's arguments as the object some wires need; text that is none stays readable under `_raw`."""
    try:
        return _decode_object(text or "{}")
    except (ValueError, RecursionError):
        return {"_raw": text}
