"""A concise answer: at most 120 words, cut where a sentence ends."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from typing import Literal

from msgspec import Struct

from ..symptoms import read_symptoms
from .enforcer import Finding
from .fences import read
from .words import count_words, find_sentence_ends, find_words

MOST_WORDS = 120
# A block that comes after fewer words than these is the answer itself, and they only announce it.
_FEW_WORDS = 20
# What has less than this of the words that it may have is no shorter version of an answer.
_LEAST_SHARE = 0.25
_LEAD_IN = re.compile(
    r"(?i)\s*(?=[^\n]{1,120}[:：][*_]*[ \t]*\n)"
    r"(?=[^\n]*\b(?:shorter|short|concise|condensed|brief|version|answer|summary|"
    r"kürzer\w*|kurz\w*|gekürzt\w*|knapp\w*|fassung|antwort|más corta|breve|versión|respuesta|resumen)\b)"
    r"[^\n.!?]*(?:[.!?][^\n.!?]*)?[:：][*_]*[ \t]*\n\s*(?=\S)")
_ITEM = re.compile(r"[ \t>]*(?:[-*+•–]|\d{1,9}[.)])[ \t]+")
_HEADING = re.compile(r" {0,3}#{1,6}(?:[ \t]|$)|[ \t]*(?:\*\*|__)[^*_\n]+(?:\*\*|__):?[ \t]*$|"
                      r"[ \t]*(?:[-*_][ \t]*){3,}$")
_ROW = re.compile(r"[ \t]*\|.*\|[ \t]*$")
_RULE = re.compile(r"[ \t]*\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)+\|?[ \t]*$")
_INDENTED = re.compile(r" {4}|\t")
_MATHS = (("$$", "$$"), ("\\[", "\\]"))
_Kind = Literal["blank", "heading", "prose", "item", "code", "table", "maths"]
_SOLID = ("code", "table", "maths")


class _Unit(Struct):
    """A part of a text that is cut as its kind allows."""

    kind: _Kind
    start: int
    end: int


class Concise:
    """Keeps an answer to its end, since nobody can take words back. Whoever asks once more for a shorter one begins
    with an enforcer for that. `most` may be set to its end, where something else has to have room beside it."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []
        self.most = MOST_WORDS
        self._said: list[str] = []

    def feed(self, text: str) -> str:
        self._said.append(text)
        return ""

    @property
    def said(self) -> str:
        return "".join(self._said)

    def finish(self, *, is_over: bool = True) -> str:
        text, self._said = self.said, []
        kept = cut(text, most=self.most)
        if kept != text:
            self.findings.append(Finding("cut", f"{count_words(text)} words to {count_words(kept)}"))
        if count_words(kept) > self.most:
            self.findings.append(Finding("over_limit", f"{count_words(kept)} words"))
        return kept


def needs_shortening(text: str, *, most: int = MOST_WORDS) -> bool:
    """Whether a model should be asked once to say it in fewer words. Everything counts that is a word, code too."""
    return count_words(text) > most


def ask_shorter(text: str, *, most: int = MOST_WORDS) -> str:
    """What to ask then, after the answer."""
    return (f"That answer has {count_words(text)} words. Give it again in at most {most} words, in the same "
            "language, with what matters most. Write nothing but the shorter answer.")


def take_shorter(text: str, said: str, *, most: int = MOST_WORDS) -> str:
    """What a model gave as the shorter version of what it `said`, without the line that announces it; "" where it is
    none: longer, hardly anything, or a refusal."""
    text = _LEAD_IN.sub("", text, count=1) if _LEAD_IN.match(text) else text
    words, before = count_words(text), count_words(said)
    is_shorter = _LEAST_SHARE * min(most, before) <= words < before
    refuses = read_symptoms(text).refuses and not read_symptoms(said).refuses
    return text if is_shorter and not refuses else ""


def cut(text: str, *, most: int = MOST_WORDS) -> str:
    """The beginning of `text` that is no longer, up to the end of a sentence, an item of a list, or a block.

    Blocks of code, tables and formulas are whole or not there, and so is the line that announces one. Only a block that
    is itself the answer stays when it is too long. One sentence that is longer is cut between words.
    """
    words = find_words(text)
    if len(words) <= most:
        return text
    units = _find_units(text)
    ends = [end for end in _find_ends(text, units) if 0 < bisect_right(words, end) <= most]
    count = bisect_right(words, ends[-1]) if ends else 0
    if count < _FEW_WORDS:
        solid = _find_answer(units, words)
        if solid is not None:
            return text[: solid.end].rstrip()
        inner = [end for end in _find_item_ends(text, units) if count < bisect_right(words, end) <= most]
        ends += inner[-1:]
    return _close(text[: ends[-1]].rstrip()) if ends else f"{_close(text[: words[most - 1]])} …"


