"""Which tokens a piece of an answer was made of, so that it leaves with their log probabilities."""

from __future__ import annotations

from collections import deque

from msgspec import Struct

from ...core import TokenLogprob


class Mark(Struct, frozen=True):
    """A token that was written; `end` is the length of all that was written with it, in characters."""

    end: int
    token: TokenLogprob


class Ledger:
    """The tokens of one answer in their order, until what was written of them is said or passed over."""

    def __init__(self) -> None:
        self._open: deque[tuple[int, Mark]] = deque()
        self._end = 0

    def add(self, mark: Mark) -> None:
        self._open.append((self._end, mark))
        self._end = mark.end

    def take(self, start: int, end: int) -> tuple[TokenLogprob, ...]:
        """The tokens of the characters [start, end); those before them are forgotten. A token belongs where it begins,
        and one that adds nothing yet, being half a character, to what follows it."""
        taken: list[TokenLogprob] = []
        while self._open and self._open[0][0] < end:
            begin, mark = self._open.popleft()
            if begin >= start or mark.end > start:
                taken.append(mark.token)
        return tuple(taken)
