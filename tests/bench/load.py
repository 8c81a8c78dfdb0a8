"""A closed-loop client: some connections, each of which asks again as soon as it was answered."""

from __future__ import annotations

import asyncio
import json
import subprocess
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

from tests.bench.process import cpu_s

OPENAI, OLLAMA = "/v1/chat/completions", "/api/chat"
HANG_S = 60.0


class Target(NamedTuple):
    """A server to ask; `model` is what it is asked for where a case names none, `pid` whose CPU is counted."""

    name: str
    port: int
    model: str = ""
    pid: int = 0
    key: str = ""
    speaks: tuple[str, ...] = (OPENAI, OLLAMA)


class Started(NamedTuple):
    """A server that answered for the first time `seconds` after it was started."""

    process: subprocess.Popen[str]
    target: Target
    seconds: float


class Reply(NamedTuple):
    """Times are perf_counter's; `marked_s` is when the mark was first seen, 0 if never."""

    status: int
    marked_s: float
    ended_s: float
    keeps_alive: bool


class Sample(NamedTuple):
    """One target under one load for a while: times in milliseconds, each of a good answer."""

    elapsed_s: float
    cpu_s: float
    total_ms: list[float]
    first_ms: list[float]
    errors: list[str]

    @property
    def per_s(self) -> float:
        return len(self.total_ms) / self.elapsed_s


class Connection(asyncio.Protocol):
    """Asks one thing at a time; `mark` is what a good answer holds, and when it comes is noted."""

    def __init__(self, mark: bytes) -> None:
        self._mark = mark
        self._received = bytearray()
        self._marked_s = 0.0
        self._reply: asyncio.Future[Reply] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport

    def connection_lost(self, reason: Exception | None) -> None:
        if self._reply is not None and not self._reply.done():
            self._reply.set_exception(ConnectionResetError(f"closed in mid-answer: {reason}"))

    def data_received(self, data: bytes) -> None:
        now = time.perf_counter()
        self._received += data
        if not self._marked_s and self._is_marked(data):
            self._marked_s = now
        if self._reply is not None and not self._reply.done() and self._is_whole():
            head = self._received.partition(b"\r\n\r\n")[0].lower()
            keeps_alive = b"\r\nconnection: close" not in head
            self._reply.set_result(Reply(int(head[9:12]), self._marked_s, now, keeps_alive))

    async def ask(self, request: bytes) -> Reply:
        self._received.clear()
        self._marked_s = 0.0
        self._reply = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._reply

    def close(self) -> None:
        self._transport.close()

    @property
    def has_spoken(self) -> bool:
        return bool(self._marked_s)

    @property
    def received(self) -> bytes:
        """The answer so far, its head included."""
        return bytes(self._received)

    @property
    def end(self) -> bytes:
        """The last of what was received, for an error message."""
        return bytes(self._received[-160:])

    def _is_marked(self, data: bytes) -> bool:
        return self._mark in data

    def _is_whole(self) -> bool:
        head, separator, body = self._received.partition(b"\r\n\r\n")
        if not separator:
            return False
        _, name, length = head.lower().partition(b"content-length:")
        if name:
            return len(body) >= int(length.split(b"\r\n")[0])
        return self._received.endswith(b"\r\n0\r\n\r\n")  # nothing comes after it: nothing else was asked


async def connect(target: Target, mark: bytes) -> Connection:
    loop = asyncio.get_running_loop()
    _, connection = await loop.create_connection(lambda: Connection(mark), "127.0.0.1", target.port)
    return connection


async def run(target: Target, requests: Iterator[bytes], *, mark: bytes, clients: int, seconds: float) -> Sample:
    """`clients` connections share `requests` for `seconds`, then finish what they began."""
    sample = Sample(0.0, 0.0, [], [], [])
    cpu_began = cpu_s(target.pid) if target.pid else 0.0
    began = time.perf_counter()
    loops = [asyncio.ensure_future(_ask_on(target, requests, sample, mark=mark, until=began + seconds))
             for _ in range(clients)]
    ended, hanging = await asyncio.wait(loops, timeout=seconds + HANG_S)
    for loop in hanging:
        loop.cancel()
        sample.errors.append(f"{target.name}: no answer within {HANG_S:.0f} s")
    for loop in ended:
        loop.result()
    elapsed_s = time.perf_counter() - began
    return sample._replace(elapsed_s=elapsed_s, cpu_s=cpu_s(target.pid) - cpu_began if target.pid else 0.0)


async def _ask_on(target: Target, requests: Iterator[bytes], sample: Sample, *, mark: bytes, until: float) -> None:
    connection = await connect(target, mark)
    keeps_alive = True
    try:
        while (began := time.perf_counter()) < until:
            if not keeps_alive:
                connection.close()
                connection = await connect(target, mark)
            reply = await connection.ask(next(requests))
            keeps_alive = reply.keeps_alive
            if reply.status == 200 and reply.marked_s:
                sample.total_ms.append((reply.ended_s - began) * 1000)
                sample.first_ms.append((reply.marked_s - began) * 1000)
            else:
                sample.errors.append(f"{target.name}: status {reply.status}, ending {connection.end!r}")
    except OSError as error:
        sample.errors.append(f"{target.name}: {error}")
    finally:
        connection.close()


def write_post(path: str, value: Any, *, key: str = "") -> bytes:
    body = json.dumps(value).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    right = f"\r\nAuthorization: Bearer {key}" if key else ""
    return f"{head}{right}\r\n\r\n".encode() + body


def write_get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
