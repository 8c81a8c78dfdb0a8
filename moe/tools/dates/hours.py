"""A time of day as people write it, and the same moment elsewhere."""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta, timezone
from typing import Any

from ...errors import ToolError
from .reading import shorten
from .zones import Zone

NOW = frozenset({"now", "jetzt", "ahora"})
ACCEPTED = "times are read as 15:30, 3:30 pm, 15 Uhr, now"

_CLOCK = re.compile(r"(?:las? )?([0-9]{1,2})(?::([0-9]{2})(?::([0-9]{2}))?)?"
                    r"(?: ?(uhr|h|hrs|horas|o'clock|am|pm|a\.m\.|p\.m\.|de la mañana|de la tarde|de la noche))?")
_HOUR_WORD = re.compile(r"([0-9]{1,2})(?: uhr |\.|h)([0-9]{2})(?: ?(?:uhr|h))?")
_NAMED = {"noon": 12, "midday": 12, "midnight": 0, "mittag": 12, "mittags": 12, "mitternacht": 0, "mediodía": 12,
          "medianoche": 0}


def read_time(text: str) -> time:
    """Raises ToolError for what is none, and for a bare hour."""
    words = " ".join(text.lower().split()) if len(text) <= 40 else ""
    if words in _NAMED:
        return time(_NAMED[words])
    if found := _CLOCK.fullmatch(words):
        hour, minute, second, mark = int(found[1]), int(found[2] or 0), int(found[3] or 0), found[4]
        if mark or found[2]:
            return _make(_turn(hour, mark, text), minute, second, text)
    if found := _HOUR_WORD.fullmatch(words):
        return _make(int(found[1]), int(found[2]), 0, text)
    raise ToolError(f"'{shorten(text)}' is not a time that is understood; {ACCEPTED}")


def _turn(hour: int, mark: str | None, text: str) -> int:
    """On the clock of 24 hours."""
    if mark in (None, "uhr", "h", "hrs", "horas"):
        return hour
    if not 1 <= hour <= 12:
        raise ToolError(f"'{shorten(text)}': there is no such hour")
    if mark == "o'clock":
        raise ToolError(f"'{shorten(text)}' may be in the morning or in the afternoon: say am or pm")
    is_late = mark in ("pm", "p.m.", "de la tarde") or (mark == "de la noche" and hour not in (12, 1, 2, 3, 4, 5))
    return hour % 12 + 12 * is_late


def _make(hour: int, minute: int, second: int, text: str) -> time:
    try:
        return time(hour, minute, second)
    except ValueError as error:
        raise ToolError(f"'{shorten(text)}' is not a time: {error}") from None


def place_moment(day: date, at: time, zone: Zone, fold: int | None) -> datetime:
    """Raises ToolError for a time the clocks leave out, and for one they show twice unless `fold` says which."""
    first = datetime.combine(day, at, zone.rules)
    second = first.replace(fold=1)
    moments = [_in_utc(first), _in_utc(second)]
    if moments[0] != moments[1]:
        back = moments[0].astimezone(zone.rules)
        if back.replace(tzinfo=None, fold=0) != first.replace(tzinfo=None):
            raise ToolError(f"in {zone.name} the clocks leave out {at:%H:%M} on {day.isoformat()}")
        if fold is None:
            raise ToolError(f"in {zone.name} the clocks show {at:%H:%M} twice on {day.isoformat()}: "
                            "set fold to 0 for the first or 1 for the second")
    return second if fold else first


def shift(moment: datetime, zone: Zone) -> datetime:
    """The same moment on the clocks of `zone`."""
    try:
        return _in_utc(moment).astimezone(zone.rules)
    except (OverflowError, ValueError):
        raise ToolError("that is outside of the years 1 to 9999") from None


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(timezone.utc)
    except (OverflowError, ValueError):
        raise ToolError("that is outside of the years 1 to 9999") from None


def offset_of(moment: datetime) -> timedelta:
    return moment.utcoffset() or timedelta(0)


def describe(moment: datetime, zone: Zone) -> dict[str, Any]:
    """For JSON."""
    clock = f"{moment:%H:%M:%S}" if moment.second else f"{moment:%H:%M}"
    return {"time": clock, "date": moment.date().isoformat(), "datetime": moment.isoformat(), "timezone": zone.name,
            "utc_offset": moment.isoformat()[19:]}
