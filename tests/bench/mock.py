"""A fast upstream in both dialects, answering from prepared bytes; the model's name tells the shape of the answer.

`mock-n64-i20-d50` says 64 pieces, 20 ms apart, the first after 50 ms; `mock` says 16 pieces at once.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

PLAIN = "mock"
FIRST_TOKEN = "mock-n8-i20-d50"
SLOW = "mock-d200"
PACED = "mock-n16-i20"
ENDLESS = "mock-n1000000-i20"
SAID = "tok "

_STAMP = "2026-01-01T00:00:00Z"
_MODEL = re.compile(rb'"model"\s*:\s*"([^"]*)"')
_STREAMS = re.compile(rb'"stream"\s*:\s*(true|false)')
_LENGTH = re.compile(rb"\r\ncontent-length:\s*(\d+)", re.IGNORECASE)
_SIZE = re.compile(r"-([nid])(\d+)")
_OK = "HTTP/1.1 200 OK\r\nContent-Type: {}\r\n"


class Shape(NamedTuple):
    """How an answer comes; times in seconds."""

    pieces: int
    interval_s: float
    delay_s: float

    @classmethod
    def read(cls, model: str) -> Shape:
        sizes = {kind: int(size) for kind, size in _SIZE.findall(model)}
        return cls(sizes.get("n", 16), sizes.get("i", 0) / 1000, sizes.get("d", 0) / 1000)


class Answer(NamedTuple):
    """The bytes of one answer, whole or in pieces."""

    whole: bytes
    first: bytes
    piece: bytes
    end: bytes


Write = Callable[[str, int], Answer]


def write_openai(model: str, pieces: int) -> Answer:
    about = {"id": "chatcmpl-mock", "created": 1767225600, "model": model}
    usage = {"prompt_tokens": 8, "completion_tokens": pieces, "total_tokens": 8 + pieces}

    def event(delta: dict[str, Any], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        return _chunk(f"data: {json.dumps({**about, 'object': 'chat.completion.chunk', 'choices': [choice]})}\n\n")

    message = {"role": "assistant", "content": SAID * pieces if pieces <= 1000 else SAID}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return Answer(
        whole=_whole({**about, "object": "chat.completion", "choices": [choice], "usage": usage}),
        first=_begin("text/event-stream") + event({"role": "assistant", "content": SAID}),
        piece=event({"content": SAID}),
        end=event({}, "stop") + _chunk("data: [DONE]\n\n") + b"0\r\n\r\n",
    )


def write_ollama(model: str, pieces: int) -> Answer:
    def line(text: str, **more: Any) -> dict[str, Any]:
        message = {"role": "assistant", "content": text}
        return {"model": model, "created_at": _STAMP, "message": message, "done": False, **more}

    ending = {"done": True, "done_reason": "stop", "total_duration": 5, "load_duration": 1, "prompt_eval_count": 8,
              "prompt_eval_duration": 1, "eval_count": pieces, "eval_duration": 1}
    piece = _chunk(json.dumps(line(SAID)) + "\n")
    return Answer(
        whole=_whole(line(SAID * pieces if pieces <= 1000 else SAID, **ending)),
        first=_begin("application/x-ndjson") + piece,
        piece=piece,
        end=_chunk(json.dumps(line("", **ending)) + "\n") + b"0\r\n\r\n",
    )


@lru_cache
def prepare(write: Write, model: str) -> Answer:
    return write(model, Shape.read(model).pieces)


@lru_cache
def describe(path: str) -> bytes:
    """What an Ollama tells of itself: every shape is a model that is in memory."""
    details = {"format": "gguf", "family": "llama", "families": ["llama"], "quantization_level": "Q4_0"}
    models = []
    for name in (PLAIN, FIRST_TOKEN, SLOW, PACED, ENDLESS):
        size = 8 if name == PLAIN else 1  # the largest is what "auto" picks
        about = {"parameter_size": f"{size}B", **details}
        models.append({"name": f"{name}:latest", "model": f"{name}:latest", "size": size * 10**8, "size_vram": 0,
                       "digest": name.encode().hex().ljust(64, "0"), "modified_at": _STAMP, "details": about,
                       "context_length": 4096, "expires_at": "2099-01-01T00:00:00Z"})
    told: dict[str, Any] = {
        "/api/tags": {"models": models},
        "/api/ps": {"models": models},
        "/api/show": {"details": details, "model_info": {"llama.context_length": 8192},
                      "capabilities": ["completion", "tools"]},
        "/api/version": {"version": "0.33.0"},
    }
    return _whole(told.get(path, {"object": "list", "data": [{"id": PLAIN, "object": "model"}]}))


class Connection(asyncio.Protocol):
    """One client, which waits for its answer before it asks again."""

    def __init__(self) -> None:
        self._pending = b""
        self._speaking: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport

    def connection_lost(self, reason: Exception | None) -> None:
        if self._speaking is not None:
            self._speaking.cancel()

    def data_received(self, data: bytes) -> None:
        self._pending += data
        head, separator, body = self._pending.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if separator and len(body) >= (int(length[1]) if length else 0):
            self._pending = b""
            self._answer(head.split(b" ", 2)[1].decode(), body)

    def _answer(self, path: str, body: bytes) -> None:
        write = {"/v1/chat/completions": write_openai, "/api/chat": write_ollama}.get(path)
        if write is None:
            self._transport.write(describe(path))
            return
        named, streams = _MODEL.search(body), _STREAMS.search(body)
        model = named[1].decode() if named else PLAIN
        answer, shape = prepare(write, model), Shape.read(model)
        if streams[1] == b"false" if streams else write is write_openai:
            answer, shape = Answer(answer.whole, answer.whole, b"", b""), shape._replace(pieces=1)
        if shape.interval_s or shape.delay_s:
            self._speaking = asyncio.ensure_future(self._speak(answer, shape))
        else:
            self._transport.write(answer.first + answer.piece * (shape.pieces - 1) + answer.end)

    async def _speak(self, answer: Answer, shape: Shape) -> None:
        await asyncio.sleep(shape.delay_s)
        self._transport.write(answer.first)
        for _ in range(shape.pieces - 1):
            await asyncio.sleep(shape.interval_s)
            self._transport.write(answer.piece)
        self._transport.write(answer.end)


def _begin(kind: str) -> bytes:
    return f"{_OK.format(kind)}Transfer-Encoding: chunked\r\n\r\n".encode()


def _chunk(text: str) -> bytes:
    return f"{len(text.encode()):x}\r\n{text}\r\n".encode()


def _whole(value: Any) -> bytes:
    body = json.dumps(value).encode()
    return f"{_OK.format('application/json')}Content-Length: {len(body)}\r\n\r\n".encode() + body


async def serve() -> None:
    """Prints the port, then answers until it is ended."""
    server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    sys.exit(asyncio.run(serve()))
