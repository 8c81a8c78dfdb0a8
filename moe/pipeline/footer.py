"""The last line of an answer that says who gave it, for those who want it under each; off unless configured."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from typing import Any

from msgspec import structs

from ..core import ChatRequest, Chunk, Done, Message, Started, Text
from ..routing.text import is_housekeeping

_MARK = "\u2014 answered by "
_LINE = re.compile(rf"\n\n{_MARK}[^\n]*\Z")


def may_have_footer(request: ChatRequest) -> bool:
    """Only people read it: no program's answer has one, neither a call's, nor a format's, nor a completion's."""
    is_chat = request.completion is None and bool(request.messages)
    return is_chat and request.format is None and not request.has_tools and not is_housekeeping(request)


def sign(chunks: Any) -> Iterator[Chunk]:
    """Adds the line to an answer in text that came to its end, and closes `chunks`."""
    who: Started | None = None
    has_text = False
    with closing(chunks):
        for chunk in chunks:
            if isinstance(chunk, Started):
                who = chunk
            elif isinstance(chunk, Text):
                has_text = has_text or bool(chunk.text)
            elif isinstance(chunk, Done) and who is not None and has_text and chunk.finish == "stop":
                yield Text(f"\n\n{_MARK}{_name(who)}")
            yield chunk


def unsign(request: ChatRequest) -> ChatRequest:
    """Without the lines that earlier answers carry back: a model would copy them."""
    if not any(_is_signed(message) for message in request.messages):
        return request
    messages = tuple(_unsign(message) if _is_signed(message) else message for message in request.messages)
    return structs.replace(request, messages=messages)


def _name(who: Started) -> str:
    return who.model if who.model == who.expert else f"{who.expert} ({who.model})"


def _is_signed(message: Message) -> bool:
    return message.role == "assistant" and any(isinstance(p, Text) and _MARK in p.text for p in message.parts)


def _unsign(message: Message) -> Message:
    parts = (Text(_LINE.sub("", part.text)) if isinstance(part, Text) else part for part in message.parts)
    return structs.replace(message, parts=tuple(parts))
