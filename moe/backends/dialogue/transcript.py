"""Token bytes -> text that may be shown: whole characters only, and nothing of a stop string."""

from __future__ import annotations

import codecs
from collections.abc import Iterable


class Transcript:
    """The text of one answer as it grows. A character or a stop string may be spread over many tokens.

    `length` counts all that was read of it; `stop` is the string that ended it, "" while none has.
    """

    def __init__(self, stops: Iterable[str] = ()) -> None:
        self.stop = ""
        self.length = 0
        self._stops = tuple(stop for stop in stops if stop)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""

    @property
    def is_stopped(self) -> bool:
        return bool(self.stop)

    def feed(self, piece: bytes) -> str:
        """The text that `piece` makes certain, often ""; nothing follows once `is_stopped`."""
        return self._release(self._read(piece))

    def finish(self) -> str:
        """What was held back and turned out to begin no stop string."""
        text = self._release(self._read(b"", is_last=True))
        held, self._held = self._held, ""
        return text if self.is_stopped else text + held

    def _read(self, piece: bytes, *, is_last: bool = False) -> str:
        text = self._decoder.decode(piece, is_last)
        self.length += len(text)
        return self._held + text

    def _release(self, text: str) -> str:
        if not self._stops:
            return text
        found = [(place, stop) for stop in self._stops if (place := text.find(stop)) >= 0]
        if found:
            place, self.stop = min(found, key=lambda each: each[0])
            self._held = ""
            return text[:place]
        certain = len(text) - dangling(text, self._stops)
        self._held = text[certain:]
        return text[:certain]


def dangling(text: str, marks: Iterable[str]) -> int:
    """How many characters at the end of `text` could be the beginning of one of `marks`."""
    longest = 0
    for mark in marks:
        for length in range(min(len(mark) - 1, len(text)), longest, -1):
            if text.endswith(mark[:length]):
                longest = length
                break
    return longest
