"""Clients of every dialect at once: patient ones, slow ones, some that leave in mid-answer, some that talk nonsense."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from random import Random
from typing import Any, NamedTuple

from tests.bench.cases import PROMPTS
from tests.bench.load import HANG_S, OLLAMA, OPENAI, Connection, Reply, Target, write_get, write_post
from tests.bench.speaker import AT_LENGTH, CHAT, EMBEDDER

# Of all streams, and of answers that come whole; some are over before their client wants to leave.
LEAVING, LEAVING_WHOLE, SLOW = 0.35, 0.05, 0.05
LEAVES_WITHIN_S, LEAVES_TINY_WITHIN_S = 0.3, 0.06
AFTER_FAULT_S = 0.2
SLOW_BUFFER_BYTES, SLOW_PAUSE_S = 2048, 0.02
FAULTS = (b'{"error"', b'"error":{', b"event: error")
ROUTED = "lemoe"

Write = Callable[[str], bytes]


class Kind(NamedTuple):
    """One kind of request: `write` makes it of a prompt; a good answer has `status` and holds `mark`.

    Status 0: none is awaited, the client leaves at once.
    """

    name: str
    write: Write
    mark: bytes
    weight: int = 4
    streams: bool = False
    status: int = 200
    leaves_within_s: float = LEAVES_WITHIN_S


class Tally:
    """What was asked and how it went, by the kind's name."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.good: Counter[str] = Counter()
        self.cut: Counter[str] = Counter()
        self.slow: Counter[str] = Counter()
        self.errors: list[str] = []


class Client(Connection):
    """A slow one reads a little, then rests."""

    def __init__(self, *, is_slow: bool) -> None:
        super().__init__(b"HTTP/1.1")
        self._is_slow = is_slow

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._is_slow and not self._transport.is_closing():
            self._transport.pause_reading()
            asyncio.get_running_loop().call_later(SLOW_PAUSE_S, self._transport.resume_reading)

    def send(self, data: bytes) -> None:
        self._transport.write(data)

    def abort(self) -> None:
        """Leaves without a goodbye: a reset, where `close` lets the connection end in order."""
        self._transport.abort()


async def reach(port: int, *, is_slow: bool = False) -> Client:
    loop = asyncio.get_running_loop()
    sock = socket.socket()
    try:
        if is_slow:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SLOW_BUFFER_BYTES)
        sock.setblocking(False)
        await loop.sock_connect(sock, ("127.0.0.1", port))
        _, client = await loop.create_connection(lambda: Client(is_slow=is_slow), sock=sock)
    except BaseException:
        sock.close()
        raise
    return client


def list_kinds(local: str = "") -> list[Kind]:
    """`local`: the name of a model in the server's own process, "" = there is none."""
    kinds = [
        *_talks("OpenAI chat", OPENAI, "messages", (b'"finish_reason":"stop"', b"data: [DONE]")),
        *_talks("Ollama chat", OLLAMA, "messages", (b'"done":true', b'"done":true')),
        *_talks("Ollama generate", "/api/generate", "prompt", (b'"done":true', b'"done":true')),
        *_talks("Anthropic messages", "/v1/messages", "messages", (b'"stop_reason":"', b"message_stop"),
                max_tokens=400),
        *_talks("responses", "/v1/responses", "input", (b'"status":"completed"', b"response.completed")),
        *_talks("completions", "/v1/completions", "prompt", (b'"finish_reason":"', b"data: [DONE]"), max_tokens=400),
        Kind("/api/embed", partial(_ask, "/api/embed", "input", EMBEDDER, {}), b'"embeddings":[['),
        Kind("/v1/embeddings", partial(_ask, "/v1/embeddings", "input", EMBEDDER, {}), b'"embedding":['),
        *(Kind(path, partial(_get, path), mark, weight=1) for path, mark in _LISTS),
        *(Kind(f"nonsense: {name}", partial(_post, body), b'"error"', weight=1, status=status)
          for name, body, status in _NONSENSE),
        Kind("nonsense: half a body", _halve, b"", weight=1, status=0),
    ]
    if local:
        talks = _talks("a model in the process", OPENAI, "messages", (b'"finish_reason":"', b"data: [DONE]"),
                       models=(local,), max_tokens=48)
        kinds += [talk._replace(leaves_within_s=LEAVES_TINY_WITHIN_S) for talk in talks]
    return kinds


async def crowd(
    target: Target, kinds: Sequence[Kind], tally: Tally, *, clients: int, seconds: float, seed: str
) -> None:
    """`clients` ask for `seconds`, then finish what they began and hang up."""
    until = time.perf_counter() + seconds
    await asyncio.gather(*(_keep_asking(target, kinds, tally, Random(f"{seed} {place}"), until)
                           for place in range(clients)))


