"""Ollama's dialect: /api/chat, /api/generate and, from beside it, the model pages."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from msgspec import Struct

from ..core import ChatRequest, Chunk, Text, Thinking, ToolCall, Usage
from ..errors import MoeError
from ..replies import Ending, Head, Whole
from .logprobs import write_entries
from .ollama_context import write_context
from .ollama_models import ps, show, tagged, tags
from .ollama_wire import parse_chat, parse_generate, parse_show
from .tool import read_arguments
from .wire import call_id, encode, explain

__all__ = ["CHAT", "GENERATE", "Endpoint", "error_body", "parse_show", "ps", "show", "tagged", "tags"]

_NS = 1_000_000_000


def error_body(error: MoeError) -> bytes:
    return encode({"error": explain(error)})


class Shape(Struct, frozen=True):
    """Where the two endpoints differ: what stands before and after each kind of JSON value in a line, and whether the
    last one has a `context` to go on from."""

    text: tuple[bytes, bytes]
    thinking: tuple[bytes, bytes]
    calls: tuple[bytes, bytes]
    write_whole: Callable[[Whole, Head], dict[str, Any]]
    gives_context: bool = False


class Lines:
    """A streamed reply as NDJSON. `now_ns` is the clock, Unix nanoseconds."""

    def __init__(self, shape: Shape, head: Head, now_ns: Callable[[], int]) -> None:
        self._shape = shape
        self._head = head
        self._open = b'{"model":' + encode(head.model) + b',"created_at":"'
        self._stamp = Stamp(now_ns)
        self._calls = 0
        self._said: list[str] = []

    def chunk(self, chunk: Chunk) -> bytes:
        if isinstance(chunk, Text):
            if self._shape.gives_context:
                self._said.append(chunk.text)
            tail = b',"logprobs":' + encode(write_entries(chunk.logprobs)) if chunk.logprobs else b""
            return self._line(self._shape.text, encode(chunk.text), tail)
        if isinstance(chunk, Thinking):
            return self._line(self._shape.thinking, encode(chunk.text))
        if isinstance(chunk, ToolCall):
            call = _call(chunk, self._head, self._calls)
            self._calls += 1
            return self._line(self._shape.calls, encode([call]))
        return b""

    def _line(self, around: tuple[bytes, bytes], value: bytes, tail: bytes = b"") -> bytes:
        before, after = around
        return b"".join((self._open, self._stamp.read(), b'",', before, value, after, tail, b',"done":false}\n'))

    def end(self, ending: Ending) -> bytes:
        whole, said = Whole(done=ending.done), "".join(self._said)
        return encode(_last(self._shape, whole, self._head, ending, stamp=self._stamp, said=said)) + b"\n"

    def fail(self, error: MoeError) -> bytes:
        return error_body(error) + b"\n"


class Stamp:
    """The time as RFC 3339 with nanoseconds; all but these are written once a second."""

    def __init__(self, now_ns: Callable[[], int]) -> None:
        self._now_ns = now_ns
        self._second = -1
        self._date = b""

    def read(self) -> bytes:
        second, rest_ns = divmod(self._now_ns(), _NS)
        if second != self._second:
            self._second = second
            self._date = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second)).encode()
        return b"%b.%09dZ" % (self._date, rest_ns)


class Endpoint:
    """The Dialect of one of the two endpoints."""

    stream_type: str = "application/x-ndjson"
    keep_alive: bytes = b" "  # an empty line would stop ollama-py, which decodes every line

    def __init__(
        self, parse: Callable[[bytes], ChatRequest], shape: Shape, now_ns: Callable[[], int] = time.time_ns
    ) -> None:
        self._parse = parse
        self._shape = shape
        self._now_ns = now_ns

    def parse(self, body: bytes) -> ChatRequest:
        return self._parse(body)

    def writer(self, request: ChatRequest, head: Head) -> Lines:
        return Lines(self._shape, head, self._now_ns)

    def reply(self, whole: Whole, head: Head, ending: Ending) -> bytes:
        return encode(_last(self._shape, whole, head, ending, stamp=Stamp(self._now_ns), said=whole.text))

    def error(self, error: MoeError) -> bytes:
        return error_body(error)


def _last(shape: Shape, whole: Whole, head: Head, ending: Ending, *, stamp: Stamp, said: str) -> dict[str, Any]:
    """A stream's last line, or the one of a whole reply; `said` is the answer either way."""
    finish = ending.done.finish
    line = {
        "model": head.model,
        "created_at": stamp.read().decode(),
        **shape.write_whole(whole, head),
        "done": True,
        "done_reason": "stop" if finish == "tool_calls" else finish,  # Ollama has no word for calls
    }
    if finish not in ("load", "unload"):
        line |= _figures(ending)
    if whole.logprobs:
        line["logprobs"] = write_entries(whole.logprobs)
    context = ending.done.context
    if not context and shape.gives_context and head.asked.messages:
        context = tuple(write_context(head.asked.messages, said))
    if context:
        line["context"] = context
    if ending.extras:
        line["x_moe"] = ending.extras
    return line


def _figures(ending: Ending) -> dict[str, int]:
    """Counts and times in nanoseconds; no time is 0, since clients divide by them."""
    usage = ending.done.usage or Usage()
    prompt_ns = usage.prompt_ns or ending.first_token_ns - usage.load_ns
    completion_ns = usage.completion_ns or ending.elapsed_ns - ending.first_token_ns
    return {
        "total_duration": max(1, ending.elapsed_ns),
        "load_duration": max(1, usage.load_ns),
        "prompt_eval_count": usage.prompt_tokens,
        "prompt_eval_duration": max(1, prompt_ns),
        "eval_count": usage.completion_tokens,
        "eval_duration": max(1, completion_ns),
    }


def _call(call: ToolCall, head: Head, index: int) -> dict[str, Any]:
    function = {"index": index, "name": call.name, "arguments": read_arguments(call.arguments)}
    return {"id": call_id(call, head, index), "function": function}


def _extras(whole: Whole, head: Head) -> dict[str, Any]:
    extras: dict[str, Any] = {"thinking": whole.thinking} if whole.thinking else {}
    if whole.tool_calls:
        extras["tool_calls"] = [_call(call, head, i) for i, call in enumerate(whole.tool_calls)]
    return extras


def _write_message(whole: Whole, head: Head) -> dict[str, Any]:
    return {"message": {"role": "assistant", "content": whole.text, **_extras(whole, head)}}


def _write_response(whole: Whole, head: Head) -> dict[str, Any]:
    return {"response": whole.text, **_extras(whole, head)}


_MESSAGE = b'"message":{"role":"assistant","content":'
CHAT_SHAPE = Shape(
    text=(_MESSAGE, b"}"),
    thinking=(_MESSAGE + b'"","thinking":', b"}"),
    calls=(_MESSAGE + b'"","tool_calls":', b"}"),
    write_whole=_write_message,
)
GENERATE_SHAPE = Shape(
    text=(b'"response":', b""),
    thinking=(b'"response":"","thinking":', b""),
    calls=(b'"response":"","tool_calls":', b""),
    write_whole=_write_response,
    gives_context=True,
)
CHAT = Endpoint(parse_chat, CHAT_SHAPE)
GENERATE = Endpoint(parse_generate, GENERATE_SHAPE)
