"""Marks like [1] in a text: those of sources that were given stay; invented ones go where they evidently cite."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

import regex

_NUMBERS = r"[0-9]{1,3}(?:[ ]?[,;–-][ ]?[0-9]{1,3}){0,12}"
_NAMED = r"(?P<name>(?:sources?|src|refs?|references?|quellen?|fuentes?|cit|citation)\.?:?[ ]?)?"
_MARK = regex.compile(
    rf"(?P<blank>[ \t]{{0,8}})(?:\[{_NAMED}(?P<numbers>{_NUMBERS})(?P<name>†[^\]\n]{{0,80}})?\]"
    r"(?:\((?P<link>[^()\s]{0,400})\)|(?=[^(]))|【(?P<numbers>[0-9]{1,3})(?P<name>[:†][^】\n]{0,80})?】)",
    regex.IGNORECASE)
_NEXT = re.compile(r"(?P<mark>[ \t]{0,8}[\[【])|(?P<ticks>`+)|(?P<end>\n)")
_CODE = re.compile(r"(?P<ticks>`+)|(?P<end>\n)")
_BLANKS = re.compile(r"[ \t]{1,8}$")
_RANGE = re.compile(r"([0-9]+)(?: ?[–-] ?([0-9]+))?")
# What ends a clause: marks after it belong to it, as do marks before one of these.
_ENDS = ".!?…:;,。！？，、"
_FOLLOWS = re.compile(r"[.!?…:;,。！？，、\"'”’»)*_\[【]|[ \t]*\r?\n|"
                      r"[ \t]{1,3}(?:and|but|while|whereas|because|und|aber|sowie|während|weil|y|pero|mientras|porque)"
                      r"[ \t](?![ \t\[【])", re.IGNORECASE)
# What announces what follows, and what ends a sentence.
_INTRODUCES, _CLOSES = ":;：；=", ".!?…。！？"
_MANY = 3
# Words that want something after them: what stands there in brackets is meant itself.
_WANTING = re.compile(
    r"(?i)(?<![^\W_])(?:"
    r"in|at|of|from|to|by|with|for|on|see|and|or|vs|per|as|than|like|via|the|an?|is|are|was|were|be|becomes?|equals?|"
    r"returns?|gives?|yields?|prints?|outputs?|contains?|holds?|shows?|press|hit|push|type|enter|select|choose|pick|"
    r"click|tap|dial|use|write|insert|option|key|button|number|no|item|index|element|entry|class|case|row|column|line|"
    r"step|page|chapter|section|figure|fig|table|eq|equation|example|exercise|question|answer|part|level|group|version|"
    r"node|slot|cell|position|value|pair|range|array|arr|list|args|argv|nums|matrix|col|dp|interval|between|vector|"
    r"tuple|sequence|indices|indexes|set|domain|input|output|"
    r"aus|von|nach|bei|mit|zu|auf|für|und|oder|siehe|vgl|der|die|das|ein|eine|ist|sind|war|wird|ergibt|liefert|enthält|"
    r"gleich|drücken?|drück|sie|wählen?|wähle|tippen?|tippe|klicken?|klicke|taste|nummer|nr|klasse|zeile|spalte|seite|"
    r"schritt|kapitel|abschnitt|abbildung|abb|tabelle|gleichung|beispiel|aufgabe|frage|stufe|gruppe|wert|liste|menge|"
    r"bereich|intervall|vektor|tupel|"
    r"en|de|del|con|por|para|y|o|ver|véase|es|son|era|el|la|un|una|igual|devuelve|pulsar?|pulse|presion[ae]r?|elij[ae]|"
    r"elige|tecla|número|clase|fila|columna|línea|página|paso|capítulo|sección|figura|tabla|ecuación|ejemplo|"
    r"pregunta|nivel|grupo|valor|lista|intervalo|rango|conjunto|tupla|"
    r"dans|du|et|ou|voir|est|sont|appuyez|sur|touche|classe|le|di|e|per|vedi|è|premi"
    r")[ \t]*$")
_CITABLE = regex.compile(r"(?:[^\W\d_]{2}|[\d%]|°[CFK]?|[\p{Han}\p{Hiragana}\p{Katakana}])"
                         r"[.!?…:;,。！？，、\"'”’»“)*_\]]*$")
_BEGINS = re.compile(r"[ \t>]*(?:(?:[-*+•]|\d{1,9}[.)])[ \t]*)*(?:\*\*|__)?$")
_WIDE = regex.compile(r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}]$")
_SENTENCE_END = re.compile(r"[.!?…][ \t]")
# What stands over several lines, and is no sentence.
_BLOCK = re.compile(r"[ \t]*(?:(?P<maths>\$\$|\\\[)|<(?P<tag>pre|code|table|math|svg|script|style|samp)\b)")
_MATHS = {"$$": "$$", "\\[": "\\]"}
_MOST_CITED, _CONTEXT, _OPENING, _AHEAD = 6, 60, 24, 16
_CITED = "\0"  # stands for a mark in what is remembered of a line


class Marks:
    """The marks of one text, given in pieces; a span of code is left alone, up to the end of its line, and so are
    formulas, HTML and tables. What may be something else than a citation stays."""

    def __init__(self, numbers: Collection[int], places: Collection[str] = ()) -> None:
        """`numbers` are those of the sources that were given, `places` where they lie."""
        self.removed: list[str] = []
        self._numbers = numbers
        self._places = places
        self._text = ""
        self._ticks = ""
        self._context = self._opening = ""  # the end and the beginning of what was passed on of this line
        self._is_other = False  # this sentence has marks that do not cite, or this line is no prose
        self._is_table = False
        self._dollars = 0
        self._closing = ""  # what ends the block that stands over several lines

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
        """Of a part of one line, or of its end."""
        if _SENTENCE_END.search(self._context[-1:] + shown):
            self._is_other = False
        self._opening = (self._opening + shown)[:_OPENING]
        self._context = (self._context + shown)[-_CONTEXT:]
        self._is_table = self._is_table or "|" in shown or "<" in shown
        self._dollars += shown.count("$")
        if shown.endswith("\n"):
            self._end_line()

    def _end_line(self) -> None:
        line = self._context.strip()
        if self._closing:
            self._closing = "" if self._closing in line else self._closing
        elif block := _BLOCK.match(self._opening):
            closing = _MATHS.get(block["maths"] or "", f"</{block['tag']}")
            self._closing = "" if closing in line[2:] else closing
        self._context = self._opening = ""
        self._is_other, self._is_table, self._dollars = False, False, 0

    def _judge(self, at: int, end: int, out: list[str], *, is_last: bool) -> int:
        text = f"{self._text}\n" if is_last else self._text
        found = _MARK.match(text, at, partial=not is_last)
        if found is not None and found.partial:
            return at
        if found is None:
            return self._show(at, end, out)
        following = text[found.end() : found.end() + _AHEAD]
        if len(following) < _AHEAD and "\n" not in following and following[:1] in ("", " ", "\t"):
            return at
        cited = self._read(found)
        known = [number for number in cited or () if number in self._numbers]
        cites = cited is not None and self._cites(found, cited, following)
        is_known = found["link"] in self._places or (known and not _leads_away(found["link"]))
        if is_known and (known == cited or found["link"] in self._places):
            out.append(found[0])
            self._remember(found["blank"] + _CITED if cites else found[0])
            return int(found.end())
        if not cites:
            end = self._show(at, int(found.end()), out)
            self._is_other = True
            return end
        self.removed.append(found[0].strip())
        if is_known:
            out.append(f"{found['blank']}[{', '.join(map(str, known))}]")
            self._remember(found["blank"] + _CITED)
        return int(found.end())

    def _cites(self, found: Any, cited: list[int], following: str) -> bool:
        """Whether it stands where only a citation does: behind words, where a clause ends."""
        context = self._context
        if self._is_other or self._is_table or self._closing or self._dollars % 2 or _BEGINS.fullmatch(context):
            return False
        if context.endswith(_CITED) or found["name"]:
            return True
        if _WANTING.search(context) or not _CITABLE.search(context[-12:]):
            return False
        last = context[-1]
        if last in _INTRODUCES or (len(cited) >= _MANY and last not in _CLOSES) or (
                len(cited) > 1 and len(context.split()) < _MANY):  # it may be a list of numbers
            return False
        if not found["blank"] and last not in _ENDS + "\"”’»" and not _WIDE.search(last):
            return False
        return bool(_FOLLOWS.match(following)) or (last in ".!?…\"”»" and not found["blank"])

    def _read(self, found: Any) -> list[int] | None:
        """The numbers of a mark, None for what only looks like one."""
        numbers: list[int] = []
        for first, last in _RANGE.findall(found["numbers"]):
            if int(last or first) - int(first) >= _MOST_CITED:
                return None
            numbers += range(int(first), int(last or first) + 1)
        is_rising = all(one < two for one, two in zip(numbers, numbers[1:], strict=False))
        return numbers if numbers and numbers[0] > 0 and is_rising and len(numbers) <= _MOST_CITED else None


def _leads_away(link: str | None) -> bool:
    return bool(link) and not link.startswith("#")  # type: ignore[union-attr]
