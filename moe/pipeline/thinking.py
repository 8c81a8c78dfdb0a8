"""Reasoning that a model writes into its answer, lifted out of it: only what opens the answer, however it is cut."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ..backends.dialogue.thought import Thought
from ..core import Chunk, Heartbeat, Text, Thinking, TokenLogprob

_MARKS = {
    "<think>": "</think>",
    "<thinking>": "</thinking>",
    "[THINK]": "[/THINK]",
    "<|channel|>analysis<|message|>": "<|end|><|start|>assistant<|channel|>final<|message|>",
}
# White space before the first letter is held back no further than this.
MOST_BLANK = 64
_BEAT = Heartbeat()


def lift(chunks: Iterator[Chunk], *, is_wanted: bool = True) -> Iterator[Chunk]:
    """Passes `chunks` on with the reasoning at the answer's beginning as Thinking; a heartbeat for what is held back.

    Where it is not wanted, all reasoning is left out.
    """
    lifter = Lifter()
    for chunk in chunks:
        found: list[Chunk] = [chunk]
        if isinstance(chunk, Text):
            found = lifter.feed(chunk)
        elif not isinstance(chunk, Heartbeat):
            found = [*lifter.finish(), chunk]
        if not is_wanted:
            found = [each for each in found if not isinstance(each, Thinking)]
        yield from found or (_BEAT,)
        if lifter.is_over and is_wanted:
            yield from chunks


class Lifter:
    """One answer. What opens with no mark, or follows the closing one, passes as it came."""

    def __init__(self) -> None:
        self._text = ""
        self._logprobs: tuple[TokenLogprob, ...] = ()
        self._thought = Thought()
        self._read: Callable[[bool], list[Chunk]] | None = self._open

    @property
    def is_over(self) -> bool:
        """Whether all that follows is answer."""
        return self._read is None

    def feed(self, piece: Text) -> list[Chunk]:
        if self._read is None:
            return [piece]
        self._text += piece.text
        self._logprobs += piece.logprobs
        return self._advance(is_last=False)

    def finish(self) -> list[Chunk]:
        """What was held back; nothing is lifted any more."""
        found = self._advance(is_last=True)
        self._read = None
        return found

    def _advance(self, *, is_last: bool) -> list[Chunk]:
        chunks: list[Chunk] = []
        before = None
        while self._read is not None and before != self._read:
            before = self._read
            chunks += before(is_last)
        return chunks

    def _open(self, is_last: bool) -> list[Chunk]:
        stripped = self._text.lstrip()
        mark = next((mark for mark in _MARKS if stripped.startswith(mark)), None)
        if mark is not None:
            self._text, self._thought, self._read = stripped[len(mark) :], Thought(_MARKS[mark]), self._think
        elif is_last or len(self._text) - len(stripped) > MOST_BLANK or not _may_be_mark(stripped):
            self._read = self._pass
        return []

    def _think(self, is_last: bool) -> list[Chunk]:
        said, self._text = self._thought.take(self._text, is_last=is_last)
        if self._thought.is_over:
            self._read = self._pause
        return [*said]

    def _pause(self, is_last: bool) -> list[Chunk]:
        self._text = self._text.lstrip()
        if self._text or is_last:
            self._read = self._pass
        return []

    def _pass(self, is_last: bool) -> list[Chunk]:
        text, self._text, self._read = self._text, "", None
        return [Text(text, _tail(self._logprobs, text))] if text else []


def _may_be_mark(text: str) -> bool:
    return any(mark.startswith(text) for mark in _MARKS)


def _tail(logprobs: tuple[TokenLogprob, ...], text: str) -> tuple[TokenLogprob, ...]:
    """Those of the tokens that lie wholly in `text`, which is the end of what they spell."""
    left, first = len(text), len(logprobs)
    while first and len(logprobs[first - 1].token) <= left:
        first -= 1
        left -= len(logprobs[first].token)
    return logprobs[first:]
