"""What the web edge asks of a dialect: one object an endpoint, the same for streams and whole replies."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from ..core import ChatRequest, Chunk, Done
from ..errors import MoeError
from ..replies import Ending, Head, Whole


class StreamWriter(Protocol):
    """Writes one streamed reply; called from one thread, in order."""

    def chunk(self, chunk: Chunk) -> bytes:
        """The bytes for a Text, Thinking or ToolCall; b"" for what the dialect does not show."""

    def end(self, ending: Ending) -> bytes:
        """Everything that closes a good stream."""

    def fail(self, error: MoeError) -> bytes:
        """The in-band error that closes a broken stream; never looks like a good end."""


@runtime_checkable
class TurningWriter(StreamWriter, Protocol):
    """A StreamWriter of a dialect in which one request may ask for several answers."""

    def turn(self, done: Done) -> bytes:
        """What closes one of them; all that follows belongs to the next."""


class Dialect(Protocol):
    """One endpoint's wire format. `keep_alive` is what its clients ignore while they wait."""

    stream_type: str
    keep_alive: bytes

    def parse(self, body: bytes) -> ChatRequest:
        """Raises BadRequest with words that name the field."""

    def writer(self, request: ChatRequest, head: Head) -> StreamWriter: ...

    def reply(self, whole: Whole, head: Head, ending: Ending) -> bytes:
        """A whole JSON reply."""

    def error(self, error: MoeError) -> bytes:
        """A JSON error body."""
