"""A researched answer: it stays as it is, and ends with a list of what it cites, or a word that there is nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from ...tools.base import Language
from .enforcer import Finding
from .fences import Fence, read
from .sources import NONE, NOTHING, UNCITED, Given, Source, list_sources, says_none
from .tail import SOURCES_HEADING

_MARK = re.compile(
    r"(?i)\[(?:(?:sources?|src|refs?|references?|quellen?|fuentes?|cit|citation|cite)\.?:?[ ]?)?"
    r"(?P<numbers>[0-9]{1,3}(?:[ ]?[,;–-][ ]?[0-9]{1,3}){0,12})\]|【(?P<wide>[0-9]{1,3})[^】\n]{0,80}】")
_SPAN = re.compile(r"(`+)(?!`)[^\n]*?(?<!`)\1(?!`)")
_RANGE = re.compile(r"([0-9]+)(?: ?[–-] ?([0-9]+))?")
_INDENTED = re.compile(r"(?m)(?:\A|(?<=\n)[ \t]*\r?\n)((?: {4}|\t)[^\n]*(?:\n|\Z))+")
_MOST_CITED = 20


class Cited:
    """Passes an answer on as it comes: whether a number in brackets cites, is an index or a rank, nobody can tell. A
    list of sources of the model's own stays, and ours is added to none. Where a request brought sources without numbers
    along, or a text to work on, nothing can be checked by numbers."""

    def __init__(
        self, *, sources: Sequence[Source] = (), given: Given = NOTHING, language: Language = "en"
    ) -> None:
        """`sources` are those that it was told to cite, `given` those that the request brought along."""
        self.findings: list[Finding] = []
        self._language: Language = language
        self._sources: Mapping[int, Source] = dict(enumerate(sources, 1)) or given.numbered
        self._is_free = not sources and (given.has_others or (given.has_text and not given.numbered))
        self._shown: list[str] = []

    @property
    def said(self) -> str:
        """What was passed on."""
        return "".join(self._shown)

    def feed(self, text: str) -> str:
        return self.say(text)

    def finish(self, *, is_over: bool = True) -> str:
        said = self.said
        if not is_over or not said.strip() or self._is_free:
            return ""
        prose = find_prose(said)
        has_list, marks = bool(SOURCES_HEADING.search(prose)), set(find_marks(prose))
        if self._sources:
            cited = {number: source for number, source in self._sources.items() if number in marks}
            return self.add(list_sources(cited, self._language)) if cited and not has_list else ""
        self.findings.append(Finding("no_sources"))
        notes = [] if says_none(said) else [NONE[self._language]]
        if marks and not has_list and UNCITED[self._language] not in said:
            notes.append(UNCITED[self._language])
        return self.add(f"*{' '.join(notes)}*") if notes else ""

    def say(self, text: str) -> str:
        self._shown.append(text)
        return text

    def add(self, section: str) -> str:
        """`section` as the next paragraph; a block of code that was left open ends before it."""
        ended = self.end_block()
        said = self.said
        return ended + self.say("\n" * (2 - min(2, len(said) - len(said.rstrip("\n")))) + section)

    def end_block(self) -> str:
        """What ends a block of code that what was said left open."""
        fence = find_open(self.said)
        if fence is None:
            return ""
        before = "" if self.said.endswith("\n") else "\n"
        return self.say(f"{before}{re.sub(r'[^ >]', ' ', fence.prefix)}{fence.mark}\n")


def find_prose(text: str) -> str:
    """What of it is no code."""
    prose = "".join(piece.raw if piece.kind == "prose" else "\n" for piece in read(text))
    return _SPAN.sub("", _INDENTED.sub("\n", prose))


def find_marks(prose: str) -> Iterator[int]:
    """The numbers that stand in brackets, with those between two that are joined."""
    for found in _MARK.finditer(prose):
        for first, last in _RANGE.findall(found["numbers"] or found["wide"]):
            yield from range(int(first), min(int(last or first), int(first) + _MOST_CITED) + 1)


def find_open(text: str) -> Fence | None:
    """The block of code that a text leaves open."""
    pieces = read(f"{text}\n")  # a fence that opens has a line of its own
    return pieces[-1].fence if pieces and pieces[-1].kind in ("open", "code") else None
