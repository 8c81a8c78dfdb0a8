"""Steps: what a fake upstream does with one request, from a plain answer to a connection reset.

`after` and `at` count the frames that carry content (a streamed part each). An answer that is not streamed is its
whole body cut into as many pieces as it has parts, so every fault strikes there too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.fakes.reply import Answer, Fault, Step, Voice
from tests.fakes.speech import ToolCall, split_words
from tests.fakes.wire import FOREVER_S, Exchange, Pace, Request, to_json

Call = tuple[str, Mapping[str, Any]]
Scripted = Step | Callable[[Request], Step]


@dataclass(frozen=True)
class HttpError(Step):
    status: int
    body: Mapping[str, Any] | str | bytes | None
    headers: Mapping[str, str]
    message: str
    code: str | None
    delay_s: float

    def play(self, exchange: Exchange, voice: Voice) -> None:
        exchange.wait(self.delay_s)
        body, media_type = self.body, "application/json"
        if body is None:
            body = to_json(voice.complain(self.status, self.message, self.code))
        elif isinstance(body, Mapping):
            body = to_json(body)
        else:
            media_type = "text/plain; charset=utf-8"
        data = body.encode() if isinstance(body, str) else body
        exchange.reply(self.status, data, media_type=media_type, headers=dict(self.headers))


@dataclass(frozen=True)
class Reset(Step):
    delay_s: float
    is_gentle: bool

    def play(self, exchange: Exchange, voice: Voice) -> None:
        exchange.wait(self.delay_s)
        if self.is_gentle:
            exchange.hang_up()
        exchange.reset()


@dataclass(frozen=True)
class Hang(Step):
    with_headers: bool

    def play(self, exchange: Exchange, voice: Voice) -> None:
        if self.with_headers:
            exchange.start(200, voice.media_type, headers={}, length=None)
        exchange.wait(FOREVER_S)


@dataclass(frozen=True)
class Raw(Step):
    body: bytes
    media_type: str

    def play(self, exchange: Exchange, voice: Voice) -> None:
        exchange.reply(200, self.body, media_type=self.media_type, headers={})


@dataclass(frozen=True)
class ErrorLine(Step):
    message: str
    before: Answer

    def play(self, exchange: Exchange, voice: Voice) -> None:
        if voice.is_streamed:
            self.before.play(exchange, voice)
        else:
            body = to_json(voice.complain(500, self.message, None))
            exchange.reply(200, body, media_type=voice.media_type, headers={})


def answer(
    text: str | None = None,
    *,
    chunks: Sequence[str] | None = None,
    thinking: str | Sequence[str] = (),
    tool_calls: Sequence[ToolCall | Call] = (),
    **how: Any,
) -> Answer:
    """An answer, by default one that says who was asked what.

    `text` is cut into words, `chunks` go out as they are. `how` takes `usage` (None: there is none; a mapping: just
    that, in the wire's words), `finish`, and three delays: `delay_s` before the headers, `first_token_delay_s` after
    them, `chunk_delay_s` after each chunk.
    """
    if text is not None:
        chunks = split_words(text)
    return Answer(
        chunks=None if chunks is None else tuple(chunks),
        thinking=tuple(split_words(thinking) if isinstance(thinking, str) else thinking),
        tool_calls=tuple(ToolCall(*call) for call in tool_calls),
        **how,
    )


def http_error(
    status: int,
    body: Mapping[str, Any] | str | bytes | None = None,
    *,
    headers: Mapping[str, str] | None = None,
    message: str | None = None,
    code: str | None = None,
    delay_s: float = 0.0,
) -> Step:
    """An error status; without a `body` the protocol's own error object says `message`."""
    return HttpError(status, body, headers or {}, message or f"injected failure {status}", code, delay_s)


def reset(*, delay_s: float = 0.0) -> Step:
    """RST before any byte."""
    return Reset(delay_s, is_gentle=False)


def hang_up(*, delay_s: float = 0.0) -> Step:
    """FIN before any byte, as a server does whose idle limit ran out."""
    return Reset(delay_s, is_gentle=True)


def hang() -> Step:
    """Accepts, never answers."""
    return Hang(with_headers=False)


def headers_then_hang() -> Step:
    """200 at once, then nothing for ever."""
    return Hang(with_headers=True)


def cut(*, after: int, clean: bool = False, torn: bool = False, with_reset: bool = False, **of: Any) -> Step:
    """The connection dies (FIN, or RST `with_reset`); `clean`: the body ends well, but the answer is not done.

    `torn`: half of the next frame still goes out.
    """

    def strike(exchange: Exchange, _: Voice, frames: Iterator[bytes]) -> None:
        if torn:
            frame = next(frames, b"")
            exchange.send(frame[: len(frame) // 2])
        if with_reset:
            exchange.reset()
        if not clean:
            exchange.hang_up()

    return answer(fault=Fault(after, strike, resumes=False), **of)


def stall(*, after: int, for_s: float, **of: Any) -> Step:
    """Falls silent for a while, then goes on to a good end."""
    return answer(fault=Fault(after, lambda exchange, *_: exchange.wait(for_s), resumes=True), **of)


def garbage(body: bytes = b"<html><body>502 Bad Gateway</body></html>", *, media_type: str = "text/html") -> Step:
    """200 with something that is no answer."""
    return Raw(body, media_type)


def invalid_chunk(*, at: int, **of: Any) -> Step:
    """One more frame that is no JSON and looks like none; all of the answer is there around it."""

    def strike(exchange: Exchange, voice: Voice, _: Iterator[bytes]) -> None:
        exchange.send(voice.frame(b"~ still busy"))

    return answer(fault=Fault(at, strike, resumes=True), **of)


def no_done(**of: Any) -> Step:
    """All of the answer but its last frame: no `[DONE]`, or in Ollama's words no line with `done: true`."""
    return answer(ends_with_mark=False, **of)


def error_line(*, after: int, message: str = "injected failure", **of: Any) -> Step:
    """200, then an error in-band and the end; `after=0`: the 200 that is an error; not streamed: it is the body."""

    def strike(exchange: Exchange, voice: Voice, _: Iterator[bytes]) -> None:
        exchange.send(voice.frame(to_json(voice.complain(500, message, None))))

    return ErrorLine(message, answer(fault=Fault(after, strike, resumes=False), **of))


def empty(**of: Any) -> Step:
    """Done, and nothing was said."""
    return answer(chunks=(), **of)


def endless(*, interval_s: float, text: str = "on and on ", **of: Any) -> Step:
    """Chunks for ever (the request's token limit does end it); not streamed: it never answers."""
    return answer(chunks=split_words(text), chunk_delay_s=interval_s, repeats=True, **of)


def huge(*, line_bytes: int) -> Step:
    """One chunk of so much text."""
    return answer(chunks=("x" * line_bytes,))


def slow_drip(*, interval_s: float, **of: Any) -> Step:
    """Byte by byte, headers too."""
    return answer(pace=Pace(segment_sizes=(1,), pause_s=interval_s), **of)


def fragmented(**of: Any) -> Step:
    """Lines, characters and HTTP chunks are all cut where they should not be."""
    return answer(pace=Pace(chunk_sizes=(1, 2, 3, 5, 8), segment_sizes=(3, 1, 4, 1, 5), pause_s=0.001), **of)
