"""HTTP to one upstream over pooled connections: addresses checked, no redirects, waits that can be abandoned."""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import time
from collections.abc import Callable, Generator, Iterator
from typing import Any, NamedTuple

import httptools
import msgspec
import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError, ReadTimeoutError
from urllib3.util.wait import wait_for_read, wait_for_write

from .. import __version__, net
from ..errors import BackendError, BadAnswer, BrokenStream, TimedOut, Unreachable
from .base import HEARTBEAT_S
from .refusal import ERROR_BODY_BYTES, refuse

POOL_SIZE = 128
PAGE_BYTES = 16 * 1024 * 1024
HEAD_BYTES = 64 * 1024 + 65536
FIRST_FINAL_STATUS = 200
GOOD = (200, 201)
READ_BYTES = 64 * 1024
_FIXED = f"Content-Type: application/json\r\nAccept-Encoding: identity\r\nUser-Agent: moe/{__version__}\r\n"
_GONE = (http.client.HTTPException, HTTPError, OSError)


class _Guarded:
    """Mixed into urllib3's connections: the socket comes from `net.connect`, which checks the resolved address."""

    host: str
    port: int
    timeout: Any

    def _new_conn(self) -> Any:
        limit = self.timeout if isinstance(self.timeout, (int, float)) else 5.0
        return net.connect(self.host, self.port, timeout_s=limit)


class _PlainConnection(_Guarded, HTTPConnection):
    pass


class _SecureConnection(_Guarded, HTTPSConnection):
    pass


class Upload(NamedTuple):
    """A body too large for memory; `pieces()` begins anew at each call."""

    size_bytes: int
    pieces: Callable[[], Iterator[bytes]]


Body = bytes | Upload


class Transport:
    """A pool of connections to one base URL; thread-safe."""

    def __init__(self, base_url: str, *, connect_timeout_s: float) -> None:
        parts = net.split_base(base_url)
        secure = parts.scheme == "https"
        self._path = parts.path
        self._authority = parts.netloc
        self._connect_timeout_s = connect_timeout_s
        pool: HTTPConnectionPool
        timeout = urllib3.Timeout(connect=connect_timeout_s, read=connect_timeout_s)
        if secure:
            pool = HTTPSConnectionPool(parts.hostname or "", parts.port or 443, maxsize=POOL_SIZE, timeout=timeout)
            pool.ConnectionCls = _SecureConnection
        else:
            pool = HTTPConnectionPool(parts.hostname or "", parts.port or 80, maxsize=POOL_SIZE, timeout=timeout)
            pool.ConnectionCls = _PlainConnection
        self._pool = pool

    def close(self) -> None:
        self._pool.close()

    def reap(self) -> None:
        """Closes idle connections that the other side has closed, which else keep a descriptor until their next turn.
        Cheap: one poll for each; a closed one stays in the pool and connects anew."""
        idle = self._pool.pool
        if idle is None:
            return
        with idle.mutex:
            for conn in filter(None, idle.queue):
                if not conn.is_connected:
                    conn.close()

    def fetch(self, method: str, path: str, body: bytes = b"", *, timeout_s: float) -> Any:
        """The decoded JSON of a short exchange, which is over after `timeout_s`. Raises BackendError."""
        try:
            page = self._read_page(method, path, body, timeout_s=timeout_s)
        except BrokenStream:  # a real loss, or nothing that lasts: look again
            page = self._read_page(method, path, body, timeout_s=timeout_s)
        try:
            return msgspec.json.decode(page)
        except (ValueError, RecursionError) as error:
            raise BadAnswer(f"not JSON: {error}") from error

    def stream(self, path: str, body: Body, *, idle_s: float, method: str = "POST") -> Generator[bytes, None, None]:
        """Sends `body`; yields what comes back as it comes, and b"" for each heartbeat of waiting.

        Raises BackendError; an error status is told as UpstreamFailure or UpstreamRefusal. `idle_s` limits the
        sending only: while receiving, whoever takes the heartbeats decides when to give up. Closing the iterator
        closes the connection unless the whole body was read.
        """
        yield from self._exchange(method, path, body, idle_s=idle_s)

    def look(self, path: str, *, timeout_s: float) -> int:
        """The status of a HEAD request. Raises BackendError."""
        deadline = time.monotonic() + timeout_s
        opening = self._open("HEAD", path, b"", idle_s=timeout_s)
        while True:
            try:
                next(opening)
            except StopIteration as opened:
                opened.value.conn.close()
                return int(opened.value.status)
            if time.monotonic() > deadline:
                opening.close()
                raise TimedOut(f"no reply within {timeout_s:g} s")

    def _exchange(self, method: str, path: str, body: Body, *, idle_s: float) -> Generator[bytes, None, None]:
        exchange = yield from self._open(method, path, body, idle_s=idle_s)
        try:
            if exchange.status in GOOD:
                yield from exchange.pieces()
            else:
                raise (yield from exchange.refusal())
        except TimeoutError as error:
            raise TimedOut(f"no data for {idle_s:g} s") from error
        except _GONE as error:
            raise BrokenStream(f"connection lost: {error!r}") from error
        finally:
            if exchange.is_reusable:
                self._pool._put_conn(exchange.conn)
            else:
                exchange.conn.close()

    def _read_page(self, method: str, path: str, body: bytes, *, timeout_s: float) -> bytes:
        page = bytearray()
        deadline = time.monotonic() + timeout_s
        with contextlib.closing(self._exchange(method, path, body, idle_s=timeout_s)) as pieces:
            for piece in pieces:
                page += piece
                if len(page) > PAGE_BYTES:
                    raise BadAnswer("the reply is too large")
                if time.monotonic() > deadline:
                    raise TimedOut(f"no whole reply within {timeout_s:g} s")
        return bytes(page)

    def _open(self, method: str, path: str, body: Body, *, idle_s: float) -> Generator[bytes, None, _Exchange]:
        """Sends the request and waits for the response's head.

        A pooled connection may have been closed by the other side meanwhile: then the request goes out once
        more, on a new one, since nothing was produced. urllib3 gives the connection (address check, TLS, reuse),
        but its `urlopen` blocks until the head is there, which for a model is the whole time to the first token.
        """
        start = f"{method} {self._path}{path} HTTP/1.1\r\nHost: {self._authority}\r\n{_FIXED}"
        upload = Upload(len(body), lambda: iter(())) if isinstance(body, bytes) else body
        request = f"{start}Content-Length: {upload.size_bytes}\r\n\r\n".encode("ascii")
        request += body if isinstance(body, bytes) else b""
        is_resent = False
        while True:
            conn: Any = self._pool._new_conn() if is_resent else self._pool._get_conn()
            was_used = conn.sock is not None
            try:
                if not was_used:
                    conn.timeout = self._connect_timeout_s
                    conn.connect()
                    conn.sock.setblocking(False)
                sock: socket.socket = conn.sock
                _send(sock, request, idle_s=idle_s)
                for piece in upload.pieces():
                    _send(sock, piece, idle_s=idle_s)
                    yield b""
                exchange = _Exchange(conn, sock)
                yield from exchange.await_head()
                return exchange
            except _GONE as error:
                conn.close()
                if not was_used or isinstance(error, TimeoutError):
                    raise _failure(error) from error
                is_resent = True
            except BaseException:  # the caller left, or the address was refused: nobody may use it again
                conn.close()
                raise