def _find_answer(units: list[_Unit], words: list[int]) -> _Unit | None:
    """The first block, if hardly a word stands before it."""
    solid = next((unit for unit in units if unit.kind in _SOLID), None)
    return solid if solid is not None and bisect_right(words, solid.start) < _FEW_WORDS else None


def _find_ends(text: str, units: list[_Unit]) -> Iterator[int]:
    for unit in units:
        is_item = unit.kind == "item" and not _announces(text[unit.start : unit.end])
        if is_item or unit.kind in _SOLID:
            yield unit.end
        elif unit.kind == "prose":
            yield from _find_inner_ends(text, unit)


def _find_item_ends(text: str, units: list[_Unit]) -> Iterator[int]:
    """Ends of sentences within the first item of a list."""
    first = next((unit for unit in units if unit.kind == "item"), None)
    return _find_inner_ends(text, first) if first is not None else iter(())


def _find_inner_ends(text: str, unit: _Unit) -> Iterator[int]:
    paragraph = text[unit.start : unit.end]
    return (unit.start + end for end in find_sentence_ends(paragraph) if not _announces(paragraph[:end]))


def _announces(text: str) -> bool:
    return text.rstrip().rstrip("*_").endswith((":", "："))


def _close(text: str) -> str:
    """A bold passage that was cut ends where the text does."""
    last = text.rpartition("\n\n")[2]
    return f"{text}**" if last.count("**") % 2 and not last.endswith("**") else text


def _find_units(text: str) -> list[_Unit]:
    units: list[_Unit] = []
    maths = ""
    lines = list(_find_lines(text))
    for place, (start, end, block) in enumerate(lines):
        line = text[start:end].rstrip("\r\n")
        following = text[slice(*lines[place + 1][:2])].rstrip("\r\n") if place + 1 < len(lines) else ""
        kind: _Kind = "code" if block else "maths" if maths else _find_kind(line, following, units)
        is_same = bool(units) and units[-1].kind == kind
        is_joined = is_same and (kind != "code" or block != 1) and kind not in ("item", "heading")
        if kind == "prose" and units and units[-1].kind == "item":
            is_joined = True  # its next line
        if kind == "maths":
            is_joined = bool(maths)
            maths = _find_open_maths(line, maths)
        if is_joined:
            units[-1].end = end
        else:
            units.append(_Unit(kind, start, end))
    return units


def _find_lines(text: str) -> Iterator[tuple[int, int, int]]:
    """Each line's place, and what it is to blocks of code: 0 for none, 1 where one begins, 2 within."""
    start = end = block = 0
    for piece in read(text):
        end += len(piece.raw)
        block = max(block, {"prose": 0, "open": 1}.get(piece.kind, 2))
        if piece.raw.endswith("\n"):
            yield start, end, block
            start, block = end, 0
    if end > start:
        yield start, end, block


def _find_kind(line: str, following: str, units: list[_Unit]) -> _Kind:
    last = units[-1].kind if units else "blank"
    if not line.strip():
        return "blank"
    if _RULE.match(following) and "|" in line or ("|" in line and (last == "table" or _ROW.match(line))):
        return "table"
    if _HEADING.match(line):
        return "heading"
    if any(line.lstrip().startswith(opening) for opening, _ in _MATHS):
        return "maths"
    if _ITEM.match(line):
        return "item"
    before = next((unit.kind for unit in reversed(units) if unit.kind != "blank"), "blank")
    if _INDENTED.match(line) and (last == "code" or (last == "blank" and before != "item")):
        return "code"
    return "prose"


def _find_open_maths(line: str, closing: str) -> str:
    """What will end the formula after this line, "" where nothing is open."""
    line = line.strip()
    if closing:
        return "" if line.endswith(closing) else closing
    opening, wanted = next(pair for pair in _MATHS if line.startswith(pair[0]))
    return "" if wanted in line[len(opening):] else wanted
