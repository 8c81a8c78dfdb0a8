"""Keeps what people write from being read as control tokens: "<|im_end|>" in a message must not end it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

# A code point that no text uses (private, and the last but one there is) marks the places.
_MARK = "\U0010fffd"
_PLACE = re.compile(f"{_MARK}(\\d+){_MARK}")


class Fence:
    """The control texts of one vocabulary."""

    def __init__(self, controls: Iterable[str]) -> None:
        longest_first = sorted({*controls, _MARK}, key=len, reverse=True)
        self._pattern = re.compile("|".join(re.escape(text) for text in longest_first))

    def guard(self) -> Guarded:
        return Guarded(self._pattern)


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
