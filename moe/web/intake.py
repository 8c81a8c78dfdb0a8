"""One client connection: what it may send, how long it may take, and how it is told no.

The overrides were written against waitress 3.0.2; each says which of its ways it relies on.
"""

from __future__ import annotations

import math
import os
import re
import secrets
import socket
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from waitress.buffers import FileBasedBuffer
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.task import ErrorTask, WSGITask
from waitress.utilities import BadRequest, Error, InternalServerError, RequestEntityTooLarge

CHUNK_LINE_BYTES = 4096
BLOBS = "/api/blobs/"
SPARE_BYTES = 256 << 20  # of the disk that uploads go to: so much they leave free
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True)
class Limits:
    """What one connection, and all of them together, may ask for before they are refused or closed."""

    connections: int = 1000  # near it, the one that has kept us waiting longest gives way to a new one
    head_bytes: int = 65536
    head_s: float = 30.0  # from the first byte of a request to the end of its head
    body_s: float = 60.0  # head and body together, plus one second for each body_bytes_per_s received
    body_bytes_per_s: int = 65536
    unfinished_bytes: int = 256 << 20  # bodies still arriving, all connections together
    idle_s: float = 120.0  # between two requests
    stall_s: float = 60.0  # answer bytes are waiting and the client accepts none of them
    linger_s: float = 10.0  # a refused client may go on sending so long, so that it sees the refusal
    linger_bytes: int = 64 << 20
    sweep_s: float = 1.0  # how often these are looked at: the grain of all the times above


@dataclass(frozen=True)
class Uploads:
    """Where bodies sent to BLOBS are kept while they arrive, and how large one may be."""

    folder: Path
    max_bytes: int


class RequestTimeout(Error):  # type: ignore[misc]
    """The request did not arrive in time."""

    code = 408
    reason = "Request Timeout"


class Parser(HTTPRequestParser):  # type: ignore[misc]
    """Refuses what waitress lets pass, chokes on or answers twice.

    waitress hands over each piece it received and expects back how many bytes were consumed; `error` and
    `completed` together make the channel answer with its error task. The cap it enforces itself counts chunk
    framing; it is kept as a second line, and the exact one is `adj.max_body_bytes`.
    """

    path = ""  # waitress names the path in its log even where it failed before it knew one
    command = ""
    is_upload = False
    adj: Any

    def received(self, data: bytes) -> int:
        so_far = self.header_plus
        try:
            consumed: int = super().received(data)
        except ValueError as reason:  # a Content-Length of 5,000 digits, a broken [IPv6] authority
            self.error, consumed = BadRequest(str(reason)), 0
        self.error = self._fault() or self.error
        if self.body_rcv is None or self.error is not None:
            self.expect_continue = False  # waitress would clear `completed` to wait for a body that never comes
        if self.error is None:
            return consumed
        self.completed = True
        if not (self.path and self.headers_finished):  # a head too large is parsed as "GET /"
            self.path = _asked_path(so_far + data)
        return len(data)  # else the rest of a refused body is read as the next request

    def parse_header(self, header_plus: bytes) -> None:
        super().parse_header(header_plus)
        # Two framings in one request are how requests are smuggled (RFC 9112, 6.1). waitress removes the
        # header where it obeys it, and leaves it in HTTP/1.0 requests, where it does not.
        if "TRANSFER_ENCODING" in self.headers or (self.chunked and "CONTENT_LENGTH" in self.headers):
            raise ParsingError("Transfer-Encoding contradicts the rest of the request")
        if self.body_rcv is not None and self.path.startswith(BLOBS) and self.adj.uploads is not None:
            self._expect_upload()

    def _expect_upload(self) -> None:
        """The body goes to a file at once, and has limits of its own."""
        self.is_upload, self.adj = True, self.adj.uploads
        try:
            self.adj.folder.mkdir(parents=True, exist_ok=True)
            file = tempfile.TemporaryFile(dir=self.adj.folder)  # noqa: SIM115 - closed with the request
            self.body_rcv.buf = FileBasedBuffer(file)
        except OSError as reason:
            self.error = InternalServerError(f"uploads cannot be kept: {reason.strerror or reason}")

    def _lacks_room(self, size: int) -> bool:
        disk = os.statvfs(self.adj.folder)
        free, missing = disk.f_bavail * disk.f_frsize, max(0, size - int(self.body_bytes_received))
        return free < missing + SPARE_BYTES

    def _fault(self) -> Error | None:
        body = self.body_rcv
        if body is None:
            return None
        size = self.content_length
        if self.chunked:
            if max(len(body.control_line), len(body.trailer)) > CHUNK_LINE_BYTES:  # rescanned with each piece
                return BadRequest("Chunk size line or trailer is too long")
            size = len(body) + body.chunk_remainder
        limit = self.adj.max_body_bytes
        if self.is_upload and size <= limit and self._lacks_room(size):
            return RequestEntityTooLarge("there is no room for the request body")
        return RequestEntityTooLarge(f"the request body is larger than {limit} bytes") if size > limit else None


