"""OpenAI's completions, from before there were chats: a prompt goes on, or a gap in it is filled in.

The prompt reaches the model as it stands, without a chat template; with a `suffix` in the model's own form of a gap.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from ..core import ChatRequest, Chunk, Completion, Done, Sampling, Text
from ..errors import BadRequest, MoeError
from ..replies import Ending, Head, Whole
from .body import Count, Int64, read
from .logprobs import write_columns
from .openai import FINGERPRINT, error_body, usage_of
from .openai_sampling import read_biases, read_stops
from .openai_wire import MOST_ANSWERS, Penalty, StreamOptions
from .wire import encode

DEFAULT_TOKENS = 16
MOST_CHOICES = 64


class _Body(Struct):
    model: str | None = None
    prompt: str | list[Any] | None = None
    suffix: str | None = None
    tools_inline: bool | None = None
    echo: bool | None = None
    n: Annotated[int, Meta(ge=1, le=MOST_ANSWERS)] | None = None
    best_of: Count | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: Annotated[int, Meta(ge=0, le=2**63 - 1)] | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    seed: Int64 | None = None
    stop: str | list[str] | None = None
    logprobs: Annotated[int, Meta(ge=0, le=5)] | None = None
    logit_bias: dict[str, float] | None = None


_decoder = msgspec.json.Decoder(_Body)


def parse_completion(body: bytes) -> ChatRequest:
    asked = read(body, _decoder)
    n = asked.n or 1
    first, *further = prompts = _prompts(asked.prompt)
    if len(prompts) * n > MOST_CHOICES:
        raise BadRequest(f"prompt: at most {MOST_CHOICES} answers to one request", param="prompt")
    if (asked.best_of or n) > n:
        raise BadRequest("best_of: no more answers are written than are given: it may not exceed n", param="best_of")
    _check_echo(asked)
    suffix = asked.suffix or ""
    options = asked.stream_options
    return ChatRequest(
        model=asked.model or "",
        completion=Completion(
            prompt=first, suffix=suffix, raw=not suffix, further=tuple(further), echo=bool(asked.echo),
        ),
        sampling=Sampling(
            temperature=asked.temperature, top_p=asked.top_p, presence_penalty=asked.presence_penalty,
            frequency_penalty=asked.frequency_penalty, seed=asked.seed,
            max_tokens=DEFAULT_TOKENS if asked.max_tokens is None else asked.max_tokens,
            stop=read_stops(asked.stop), logit_bias=read_biases(asked.logit_bias),
        ),
        logprobs=asked.logprobs,
        n=n,
        stream=bool(asked.stream),
        include_usage=options is not None and bool(options.include_usage),
    )


def _check_echo(asked: _Body) -> None:
    if asked.echo and asked.logprobs is not None:
        message = "logprobs: those of an echoed prompt cannot be had here: leave out logprobs or echo"
        raise BadRequest(message, param="logprobs")
    if asked.max_tokens == 0 and not asked.echo:
        raise BadRequest("max_tokens: 0 only gives the prompt back, which takes echo to be true", param="max_tokens")


def _prompts(asked: str | list[Any] | None) -> list[str]:
    prompts: list[Any] = asked if isinstance(asked, list) else [asked]
    if any(isinstance(each, (int, list)) for each in prompts):
        raise BadRequest("prompt: tokens cannot be read here, since they are another model's: send text",
                         param="prompt")
    if not prompts or not all(isinstance(each, str) and each for each in prompts):
        raise BadRequest("prompt: expected a text that is not empty, or an array of such texts", param="prompt")
    return prompts


class Events:
    """A streamed completion as server-sent events."""

    def __init__(self, head: Head, include_usage: bool) -> None:
        self._include_usage = include_usage
        self._stamp = _stamp(head)
        self._index = 0
        self._length = 0

    def chunk(self, chunk: Chunk) -> bytes:
        if not isinstance(chunk, Text):
            return b""
        start = self._length
        self._length += len(chunk.text)
        logprobs = write_columns(chunk.logprobs, start) if chunk.logprobs else None
        return self._write(_choice(self._index, chunk.text, logprobs, None))

    def turn(self, done: Done) -> bytes:
        last = self._write(_choice(self._index, "", None, _finish(done)))
        self._index += 1
        self._length = 0
        return last

    def end(self, ending: Ending) -> bytes:
        extras = {"x_moe": ending.extras} if ending.extras else {}
        events = [self._write(_choice(self._index, "", None, _finish(ending.done)), **extras)]
        if self._include_usage:
            events.append(_event({**self._stamp, "choices": [], "usage": usage_of(ending.done)}))
        return b"".join((*events, b"data: [DONE]\n\n"))

    def fail(self, error: MoeError) -> bytes:
        return b"data: " + error_body(error) + b"\n\n"

    def _write(self, choice: dict[str, Any], **more: Any) -> bytes:
        usage = {"usage": None} if self._include_usage else {}
        return _event({**self._stamp, "choices": [choice], **usage, **more})


class Completions:
    """The Dialect of /v1/completions."""

    stream_type: str = "text/event-stream; charset=utf-8"
    keep_alive: bytes = b": keep-alive\n\n"

    def parse(self, body: bytes) -> ChatRequest:
        return parse_completion(body)

    def writer(self, request: ChatRequest, head: Head) -> Events:
        return Events(head, request.include_usage)

    def reply(self, whole: Whole, head: Head, ending: Ending) -> bytes:
        choices = [
            _choice(index, each.text, write_columns(each.logprobs, each.text_at) if each.logprobs else None,
                    _finish(each.done))
            for index, each in enumerate((whole, *whole.others))
        ]
        body = {**_stamp(head), "choices": choices, "usage": usage_of(ending.done)}
        return encode(body | ({"x_moe": ending.extras} if ending.extras else {}))

    def error(self, error: MoeError) -> bytes:
        return error_body(error)


def _event(body: dict[str, Any]) -> bytes:
    return b"data: " + encode(body) + b"\n\n"


def _choice(index: int, text: str, logprobs: dict[str, Any] | None, finish: str | None) -> dict[str, Any]:
    return {"text": text, "index": index, "logprobs": logprobs, "finish_reason": finish}


def _finish(done: Done) -> str:
    return done.finish if done.finish in ("length", "content_filter") else "stop"


def _stamp(head: Head) -> dict[str, Any]:
    return {
        "id": f"cmpl-{head.request_id}", "object": "text_completion", "created": int(head.created),
        "model": head.model, "system_fingerprint": FINGERPRINT,
    }


COMPLETIONS = Completions()
