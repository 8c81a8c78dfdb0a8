"""Anthropic's content blocks -> messages of the internal form."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from ..core import Document, Extract, Image, ImageLink, Message, Part, Text, Thinking, ToolCall, ToolResult
from ..errors import BadRequest
from .image import read_base64, read_url, tell_type

# Claude Code opens its system prompt with a line that differs from request to request: any model that has read the
# rest before would have to read all of it again.
CHANGING_LINE = "x-anthropic-billing-header"
_LEFT_OUT = frozenset({
    "redacted_thinking", "server_tool_use", "mcp_tool_use", "mcp_tool_listing", "container_upload",
    "tool_reference", "tool_addition", "tool_removal", "browser_state", "fallback",
})
_SERVER_RESULT = "_tool_result"
# Where the results of a server's tools have words: some of each in any of them.
_WORDS = ("title", "url", "text", "stdout", "stderr", "error_code", "lines", "data", "content", "source")
_DEEPEST_WORDS = 5
_PICTURES = ("base64", "image")
LONGEST_KIND = 64
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
    url: str | None = None
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
        results.append(result)
        said += shown
    return results if results and not said else [*results, Message("user", tuple(said))]


def _read_result(block: Block, where: str) -> tuple[Message, list[Part]]:
    """The result: its text, and in their places its files, to be read. Its pictures the user shows, for few models take
    those from a tool."""
    given: list[Part] = []
    shown: list[Part] = []
    if isinstance(block.content, str):
        given.append(Text(block.content))
    for part in _parts(block.content, f"{where}.content") if isinstance(block.content, list) else ():
        if isinstance(part, Image | ImageLink):
            shown.append(part)
            given.append(Text("[image]"))
        elif isinstance(part, Text | Document):
            given.append(part)
        else:
            raise _refuse(f"{where}.content", "a result holds text, images and files only")
    files = [place for place, part in enumerate(given) if isinstance(part, Document)]
    first = files[0] if files else len(given)
    text = "\n".join(part.text for part in given[:first] if isinstance(part, Text))
    if block.is_error and not text.lower().startswith("error"):
        text = f"Error: {text}"
    result = ToolResult(_need(block.tool_use_id, f"{where}.tool_use_id"), "", text)
    return Message("tool", (result, *given[first:])), shown


def _parts(blocks: list[Block], where: str) -> tuple[Part, ...]:
    return tuple(part for index, block in enumerate(blocks) for part in _part(block, f"{where}[{index}]"))


def _part(block: Block, where: str) -> tuple[Part, ...]:
    reader = _READERS.get(block.type)
    if reader is not None:
        return reader(block, where)
    if _is_servers(block):
        text = _words_of(block)
        return (Extract(f"[{block.type[:LONGEST_KIND]}]\n{text}"),) if text else ()
    raise _refuse(f"{where}.type", f"blocks of type '{block.type[:40]}' are not supported here")


def name_left_out(content: Content) -> Iterator[str]:
    """The kinds of blocks in it of which no model here gets anything: said by or to a server that is not here."""
    for block in content if isinstance(content, list) else ():
        if _is_servers(block):
            if not _words_of(block) and block.type != "redacted_thinking":  # a thought is no part of what was said
                yield block.type[:LONGEST_KIND]
        elif isinstance(block.content, list):
            yield from name_left_out(block.content)


def _is_servers(block: Block) -> bool:
    return block.type in _LEFT_OUT or (block.type.endswith(_SERVER_RESULT) and block.type != "tool_result")


def _words_of(block: Block) -> str:
    """What can be read in the result of a server's tool, "" where all of it is for that server's eyes."""
    if block.type in _LEFT_OUT:
        return ""
    return "\n".join(filter(None, _find_words(msgspec.to_builtins(block.content))))


def _find_words(content: Any, depth: int = 0) -> Iterator[str]:
    if isinstance(content, str):
        yield content
    elif isinstance(content, list) and depth < _DEEPEST_WORDS:
        for each in content:
            yield from _find_words(each, depth + 1)
    elif isinstance(content, dict) and depth < _DEEPEST_WORDS and content.get("type") not in _PICTURES:
        for name in _WORDS:
            yield from _find_words(content.get(name), depth + 1)


def _text(block: Block, where: str) -> tuple[Part, ...]:
    text = _need(block.text, f"{where}.text")
    return (Text(text),) if text else ()


def _thinking(block: Block, where: str) -> tuple[Part, ...]:
    return (Thinking(block.thinking),) if block.thinking else ()


def _compaction(block: Block, where: str) -> tuple[Part, ...]:
    """What stands for all that was said before, where the client had that shortened."""
    return (Text(block.content),) if isinstance(block.content, str) and block.content else ()


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
            if tell_image(data):
                return (*note, read_base64(data, f"{where}.source.data"))
            return (*note, Document(data, source.media_type or "", block.title or "", where))
        case "text":
            return (*about, *_plain(_need(source.data, f"{where}.source.data")))
        case "content":
            if isinstance(source.content, list):
                return (*about, *_extracts(source.content, f"{where}.source.content"))
            return (*about, *_plain(_need(source.content, f"{where}.source.content")))
    kind = source.type[:40]
    raise _refuse(f"{where}.source.type", f"documents of type '{kind}' are not fetched: send base64 or text")


def tell_image(data: str) -> str:
    """The type of an image that was sent as a file, "" for any other file."""
    try:
        return tell_type(data.lstrip()[:24])
    except ValueError:  # no base64, which its reader says better
        return ""


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
    "compaction": _compaction,
}