async def _keep_asking(target: Target, kinds: Sequence[Kind], tally: Tally, random: Random, until: float) -> None:
    weights = [kind.weight for kind in kinds]
    client: Client | None = None
    while time.perf_counter() < until:
        kind = random.choices(kinds, weights)[0]
        tally.asked[kind.name] += 1
        try:
            if kind.streams and random.random() < SLOW:
                await _read_slowly(target, kind, tally, random)
                continue
            client = client or await reach(target.port)
            client = await _visit(client, kind, tally, random)
        except (OSError, TimeoutError) as error:
            tally.errors.append(f"{kind.name}: {type(error).__name__} {error}")
            client = _leave(client)
            await asyncio.sleep(AFTER_FAULT_S)
    _leave(client)


async def _visit(client: Client, kind: Kind, tally: Tally, random: Random) -> Client | None:
    """Asks once; gives the connection back if it may be used again."""
    request = kind.write(random.choice(PROMPTS))
    if not kind.status:
        client.send(request)
        tally.cut[kind.name] += 1
        return _leave(client)
    asking = asyncio.ensure_future(client.ask(request))
    leaves = random.random() < (LEAVING if kind.streams else LEAVING_WHOLE)
    await asyncio.wait([asking], timeout=random.uniform(0, kind.leaves_within_s) if leaves else HANG_S)
    if asking.done():
        _check(kind, asking.result(), client, tally)
        return client if asking.result().keeps_alive else _leave(client)
    asking.cancel()
    if not leaves:
        client.abort()
        raise TimeoutError(f"no answer within {HANG_S:.0f} s, ending {client.end!r}")
    tally.cut[kind.name] += 1
    return _leave(client, rudely=random.random() < 0.5)


async def _read_slowly(target: Target, kind: Kind, tally: Tally, random: Random) -> None:
    client = await reach(target.port, is_slow=True)
    with contextlib.closing(client):
        tally.slow[kind.name] += 1
        request = kind.write(f"{random.choice(PROMPTS)} Tell me {AT_LENGTH}.")
        _check(kind, await asyncio.wait_for(client.ask(request), HANG_S), client, tally)


def _check(kind: Kind, reply: Reply, client: Client, tally: Tally) -> None:
    said = client.received
    if reply.status != kind.status or kind.mark not in said:
        tally.errors.append(f"{kind.name}: status {reply.status}, ending {client.end!r}")
    elif kind.status == 200 and (fault := _find(FAULTS, said)):
        tally.errors.append(f"{kind.name}: {fault.decode()} in an answer ending {client.end!r}")
    else:
        tally.good[kind.name] += 1


def _find(parts: Iterable[bytes], text: bytes) -> bytes | None:
    return next((part for part in parts if part in text), None)


def _leave(client: Client | None, *, rudely: bool = False) -> None:
    if client is None:
        return
    if rudely:
        client.abort()
    else:
        client.close()


def _talks(
    name: str, path: str, key: str, marks: tuple[bytes, bytes], models: Sequence[str] = (ROUTED, CHAT), **more: Any
) -> list[Kind]:
    """One that is answered whole and one that is streamed, of each model; names stand for both models."""
    return [Kind(f"{name}, {'streamed' if streams else 'whole'}",
                 partial(_ask, path, key, model, {**more, "stream": streams}), marks[streams], streams=streams)
            for streams in (False, True) for model in models]


def _ask(path: str, key: str, model: str, more: dict[str, Any], prompt: str) -> bytes:
    said: Any = [{"role": "user", "content": prompt}] if key == "messages" else prompt
    return write_post(path, {"model": model, key: said, **more})


def _get(path: str, prompt: str) -> bytes:
    return write_get(path)


def _post(body: tuple[str, Any], prompt: str) -> bytes:
    return write_post(*body)


def _halve(prompt: str) -> bytes:
    whole = _ask(OPENAI, "messages", ROUTED, {}, prompt)
    return whole[:-len(prompt)]


_LISTS = (("/v1/models", b'"object":"list"'), ("/api/tags", b'"models":['), ("/api/ps", b'"models":['),
          ("/health", b'"nodes":{'))
_NONSENSE: tuple[tuple[str, tuple[str, Any], int], ...] = (
    ("a list", (OPENAI, []), 400),
    ("messages that are none", (OLLAMA, {"model": ROUTED, "messages": "x"}), 400),
    ("no such model", (OPENAI, {"model": "no-such-model", "messages": [{"role": "user", "content": "hi"}]}), 404),
    ("no messages", ("/v1/messages", {"model": ROUTED, "max_tokens": 5}), 400),
    ("no such path", ("/v1/no-such-path", {}), 404),
    ("a number for a text", ("/v1/responses", {"model": ROUTED, "input": 5}), 400),
    ("no input", ("/v1/embeddings", {"model": EMBEDDER}), 400),
)
