"""Blocks of code in Markdown, found while it is still being written."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import regex
from msgspec import Struct

# A fence may stand in a list or a quotation; what stands before it there is taken off each line of its block.
_CONTAINER = r"(?P<prefix>(?:[ \t>]|[-*+][ \t]|[0-9]{1,9}[.)][ \t]){0,40})"
_OPENING = regex.compile(rf"{_CONTAINER}(?:(?P<mark>`{{3,64}})(?P<info>[^`\n]{{0,200}})|"
                         r"(?P<mark>~{3,64})(?P<info>[^\n]{0,200}))\n")
# Some models open a block behind the words that announce it; only with a language is it certain that they do.
_BEHIND = regex.compile(r"(?P<mark>`{3,64})(?P<info>[A-Za-z][\w+#.-]{0,20})[ \t]{0,8}\r?\n")
_CLOSING = regex.compile(r"(?P<prefix>[ \t>]{0,80})(?P<mark>`{3,64}|~{3,64})[ \t]{0,8}\r?\n")
_LAST_CLOSING = regex.compile(r"(?P<prefix>[ \t>]{0,80})(?P<mark>`{3,64}|~{3,64})[ \t]{0,8}\r?(?:\n|\Z)")
_ROW = regex.compile(rf"(?m)^{_CONTAINER}(?P<mark>`{{3,64}}|~{{3,64}})(?P<info>[^`\n]{{0,200}})$")
_TICKS = regex.compile(r"`+")
MARKDOWN = frozenset(("markdown", "md", "mdx", "rmd", "qmd"))
_DIFFS = frozenset(("diff", "patch"))
_MOST_TICKS = 64
_DEEPEST = 3

Kind = Literal["prose", "open", "code", "close"]


class Fence(Struct, frozen=True):
    """The line that opens a block: its row of marks, what follows them, and what stands before them."""

    mark: str
    info: str = ""
    prefix: str = ""

    @property
    def language(self) -> str:
        return self.info.split(maxsplit=1)[0].casefold() if self.info else ""


class Piece(Struct, frozen=True):
    """The next part of a text, never over more than one line. `raw` is as it came; `code` is what of it belongs to the
    block's code, without what the list or quotation around it puts before each line."""

    kind: Kind
    raw: str
    code: str = ""
    fence: Fence | None = None


