"""What is written with the signs of a sum and is none: dates, numbers of things, items of a list."""

from __future__ import annotations

import re

_SIGN = "[-–−‐‑/.]"
_DATES = re.compile("|".join((
    # 2026-11-22, 22.11.26; with blanks only where a year of four digits leaves no doubt.
    rf"(?<![\w.,])(?:[0-9]{{4}}(?P<a>{_SIGN})[0-9]{{1,2}}(?P=a)[0-9]{{1,2}}|"
    rf"[0-9]{{1,2}}(?P<b>{_SIGN})[0-9]{{1,2}}(?P=b)(?:[0-9]{{4}}|[0-9]{{2}}))(?![\w])",
    r"(?<![\w.,])(?:(?:19|20)[0-9]{2} (?P<c>[-–−/.]) [01]?[0-9] (?P=c) [0-3]?[0-9]|"
    r"[0-3]?[0-9] (?P<d>[-–−/.]) [0-3]?[0-9] (?P=d) (?:19|20)[0-9]{2})(?!\w)",
    # 24.12. and 3. 1.
    r"(?<![\w.,])[0-3]?[0-9]\. ?[01]?[0-9]\.(?![0-9])",
    # 2026-11
    r"(?<![\w.,])(?:19|20)[0-9]{2}[-–](?:0[1-9]|1[0-2])(?![\w.,])",
)))
# Telephone and serial numbers: many groups joined, or three digits and four.
_NUMBERS = re.compile(r"(?<![\w.,])[0-9]+(?P<sign>[-–‐‑])[0-9]+(?:(?P=sign)[0-9]+)+(?!\w)|"
                      r"(?<![\w.,])[0-9]{3}[-–‐‑][0-9]{4}(?!\w)")
_ITEM = re.compile(r"[-–—−•*·] ")


def is_no_sum(text: str) -> bool:
    """Whether a date, or a number that is none to reckon with, stands in an expression."""
    return bool(_DATES.search(text) or _NUMBERS.search(text))


def is_item(text: str) -> bool:
    """Whether it begins like an item of a list: a dash before a blank is no sign of what follows."""
    return bool(_ITEM.match(text))
