"""The words of an official XML file, as lines: paragraphs, lists and tables keep their shape."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from typing import Any

from lxml import etree

from .sentences import INDENT

_SPACES = re.compile(r"\s+")
# What would move the cursor of a terminal or turn the words around.
_HIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\u061c\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
_AS_IT_STANDS = "\0"
_RAISED = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
_LOWERED = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
_BREAKING = frozenset(("BR", "row", "pre", "Title", "Ident", "P", "Split"))
_CLOSING = frozenset(("table", "pre", "P"))


def read_paragraphs(holder: Any) -> list[str]:
    """The words of all contents, a text for each paragraph; lists and tables stay with the one before them."""
    if holder is None:
        return []
    found: list[str] = []
    for content in holder:
        if content.tag == "Footnotes":
            continue
        sheet = _Sheet()
        if content.tag == "Content":
            sheet.say(content.text)
        for child in content if content.tag == "Content" else (content,):
            if child.tag == "P":
                found += sheet.cut()
            _write(child, sheet, 0)
            sheet.say(child.tail if content.tag == "Content" else "")
        found += sheet.cut()
    return found


def read_footnotes(holder: Any) -> Iterator[str]:
    if holder is None:
        return
    for note in holder.iterfind("Footnotes/Footnote"):
        sheet = _Sheet()
        _write(note, sheet, 0)
        yield from (f"{note.get('FnZ') or '*'} {text}" for text in sheet.cut())


class _Sheet:
    """Lines as they are written, each with how far in it stands."""

    def __init__(self) -> None:
        self._lines: list[tuple[int, list[str]]] = [(0, [])]

    def say(self, text: str | None) -> None:
        if text:
            self._lines[-1][1].append(text)

    def mark(self, sign: str) -> None:
        """After a word; before the first of a line there is nothing to mark."""
        if any(piece.strip() for piece in self._lines[-1][1]):
            self.say(sign)

    def turn(self, depth: int) -> None:
        """To a new line."""
        self._lines.append((depth, []))

    def cut(self) -> list[str]:
        """All lines as one text, none where there are no words; the sheet is empty then."""
        told = [(depth, _tidy("".join(pieces))) for depth, pieces in self._lines]
        self._lines = [(0, [])]
        lines = [INDENT * depth + text for depth, text in told if text]
        return ["\n".join(lines)] if lines else []


def _tidy(text: str) -> str:
    """One line; the columns of what is set as it stands are kept."""
    plain = _HIDDEN.sub("", text)
    return plain.rstrip() if text.startswith(_AS_IT_STANDS) else _SPACES.sub(" ", plain).strip()


def _write(element: Any, sheet: _Sheet, depth: int) -> None:
    """One element with all that is in it; `depth` is that of the list it stands in."""
    tag = element.tag
    if tag is etree.Entity:
        sheet.say(html.unescape(element.text))
    elif tag in ("SUP", "SUB"):
        sheet.say(_spell_script(element, is_raised=tag == "SUP"))
    elif tag == "pre":
        for line in "".join(element.itertext()).strip("\r\n").splitlines():
            sheet.turn(depth)
            sheet.say(f"{_AS_IT_STANDS}{line}")
        sheet.turn(depth)
    elif tag == "DL":
        _write_list(element, sheet, depth)
    elif isinstance(tag, str):
        _begin(element, sheet, depth)
        sheet.say(element.text)
        for child in element:
            _write(child, sheet, depth)
            sheet.say(child.tail)
        if tag in _CLOSING:
            sheet.turn(depth)


def _begin(element: Any, sheet: _Sheet, depth: int) -> None:
    """What stands before an element's own words."""
    tag, previous = element.tag, element.getprevious()
    if tag == "Title" and previous is not None and previous.tag == "Ident":
        sheet.say(" ")
    elif tag in _BREAKING:
        sheet.turn(depth)
    elif tag == "FnR":
        sheet.mark("*")
    elif tag == "IMG":
        sheet.say(f"[Bild: {element.get('alt') or element.get('SRC') or ''}]")
    elif tag == "entry" and previous is not None:
        sheet.say(" | ")


def _write_list(element: Any, sheet: _Sheet, depth: int) -> None:
    """Each item on a line that begins with its label; the words after the list stand on one of their own."""
    for child in element:
        if child.tag == "DT":
            sheet.turn(depth)
            sheet.say(f"{flatten(child)} ")
        elif isinstance(child.tag, str):
            _write_item(child, sheet, depth)
    sheet.turn(depth)


def _write_item(item: Any, sheet: _Sheet, depth: int) -> None:
    sheet.say(item.text)
    for child in item:
        if child.tag in ("LA", "P"):
            _write_item(child, sheet, depth)
            sheet.say(" ")
        else:
            _write(child, sheet, depth + 1)
        sheet.say(child.tail)


def _spell_script(element: Any, *, is_raised: bool) -> str:
    """Small figures as such characters; the number of a sentence stands apart from its first word."""
    text = flatten(element)
    if not re.fullmatch(r"[0-9]+", text):
        return f"^({text})" if is_raised and len(text) > 1 else text
    spelt = text.translate(_RAISED if is_raised else _LOWERED)
    return f" {spelt} " if element.get("class") == "Rec" else spelt


def flatten(element: Any) -> str:
    """All words of an element on one line."""
    if element is None:
        return ""
    pieces = []
    for each in element.iter():
        if each.tag is etree.Entity:
            pieces.append(html.unescape(each.text))
        elif isinstance(each.tag, str):
            pieces.append(" " if each.tag == "BR" else "")
            pieces.append(each.text or "")
        if each is not element:
            pieces.append(each.tail or "")
    return _tidy("".join(pieces))
