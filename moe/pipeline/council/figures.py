"""Whether what a tool is to be called with was given by anybody: what a model made up has no exact answer."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

# Arguments that are the user's words themselves.
_VERBATIM = ("text", "json_str")
# A date, a clock or a unit brings these along.
_SMALL = 12
_USUAL = frozenset(map(Decimal, (24, 60, 100, 365, 1000)))
_FIGURE = re.compile(r"\d{1,40}(?:[.,'’]\d{1,40}){0,8}")
_GROUPED = re.compile(r"(?<=\d)[ \u00a0\u202f](?=\d{3}(?!\d))")
_MARKS = re.compile(r"[.,'’]")
MOST_READ = 100_000


def are_given(args: Mapping[str, Any], conversation: str) -> bool:
    """Whether every figure in `args` stands in the conversation, as it is or as a percentage reads, and so does every
    text that is to be worked on."""
    text = conversation[-MOST_READ:]
    texts = (value for name, value in args.items() if name in _VERBATIM and isinstance(value, str))
    if not all(value in text for value in texts):
        return False
    known = set(_list_known(text))
    return all(_is_usual(figure) or not known.isdisjoint(_read(figure)) for figure in set(_list_figures(args)))


def _list_figures(args: Mapping[str, Any]) -> Iterator[str]:
    for name, value in args.items():
        if name not in _VERBATIM:
            yield from _FIGURE.findall(str(value))


def _list_known(text: str) -> Iterator[str | Decimal]:
    for figure in {*_FIGURE.findall(text), *_FIGURE.findall(_GROUPED.sub("", text))}:
        for reading in _read(figure):
            yield reading
            if isinstance(reading, Decimal):
                share = reading / 100
                yield from (share, 1 + share, 1 - share)


def _read(figure: str) -> Iterator[str | Decimal]:
    """As it is written, and as a number: its marks may part thousands, or the last of them decimals."""
    yield figure
    whole, *rest = _MARKS.split(figure)
    yield Decimal("".join((whole, *rest)))
    if rest:
        yield Decimal("".join((whole, *rest[:-1])) + "." + rest[-1])


def _is_usual(figure: str) -> bool:
    return figure.isdigit() and (int(figure) <= _SMALL or Decimal(figure) in _USUAL)