class Refusal(ErrorTask):  # type: ignore[misc]
    """Answers a refused request in the words of the server's `refuse`, and ends the connection."""

    def execute(self) -> None:
        error = self.request.error
        # For an exception in the app waitress makes up a request of its own, which has no path.
        asked = next((request for request in (self.request, *self.channel.requests) if request.path), self.request)
        name = choose_id(asked.headers.get("X_REQUEST_ID", ""))
        body, content_type = self.channel.server.refuse(error.code, asked.path or "/", error.body, name)
        self.status = f"{error.code} {error.reason}"
        self.response_headers.append(("Content-Type", content_type))
        self.response_headers.append(("X-Request-Id", name))
        self.set_close_on_finish()
        self.content_length = len(body)
        self.write(b"" if self.request.command == "HEAD" else body)


class Answer(WSGITask):  # type: ignore[misc]
    """Keeps the connection after a body sent in chunks, and sends the head together with the first of the body.

    waitress closes it after chunks, though the last one says where the body ends: it asks for that once it has
    chosen them, and for other reasons before it has.
    """

    wrote_header: bool = False

    def set_close_on_finish(self) -> None:
        if self.wrote_header or not self.chunked_response:
            super().set_close_on_finish()

    def write(self, data: bytes) -> None:
        if self.complete and not self.wrote_header:
            self.channel.unsent_head = self.build_response_header()
            self.wrote_header = True
        super().write(data)
        if self.channel.unsent_head:  # the body is empty
            self.channel.write_soon(b"")


class Channel(HTTPChannel):  # type: ignore[misc]
    """A connection that is watched: whatever the client owes us has a deadline.

    Everything here but `Answer`, `Refusal` and `write_soon` runs in the serving thread, as waitress's own socket
    handling does.
    """

    parser_class = Parser
    task_class = Answer
    error_task_class = Refusal
    request: Any = None
    close_when_flushed = False
    unsent_head = b""  # of an answer, until the first of its body comes
    refused = False  # what still arrives is discarded
    lingering = False  # the refusal is sent and our side closed; we read on so that the client sees it
    discarded_bytes = 0
    awaited: object = None
    awaited_since = math.inf

    @property
    def is_waiting(self) -> bool:
        """Nothing runs for this client, and nothing is on its way to it."""
        return not (self.requests or self.total_outbufs_len)

    @property
    def unfinished_bytes(self) -> int:
        return self.request.body_bytes_received if self.request is not None else 0

    @property
    def is_uploading(self) -> bool:
        return self.request is not None and self.request.is_upload

    def watch(self, now: float) -> None:
        """Notes since when the client owes us the same thing, and acts once that is too long."""
        owed, allowed_s = self._owed()
        if owed != self.awaited:
            self.awaited, self.awaited_since = owed, now
        elif now - self.awaited_since > allowed_s:
            if owed is self.request:
                self._time_out()
            else:
                self.handle_close()  # waitress's will_close waits until the client takes bytes again

    def _owed(self) -> tuple[object, float]:
        """What we wait for, as a value that changes with each step forward, and for how many seconds."""
        limits: Limits = self.server.limits
        if self.lingering:
            return "end of input", limits.linger_s
        if self.total_outbufs_len:
            return ("reading", self.last_activity), limits.stall_s
        if self.requests:
            return "our answer", math.inf
        if self.request is None:
            return ("request", self.last_activity), limits.idle_s
        if not self.request.headers_finished:
            return self.request, limits.head_s
        return self.request, limits.body_s + self.unfinished_bytes / limits.body_bytes_per_s

    def _time_out(self) -> None:
        """Queues the unfinished request as a refused one, as `received` does with a complete request."""
        with self.requests_lock:
            request, self.request = self.request, None
            request.error = RequestTimeout("the request did not arrive in time")
            request.path = request.path or _asked_path(request.header_plus)
            self.refused = True
            self.requests.append(request)
            self.server.add_task(self)

    def write_soon(self, data: Any) -> int:
        head, self.unsent_head = self.unsent_head, b""
        return int(super().write_soon(head + data if head else data))

    def received(self, data: bytes) -> bool:
        if self.refused:
            self.discarded_bytes += len(data)
            if self.lingering and self.discarded_bytes > self.server.limits.linger_bytes:
                self.handle_close()
            return False
        taken: bool = super().received(data)
        newest = self.requests[-1:]  # one step, for a worker takes requests away at the same time
        self.refused = bool(newest) and newest[0].error is not None
        return taken

    def handle_write(self) -> None:
        """As waitress does, but after a refusal only our side of the connection is closed.

        Closing both with input unread makes the kernel send a reset, which can overtake the answer.
        """
        if not self.refused:
            super().handle_write()
            return
        if self.total_outbufs_len:
            self._flush_exception(self._flush_some_if_lockable)
        if self.will_close:
            self.handle_close()
        elif self.close_when_flushed and not self.total_outbufs_len:
            self.close_when_flushed = False
            self._linger()

    def _linger(self) -> None:
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:  # the client is gone already
            self.handle_close()
        else:
            self.lingering = True

    def handle_close(self) -> None:
        super().handle_close()
        if self.request is not None:
            self.request.close()  # waitress leaves the half-filled temporary file to the garbage collector


def choose_id(given: str) -> str:
    """A request's id: the client's own where it is sane, else a new one."""
    return given if _ID.fullmatch(given) else secrets.token_hex(12)


def _asked_path(head: bytes) -> str:
    """The path in a head that could not be parsed, to know which dialect its sender speaks."""
    words: list[Any] = head[:2048].lstrip().split(b"\r\n", 1)[0].split(b" ")
    return words[1].split(b"?", 1)[0].decode("latin-1") if len(words) > 1 else "/"
