"""A node's own words on a model that it pulls, makes or deletes, passed on as they come."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from contextlib import closing
from typing import IO, Any

import msgspec

from ..errors import BackendError, MoeError, TimedOut, Unavailable, Unreachable, UpstreamFailure
from .nodes import Node
from .transport import Body, Upload

SILENCE_S = 600.0  # a checksum of a hundred gigabytes takes minutes, and nothing is said meanwhile
SHORT_S = 60.0
SEND_S = 60.0
PIECE_BYTES = 1 << 20
LONGEST_LINE = 1 << 20
Lines = Generator[bytes, None, None]


class Told(MoeError):
    """A node's refusal, passed on with its status and in its words."""

    def __init__(self, message: str, *, status: int) -> None:
        super().__init__(message)
        self.status = status
        self.code = "not_found" if status == 404 else "upstream_error"


class _Line(msgspec.Struct):
    status: str | int | None = None


def relay(node: Node, path: str, body: dict[str, Any]) -> Lines:
    """Each line of the answer, b"" for each wait. Raises Told and Unavailable."""
    pending = b""
    given = {name: value for name, value in body.items() if value is not None}
    with closing(_exchange(node, "POST", path, msgspec.json.encode(given), limit_s=SILENCE_S)) as pieces:
        for piece in pieces:
            *lines, pending = (pending + piece).split(b"\n")
            if len(pending) > LONGEST_LINE:
                raise Unavailable("the Ollama that manages models sends a line without an end")
            yield from filter(None, map(bytes.strip, lines)) if piece else (b"",)
    if pending.strip():
        yield pending.strip()


def ask(node: Node, method: str, path: str, body: dict[str, Any]) -> Lines:
    """A request whose answer says nothing more than that it was done. Raises Told and Unavailable."""
    given = {name: value for name, value in body.items() if value is not None and name != "name"}
    for _ in _exchange(node, method, path, msgspec.json.encode(given), limit_s=SHORT_S):
        yield b""


def look_for(node: Node, digest: str) -> bool:
    """Whether the node has the blob. Raises Unavailable."""
    try:
        return node.transport.look(f"/api/blobs/{digest}", timeout_s=SHORT_S) == 200
    except BackendError as error:
        raise _give_up(node, error) from error


def send_blob(node: Node, digest: str, content: IO[bytes], *, size_bytes: int) -> Lines:
    """`content`, which can be read again from its start. Raises Told and Unavailable."""

    def cut() -> Iterator[bytes]:
        content.seek(0)
        while piece := content.read(PIECE_BYTES):
            yield piece

    body = Upload(size_bytes, cut)
    for _ in _exchange(node, "POST", f"/api/blobs/{digest}", body, limit_s=SILENCE_S):
        yield b""


def is_success(line: bytes) -> bool:
    """Whether a line is the last word of what went well."""
    try:
        return msgspec.json.decode(line, type=_Line).status == "success"
    except (msgspec.DecodeError, RecursionError):
        return False


def _exchange(node: Node, method: str, path: str, body: Body, *, limit_s: float) -> Lines:
    """The pieces of an answer, b"" for each wait; ends a silence of more than `limit_s`."""
    heard = time.monotonic()
    try:
        with closing(node.transport.stream(path, body, idle_s=SEND_S, method=method)) as pieces:
            for piece in pieces:
                if piece:
                    heard = time.monotonic()
                elif time.monotonic() - heard > limit_s:
                    raise TimedOut(f"silent for {limit_s:.0f} s")
                yield piece
    except UpstreamFailure as error:
        raise Told(error.message, status=error.upstream_status) from error
    except BackendError as error:
        raise _give_up(node, error) from error


def _give_up(node: Node, error: BackendError) -> MoeError:
    """What a client is told: a refusal in the node's words, else how the connection failed."""
    if isinstance(error, Unreachable):
        node.mark_down(error)
    if 400 <= error.status < 500:
        return error
    return Unavailable(f"the Ollama that manages models failed: {error.reason}")
