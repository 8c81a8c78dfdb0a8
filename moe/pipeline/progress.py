"""The lines that say which tools were called and what the line is doing, among the thoughts that a client is shown."""

from __future__ import annotations

import re
from collections.abc import Iterable

from msgspec import structs

from ..core import ChatRequest, Message, Part, Thinking

ARROW = " \u2192 "
STEP = "\u00b7 "


class Progress:
    """Knows its own lines again: clients send thoughts back, and a model would take these for its own."""

    def __init__(self, names: Iterable[str]) -> None:
        called = "|".join(map(re.escape, names))
        self._line = re.compile(rf"^(?:{called})\([^\n]*\){ARROW}[^\n]*(?:\n|\Z)|^{STEP}[^\n]*(?:\n|\Z)", re.MULTILINE)

    def forget(self, request: ChatRequest) -> ChatRequest:
        """`request` without those that earlier answers carry back."""
        if not any(map(_may_have_any, request.messages)):
            return request
        return structs.replace(request, messages=tuple(map(self._clean, request.messages)))

    def _clean(self, message: Message) -> Message:
        if not _may_have_any(message):
            return message
        return structs.replace(message, parts=tuple(left for part in message.parts for left in self._strip(part)))

    def _strip(self, part: Part) -> tuple[Part, ...]:
        if not isinstance(part, Thinking) or not _may_be_ours(part.text):
            return (part,)
        left = self._line.sub("", part.text)
        return (Thinking(left),) if left.strip() else ()


def _may_have_any(message: Message) -> bool:
    return message.role == "assistant" and any(
        isinstance(part, Thinking) and _may_be_ours(part.text) for part in message.parts)


def _may_be_ours(text: str) -> bool:
    return ARROW in text or STEP in text
