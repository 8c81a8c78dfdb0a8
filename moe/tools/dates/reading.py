"""One date as people write it, read strictly: all of it is understood, by one reading alone, or it is refused."""

from __future__ import annotations

import re
import unicodedata
from datetime import date, timedelta

from ...errors import ToolError
from ..base import Language
from .words import FEASTS, LAST, MONTHS, NEAR, NEXT, WEEKDAYS

LONGEST_DATE = 60

_WEEKDAY = re.compile(rf"({'|'.join(WEEKDAYS)})(?:, ?|\. ?| )(?:(?:the|den|dem|der|el) )?(?=[0-9]|{'|'.join(MONTHS)})")
_ISO = re.compile(r"([0-9]{4})([-/.])([0-9]{1,2})\2([0-9]{1,2})")
_ISO_WEEK = re.compile(r"([0-9]{4})-?w([0-9]{2})-?([1-7])")
_DOTTED = re.compile(r"([0-9]{1,2})\. ?([0-9]{1,2})\. ?([0-9]{4})")
_SLASHED = re.compile(r"([0-9]{1,2})([-/])([0-9]{1,2})\2([0-9]{4})")
_MONTH = "|".join(sorted(MONTHS, key=len, reverse=True))
_DAY = r"(?:the )?([0-9]{1,2})(?:st|nd|rd|th|\.|º|°|ro)?"
_YEAR = r"(?:(?:,? (?:(?:del año|del?|in|of) )?|-)([0-9]{4}))?"
_DAY_FIRST = re.compile(rf"{_DAY} ?-?(?:of |de )?({_MONTH})\.?{_YEAR}")
_MONTH_FIRST = re.compile(rf"({_MONTH})\.? {_DAY}{_YEAR}")
_FEAST = re.compile(r"(.+?)(?: (?:of |in |de |del )?([0-9]{4}))?")
_NTH = re.compile(r"[0-9](?:st|nd|rd|th)\b")
_WRONG_NTH = re.compile(r"\b(?:1[123](?:st|nd|rd)|(?:[02-9]?1(?:nd|rd|th)|[02-9]?2(?:st|rd|th)|[02-9]?3(?:st|nd|th)"
                        r"|[0-9]?[04-9](?:st|nd|rd)))\b")
ACCEPTED = ("dates are read as 2026-03-29, 29.03.2026, 29 March 2026, March 29 2026, 29. März 2026, "
            "29 de marzo de 2026, today, tomorrow, yesterday, next Friday")


def read_date(text: str, language: Language, today: date) -> date:
    """The day that `text` means, by `language` where 3/4/2025 leaves a choice. Raises ToolError."""
    words = _tidy(text)
    if words in NEAR:
        return move(today, NEAR[words])
    found = _WEEKDAY.match(words)
    rest = words[found.end():] if found else words
    day = _read_figures(rest, language) or _read_month(rest, today)
    if day is None:
        day = _read_weekday(words, today) or _read_feast(words, today)
        if day is None:
            raise ToolError(f"'{shorten(text)}' is not a date that is understood; {ACCEPTED}")
    elif found and day.isoweekday() != WEEKDAYS[found[1]]:
        raise ToolError(f"'{shorten(text)}' contradicts itself: {day.isoformat()} is another day of the week")
    return day


def move(day: date, days: int) -> date:
    """Raises ToolError beyond the calendar."""
    try:
        return day + timedelta(days=days)
    except OverflowError:
        raise ToolError("that is outside of the years 1 to 9999") from None


def make(year: int, month: int, day: int) -> date:
    """Raises ToolError that says what is wrong with it."""
    try:
        return date(year, month, day)
    except ValueError as error:
        raise ToolError(f"{year:04}-{month:02}-{day:02} is not a date: {error}") from None


def shorten(text: str) -> str:
    return "".join(letter if letter.isprintable() else "�" for letter in text[:40]) + ("…" if len(text) > 40 else "")


def _tidy(text: str) -> str:
    if len(text) > LONGEST_DATE:
        raise ToolError(f"'{shorten(text)}' is too long for a date; {ACCEPTED}")
    return " ".join(unicodedata.normalize("NFC", text).lower().replace("’", "'").split())


def _read_figures(words: str, language: Language) -> date | None:
    if found := _ISO.fullmatch(words):
        return make(int(found[1]), int(found[3]), int(found[4]))
    if found := _ISO_WEEK.fullmatch(words):
        try:
            return date.fromisocalendar(int(found[1]), int(found[2]), int(found[3]))
        except ValueError as error:
            raise ToolError(f"'{words}' is not a day of an ISO week: {error}") from None
    if found := _DOTTED.fullmatch(words):
        return make(int(found[3]), int(found[2]), int(found[1]))
    found = _SLASHED.fullmatch(words)
    if not found:
        return None
    first, second, year = int(found[1]), int(found[3]), int(found[4])
    if second > 12 >= first:
        return make(year, first, second)
    if first <= 12 and first != second and language == "en":
        raise ToolError(f"'{words}' may mean {year:04}-{first:02}-{second:02} or {year:04}-{second:02}-{first:02}; "
                        "write it as YYYY-MM-DD")
    return make(year, second, first)


def _read_month(words: str, today: date) -> date | None:
    """With the month as a word. Without a year it must be said to be a coming one."""
    first, _, rest = words.partition(" ")
    is_coming = first in NEXT
    words = rest if is_coming else words
    if _NTH.search(words) and _WRONG_NTH.search(words):
        return None
    if found := _DAY_FIRST.fullmatch(words):
        day, month, year = found.groups()
    elif found := _MONTH_FIRST.fullmatch(words):
        month, day, year = found.groups()
    else:
        return None
    if is_coming:
        return None if year else _next_such(MONTHS[month], int(day), today)
    if not year:
        raise ToolError(f"'{words}' has no year")
    return make(int(year), MONTHS[month], int(day))


def _next_such(month: int, day: int, today: date) -> date:
    """From today on; 29 February only in leap years."""
    for year in range(today.year, min(today.year + 9, 10_000)):
        try:
            coming = date(year, month, day)
        except ValueError:
            continue
        if coming >= today:
            return coming
    raise ToolError(f"there is no day {day} in month {month}")


def _read_weekday(words: str, today: date) -> date | None:
    """The first such day after today, or the last one before it."""
    parts = words.removeprefix("the ").removeprefix("el ")
    if parts.endswith(" que viene"):
        parts = f"next {parts.removesuffix(' que viene')}"
    first, _, name = parts.partition(" ")
    if name in LAST or name in NEXT:
        first, name = name, first
    if name not in WEEKDAYS or first not in NEXT | LAST:
        return None
    step = 1 if first in NEXT else -1
    away = (step * (WEEKDAYS[name] - today.isoweekday())) % 7 or 7
    return move(today, step * away)


def _read_feast(words: str, today: date) -> date | None:
    """Christmas 2026; without a year the coming one, today's included."""
    found = _FEAST.fullmatch(words)
    first, _, rest = words.partition(" ")
    if first in NEXT and rest in FEASTS:
        return _next_such(*FEASTS[rest], today)
    if not found or found[1] not in FEASTS:
        return None
    return make(int(found[2]), *FEASTS[found[1]]) if found[2] else _next_such(*FEASTS[found[1]], today)
