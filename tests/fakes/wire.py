"""HTTP/1.1 on a raw socket: requests in, answers out, and the ways in which a connection can break."""

from __future__ import annotations

import json
import math
import select
import socket
import struct
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from http import HTTPStatus
from itertools import cycle
from typing import Any

HEAD_LIMIT_BYTES = 1 << 20
FOREVER_S = math.inf


class ClientGone(Exception):
    """The other side closed the connection before the exchange was over."""


class HungUp(Exception):
    """The script closed the connection on purpose."""


class BadRequest(Exception):
    """What arrived is not HTTP."""


@dataclass(eq=False)
class Request:
    """What arrived, and how it ended; times are of the monotonic clock, `connection` counts from 1."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes
    connection: int
    arrived_at: float = field(default_factory=time.monotonic)
    finished_at: float | None = None
    closed_early_at: float | None = None
    _over: threading.Event = field(default_factory=threading.Event, repr=False)

    @cached_property
    def json(self) -> Any:
        """The parsed body, None when it is empty or no JSON."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    @property
    def model(self) -> str | None:
        return (self.json.get("model") or self.json.get("name")) if isinstance(self.json, dict) else None

    @property
    def finished(self) -> bool:
        """The script was played to its end; False while it plays, and when the client left before."""
        return self.finished_at is not None

    @property
    def is_over(self) -> bool:
        return self._over.is_set()

    def wait_until_over(self, timeout_s: float = 5.0) -> None:
        if not self._over.wait(timeout_s):
            raise TimeoutError(f"{self.method} {self.path} is not over after {timeout_s} s")

    def end(self) -> None:
        self._over.set()


@dataclass(frozen=True)
class Pace:
    """How bytes are cut up: sizes of HTTP chunks and of TCP segments (cycled; none: as they come), and a pause."""

    chunk_sizes: tuple[int, ...] = ()
    segment_sizes: tuple[int, ...] = ()
    pause_s: float = 0.0


def to_json(payload: object) -> bytes:
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()


class Connection:
    """One accepted socket; every call raises ClientGone once the other side has closed it."""

    def __init__(self, sock: socket.socket, number: int) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.number = number
        self._socket = sock
        self._unread = bytearray()
        self._poller = select.poll()
        self._poller.register(sock, select.POLLIN)

    def read_request(self) -> Request | None:
        """None when the client closed the connection between two requests."""
        try:
            head = self._read_to(b"\r\n\r\n")
        except ClientGone:
            if self._unread.strip():
                raise
            return None
        lines = head.decode("latin-1").split("\r\n")
        if len(lines[0].split(" ")) != 3:
            raise BadRequest(lines[0])
        method, target, _ = lines[0].split(" ")
        headers = _parse_headers(lines[1:])
        if headers.get("expect", "").lower() == "100-continue":
            self.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        path, _, query = target.partition("?")
        return Request(method, path, query, headers, self._read_body(headers), self.number)

    def send(self, data: bytes) -> None:
        try:
            self._socket.sendall(data)
        except OSError as error:
            raise ClientGone from error

    def wait(self, seconds: float) -> None:
        """Sleeps, but notices at once when the client closes the connection; `wait(0)` only looks."""
        deadline = time.monotonic() + seconds
        while True:
            left_s = max(0.0, deadline - time.monotonic())
            if not self._poller.poll(None if math.isinf(left_s) else math.ceil(left_s * 1000)):
                return
            self._receive()
            if left_s == 0.0:
                return

    def drop(self, *, with_reset: bool) -> None:
        """Closes the connection, with RST or with FIN, and raises HungUp to leave the script."""
        if with_reset:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()
        raise HungUp

    def _receive(self) -> None:
        try:
            data = self._socket.recv(65536)
        except OSError as error:
            raise ClientGone from error
        if not data:
            raise ClientGone
        self._unread += data

    def _read_to(self, mark: bytes) -> bytes:
        while (end := self._unread.find(mark)) < 0:
            if len(self._unread) > HEAD_LIMIT_BYTES:
                raise BadRequest("the head of the request does not end")
            self._receive()
        data = bytes(self._unread[:end])
        del self._unread[: end + len(mark)]
        return data

    def _read_bytes(self, count: int) -> bytes:
        while len(self._unread) < count:
            self._receive()
        data = bytes(self._unread[:count])
        del self._unread[:count]
        return data

    def _read_body(self, headers: dict[str, str]) -> bytes:
        try:
            if "chunked" in headers.get("transfer-encoding", "").lower():
                return b"".join(self._read_chunks())
            return self._read_bytes(int(headers.get("content-length", "0")))
        except ValueError as error:
            raise BadRequest(str(error)) from error

    def _read_chunks(self) -> Iterator[bytes]:
        while size := int(self._read_to(b"\r\n").split(b";")[0], 16):
            yield self._read_bytes(size)
            self._read_to(b"\r\n")
        while self._read_to(b"\r\n"):
            pass