class _Exchange:
    """One response being read; the callbacks are httptools'."""

    def __init__(self, conn: Any, sock: socket.socket) -> None:
        self.conn = conn
        self.status = 0
        self._sock = sock
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []
        self._head_bytes = 0
        self._ended = False
        self._keeps_alive = False
        self._parser = httptools.HttpResponseParser(self)

    @property
    def is_reusable(self) -> bool:
        return self._ended and self._keeps_alive

    def await_head(self) -> Iterator[bytes]:
        """Heartbeats until the status and headers are read."""
        while True:
            if self._is_readable() and not self._receive():
                raise ConnectionResetError("closed before an answer")
            if self.status:
                return
            yield b""

    def pieces(self) -> Iterator[bytes]:
        """The body as it arrives, with a heartbeat for every wait, and for everything that brings nothing."""
        while True:
            if self._body:
                yield b"".join(self._body)
                self._body.clear()
            if self._ended:
                return
            if self._is_readable() and not self._receive():
                if "content-length" in self._headers or "transfer-encoding" in self._headers:
                    raise ConnectionResetError("closed inside the body")
                self._ended = True  # without a length the end of the connection is the end of the body
            elif not (self._body or self._ended):
                yield b""

    def refusal(self) -> Generator[bytes, None, BackendError]:
        text = b""
        for piece in self.pieces():
            text += piece
            if len(text) > ERROR_BODY_BYTES:
                break
            yield b""
        return refuse(self.status, text, self._headers.get("retry-after"))

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status >= FIRST_FINAL_STATUS:
            self.status = status
        else:
            self._headers.clear()

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        if self.status:
            self._ended = True
            self._keeps_alive = self._parser.should_keep_alive()

    def _is_readable(self) -> bool:
        if isinstance(self._sock, ssl.SSLSocket) and self._sock.pending():
            return True
        return wait_for_read(self._sock, HEARTBEAT_S)

    def _receive(self) -> bool:
        """Reads once, without waiting. False at the end of the connection."""
        try:
            data = self._sock.recv(READ_BYTES)
        except (BlockingIOError, ssl.SSLWantReadError):  # what woke us was TLS's own business
            return True
        if not self.status:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES:
                raise BadAnswer("the response's head is too large")
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            if isinstance(error.__context__, KeyboardInterrupt):
                raise error.__context__ from None  # a Ctrl-C that came while a callback ran, which httptools disguises
            raise BadAnswer(f"not HTTP: {error}") from error
        return bool(data)


def _send(sock: socket.socket, data: bytes, *, idle_s: float) -> None:
    """Over a socket that does not block. Raises TimeoutError when the other side takes nothing for `idle_s`."""
    left = memoryview(data)
    while left:
        try:
            left = left[sock.send(left):]
        except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError) as wanted:
            await_turn = wait_for_read if isinstance(wanted, ssl.SSLWantReadError) else wait_for_write
            if not await_turn(sock, idle_s):
                raise TimeoutError from wanted


def _failure(error: Exception) -> BackendError:
    if isinstance(error, (TimeoutError, ReadTimeoutError)):
        return TimedOut("no response in time")
    if any(isinstance(each, ssl.SSLCertVerificationError) for each in (error, *error.args)):
        return Unreachable(f"no secure connection: {error}", reason="no secure connection")
    return BrokenStream(f"connection lost before an answer: {error!r}", reason="connection reset")
