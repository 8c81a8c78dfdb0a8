"""Items of a Responses request -> messages of the internal form."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from ..core import Document, ImageLink, Message, Part, Refusal, Role, Text, Thinking, ToolCall, ToolResult
from ..errors import BadRequest
from .file import read_file
from .image import read_url
from .responses_tools import flat_name
from .tool import role_of

# Said by or to a server that is not here, or only for its own eyes.
_LEFT_OUT = frozenset({
    "web_search_call", "file_search_call", "code_interpreter_call", "image_generation_call", "mcp_list_tools",
    "mcp_call", "mcp_approval_request", "mcp_approval_response", "tool_search_call", "tool_search_output",
    "compaction", "context_compaction",
})
T = TypeVar("T")


class ContentPart(Struct):
    type: str
    text: str | None = None
    refusal: str | None = None
    image_url: str | dict[str, Any] | None = None
    detail: str | None = None
    file_data: str | None = None
    filename: str | None = None


class Item(Struct):
    """Any item: each kind uses some of the fields."""

    type: str | None = None
    role: str | None = None
    content: str | list[ContentPart] | None = None
    id: str | None = None
    call_id: str | None = None
    name: str | None = None
    namespace: str | None = None
    arguments: str | None = None
    input: str | None = None
    output: Any = None
    summary: list[ContentPart] | None = None


class Reading:
    """Turns items into messages: what a model thinks, says and calls in one go is one message. `left_out` names what
    became of none."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.left_out: list[str] = []
        self._said: list[Part] = []
        self._shown: list[Part] = []

    def take(self, item: Item, where: str) -> None:
        """Raises BadRequest."""
        kind = item.type or ("message" if item.role else "")
        reader = _READERS.get(kind)
        if reader is not None:
            reader(self, item, where)
        elif kind in _LEFT_OUT:
            self.left_out.append(f"input.{kind}")
        else:
            raise BadRequest(f"unknown input item type: '{kind[:40]}'", param=f"{where}.type")

    def finish(self) -> list[Message]:
        self._end_turn()
        self._show()
        return self.messages

    def take_message(self, item: Item, where: str) -> None:
        role = role_of(_need(item.role, f"{where}.role"), where)
        if role == "tool":
            raise _refuse(f"{where}.role", "results of tools are items of type function_call_output")
        if item.content is None:
            raise _refuse(f"{where}.content", "field required")
        parts = _read_content(item.content, f"{where}.content")
        if role == "assistant":
            self._say(*parts)
        else:
            self._add(role, parts)

    def take_reasoning(self, item: Item, _where: str) -> None:
        told = item.summary or (item.content if isinstance(item.content, list) else [])
        text = "\n\n".join(part.text for part in told if part.text)
        if text:
            self._say(Thinking(text))

    def take_call(self, item: Item, where: str) -> None:
        name = flat_name(_need(item.name, f"{where}.name"), item.namespace)
        self._say(ToolCall(_need(item.call_id, f"{where}.call_id"), name, item.arguments or "{}"))

    def take_custom_call(self, item: Item, where: str) -> None:
        arguments = msgspec.json.encode({"input": item.input or ""}).decode()
        self._say(ToolCall(_need(item.call_id, f"{where}.call_id"), _need(item.name, f"{where}.name"), arguments))

    def take_result(self, item: Item, where: str) -> None:
        text, files, shown = _read_output(item.output, f"{where}.output")
        self._end_turn()
        self.messages.append(Message("tool", (ToolResult(_need(item.call_id, f"{where}.call_id"), "", text), *files)))
        self._shown += shown

    def _say(self, *parts: Part) -> None:
        self._show()
        self._said += parts

    def _add(self, role: Role, parts: tuple[Part, ...]) -> None:
        self._end_turn()
        if role == "user" and self._shown:
            parts = (*self._shown, *parts)
            self._shown = []
        self._show()
        self.messages.append(Message(role, parts))

    def _end_turn(self) -> None:
        if self._said:
            self.messages.append(Message("assistant", tuple(self._said)))
            self._said = []

    def _show(self) -> None:
        """Few models take pictures from a tool, so the user shows them, once all its results are there."""
        if self._shown:
            self.messages.append(Message("user", tuple(self._shown)))
            self._shown = []


_READERS: dict[str, Callable[[Reading, Item, str], None]] = {
    "message": Reading.take_message,
    "reasoning": Reading.take_reasoning,
    "function_call": Reading.take_call,
    "custom_tool_call": Reading.take_custom_call,
    "function_call_output": Reading.take_result,
    "custom_tool_call_output": Reading.take_result,
}


def _read_output(output: Any, where: str) -> tuple[str, list[Part], list[Part]]:
    """What a tool gave back as text, from its first file on in parts, and its pictures."""
    if output is None or isinstance(output, str):
        return output or "", [], []
    if not isinstance(output, list):
        raise _refuse(where, "expected str or array")
    given: list[Part] = []
    shown: list[Part] = []
    for part in _read_content(_as_parts(output, where), where):
        is_read = isinstance(part, Text | Document)
        given.append(part if is_read else Text("[image]"))
        shown += () if is_read else (part,)
    first = next((place for place, part in enumerate(given) if isinstance(part, Document)), len(given))
    return "\n".join(part.text for part in given[:first] if isinstance(part, Text)), given[first:], shown


def _as_parts(output: list[Any], where: str) -> list[ContentPart]:
    try:
        return msgspec.convert(output, list[ContentPart])
    except msgspec.ValidationError as error:
        raise _refuse(where, str(error)) from error


def _read_content(content: str | list[ContentPart], where: str) -> tuple[Part, ...]:
    if isinstance(content, str):
        return (Text(content),) if content else ()
    return tuple(part for i, given in enumerate(content) for part in _read_part(given, f"{where}[{i}]"))


def _read_part(part: ContentPart, where: str) -> tuple[Part, ...]:
    match part.type:
        case "input_text" | "output_text" | "text":
            text = _need(part.text, f"{where}.text")
            return (Text(text),) if text else ()
        case "refusal":
            return (Refusal(part.refusal),) if part.refusal else ()
        case "input_image":
            return (_read_image(part, where),)
        case "input_file":
            return (read_file(part.file_data, part.filename, f"{where}.file_data"),)
    raise _refuse(f"{where}.type", f"parts of type '{part.type[:40]}' are not supported")


def _read_image(part: ContentPart, where: str) -> Part:
    url = part.image_url.get("url") if isinstance(part.image_url, dict) else part.image_url
    if not isinstance(url, str):
        raise _refuse(f"{where}.image_url", "expected a data: URI or a url; no files are kept here")
    return read_url(url, f"{where}.image_url", detail=part.detail) if url[:5].lower() == "data:" else ImageLink(url)


def _need(value: T | None, where: str) -> T:
    if value is None:
        raise _refuse(where, "field required")
    return value


def _refuse(where: str, what: str) -> BadRequest:
    return BadRequest(f"invalid '{where}': {what}", param=where)
