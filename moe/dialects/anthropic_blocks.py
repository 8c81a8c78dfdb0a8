"""Anthropic's content blocks -> messages of the internal form."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from ..core import Document, Extract, Message, Part, Text, Thinking, ToolCall, ToolResult
from ..errors import BadRequest
from .image import read_base64, read_url

# Claude Code opens its system prompt with a line that differs from request to request: any model that has read the
# rest before would have to read all of it again.
CHANGING_LINE = "x-anthropic-billing-header"
_LEFT_OUT = frozenset({
    "redacted_thinking", "server_tool_use", "mcp_tool_use", "mcp_tool_listing", "container_upload", "compaction",
    "tool_reference", "tool_addition", "tool_removal", "browser_state", "fallback",
})
_SERVER_RESULT = "_tool_result"
T = TypeVar("T")


class Source(Struct):
    type: str
    media_type: str | None = None
    data: str | None = None
    url: str | None = None
    content: str | list[Block] | None = None


class Block(Struct):
    """Any block: each kind uses some of the fields."""

    type: str
    text: str | None = None
    thinking: str | None = None
    id: str | None = None
    name: str | None = None
    input: Any = None
    tool_use_id: str | None = None
    is_error: bool | None = None
    content: str | list[Block] | dict[str, Any] | None = None
    source: Source | str | None = None
    title: str | None = None
    context: str | None = None


Content = str | list[Block] | None


def read_system(content: str | list[Block] | None, where: str) -> list[Message]:
    """The system prompt as one message, none where nothing is said."""
    texts = [content] if isinstance(content, str) else []
    for index, block in enumerate(content if isinstance(content, list) else ()):
        if block.type == "text":
            texts.append(_need(block.text, f"{where}[{index}].text"))
        elif block.type not in _LEFT_OUT:
            raise _refuse(f"{where}[{index}].type", f"a system prompt takes text only, got '{block.type[:40]}'")
    if texts and texts[0].startswith(CHANGING_LINE):
        texts[0] = texts[0].partition("\n")[2]
    parts = tuple(Text(text) for text in texts if text)
    return [Message("system", parts)] if parts else []


def read_turn(role: str, content: Content, where: str) -> list[Message]:
    """One turn as messages: the results of tools come first, each by itself, then what the user says or shows."""
    if role not in ("user", "assistant", "system"):
        raise _refuse(f"{where}.role", f"'{role[:40]}' is not one of user, assistant, system")
    if content is None:
        raise _refuse(f"{where}.content", "expected str or array, got null")
    if role == "system":
        return read_system(content, f"{where}.content")
    if isinstance(content, str):
        return [Message("user" if role == "user" else "assistant", (Text(content),) if content else ())]
    if role == "assistant":
        return [Message("assistant", _parts(content, f"{where}.content"))]
    return _read_user(content, f"{where}.content")


def _read_user(blocks: list[Block], where: str) -> list[Message]:
    results: list[Message] = []
    said: list[Part] = []
    for index, block in enumerate(blocks):
        place = f"{where}[{index}]"
        if block.type != "tool_result":
            said += _part(block, place)
            continue
        result, shown = _read_result(block, place)
        results.append(Message("tool", (result,)))
        said += shown
    return results if results and not said else [*results, Message("user", tuple(said))]


def _read_result(block: Block, where: str) -> tuple[ToolResult, list[Part]]:
    """The result as text, and its pictures and files: few models take those from a tool, so the user shows them."""
    texts: list[str] = []
    shown: list[Part] = []
    if isinstance(block.content, str):
        texts.append(block.content)
    elif isinstance(block.content, list):
        for part in _parts(block.content, f"{where}.content"):
            if isinstance(part, Text):
                texts.append(part.text)
            else:
                texts.append("[file]" if isinstance(part, Document) else "[image]")
                shown.append(part)
    text = "\n".join(texts)
    if block.is_error and not text.lower().startswith("error"):
        text = f"Error: {text}"
    call_id = _need(block.tool_use_id, f"{where}.tool_use_id")
    return ToolResult(call_id, "", text), shown


def _parts(blocks: list[Block], where: str) -> tuple[Part, ...]:
    return tuple(part for index, block in enumerate(blocks) for part in _part(block, f"{where}[{index}]"))


def _part(block: Block, where: str) -> tuple[Part, ...]:
    reader = _READERS.get(block.type)
    if reader is not None:
        return reader(block, where)
    if block.type in _LEFT_OUT or (block.type.endswith(_SERVER_RESULT) and block.type != "tool_result"):
        return ()  # said by or to a server that is not here
    raise _refuse(f"{where}.type", f"blocks of type '{block.type[:40]}' are not supported here")


def _text(block: Block, where: str) -> tuple[Part, ...]:
    text = _need(block.text, f"{where}.text")
    return (Text(text),) if text else ()


def _thinking(block: Block, where: str) -> tuple[Part, ...]:
    return (Thinking(block.thinking),) if block.thinking else ()


def _call(block: Block, where: str) -> tuple[Part, ...]:
    if not isinstance(block.input, dict | None):
        raise _refuse(f"{where}.input", "expected an object")
    arguments = msgspec.json.encode(block.input or {}).decode()
    return (ToolCall(_need(block.id, f"{where}.id"), _need(block.name, f"{where}.name"), arguments),)


def _image(block: Block, where: str) -> tuple[Part, ...]:
    source = _source(block, where)
    if source.type == "base64":
        return (read_base64(_need(source.data, f"{where}.source.data"), f"{where}.source.data"),)
    if source.type == "url":
        url = _need(source.url, f"{where}.source.url")
        return (read_url(url, f"{where}.source.url"),)
    kind = source.type[:40]
    raise _refuse(f"{where}.source.type", f"images of type '{kind}' are not supported: send base64 or a url")


def _document(block: Block, where: str) -> tuple[Part, ...]:
    source = _source(block, where)
    about = tuple(Extract(text) for text in (block.title, block.context) if text)
    match source.type:
        case "base64":
            data = _need(source.data, f"{where}.source.data")
            note = (Extract(block.context),) if block.context else ()
            return (*note, Document(data, source.media_type or "", block.title or ""))
        case "text":
            return (*about, *_plain(_need(source.data, f"{where}.source.data")))
        case "content":
            if isinstance(source.content, list):
                return (*about, *_extracts(source.content, f"{where}.source.content"))
            return (*about, *_plain(_need(source.content, f"{where}.source.content")))
    kind = source.type[:40]
    raise _refuse(f"{where}.source.type", f"documents of type '{kind}' are not fetched: send base64 or text")


def _search_result(block: Block, where: str) -> tuple[Part, ...]:
    about = [text for text in (block.title, block.source) if isinstance(text, str) and text]
    inner = block.content if isinstance(block.content, list) else []
    return (*_plain("\n".join(about)), *_extracts(inner, f"{where}.content"))


def _extracts(blocks: list[Block], where: str) -> tuple[Part, ...]:
    return tuple(Extract(part.text) if isinstance(part, Text) else part for part in _parts(blocks, where))


def _plain(text: str) -> tuple[Part, ...]:
    """What somebody else wrote, and the user only shows."""
    return (Extract(text),) if text else ()


def _source(block: Block, where: str) -> Source:
    if not isinstance(block.source, Source):
        raise _refuse(f"{where}.source", "expected an object")
    return block.source


def _need(value: T | None, where: str) -> T:
    if value is None:
        raise _refuse(where, "field required")
    return value


def _refuse(where: str, what: str) -> BadRequest:
    return BadRequest(f"invalid '{where}': {what}", param=where)


_READERS: dict[str, Callable[[Block, str], tuple[Part, ...]]] = {
    "text": _text,
    "thinking": _thinking,
    "tool_use": _call,
    "image": _image,
    "document": _document,
    "search_result": _search_result,
}
