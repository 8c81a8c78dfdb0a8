"""About how long a prompt is, for those whose model cannot be asked.

A text is cut where byte-pair vocabularies mostly cut: words with the space before them, in parts of eight letters;
numbers by three digits; marks by four; accented and Cyrillic letters by two; letters of other scripts one by one.
Against two such vocabularies this is within a tenth for English, code and JSON, and within a third for other languages.
"""

from __future__ import annotations

import math
import re
from itertools import chain

from ..core import ChatRequest, Document, Image, ImageLink, Message, Text, Thinking, ToolCall, ToolResult
from .wire import encode

TURN_TOKENS = 4
CALL_TOKENS = 8
IMAGE_TOKENS = 1000
PAGE_BYTES = 50_000  # of a file nobody has read: base64 of about a page
PAGE_TOKENS = 1500
GUESSED_CHARS = 100_000  # which take under ten milliseconds

_PIECE = re.compile(
    r" ?[A-Za-z]{1,8}| ?[0-9]{1,3}| ?[!-/:-@\[-`{-~]{1,4}[\r\n]*|[\r\n]+[ \t]*|[ \t]{2,}"
    r"|[\u0080-\u052f\u1e00-\u1fff]{1,2}|[\u0530-\u1dff\u2000-\uffff]|[^\x00-\uffff]"
)
_RARE = re.compile(r"[^\x00-\uffff]")  # emoji and the like take two or three


def estimate(request: ChatRequest) -> int:
    """The tokens of the conversation with its tools and pictures, at least 1."""
    return _estimate(request, math.inf)


def guess(request: ChatRequest) -> int:
    """The same in no time, for the first event of a stream: of a long conversation only a part of each text is counted,
    and the rest in proportion."""
    return _estimate(request, GUESSED_CHARS)


def _estimate(request: ChatRequest, most_chars: float) -> int:
    texts = list(chain.from_iterable(_texts(message) for message in request.messages))
    if request.tools:
        texts.append(encode(request.tools).decode())
    share = min(1.0, most_chars / max(1, sum(map(len, texts))))
    count = sum(count_tokens(text if share == 1 else text[:math.ceil(len(text) * share)]) for text in texts)
    extra = TURN_TOKENS * len(request.messages) + sum(_extra(message) for message in request.messages)
    return max(1, round(count / share) + extra)


def count_tokens(text: str) -> int:
    return len(_PIECE.findall(text)) + len(_RARE.findall(text)) * 3 // 2


def _texts(message: Message) -> list[str]:
    texts = []
    for part in message.parts:
        if isinstance(part, Text | Thinking):
            texts.append(part.text)
        elif isinstance(part, ToolCall):
            texts += (part.name, part.arguments)
        elif isinstance(part, ToolResult):
            texts.append(part.content)
    return texts


def _extra(message: Message) -> int:
    """What has no text of its own."""
    tokens = 0
    for part in message.parts:
        if isinstance(part, Image | ImageLink):
            tokens += IMAGE_TOKENS
        elif isinstance(part, Document):
            tokens += PAGE_TOKENS * max(1, len(part.data) // PAGE_BYTES)
        elif isinstance(part, ToolCall | ToolResult):
            tokens += CALL_TOKENS
    return tokens
