"""Tools as the Responses API writes them -> the internal form, and the calls of a model back again.

Its custom tools and the choice among tools are those of OpenAI's chats too.
"""

from __future__ import annotations

import hashlib
from typing import Any, TypeVar

from msgspec import Struct, field

from ..core import ChatRequest
from ..errors import BadRequest
from .tool import check_name, read_arguments

LONGEST_NAME = 64
_SHORTENED = 55
T = TypeVar("T")
# A tool that takes text of its own form; any model can give it as one argument.
_FREE_TEXT = {"type": "object", "properties": {"input": {"type": "string"}}, "required": ["input"]}


class Named(Struct, frozen=True):
    """What a client calls a tool that the model knows under one flat name."""

    name: str
    namespace: str = ""
    is_custom: bool = False


class Toolbox(Struct, frozen=True):
    """The tools of one request; `named` by the flat name, `left_out` those that only OpenAI's servers run."""

    tools: tuple[dict[str, Any], ...] = ()
    named: dict[str, Named] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()

    def find(self, name: str, namespace: str = "") -> str:
        """The flat name of what a client calls so, "" for nothing."""
        flat = flat_name(name, namespace)
        if flat in self.named:
            return flat
        return next((flat for flat, known in self.named.items() if known.name == name), "")

    def named_by(self, flat: str) -> Named:
        return self.named.get(flat) or Named(flat)


class Equipped(ChatRequest, frozen=True, kw_only=True):
    """A request with the names that its client has for its tools."""

    box: Toolbox = Toolbox()


def box_of(request: ChatRequest) -> Toolbox:
    return request.box if isinstance(request, Equipped) else Toolbox()


def flat_name(name: str, namespace: str | None) -> str:
    """One name for a tool in a namespace, as short as every provider takes it."""
    if not namespace:
        return name
    flat = f"{namespace.rstrip('_')}__{name.lstrip('_')}"
    if len(flat) <= LONGEST_NAME:
        return flat
    return f"{flat[:_SHORTENED]}_{hashlib.sha256(flat.encode('utf-8', 'replace')).hexdigest()[:8]}"


def read_tools(tools: list[dict[str, Any]] | None) -> Toolbox:
    """Raises BadRequest."""
    own: dict[str, dict[str, Any]] = {}
    named: dict[str, Named] = {}
    left_out: list[str] = []
    for where, tool, namespace in _unfold(tools or []):
        kind = _kind(tool, where)
        if kind not in ("function", "custom"):  # web_search and its kin
            left_out.append(f"tools.{kind[:LONGEST_NAME]}")
            continue
        check_name(tool, where)
        flat = flat_name(tool["name"], namespace)
        own[flat] = read_tool(tool, flat, where)
        named[flat] = Named(tool["name"], namespace, is_custom=kind == "custom")
    return Toolbox(tuple(own.values()), named, tuple(dict.fromkeys(left_out)))


def _unfold(tools: list[dict[str, Any]]) -> list[tuple[str, dict[str, Any], str]]:
    """Each tool with its place and namespace, those in a namespace one by one."""
    found = []
    for index, tool in enumerate(tools):
        where = f"tools[{index}]"
        if tool.get("type") != "namespace":
            found.append((where, tool, ""))
            continue
        check_name(tool, where)
        inner = tool.get("tools")
        if not isinstance(inner, list) or not all(isinstance(each, dict) for each in inner):
            raise BadRequest(f"{where}.tools: expected an array of tools", param=f"{where}.tools")
        found += [(f"{where}.tools[{i}]", each, tool["name"]) for i, each in enumerate(inner)]
    return found


def _kind(tool: dict[str, Any], where: str) -> str:
    kind = tool.get("type")
    if not isinstance(kind, str):
        raise BadRequest(f"{where}.type: expected a string", param=f"{where}.type")
    return kind


def read_tool(tool: dict[str, Any], flat: str, where: str) -> dict[str, Any]:
    """A function or custom tool in the internal form. Raises BadRequest."""
    description, parameters = tool.get("description"), tool.get("parameters")
    if not isinstance(description, str | None):
        raise BadRequest(f"{where}.description: expected a string", param=f"{where}.description")
    if not isinstance(parameters, dict | None):
        raise BadRequest(f"{where}.parameters: expected an object", param=f"{where}.parameters")
    if tool["type"] == "custom":
        description, parameters = _describe_form(description or "", tool.get("format")), _FREE_TEXT
    function: dict[str, Any] = {"name": flat}
    if description:
        function["description"] = description
    if parameters is not None:
        function["parameters"] = parameters
    if isinstance(tool.get("strict"), bool):
        function["strict"] = tool["strict"]
    return {"type": "function", "function": function}


def _describe_form(description: str, form: Any) -> str:
    grammar = form.get("grammar", form) if isinstance(form, dict) else None  # one level deeper in chats
    definition = grammar.get("definition") if isinstance(grammar, dict) else None
    if not isinstance(definition, str):
        return description
    return f"{description}\n\nThe input follows this grammar:\n{definition}".strip()


def read_choice(
    choice: str | dict[str, Any] | None, box: Toolbox
) -> tuple[str | dict[str, Any] | None, tuple[dict[str, Any], ...]]:
    """The choice in the internal form, and the tools that it leaves. Raises BadRequest."""
    if not isinstance(choice, dict):
        if choice not in (None, "none", "auto", "required"):
            raise BadRequest("tool_choice: expected none, auto, required or a tool", param="tool_choice")
        return _check_demand(choice, box.tools), box.tools
    match choice.get("type"):
        case "function" | "custom":
            return choose(choice, box, "tool_choice"), box.tools
        case "allowed_tools":
            return read_allowed(choice, box)
    message = "tool_choice.type: only function, custom and allowed_tools can be chosen here"
    raise BadRequest(message, param="tool_choice.type")


def choose(choice: Any, box: Toolbox, where: str) -> dict[str, Any]:
    """The choice of the tool that `choice` names, in the internal form. Raises BadRequest."""
    return {"type": "function", "function": {"name": _find(choice, box, where)}}


def read_allowed(choice: dict[str, Any], box: Toolbox) -> tuple[str, tuple[dict[str, Any], ...]]:
    """What is left of the tools, and whether one must be called. Raises BadRequest."""
    mode, allowed = choice.get("mode", "auto"), choice.get("tools")
    if mode not in ("auto", "required") or not isinstance(allowed, list):
        raise BadRequest("tool_choice: allowed_tools needs tools, and mode auto or required", param="tool_choice")
    ours = [tool for tool in allowed if isinstance(tool, dict) and tool.get("type") in ("function", "custom")]
    names = {_find(tool, box, "tool_choice.tools") for tool in ours}
    left = tuple(tool for tool in box.tools if tool["function"]["name"] in names)
    return _check_demand(mode, left), left


def _check_demand(choice: T, tools: tuple[dict[str, Any], ...]) -> T:
    if choice == "required" and not tools:
        raise BadRequest("tool_choice: there is no tool to choose that can be called here", param="tool_choice")
    return choice


def _find(choice: Any, box: Toolbox, where: str) -> str:
    check_name(choice, where)
    namespace = choice.get("namespace")
    flat = box.find(choice["name"], namespace if isinstance(namespace, str) else "")
    if not flat:
        message = f"{where}.name: no tool is called '{choice['name'][:LONGEST_NAME]}'"
        raise BadRequest(message, param=f"{where}.name")
    return flat


def free_text(arguments: str) -> str:
    """What a model gives to a tool that takes text of its own form."""
    given = read_arguments(arguments).get("input")
    return given if isinstance(given, str) else arguments
