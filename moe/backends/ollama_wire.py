"""Ollama's wire: ChatRequest -> JSON body, NDJSON -> chunks."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Struct

from ..core import ChatRequest, Chunk, Done, Image, Message, Text, Thinking, TokenLogprob, ToolCall, ToolResult, Usage
from ..errors import BackendError, BadAnswer, BrokenStream
from ..options import KeepAlive
from .base import BEAT
from .logprobs import read_logprobs
from .refusal import tell_failure
from .tally import Tally

LONGEST_LINE = 16 * 1024 * 1024
MOST = 2**53 - 1  # exact in every JSON reader
_BLANK = b" \t\r\n\0"  # what keeps a connection alive says nothing


class _Function(Struct, frozen=True):
    name: str = ""
    arguments: Any = None


class _Call(Struct):
    function: _Function = _Function()
    id: str = ""


class _Reply(Struct):
    content: str | None = None
    thinking: str | None = None
    tool_calls: list[_Call] | None = None


class _Line(Struct):
    message: _Reply | None = None
    response: str | None = None
    thinking: str | None = None
    done: bool = False
    done_reason: str | None = None
    error: Any = None
    logprobs: Any = None
    context: list[int] | None = None
    load_duration: float | None = None
    prompt_eval_count: float | None = None
    prompt_eval_duration: float | None = None
    eval_count: float | None = None
    eval_duration: float | None = None


_decode_line = msgspec.json.Decoder(_Line).decode


def read_chunks(pieces: Iterator[bytes], *, asked: bytes = b"") -> Iterator[Chunk]:
    """NDJSON -> chunks; texts that arrived together leave together. A call without an id gets one that no other has in
    a conversation, whose turns were `asked`.

    Raises BadAnswer for a body with a line that is no part of an answer, BrokenStream for one without its end mark,
    UpstreamFailure for an error told in the body.
    """
    reader = _Reader(asked)
    for piece in pieces:
        if not piece:
            yield BEAT
            continue
        is_silent = True
        for chunk in reader.read(piece):
            is_silent = False
            yield chunk
        if reader.done is not None:
            yield from _finish(pieces, reader.done)
            return
        if is_silent:  # empty lines, half a line: whoever waits must be able to give up
            yield BEAT
    yield from reader.read(b"\n")
    if reader.done is None:
        reader.complain()
    else:
        yield _done(reader.done)


class _Reader:
    """Cuts the stream into lines and the lines into chunks; stops at the line that says it is the last."""

    def __init__(self, asked: bytes) -> None:
        self.done: _Line | None = None
        self._asked = asked
        self._pending = b""
        self._has_good_line = False
        self._tally = Tally()
        self._calls = itertools.count()
        self._logprobs: tuple[TokenLogprob, ...] = ()

    def read(self, piece: bytes) -> Iterator[Chunk]:
        *lines, self._pending = (self._pending + piece).split(b"\n")
        text = ""
        for raw in lines:
            if not raw.strip(_BLANK):
                continue
            line = _parse(raw)
            if line is None:
                self._tally.miss()
                continue
            self._has_good_line = True
            self._tally.add(pieces=_count_pieces(line), has_called=bool(line.message and line.message.tool_calls))
            if _is_plain(line):
                text += line.message.content if line.message else line.response or ""  # type: ignore[operator]
                continue
            if text:
                yield Text(text)
                text = ""
            yield from self._weigh(line)
            if line.done:
                self._tally.settle(line.eval_count)
                self.done = line
                return
        if text:
            yield Text(text)
        if len(self._pending) > LONGEST_LINE:
            raise BadAnswer("a line without an end")

    def _weigh(self, line: _Line) -> Iterator[Chunk]:
        """The line's chunks, texts with the log probabilities of their tokens, even of those told before them."""
        if line.logprobs and not line.thinking and not (line.message and line.message.thinking):
            self._logprobs += read_logprobs(line.logprobs)
        for chunk in _write_chunks(line, self._calls, self._asked):
            if self._logprobs and isinstance(chunk, Text):
                chunk, self._logprobs = Text(chunk.text, self._logprobs), ()
            yield chunk

    def complain(self) -> None:
        """Raises what an end without an end mark means."""
        if not self._has_good_line:
            raise BadAnswer("not one line of the answer is valid")
        raise BrokenStream("the stream ended without its end mark")


def _is_plain(line: _Line) -> bool:
    """Whether the line carries text and nothing else."""
    if line.done or line.error is not None or line.thinking or line.logprobs:
        return False
    reply = line.message
    if reply is None:
        return line.response is not None
    return reply.content is not None and not reply.thinking and not reply.tool_calls


