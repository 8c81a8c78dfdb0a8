"""A researched answer: what it cites is what was given, and the list of it is ours."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

import regex

from ...tools.base import Language
from .enforcer import Finding
from .fences import Fence, Piece, Reader, read
from .marks import Marks
from .sources import NONE, NOTHING, Given, Source, list_sources, says_none

_NAMES = (r"sources?(?: cited| used| list)?|list of sources|references?|bibliography|works cited|citations|"
          r"quellen?|quellenangaben|quellenverzeichnis|quellennachweise?|literatur|literaturverzeichnis|referenzen|"
          r"einzelnachweise|nachweise|fuentes?(?: consultadas| citadas)?|referencias?(?: bibliográficas)?|bibliografía|"
          r"sources (?:and|&) references|quellen und literatur|fuentes y referencias")
_HEADING = regex.compile(
    rf"[ ]{{0,3}}(?:#{{1,6}}[ \t]{{1,4}}(?:[0-9]{{1,2}}[.)]?[ \t])?(?:\*\*|__)?(?:[^\w\s*]{{1,3}}[ \t])?(?:{_NAMES}):?"
    rf"(?:\*\*|__)?:?[ \t]{{0,4}}#{{0,6}}|(?:\*\*|__)(?:{_NAMES})(?::(?:\*\*|__)|(?:\*\*|__):?)|"
    rf"(?:{_NAMES}):)[ \t]{{0,8}}\r?\n",
    regex.IGNORECASE)
_OTHER = re.compile(r" {0,3}#{1,6}[ \t]|[ \t]*(?:\*\*|__)[^*_\n]+(?:\*\*|__):?\s*$")
_ENTRY = re.compile(r"[ \t]*(?:[-*+•]|\d{1,3}[.)]|\[\^?\d{1,3}\]:?|【\d|<?https?:)|[ \t]{2,}\S")
_REFERENCE = re.compile(r"(?im)https?://|\bwww\.|\bdoi\b|\bisbn\b|\b(?:19|20)\d\d\b|"
                        r"^[ \t]*(?:[-*+][ \t]+)?\[\^?\d{1,3}\]|【\d")
_FOOTNOTE = re.compile(r"(?m)^[ \t]*\[\^[^\]\n]{1,40}\]:")
_INDENTED = re.compile(r" {4}|\t")
_LONGEST_MARKER, _LONGEST_BLANK = 16, 64
_ITEM = re.compile(r"[ \t]*(?:[-*+•]|\d{1,9}[.)])[ \t]")


class Cited:
    """Takes invented marks out as they come, in no code. A list of sources of the model's own is held back to its end:
    ours is in its place where sources were given, unless it is of these, and it stays where none were, since it may be
    of use; it is said then that nothing was checked. Where a request brought sources without numbers along, nothing can
    be checked by numbers: all stays as it is."""

    def __init__(
        self, *, sources: Sequence[Source] = (), given: Given = NOTHING, language: Language = "en"
    ) -> None:
        """`sources` are those that it was told to cite, `given` those that the request brought along."""
        self.findings: list[Finding] = []
        self._language: Language = language
        self._given = given
        self._sources: Mapping[int, Source] = dict(enumerate(sources, 1)) or given.numbered
        self._is_free = not sources and given.has_others
        self._reader = Reader()
        self._marks = Marks(self._sources, {source.place for source in self._sources.values() if source.place})
        self._lists_itself = False
        self._line = ""  # the beginning of one, while it is open what it is
        self._opening = ""
        self._is_start = self._was_blank = True
        self._is_list = self._is_code = False
        self._section: list[str] | None = None  # lines of the model's own list
        self._shown: list[str] = []

    @property
    def said(self) -> str:
        """What was passed on."""
        return "".join(self._shown)

    def feed(self, text: str) -> str:
        return self._pass(self._reader.feed(text))

    def finish(self, *, is_over: bool = True) -> str:
        out = self.release()
        if self._marks.removed:
            self.findings.append(Finding("marks_removed", " ".join(self._marks.removed)))
        if not is_over or not self.said.strip() or self._is_free:
            return out
        if self._sources:
            return out if self._lists_itself else out + self.add(list_sources(self._sources, self._language))
        self.findings.append(Finding("no_sources"))
        return out if says_none(self.said) else out + self.add(f"*{NONE[self._language]}*")

    def release(self) -> str:
        """What was held back; the text is over."""
        out = self._pass(self._reader.finish())
        rest = [*self._settle(is_last=True), *self._end_section(), self._marks.feed("", is_last=True)]
        return out + self.say("".join(rest))

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
        self._reader, self._is_start = Reader(), True
        before = "" if self.said.endswith("\n") else "\n"
        return self.say(f"{before}{re.sub(r'[^ >]', ' ', fence.prefix)}{fence.mark}\n")

    def _pass(self, pieces: Iterable[Piece]) -> str:
        return self.say("".join(each for piece in pieces for each in self._weigh(piece)))

    def _weigh(self, piece: Piece) -> list[str]:
        is_start, self._is_start = self._is_start, piece.raw.endswith("\n")
        if piece.kind != "prose":
            settled = self._settle(is_last=True)
            self._was_blank = self._is_code = False
            if self._section is not None:
                self._section.append(piece.raw)
                return settled
            return [*settled, self._marks.feed("", is_last=True), piece.raw]
        if is_start or self._line:
            self._line += piece.raw
            return self._settle(is_last=False)
        return self._go_on(piece.raw)

    def _settle(self, *, is_last: bool) -> list[str]:
        """What the line is that has begun; nothing while more of it may tell."""
        line = self._line
        is_open = not is_last and "\n" not in line
        if not line or (is_open and (self._section is not None or (len(line) < _LONGEST_BLANK and not line.strip()))):
            return []
        heading = _HEADING.match(f"{line}\n" if is_last else line, partial=not is_last)
        if heading is not None and heading.partial:
            return []
        self._line, self._opening = "", ""
        out = self._end_section() if heading is not None or _OTHER.match(line) else []
        if heading is not None:
            self._section = [line]
            return [*out, self._marks.feed("", is_last=True)]
        self._is_code = bool(_INDENTED.match(line)) and not self._is_list and (self._was_blank or self._is_code)
        return [*out, *self._go_on(line)]

    def _go_on(self, text: str) -> list[str]:
        self._opening = (self._opening + text)[:_LONGEST_MARKER]
        if text.endswith("\n"):
            self._was_blank = not self._opening.strip()
            if not self._was_blank:
                self._is_list = bool(_ITEM.match(self._opening)) or (self._is_list and self._opening[:1].isspace())
        if self._section is not None:
            self._section.append(text)
            return []
        return [text if self._is_code or self._is_free else self._marks.feed(text)]

    def _end_section(self) -> list[str]:
        """The model's own list of sources is over: nothing of it where ours is in its place, but what follows it."""
        lines, self._section = self._section, None
        if lines is None:
            return []
        lines = "".join(lines).splitlines(keepends=True)
        size = len(lines) if lines[0].lstrip().startswith("#") else _measure(lines)
        listed = "".join(lines[1:size])
        titles = (source.title for source in self._sources.values() if source.title)
        is_list = bool(_REFERENCE.search(listed)) or any(title in listed for title in titles)
        if self._is_free or not self._sources or not is_list or _FOOTNOTE.search(listed):
            return lines
        if self._given.numbered and all(map(self._given.holds, filter(str.strip, lines[1:size]))):
            self._lists_itself = True
            return lines
        self.findings.append(Finding("sources_replaced", f"{sum(1 for line in lines[1:size] if line.strip())} lines"))
        return [self._marks.feed("".join(lines[size:]))]


def _measure(lines: Sequence[str]) -> int:
    """How many of them are the list with its heading."""
    return next((place for place, line in enumerate(lines)
                 if place and line.strip() and not _ENTRY.match(line) and not _REFERENCE.search(line)), len(lines))


def find_open(text: str) -> Fence | None:
    """The block of code that a text leaves open."""
    pieces = read(f"{text}\n")  # a fence that opens has a line of its own
    return pieces[-1].fence if pieces and pieces[-1].kind in ("open", "code") else None
