"""Calls that nobody asked for, and calls that a model writes as text."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Generator, Iterator
from contextlib import closing

from msgspec import structs

from ..backends.dialogue.calls import read_calls
from ..core import Chunk, Done, Heartbeat, Refusal, Text, ToolCall, ToolCallPiece
from ..errors import BadAnswer

# A call is short; who writes more than this before it is over writes an answer.
LONGEST_WRITTEN = 8_000
_BEAT, _HELD = Heartbeat(), Heartbeat(is_held=True)
_MARK, _FENCE = "<tool_call>", "```json"
_KEYS = ('"name"', '"function"', '"type"', '"arguments"', '"parameters"')
_NAMED = re.compile(r'\{\s*"name"\s*:\s*"([^"\\]*)"')
_DECODER = json.JSONDecoder()
_FENCED = re.compile(r"```json\s*(.*?)\s*```", re.DOTALL)
_MARKED = re.compile(r"<tool_call>\s*(.*?)\s*(?:</tool_call>\s*|\Z)", re.DOTALL)
_CLOSED = re.compile(r"<tool_call>.*?</tool_call>\s*", re.DOTALL)


class EmptyAnswer(BadAnswer):
    """It ended without a letter."""

    reason = "empty answer"


class OnlyCalls(EmptyAnswer):
    """It called tools where there are none for it, and said nothing beside that."""

    reason = "nothing but calls, where none may be made"


def without_calls(chunks: Iterator[Chunk]) -> Iterator[Chunk]:
    """The answer of one that has no tools to call. Raises OnlyCalls."""
    has_called = has_said = False
    for chunk in chunks:
        if isinstance(chunk, (ToolCall, ToolCallPiece)):
            has_called = True
            yield _BEAT
            continue
        if isinstance(chunk, Text):
            has_said = has_said or bool(chunk.text.strip())
        elif isinstance(chunk, Done) and has_called:
            if not has_said:
                raise OnlyCalls
            chunk = structs.replace(chunk, finish="stop") if chunk.finish == "tool_calls" else chunk
        yield chunk


def read_written(chunks: Generator[Chunk, None, None], names: Collection[str]) -> Generator[Chunk, None, None]:
    """Passes `chunks` on and closes them; a text that is nothing but calls of tools with such `names` becomes those. It
    is held back only while it may still be that."""
    held: list[Chunk] = []
    is_open = True
    with closing(chunks):
        for chunk in chunks:
            if isinstance(chunk, Heartbeat):
                yield chunk
            elif is_open and isinstance(chunk, Text) and not isinstance(chunk, Refusal):
                held.append(chunk)
                is_open = _may_be_call(_join(held), names)
                if is_open:
                    yield _HELD
                else:
                    yield from held
                    held = []
            else:
                is_own = isinstance(chunk, Done) and chunk.finish in ("stop", "tool_calls")
                calls = read_text(_join(held), names) if held and is_own else []
                yield from calls or held
                is_open = is_open and not _join(held).strip()
                held = []
                yield structs.replace(chunk, finish="tool_calls") if calls and isinstance(chunk, Done) else chunk


def read_text(text: str, names: Collection[str]) -> list[ToolCall]:
    """The calls that `text` is, all of it, each of a tool with one of these `names`."""
    bare = text.strip()
    fenced = _FENCED.fullmatch(bare)
    if fenced is not None:
        bare = fenced[1]
    if bare.startswith(_MARK):
        bare = "\n".join(_MARKED.findall(bare)) if not _MARKED.sub("", bare) else ""
    return read_calls(bare, names) if bare else []


def _join(held: list[Chunk]) -> str:
    return "".join(chunk.text for chunk in held if isinstance(chunk, Text))


def _may_be_call(text: str, names: Collection[str]) -> bool:
    """Whether what `text` begins may be a call."""
    text = text.lstrip()
    if len(text) > LONGEST_WRITTEN:
        return False
    if text.startswith(_MARK):
        after = _CLOSED.sub("", text)
        return after.startswith(_MARK) or _MARK.startswith(after)
    if text.startswith(_FENCE):
        inside, _, after = text[len(_FENCE):].partition("```")
        inside = inside.lstrip().rstrip("`")
        return not after.strip() and (not inside or _may_be_json(inside, names))
    if text.startswith("{"):
        return _may_be_json(text, names)
    return any(mark.startswith(text) for mark in (_MARK, _FENCE))


def _may_be_json(text: str, names: Collection[str]) -> bool:
    key = text[1:].lstrip()
    if text[0] != "{" or not any(key.startswith(each) or each.startswith(key) for each in _KEYS):
        return False
    named = _NAMED.match(text)
    if named is not None and named[1] not in names:
        return False
    try:
        end = _DECODER.raw_decode(text)[1] if "}" in text else len(text)
    except (ValueError, RecursionError):
        return True
    return text[end:].lstrip(" \n\r\t;,")[:1] in ("", "{")
