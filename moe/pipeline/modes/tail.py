"""A list of sources at the end of a report, kept back so that what is added stands before it."""

from __future__ import annotations

import re
from collections.abc import Iterable

from .fences import Piece, Reader

_NAMES = (r"sources?(?: cited| used| list)?|list of sources|references?|bibliography|works cited|citations|"
          r"quellen?|quellenangaben|quellenverzeichnis|quellennachweise?|literatur|literaturverzeichnis|referenzen|"
          r"einzelnachweise|nachweise|fuentes?(?: consultadas| citadas)?|referencias?(?: bibliográficas)?|bibliografía|"
          r"sources (?:and|&) references|quellen und literatur|fuentes y referencias")
SOURCES_HEADING = re.compile(
    rf"(?im)^ {{0,3}}(?:#{{1,6}}[ \t]+(?:[0-9]{{1,2}}[.)]?[ \t])?(?:\*\*|__)?(?:[^\w\s*]{{1,3}}[ \t])?(?:{_NAMES}):?"
    rf"(?:\*\*|__)?:?[ \t]*#{{0,6}}|(?:\*\*|__)(?:{_NAMES})(?::(?:\*\*|__)|(?:\*\*|__):?)|(?:{_NAMES}):)[ \t]*\r?$")
_HEADING = re.compile(r" {0,3}#{1,6}[ \t]|(?:\*\*|__)[^*_\n]+(?:\*\*|__):?[ \t]*\r?$")
# What may still become a heading is no longer than this, and begins as one.
_LONGEST = 80
_BEGINS = re.compile(rf"(?i) {{0,3}}(?:#|\*|__?|"
                     rf"(?:{_NAMES}):?[ \t]*\r?$|[a-zí&]{{0,12}}(?: [a-zí&]{{0,12}}){{0,2}}$|$)")


class Tail:
    """One text. What `feed` gives comes before the list, which `release` gives; another heading ends the list too."""

    def __init__(self) -> None:
        self._reader = Reader()
        self._is_start = True
        self._line = ""
        self._held: list[str] | None = None

    @property
    def is_holding(self) -> bool:
        return self._held is not None

    def feed(self, text: str) -> str:
        return self._pass(self._reader.feed(text))

    def settle(self) -> str:
        """What of the text, which is over, comes before the list."""
        return self._pass(self._reader.finish()) + "".join(self._decide())

    def release(self) -> str:
        """The list, after the rest."""
        before = self.settle()
        held, self._held = self._held or [], None
        return before + "".join(held)

    def _pass(self, pieces: Iterable[Piece]) -> str:
        return "".join(each for piece in pieces for each in self._weigh(piece))

    def _weigh(self, piece: Piece) -> list[str]:
        is_start, self._is_start = self._is_start, piece.raw.endswith("\n")
        if piece.kind != "prose" or not (is_start or self._line):
            return [*self._decide(), *self._give(piece.raw)]
        self._line += piece.raw
        may_head = len(self._line) < _LONGEST and (self._held is not None or _BEGINS.match(self._line))
        return [] if may_head and not self._is_start else self._decide()

    def _decide(self) -> list[str]:
        """What the line is that has begun."""
        line, self._line = self._line, ""
        out: list[str] = []
        if self._held is not None and _HEADING.match(line):
            out, self._held = self._held, None
        if self._held is None and SOURCES_HEADING.match(line):
            self._held = []
        return [*out, *self._give(line)]

    def _give(self, text: str) -> list[str]:
        if self._held is None:
            return [text]
        self._held.append(text)
        return []