def _finish(pieces: Iterator[bytes], line: _Line) -> Iterator[Chunk]:
    """Ends the exchange so that the connection can be used again, but waits for nobody: one look is enough."""
    with contextlib.suppress(BackendError):  # the answer is whole; a connection lost after it harms nobody
        next(pieces, None)
    yield _done(line)


def _count_pieces(line: _Line) -> int:
    reply = line.message
    told = (line.response, line.thinking) if reply is None else (reply.content, reply.thinking)
    return sum(map(bool, told))


def _parse(text: bytes) -> _Line | None:
    try:
        return _decode_line(text)
    except (ValueError, RecursionError):
        return None


def _write_chunks(line: _Line, calls: Iterator[int], asked: bytes) -> Iterator[Chunk]:
    if line.error is not None:
        raise tell_failure(_words(line.error))
    reply = line.message
    thinking = line.thinking if reply is None else reply.thinking
    text = line.response if reply is None else reply.content
    if thinking:
        yield Thinking(thinking)
    if text:
        yield Text(text)
    for call in reply.tool_calls or () if reply is not None else ():
        arguments = call.function.arguments
        written = arguments if isinstance(arguments, str) else json.dumps(arguments or {}, ensure_ascii=False)
        call_id = call.id or _invent_id(next(calls), call.function.name, written, asked)
        yield ToolCall(call_id, call.function.name, written)


def _invent_id(place: int, name: str, arguments: str, asked: bytes) -> str:
    return f"call_{place}_{digest(name + arguments + asked.decode('utf-8', 'replace')):08x}"


def _words(error: Any) -> str:
    told = error.get("message") if isinstance(error, dict) else error
    return told if isinstance(told, str) else str(error)


def _done(line: _Line) -> Done:
    reason = line.done_reason or "stop"
    finish: Any = reason if reason in ("stop", "length", "load", "unload") else "stop"
    usage = None
    if line.eval_count is not None or line.prompt_eval_count is not None:
        usage = Usage(
            prompt_tokens=_whole(line.prompt_eval_count),
            completion_tokens=_whole(line.eval_count),
            load_ns=_whole(line.load_duration),
            prompt_ns=_whole(line.prompt_eval_duration),
            completion_ns=_whole(line.eval_duration),
        )
    return Done(finish=finish, usage=usage, context=tuple(line.context or ()))


def _whole(figure: float | None) -> int:
    """What resembles Ollama may write 5.0 for 5."""
    return int(min(max(figure or 0, 0), MOST))


def write_message(message: Message) -> dict[str, Any]:
    written: dict[str, Any] = {"role": message.role, "content": message.text}
    images, calls = [], []
    for part in message.parts:
        if isinstance(part, Image):
            images.append(part.data)
        elif isinstance(part, Thinking):
            written["thinking"] = part.text
        elif isinstance(part, ToolCall):
            calls.append({"id": part.id, "function": {"name": part.name, "arguments": _arguments(part.arguments)}})
        elif isinstance(part, ToolResult):
            written |= {"content": part.content, "tool_name": part.name, "tool_call_id": part.call_id}
    if images:
        written["images"] = images
    if calls:
        written["tool_calls"] = calls
    return written


def write_completion(request: ChatRequest) -> dict[str, Any]:
    completion = request.completion
    if completion is None:
        return {}
    body: dict[str, Any] = {"prompt": completion.prompt}
    for name in ("suffix", "system", "template", "raw", "context"):
        value = getattr(completion, name)
        if value:
            body[name] = value
    if completion.images:
        body["images"] = [image.data for image in completion.images]
    return body


def write_options(request: ChatRequest) -> dict[str, Any]:
    sampling = request.sampling
    options = dict(sampling.options)
    for name in (
        "temperature",
        "top_p",
        "top_k",
        "min_p",
        "presence_penalty",
        "frequency_penalty",
        "repeat_penalty",
        "seed",
    ):
        value = getattr(sampling, name)
        if value is not None:
            options[name] = value
    if sampling.max_tokens is not None:
        options["num_predict"] = sampling.max_tokens
    if sampling.stop:
        options["stop"] = sampling.stop
    return options


def write_keep_alive(value: KeepAlive) -> KeepAlive:
    """Ollama takes a bare number only as a number: "300" in a config would be refused."""
    if isinstance(value, str) and value.lstrip("-").isdigit():
        return int(value)
    return value


def _arguments(text: str) -> Any:
    """Ollama wants an object; what is none travels under a key of its own rather than being lost."""
    try:
        value = json.loads(text or "{}")
    except ValueError:
        return {"_raw": text}
    return value if isinstance(value, dict) else {"_raw": value}


def digest(text: str) -> int:
    """A 32-bit key that is the same in every process."""
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=4).digest(), "big")
