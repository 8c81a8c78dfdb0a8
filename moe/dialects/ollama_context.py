"""The `context` of /api/generate: a conversation as numbers, which clients send back without reading them.

A prompt that is routed has no tokens that the next model could go on from, so the turns themselves travel: a mark, a
checksum, and the bytes of a JSON line for each turn.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Literal

import msgspec
from msgspec import Struct

from ..core import Message, Text
from ..errors import BadRequest
from .wire import encode

MARK = 7_171_941  # no vocabulary has so many tokens
MOST_BYTES = 128 << 10
_KEPT = ("system", "user", "assistant")


class _Turn(Struct, array_like=True):
    role: Literal["system", "user", "assistant"]
    text: str


_decode = msgspec.json.Decoder(_Turn).decode


def write_context(messages: Sequence[Message], answer: str) -> list[int]:
    """The texts of a conversation after this answer; of a long one the client's system prompt and the newest turns."""
    said = (*messages, Message("assistant", (Text(answer),)))
    turns = [(m.role, encode((m.role, m.text)) + b"\n") for m in said if m.role in _KEPT and m.text]
    first = b"".join(line for role, line in turns if role == "system")
    if len(first) > MOST_BYTES:
        first = b""
    room = MOST_BYTES - len(first)
    kept: list[tuple[str, bytes]] = []
    for role, line in reversed(turns):
        if role != "system":
            room -= len(line)
            if room < 0:
                break
            kept.append((role, line))
    while kept and kept[-1][0] != "user":  # many models' templates take no other beginning
        kept.pop()
    data = first + b"".join(line for _, line in reversed(kept))
    return [MARK, _sum(data), *data]


def read_context(numbers: Sequence[int]) -> tuple[Message, ...] | None:
    """What `write_context` wrote; None for what is a model's own. Raises BadRequest where it is not as it was."""
    if not numbers or numbers[0] != MARK:
        return None
    try:
        data = bytes(numbers[2:])
        if numbers[1] != _sum(data):
            raise ValueError
        turns = [_decode(line) for line in data.splitlines()]
    except (IndexError, ValueError) as error:
        raise BadRequest("context: expected the numbers of an earlier answer, unchanged", param="context") from error
    return tuple(Message(turn.role, (Text(turn.text),)) for turn in turns)


def _sum(data: bytes) -> int:
    return zlib.crc32(data) & 0x7FFF_FFFF  # some clients keep each number in 32 bits, with a sign
