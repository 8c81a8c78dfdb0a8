"""A whole answer that a model put into one block of Markdown, without the fence around it."""

from __future__ import annotations

import re

from .fences import MARKDOWN, Piece, Reader

# A heading or a list: the answer has begun.
_BEGUN = re.compile(r"(?m)^ {0,3}(?:#{1,6}|[-*+•]|\d{1,3}[.)])[ \t]")
_FENCE = re.compile(r" {0,3}(?:`{3,}|~{3,})(?P<info>[^`\n]*)\r?\n")
_MOST_BEFORE = 300


class Unwrap:
    """One text. A block of Markdown that comes after a few words at most is the answer itself; any later one, or one of
    another language, is a block of code as any other."""

    def __init__(self) -> None:
        self._reader = Reader(is_patient=True)
        self._before = ""
        self._is_open = self._is_settled = self._is_within = False
        self._held = ""  # a fence without a language, until what follows tells what it is

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
                out.append(self._heed(piece))
            elif piece.kind == "open" and piece.fence is not None and piece.fence.language in MARKDOWN:
                self._is_open = True
            else:
                out.append(piece.raw)
                self._before += piece.raw
                self._is_settled = (piece.kind != "prose" or len(self._before) > _MOST_BEFORE
                                    or bool(_BEGUN.search(self._before)))
        if is_last:
            out.append(self._held)
        return "".join(out) + (self._reader.drain() if self._is_settled else "")

    def _heed(self, piece: Piece) -> str:
        """A line of the block. No block within begins with a blank line: the fence before one ends the whole."""
        if piece.kind == "close":
            self._is_settled = True
            return self._held
        if self._held:
            text = self._held + piece.code
            rest = text.partition("\n")[2]
            if not rest.strip() and "\n" not in rest:
                self._held = text
                return ""
            self._held, self._is_settled, self._is_within = "", not rest.strip(), True
            return rest if self._is_settled else text
        fence = _FENCE.fullmatch(piece.code)
        if fence is not None and not self._is_within and not fence["info"].strip():
            self._held = piece.code
            return ""
        if fence is not None:
            self._is_within = not self._is_within
        return piece.code
