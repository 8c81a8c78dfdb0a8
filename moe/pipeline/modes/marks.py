"""Marks like [1] in a text: those of sources that were given stay, invented ones go."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import regex

from .sources import Source

_NUMBERS = r"[0-9]{1,3}(?:[ ]?[,;–-][ ]?[0-9]{1,3}){0,12}"
_NAMED = r"(?:(?:sources?|src|refs?|references?|quellen?|fuentes?|cit|citation)\.?:?[ ]?)?"
_MARK = regex.compile(
    rf"(?P<blank>[ \t]{{0,8}})(?:\[\^?{_NAMED}(?P<numbers>{_NUMBERS})(?:†[^\]\n]{{0,80}})?\]"
    r"(?:\((?P<link>[^()\s]{0,400})\)|(?=[^(]))|【(?P<numbers>[0-9]{1,3})(?:[:†][^】\n]{0,80})?】)",
    regex.IGNORECASE)
_NEXT = re.compile(r"(?P<mark>[ \t]{0,8}[\[【])|(?P<ticks>`+)|(?P<end>\n)")
_CODE = re.compile(r"(?P<ticks>`+)|(?P<end>\n)")
_BLANKS = re.compile(r"[ \t]{1,8}$")
_RANGE = re.compile(r"([0-9]+)(?: ?[–-] ?([0-9]+))?")
# What makes an index, an interval or a list of what stands in brackets.
_INDEXED = re.compile(r"(?:(?<!\w)[a-z]|[^\W_]_+[^\W_]+|\(\)|\]|\\|"
                      r"(?i:\b(?:array|arr|list|args|argv|nums|matrix|row|col|dp)))$")
_LISTED = re.compile(r"(?:[=∈∉⊂×+/<≤≥\[{]|\w\(|\\in|\b(?i:interval[lo]?|range|bereich|rango|between|arrays?|"
                     r"list[ae]?n?|ve[ck]tor|tuple|tupel|tupla|sequence|indices|indexes|set|domain|input|output|"
                     r"nums))[ \t]*$")
_MOST_CITED = 6
_CONTEXT = 40


_CITED = "\0"  # stands for a mark in what is remembered of a line


class Marks:
    """The marks of one text, given in pieces; a span of code is left alone, up to the end of its line."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self.removed: list[str] = []
        self._sources = sources
        self._places = {source.place for source in sources if source.place}
        self._text = ""
        self._context = ""  # the end of what was passed on of this line
        self._ticks = ""
        self._skips_blank = False

    def feed(self, text: str, *, is_last: bool = False) -> str:
        """What is certain; with `is_last` all there is."""
        self._text += text
        out: list[str] = []
        at, before = 0, -1
        while before < at < len(self._text):
            before = at
            at = self._step(at, out, is_last=is_last)
        self._text = self._text[at:]
        return "".join(out)

    def _step(self, at: int, out: list[str], *, is_last: bool) -> int:
        """How far it is certain; the same place again for no further."""
        if self._skips_blank:
            at += len(self._text) - at - len(self._text[at:].lstrip(" \t"))
            self._skips_blank = at == len(self._text)
        found = (_CODE if self._ticks else _NEXT).search(self._text, at)
        if found is None:
            blanks = None if is_last or self._ticks else _BLANKS.search(self._text, at)
            return self._show(at, blanks.start() if blanks else len(self._text), out)
        at = self._show(at, found.start(), out)
        kind = found.lastgroup
        if kind == "mark":
            return self._judge(at, found.end(), out, is_last=is_last)
        if kind == "ticks":
            if found.end() == len(self._text) and not is_last:
                return at
            if self._ticks in ("", found[0]):
                self._ticks = "" if self._ticks else found[0]
        else:
            self._ticks = ""
        return self._show(at, found.end(), out)

    def _show(self, start: int, end: int, out: list[str]) -> int:
        shown = self._text[start:end]
        out.append(shown)
        self._remember(shown)
        return end

    def _remember(self, shown: str) -> None:
        self._context = (self._context + shown).rpartition("\n")[2][-_CONTEXT:]

    def _judge(self, at: int, end: int, out: list[str], *, is_last: bool) -> int:
        text = f"{self._text}\n" if is_last else self._text
        found = _MARK.match(text, at, partial=not is_last)
        if found is None:
            return self._show(at, end, out)
        if found.partial:
            return at
        cited = self._read(found, text[found.end() : found.end() + 1])
        if cited is None:
            return self._show(at, end, out)
        known = [number for number in cited if number <= len(self._sources)]
        is_known = found["link"] in self._places or (known and not _leads_away(found["link"]))
        if is_known and (known == cited or found["link"] in self._places):
            out.append(found[0])
            self._remember(found["blank"] + _CITED)
            return int(found.end())
        self.removed.append(found[0].strip())
        if is_known:
            out.append(f"{found['blank']}[{', '.join(map(str, known))}]")
            self._remember(found["blank"] + _CITED)
        elif not self._context.strip():
            out.append(found["blank"])
            self._skips_blank = True
        return int(found.end())

    def _read(self, found: Any, following: str) -> list[int] | None:
        """The numbers of a mark, None for what only looks like one."""
        context = self._context + found["blank"]
        defines = found[0].endswith("]") and following == ":" and not context.strip()
        if defines or _INDEXED.search(context) or _LISTED.search(context):
            return None
        numbers: list[int] = []
        for first, last in _RANGE.findall(found["numbers"]):
            if int(last or first) - int(first) >= _MOST_CITED:
                return None
            numbers += range(int(first), int(last or first) + 1)
        is_rising = all(one < two for one, two in zip(numbers, numbers[1:], strict=False))
        return numbers if numbers and numbers[0] > 0 and is_rising and len(numbers) <= _MOST_CITED else None


def _leads_away(link: str | None) -> bool:
    return bool(link) and not link.startswith("#")  # type: ignore[union-attr]
