"""A whole answer that a model put into one block of Markdown, without the fence around it."""

from __future__ import annotations

import re

from .fences import MARKDOWN, Reader

# A heading or a list: the answer has begun.
_BEGUN = re.compile(r"(?m)^ {0,3}(?:#{1,6}|[-*+•]|\d{1,3}[.)])[ \t]")
_MOST_BEFORE = 300


class Unwrap:
    """One text. A block of Markdown that comes after a few words at most is the answer itself; any later one, or one of
    another language, is a block of code as any other."""

    def __init__(self) -> None:
        self._reader = Reader()
        self._before = ""
        self._is_open = self._is_settled = False

    def feed(self, text: str) -> str:
        if self._is_settled:
            return text
        return self._pass(text, is_last=False)

    def finish(self) -> str:
        """What was held back; what is fed after it stays as it is."""
        out = "" if self._is_settled else self._pass("", is_last=True)
        self._is_settled = True
        return out

    def _pass(self, text: str, *, is_last: bool) -> str:
        out: list[str] = []
        for piece in self._reader.finish() if is_last else self._reader.feed(text):
            if self._is_settled:
                out.append(piece.raw)
            elif self._is_open:
                self._is_settled = piece.kind == "close"
                out.append(piece.code)
            elif piece.kind == "open" and piece.fence is not None and piece.fence.language in MARKDOWN:
                self._is_open = True
            else:
                out.append(piece.raw)
                self._before += piece.raw
                self._is_settled = (piece.kind != "prose" or len(self._before) > _MOST_BEFORE
                                    or bool(_BEGUN.search(self._before)))
        return "".join(out) + (self._reader.drain() if self._is_settled else "")
