"""Regular expressions of strangers: compiled and searched in bounded time and memory."""

from __future__ import annotations

import re
from typing import Any

import regex

LONGEST = 1000
# A pattern with its counted repeats written out may have so many parts; the engine does write them out.
MOST_PARTS = 20_000
_COUNT = re.compile(r"\{(\d{0,9})(?:(,)(\d{0,9}))?\}")


class Pattern:
    """A pattern of a JSON schema. Raises ValueError when it is none, or too large."""

    def __init__(self, text: str) -> None:
        if len(text) > LONGEST:
            raise ValueError(f"is longer than {LONGEST} characters")
        if _count_parts(text) > MOST_PARTS:
            raise ValueError("repeats too much")
        try:
            self._found: Any = regex.compile(text)
        except (regex.error, RecursionError, OverflowError) as error:
            raise ValueError(f"is no regular expression: {error}") from None

    def is_in(self, text: str, *, within_s: float) -> bool:
        """Raises TimeoutError."""
        return self._found.search(text, timeout=max(within_s, 0.001), concurrent=True) is not None


def _count_parts(text: str) -> int:
    """How many single parts the pattern has with its repeats written out; never less than the truth."""
    sums, last = [0], 0
    place = 0
    while place < len(text):
        char = text[place]
        repeat = _COUNT.match(text, place) if char == "{" else None
        if repeat is not None and len(repeat[0]) > 2:
            sums[-1] += last * (max(int(repeat[1] or 0), int(repeat[3] or 0), 1) - 1)
            place = repeat.end()
            continue
        if char == "(":
            sums.append(0)
        elif char == ")" and len(sums) > 1:
            last = sums.pop() + 1
            sums[-1] += last
        elif char not in "*+?|":
            last = 1
            sums[-1] += 1
        place = _skip(text, place)
    return sum(sums)


def _skip(text: str, place: int) -> int:
    """The place after an escaped character, a class in brackets or any other character."""
    if text[place] == "\\":
        return place + 2
    if text[place] != "[":
        return place + 1
    end = place + 1
    while end < len(text) and (text[end] != "]" or end == place + 1):
        end += 2 if text[end] == "\\" else 1
    return end + 1