def _parse_headers(lines: list[str]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        key = name.strip().lower()
        headers[key] = f"{headers[key]}, {value.strip()}" if key in headers else value.strip()
    return headers


class Exchange:
    """One request and its answer: `start`, any number of `send`, `end`; or `reply`; or an accident."""

    def __init__(self, connection: Connection, request: Request) -> None:
        self.request = request
        self.pace = Pace()
        self.closes_connection = request.headers.get("connection", "").lower() == "close"
        self._connection = connection
        self._is_chunked = False
        self._held_back = b""
        self._chunk_sizes: Iterator[int] | None = None

    def start(self, status: int, media_type: str, *, headers: dict[str, str], length: int | None) -> None:
        """Sends the head; without a `length` the body goes out in HTTP chunks."""
        fields = {"Content-Type": media_type, **headers}
        fields.update({"Transfer-Encoding": "chunked"} if length is None else {"Content-Length": str(length)})
        if self.closes_connection:
            fields["Connection"] = "close"
        lines = [f"HTTP/1.1 {status} {_phrase(status)}", *(f"{name}: {value}" for name, value in fields.items())]
        self._is_chunked = length is None
        self._chunk_sizes = cycle(self.pace.chunk_sizes) if self.pace.chunk_sizes else None
        self._transmit("\r\n".join([*lines, "", ""]).encode("latin-1"))

    def send(self, data: bytes) -> None:
        if self.request.method == "HEAD" or not data:
            return
        if not self._is_chunked:
            self._transmit(data)
        elif self._chunk_sizes is None:
            self._transmit(_to_chunk(data))
        else:
            self._send_cut_up(data, self._chunk_sizes)

    def end(self) -> None:
        if not self._is_chunked or self.request.method == "HEAD":
            return
        if self._held_back:
            self._transmit(_to_chunk(self._held_back))
        self._transmit(b"0\r\n\r\n")

    def reply(self, status: int, body: bytes, *, media_type: str, headers: dict[str, str]) -> None:
        self.start(status, media_type, headers=headers, length=len(body))
        self.send(body)
        self.end()

    def wait(self, seconds: float) -> None:
        self._connection.wait(seconds)

    def reset(self) -> None:
        self._connection.drop(with_reset=True)

    def hang_up(self) -> None:
        self._connection.drop(with_reset=False)

    def _send_cut_up(self, data: bytes, sizes: Iterator[int]) -> None:
        """Keeps back what does not fill a chunk, so that one HTTP chunk holds a line's end and the next one's start."""
        self._held_back += data
        size = next(sizes)
        while len(self._held_back) > size:
            piece, self._held_back = self._held_back[:size], self._held_back[size:]
            self._transmit(_to_chunk(piece))
            size = next(sizes)

    def _transmit(self, data: bytes) -> None:
        self.wait(0)
        if not self.pace.segment_sizes:
            self._connection.send(data)
            return
        sizes = cycle(self.pace.segment_sizes)
        start = 0
        while start < len(data):
            end = start + next(sizes)
            self._connection.send(data[start:end])
            self.wait(self.pace.pause_s)
            start = end


def _to_chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"
