"""What a regular expression finds, within a time."""

from __future__ import annotations

from time import monotonic
from typing import Any

import regex

from ..errors import ToolError, ToolTimeout
from .base import Language, Outcome, Setting, tool
from .digests import encode, one_line, show

LONGEST_PATTERN = 2_000
LONGEST_TEXT = 200_000
MOST_SHOWN = 100
MOST_SHOWN_CHARS = 100_000
LIMIT_S = 0.8

# Of a pattern with its counted parts written out.
LARGEST_SIZE = 200_000
_COUNT = regex.compile(r"(\)\s*)?\{\s*([0-9]+)")
_VERBOSE = regex.compile(r"\(\?[a-zA-Z0-9]*x")
# Calls of a group within itself: they take memory without end.
_CALL = regex.compile(r"(?<!\\)\(\?(?:R|[+-]?[0-9]|&|P>)")
_FLAGS = {"i": regex.IGNORECASE, "m": regex.MULTILINE, "s": regex.DOTALL}
_TOLD: dict[Language, tuple[str, str, str]] = {
    "en": ("No match for {pattern}", "1 match for {pattern}: {found}", "{n} matches for {pattern}: {found}"),
    "de": ("Kein Treffer für {pattern}", "1 Treffer für {pattern}: {found}", "{n} Treffer für {pattern}: {found}"),
    "es": ("Ninguna coincidencia de {pattern}", "1 coincidencia de {pattern}: {found}",
           "{n} coincidencias de {pattern}: {found}"),
}


@tool("texts")
def regex_extract(pattern: str, text: str, flags: str = "", *, setting: Setting) -> Outcome:
    r"""Finds every match of a regular expression in a text. Example: \d{4} in "2025 and 2026" gives 2 matches.

    pattern: the regular expression, in Python's syntax
    text: where it is searched
    flags: letters of i (case does not matter), m (^ and $ at each line), s (a dot is a line end too)
    """
    if len(text) > LONGEST_TEXT:
        raise ToolError(f"a text of more than {LONGEST_TEXT} characters")
    encode(text)
    encode(pattern)
    count, matches = _search(_compile(pattern, flags), text)
    shown = ", ".join(_tell(each) for each in matches[:20])
    told = _TOLD[setting.language][min(count, 2)]
    line = told.format(n=count, pattern=show(pattern), found=shown + (", …" if count > 20 else ""))
    return Outcome(result={"count": count, "matches": matches}, text=line)


def _tell(match: str | list[str | None] | None) -> str:
    if isinstance(match, list):
        return f"({', '.join(map(_tell, match))})"
    return "-" if match is None else one_line(match)


def _compile(pattern: str, flags: str) -> regex.Pattern[str]:
    if len(pattern) > LONGEST_PATTERN:
        raise ToolError(f"a pattern of more than {LONGEST_PATTERN} characters")
    if _CALL.search(pattern):
        raise ToolError("a pattern that calls itself or a group of its own is not accepted")
    check_counts(pattern)
    bits = regex.VERSION0
    for letter in flags[:20].lower().replace(",", "").replace(" ", ""):
        if letter not in _FLAGS:
            raise ToolError(f"unknown flag {one_line(letter)}; flags are letters of i, m and s")
        bits |= _FLAGS[letter]
    try:
        return regex.compile(pattern, bits, cache_pattern=False)
    except (regex.error, ValueError, OverflowError, RecursionError, MemoryError, KeyError, IndexError) as error:
        raise ToolError(f"not a regular expression: {show(str(error))}") from error


def check_counts(pattern: str) -> None:
    """What must occur n times is compiled n times over, and within a counted group as often again. Raises ToolError
    where that comes to too much, or cannot be told."""
    if _VERBOSE.search(pattern):
        raise ToolError("a pattern in verbose mode is not accepted")
    size, rounds = len(pattern), 1
    for found in _COUNT.finditer(pattern):
        count = int(found[2]) if len(found[2]) < 9 else LARGEST_SIZE
        if found[1]:
            rounds = min(rounds * max(count, 1), LARGEST_SIZE)
        else:
            size += count
    if size * rounds > LARGEST_SIZE:
        raise ToolError("the pattern repeats something too often")


def _search(pattern: regex.Pattern[str], text: str) -> tuple[int, list[Any]]:
    """How many there are, and the first of them: the whole match, its group, or a list of its groups."""
    end = monotonic() + LIMIT_S
    count, room = 0, MOST_SHOWN_CHARS
    matches: list[Any] = []
    try:
        for found in pattern.finditer(text, timeout=LIMIT_S, concurrent=True):
            count += 1
            if monotonic() > end:
                raise TimeoutError
            if len(matches) < MOST_SHOWN and room > 0:
                each = list(found.groups()) if pattern.groups > 1 else [found[pattern.groups]]
                room -= sum(len(part or "") for part in each)
                matches.append(each if pattern.groups > 1 else each[0])
    except TimeoutError as error:
        raise ToolTimeout(f"the pattern takes more than {LIMIT_S} s on this text") from error
    except (MemoryError, RecursionError, regex.error) as error:
        raise ToolError("the pattern needs more memory on this text than it may have") from error
    return count, matches
