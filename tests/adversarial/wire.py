"""Steps for a fake Ollama that say things no sane server says: the bytes of a response, one by one."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain, repeat
from typing import Any

from tests.fakes.reply import Step, Voice
from tests.fakes.wire import Exchange

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"


@dataclass(frozen=True)
class Wire(Step):
    """Sends each part as it is and then closes the connection; a number is a pause in seconds."""

    parts: Iterable[bytes | float]

    def play(self, exchange: Exchange, voice: Voice) -> None:
        for part in self.parts:
            if isinstance(part, bytes):
                exchange._transmit(part)
            else:
                exchange.wait(part)
        exchange.hang_up()


def raw(*parts: bytes | float) -> Wire:
    return Wire(parts)


def for_ever(*parts: bytes | float, after: bytes = b"") -> Wire:
    """`after` once, then the parts again and again until the other side has had enough."""
    return Wire(chain((after,), chain.from_iterable(repeat(parts))))


def lines(*values: Any, then: tuple[bytes | float, ...] = (END,)) -> Wire:
    """A chunked NDJSON body; a value is a line as bytes or what becomes one."""
    return raw(CHUNKED, *(chunk(as_line(value)) for value in values), *then)


def as_line(value: Any) -> bytes:
    return value if isinstance(value, bytes) else json.dumps(value).encode() + b"\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def said(text: str, **more: Any) -> dict[str, Any]:
    return {"model": "m", "message": {"role": "assistant", "content": text, **more}, "done": False}


DONE = {"model": "m", "message": {"role": "assistant", "content": ""}, "done": True, "done_reason": "stop"}
