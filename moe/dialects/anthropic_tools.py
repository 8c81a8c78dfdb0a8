"""Tools as Anthropic writes them -> the internal form; what only Anthropic's own servers can run is left out."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from ..errors import BadRequest
from .anthropic_known import describe
from .tool import check_name

LONGEST_NAME = 64


class Choice(Struct):
    type: str
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


def read_tools(tools: list[dict[str, Any]] | None) -> tuple[tuple[dict[str, Any], ...], tuple[str, ...]]:
    """The tools a client runs itself, and the names of those left out. Raises BadRequest."""
    own: list[dict[str, Any]] = []
    left_out: list[str] = []
    for index, tool in enumerate(tools or ()):
        kind = tool.get("type")
        if not isinstance(kind, str | None):
            raise BadRequest(f"tools[{index}].type: expected a string", param=f"tools[{index}].type")
        if kind in (None, "custom", "function"):
            own.append(_read_tool(tool, f"tools[{index}]"))
        elif (known := describe(kind)) is not None:
            description, schema = known
            told = {"name": tool.get("name"), "description": description, "input_schema": schema}
            own.append(_read_tool(told, f"tools[{index}]"))
        else:  # web_search_20250305 and its kin
            left_out.append(f"tools.{kind[:LONGEST_NAME]}")
    return tuple(own), tuple(dict.fromkeys(left_out))


def _read_tool(tool: dict[str, Any], where: str) -> dict[str, Any]:
    check_name(tool, where)
    schema, description = tool.get("input_schema"), tool.get("description")
    if not isinstance(schema, dict):
        raise BadRequest(f"{where}.input_schema: expected an object", param=f"{where}.input_schema")
    if not isinstance(description, str | None):
        raise BadRequest(f"{where}.description: expected a string", param=f"{where}.description")
    function = {"name": tool["name"], "parameters": schema}
    if description:
        function["description"] = description
    if isinstance(tool.get("strict"), bool):
        function["strict"] = tool["strict"]
    return {"type": "function", "function": function}


def read_choice(
    choice: Choice | None, tools: tuple[dict[str, Any], ...]
) -> tuple[str | dict[str, Any] | None, bool | None]:
    """(tool_choice, parallel_tool_calls) of the internal form. Raises BadRequest for a tool that is not offered."""
    if choice is None:
        return None, None
    in_parallel = None if choice.disable_parallel_tool_use is None else not choice.disable_parallel_tool_use
    match choice.type:
        case "auto" | "none":
            return choice.type, in_parallel
        case "any":
            if not tools:
                raise BadRequest("tool_choice: there is no tool to choose", param="tool_choice")
            return "required", in_parallel
        case "tool":
            if choice.name not in [tool["function"]["name"] for tool in tools]:
                message = f"tool_choice.name: no tool is called '{(choice.name or '')[:LONGEST_NAME]}'"
                raise BadRequest(message, param="tool_choice.name")
            return {"type": "function", "function": {"name": choice.name}}, in_parallel
    raise BadRequest("tool_choice.type: expected auto, any, tool or none", param="tool_choice.type")
