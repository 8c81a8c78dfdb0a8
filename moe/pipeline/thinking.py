"""Reasoning that a model writes into its answer, lifted out of it: only what opens the answer, however it is cut."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ..backends.dialogue.thought import Thought
from ..core import Chunk, Heartbeat, Refusal, Text, Thinking, TokenLogprob
from .opening import CLOSING, find_end, is_json, is_surely_over

_TURN, _ANALYSIS, _FINAL = "<|start|>assistant", "<|channel|>analysis<|message|>", "<|channel|>final<|message|>"
_MARKS = {
    "<think>": CLOSING,
    "<thinking>": "</thinking>",
    "[THINK]": "[/THINK]",
    _ANALYSIS: "<|end|>",
}
# What may stand after a thought in a channel, and whether that is one more.
_HEADS = {_ANALYSIS: True, _TURN + _ANALYSIS: True, _FINAL: False, _TURN + _FINAL: False}
# White space before the first letter is held back no further than this.
MOST_BLANK = 64
_HELD = Heartbeat(is_held=True)


def lift(
    chunks: Iterator[Chunk], *, is_wanted: bool = True, begins_inside: bool = False, is_whole: bool = False
) -> Iterator[Chunk]:
    """Passes `chunks` on with the reasoning at the answer's beginning as Thinking; a heartbeat for what is held back.

    Where it is not wanted, all reasoning is left out. `begins_inside`: the mark that opens it may stand in the prompt,
    so an answer without one, if it is no JSON, is held back until the closing one comes. `is_whole`: nobody sees
    the answer before its end, so that can be looked at of any model.
    """
    lifter = Lifter(begins_inside=begins_inside, is_whole=is_whole, is_wanted=is_wanted)
    for chunk in chunks:
        found: list[Chunk] = [chunk]
        if isinstance(chunk, Text) and not isinstance(chunk, Refusal):
            found = lifter.feed(chunk)
        elif not isinstance(chunk, Heartbeat):
            found = [*lifter.finish(), chunk]
        if not is_wanted:
            found = [each for each in found if not isinstance(each, Thinking)]
        yield from found or (_HELD,)
        if lifter.is_over and is_wanted:
            yield from chunks


class Lifter:
    """One answer. What opens with no mark, or follows the closing one, passes as it came."""

    def __init__(self, *, begins_inside: bool = False, is_whole: bool = False, is_wanted: bool = True) -> None:
        self._begins_inside = begins_inside
        self._is_whole = is_whole
        self._is_wanted = is_wanted
        self._text = ""
        self._waiting: list[str] = []
        self._logprobs: list[TokenLogprob] = []
        self._is_cut = self._is_channel = False
        self._thought = Thought()
        self._read: Callable[[bool], list[Chunk]] | None = self._open

    @property
    def is_over(self) -> bool:
        """Whether all that follows is answer."""
        return self._read is None

    def feed(self, piece: Text) -> list[Chunk]:
        if self._read is None:
            return [piece]
        self._logprobs += piece.logprobs
        self._waiting.append(piece.text)
        if self._read == self._await_end and ">" not in piece.text:
            return []  # no mark ends here, and to join all that waits for each piece would take long
        return self._advance(is_last=False)

    def finish(self) -> list[Chunk]:
        """What was held back; nothing is lifted any more."""
        found = self._advance(is_last=True)
        self._read = None
        return found

    def _advance(self, *, is_last: bool) -> list[Chunk]:
        self._text += "".join(self._waiting)
        self._waiting.clear()
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
            self._is_cut, self._is_channel = True, mark == _ANALYSIS
        elif is_last or len(self._text) - len(stripped) > MOST_BLANK or not _may_be_mark(stripped):
            self._read = self._await_end if self._begins_inside or self._is_whole else self._pass
        return []

    def _await_end(self, is_last: bool) -> list[Chunk]:
        """No mark opened a thought, but one may end it; JSON is none."""
        if is_json(self._text):
            self._read = self._pass
            return []
        is_over = self._begins_inside or (is_last and is_surely_over(self._text, is_lost=not self._is_wanted))
        place = find_end(self._text) if is_over else -1
        if place < 0:
            self._read = self._pass if is_last else self._await_end
            return []
        thought, self._text = self._text[:place].strip(), self._text[place + len(CLOSING) :]
        self._is_cut, self._read = True, self._pause
        return [Thinking(thought)] if thought else []

    def _think(self, is_last: bool) -> list[Chunk]:
        said, self._text = self._thought.take(self._text, is_last=is_last)
        if self._thought.is_over:
            self._read = self._follow if self._is_channel else self._pause
        return [*said]

    def _follow(self, is_last: bool) -> list[Chunk]:
        """A thought in a channel is over; what follows has a head of its own, or none."""
        text = self._text.lstrip()
        head = next((head for head in _HEADS if text.startswith(head)), None)
        if head is not None:
            self._text = text[len(head) :]
            self._read = self._think if _HEADS[head] else self._pause
            self._thought = Thought(_MARKS[_ANALYSIS])
        elif is_last or not any(head.startswith(text) for head in _HEADS):
            self._read = self._pause
        return []

    def _pause(self, is_last: bool) -> list[Chunk]:
        self._text = self._text.lstrip()
        if self._text or is_last:
            self._read = self._pass
        return []

    def _pass(self, is_last: bool) -> list[Chunk]:
        text, self._text, self._read = self._text, "", None
        tokens = tuple(self._logprobs)
        return [Text(text, _tail(tokens, text) if self._is_cut else tokens)] if text else []


def _may_be_mark(text: str) -> bool:
    return any(mark.startswith(text) for mark in _MARKS)


def _tail(logprobs: tuple[TokenLogprob, ...], text: str) -> tuple[TokenLogprob, ...]:
    """Those of the tokens that lie wholly in `text`, which is the end of what they spell. A token may be part of a
    character only, so it is the bytes that are counted."""
    left, first = _size(text), len(logprobs)
    while first and (size := _size(logprobs[first - 1].token)) <= left:
        first -= 1
        left -= size
    return logprobs[first:]


def _size(text: str) -> int:
    """In bytes; surrogate escapes stand for one each."""
    try:
        return len(text.encode("utf-8", "surrogateescape"))
    except UnicodeEncodeError:  # half of a pair, as JSON can carry it
        return len(text.encode("utf-8", "surrogatepass"))