class Reader:
    """One text. The `raw` of all pieces make it up again, and they are the same wherever it was cut, but for cuts
    within a line.

    In a block of Markdown one more fence with a language opens a block within, as models write them. A reader that
    `is_patient` takes it so in every block, and waits for the next fence after one in Markdown without a language: it
    opened a block within if that has none either. `within` is the block that the text begins in.
    """

    def __init__(self, *, is_patient: bool = False, within: Fence | None = None) -> None:
        self._is_patient = is_patient
        self._looked = 0  # so far from where it is, no further fence was found
        self._text = ""
        self._at = 0
        self._is_start = True
        self._fence = within
        self._depth = 0

    @property
    def fence(self) -> Fence | None:
        """Of the block that is open."""
        return self._fence

    def leave(self) -> None:
        """What was just given as an opening is none."""
        self._fence = None

    def feed(self, text: str) -> Iterator[Piece]:
        """What is certain by now."""
        self._text, self._at = self._text[self._at:] + text, 0
        yield from self._read(is_last=False)

    def finish(self) -> Iterator[Piece]:
        yield from self._read(is_last=True)

    def drain(self) -> str:
        """What is still held back, for whoever needs no more pieces."""
        rest, self._at = self._text[self._at:], len(self._text)
        return rest

    def _read(self, *, is_last: bool) -> Iterator[Piece]:
        while self._at < len(self._text):
            step = self._read_prose if self._fence is None else self._read_code
            piece = step(is_last)
            if piece is None:
                return
            yield piece

    def _read_prose(self, is_last: bool) -> Piece | None:
        if self._is_start:
            found = _OPENING.match(self._text, self._at, partial=not is_last)
            if found is not None:
                return None if found.partial else self._open(found)
            self._is_start = False
        end = self._find_line_end()
        place = self._text.find("```", self._at, end)
        if place == self._at:
            return self._read_ticks(is_last)
        if place > 0:
            return self._take("prose", place)
        if not is_last and end == len(self._text) and not self._text.endswith("\n"):
            end -= len(self._text) - len(self._text.rstrip("`"))  # they may be the first of a row
        return self._take("prose", end) if end > self._at else None

    def _read_ticks(self, is_last: bool) -> Piece | None:
        found = _BEHIND.match(self._text, self._at, partial=not is_last)
        if found is not None:
            return None if found.partial else self._open(found)
        end = _TICKS.match(self._text, self._at).end()
        is_whole = is_last or end < len(self._text) or end - self._at > _MOST_TICKS
        return self._take("prose", end) if is_whole else None

    def _open(self, found: Any) -> Piece:
        prefix = found.groupdict().get("prefix", "")
        self._fence, self._depth = Fence(found["mark"], found["info"].strip(), prefix), 0
        return self._take("open", found.end())

    def _read_code(self, is_last: bool) -> Piece | None:
        if not self._is_start:
            return self._take("code", self._find_line_end())
        assert self._fence is not None
        closing = (_LAST_CLOSING if is_last else _CLOSING).match(self._text, self._at, partial=not is_last)
        if closing is not None and closing.partial:
            return None
        if closing is not None and self._closes(closing):
            opens = self._opens_within(closing, is_last)
            if opens is None:
                return None
            if not opens:
                return self._take("close", closing.end())
            self._depth += 1
        if closing is None and self._may_nest():
            nested = _OPENING.match(self._text, self._at, partial=not is_last)
            if nested is not None and nested.partial:
                return None
            self._depth += nested is not None and self._is_own(nested) and self._nests(nested)
        end = self._find_line_end()
        return self._take("code", end, outside=_measure(self._text[self._at:end], self._fence.prefix))

    def _closes(self, found: Any) -> bool:
        """Whether the row of marks ends the block; one that ends a block within it is its code."""
        assert self._fence is not None
        mark, own = found["mark"], self._fence.mark
        if self._is_deep(found) or mark[0] != own[0] or len(mark) < len(own):
            return False
        if self._depth and mark == own:
            self._depth -= 1
            return False
        return True

    def _opens_within(self, closing: Any, is_last: bool) -> bool | None:
        """Whether what could close a block of Markdown opens one within it; None until the next fence tells."""
        assert self._fence is not None
        if not self._is_patient or self._fence.language not in MARKDOWN or not self._is_own(closing):
            return False
        text = self._text if is_last else self._text[:self._text.rfind("\n") + 1]
        for row in _ROW.finditer(text, max(closing.end(), self._at + self._looked)):
            if self._is_own(row):
                self._looked = 0
                return not row["info"].strip()
        self._looked = 0 if is_last else max(0, len(text) - self._at)
        return False if is_last else None

    def _may_nest(self) -> bool:
        assert self._fence is not None
        return self._fence.language in MARKDOWN or (self._is_patient and self._fence.language not in _DIFFS)

    def _nests(self, found: Any) -> bool:
        """Whether an opening opens a block within; a list's mark before it is one in Markdown only."""
        assert self._fence is not None
        is_plain = not found["prefix"].strip(" \t>")
        return bool(found["info"].strip()) and (is_plain or self._fence.language in MARKDOWN)

    def _is_own(self, found: Any) -> bool:
        """Whether a row of marks is as long as the block's, and not too far within it to count."""
        assert self._fence is not None
        return bool(found["mark"] == self._fence.mark) and not self._is_deep(found)

    def _is_deep(self, found: Any) -> bool:
        assert self._fence is not None
        return len(found["prefix"].expandtabs(4)) > len(self._fence.prefix.expandtabs(4)) + _DEEPEST

    def _find_line_end(self) -> int:
        place = self._text.find("\n", self._at)
        return len(self._text) if place < 0 else place + 1

    def _take(self, kind: Kind, end: int, *, outside: int = 0) -> Piece:
        raw, self._at, fence = self._text[self._at:end], end, self._fence
        self._is_start = raw.endswith("\n")
        if kind == "close":
            self._fence = None
        return Piece(kind, raw, raw[outside:] if kind == "code" else "", fence)


def _measure(line: str, prefix: str) -> int:
    """How much of a line's beginning belongs to the list or the quotation."""
    size = 0
    for wanted, found in zip(prefix, line, strict=False):
        if found != wanted if wanted == ">" else found != " " and not found == wanted == "\t":
            break
        size += 1
    return size


def read(text: str, *, is_patient: bool = False) -> list[Piece]:
    """All of a text that is there."""
    reader = Reader(is_patient=is_patient)
    return [*reader.feed(text), *reader.finish()]
