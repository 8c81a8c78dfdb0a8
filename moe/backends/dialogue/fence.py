"""Keeps what people write from being read as control tokens: "<|im_end|>" in a message must not end it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from .prefixes import fold

# A code point that no text uses (private, and the last but one there is) marks the places.
_MARK = "\U0010fffd"
_PLACE = re.compile(f"{_MARK}(\\d+){_MARK}")
_RUN = re.compile(r"\S+|\s+")


class Fence:
    """The control texts of one vocabulary."""

    def __init__(self, controls: Iterable[str]) -> None:
        texts = {*filter(None, controls), _MARK}
        # A vocabulary may have thousands, most with the same beginning: trying each at every "<" would take minutes.
        self._pattern = re.compile(fold(sorted(texts, key=len, reverse=True), spell=re.escape, join=_join))
        self._longest = max(map(len, texts))

    def guard(self) -> Guarded:
        return Guarded(self._pattern)

    def cut(self, text: str, most: int) -> Iterator[str]:
        """The text in pieces, cut only where more than `most` letters follow each other without a space, or spaces
        without a letter, and never within a control text."""
        done, most = 0, max(most, 2 * self._longest)
        for run in _RUN.finditer(text) if len(text) > most else ():
            end = run.end()
            at = max(done, run.start())
            while end - at > most:
                at = self._step_back(text, at + most)
                yield text[done:at]
                done = at
        yield text[done:]

    def _step_back(self, text: str, place: int) -> int:
        """The last place up to this one that lies in no control text."""
        start = max(0, place - self._longest)
        for found in self._pattern.finditer(text, start, place + self._longest):
            if found.start() < place < found.end():
                return found.start()
        return place


class Guarded:
    """The texts of one prompt. `hide` what people wrote, make the prompt of it, then cut that with `split`."""

    def __init__(self, pattern: re.Pattern[str]) -> None:
        self._pattern = pattern
        self._hidden: list[str] = []

    def hide(self, text: str) -> str:
        return self._pattern.sub(self._place, text)

    def split(self, prompt: str) -> Iterator[tuple[str, bool]]:
        """Pieces with whether control texts in them are meant as such."""
        at = 0
        for place in _PLACE.finditer(prompt) if self._hidden else ():
            yield prompt[at : place.start()], True
            yield self._hidden[int(place[1])], False
            at = place.end()
        yield prompt[at:], True

    def _place(self, found: re.Match[str]) -> str:
        self._hidden.append(found[0])
        return f"{_MARK}{len(self._hidden) - 1}{_MARK}"


def _join(either: list[str], may_miss: bool) -> str:
    return f"(?:{'|'.join(either)}){'?' if may_miss else ''}"
