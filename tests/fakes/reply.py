"""An answer and how it goes out: its parts, its delays, and a fault that may strike in the middle."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain, cycle, islice

from tests.fakes.speech import Ask, Part, Speech, Text, Thinking, ToolCall, Usage, answer_by_default
from tests.fakes.wire import FOREVER_S, Exchange, Pace

Complaint = Callable[[int, str, str | None], object]


class Voice(ABC):
    """How one endpoint words an answer: all that a step needs to know of a protocol.

    `key` is the name by which a request takes a step of a script (beside its path), `complain` makes the body of an
    error from its status, message and code.
    """

    key: str | None = None
    ask: Ask | None = None
    is_streamed = False
    media_type = "application/json"
    load_s = 0.0

    def __init__(self, complain: Complaint) -> None:
        self.complain = complain

    def open(self) -> list[bytes]:
        """Frames before the first part."""
        return []

    def say(self, part: Part) -> list[bytes]:
        raise NotImplementedError

    def end(self, speech: Speech) -> list[bytes]:
        """Frames after the last part; the very last is the mark that says done."""
        raise NotImplementedError

    @abstractmethod
    def tell(self, speech: Speech) -> bytes:
        """The whole answer in one piece."""

    def frame(self, payload: bytes) -> bytes:
        return payload


class Step(ABC):
    """What happens to one request."""

    @abstractmethod
    def play(self, exchange: Exchange, voice: Voice) -> None: ...


@dataclass(frozen=True)
class Fault:
    """Strikes once `after` content frames are out; then the answer goes on if it `resumes`, else the body ends."""

    after: int
    strike: Callable[[Exchange, Voice, Iterator[bytes]], None]
    resumes: bool


@dataclass(frozen=True, kw_only=True)
class Answer(Step):
    """See `answer` for the fields."""

    chunks: tuple[str, ...] | None = None
    thinking: tuple[str, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()
    usage: Usage = "counted"
    finish: str | None = None
    delay_s: float = 0.0
    first_token_delay_s: float = 0.0
    chunk_delay_s: float = 0.0
    pace: Pace = field(default_factory=Pace)
    repeats: bool = False
    ends_with_mark: bool = True
    fault: Fault | None = None

    def play(self, exchange: Exchange, voice: Voice) -> None:
        exchange.wait(self.delay_s)
        exchange.pace = self.pace
        speech = self._speak(voice.ask)
        if voice.is_streamed:
            self._stream(exchange, voice, speech)
        else:
            self._tell(exchange, voice, speech)

    def _speak(self, ask: Ask | None) -> Speech:
        parts = self._scripted_parts()
        limit = ask.token_limit if ask else None
        if self.chunks is None and not self.thinking and not self.tool_calls:
            parts = answer_by_default(ask) if ask else []
        return Speech(parts, limit=limit, finish=self.finish, usage=self.usage)

    def _scripted_parts(self) -> Iterable[Part]:
        chunks = cycle(self.chunks or ()) if self.repeats else self.chunks or ()
        return chain(map(Thinking, self.thinking), self.tool_calls, map(Text, chunks))

    def _stream(self, exchange: Exchange, voice: Voice, speech: Speech) -> None:
        exchange.start(200, voice.media_type, headers={}, length=None)
        exchange.wait(self.first_token_delay_s)
        self._send(exchange, voice.open())
        frames = (frame for part in speech for frame in voice.say(part))
        if self._send_content(exchange, voice, frames):
            self._send(exchange, voice.end(speech)[: None if self.ends_with_mark else -1])
        exchange.end()

    def _tell(self, exchange: Exchange, voice: Voice, speech: Speech) -> None:
        exchange.wait(FOREVER_S if self.repeats else 0)
        body = voice.tell(speech)
        exchange.wait(self.chunk_delay_s * speech.count)
        exchange.start(200, voice.media_type, headers={}, length=None if self.fault else len(body))
        exchange.wait(self.first_token_delay_s)
        self._send_content(exchange, voice, _cut(body, max(speech.count, 1)))
        exchange.end()

    def _send_content(self, exchange: Exchange, voice: Voice, frames: Iterator[bytes]) -> bool:
        """Whether the answer may end as usual."""
        pause_s = self.chunk_delay_s if voice.is_streamed else 0.0
        if self.fault is not None:
            self._send(exchange, islice(frames, self.fault.after), pause_s=pause_s)
            self.fault.strike(exchange, voice, frames)
            if not self.fault.resumes:
                return False
        self._send(exchange, frames, pause_s=pause_s)
        return True

    def _send(self, exchange: Exchange, frames: Iterable[bytes], *, pause_s: float = 0.0) -> None:
        for frame in frames:
            exchange.send(frame)
            exchange.wait(pause_s)


def _cut(data: bytes, count: int) -> Iterator[bytes]:
    size = -(-len(data) // count) or 1
    return (data[start : start + size] for start in range(0, len(data), size))
