"""The calendar's arithmetic: months that are clamped to their last day, working days, spans in y/m/d."""

from __future__ import annotations

from calendar import monthrange
from datetime import date

from msgspec import Struct

from ...errors import ToolError
from .reading import move


class Span(Struct, frozen=True):
    """From one day to a later one. The working days (Monday to Friday) leave out the first day, not the last."""

    days: int
    years: int
    months: int
    rest: int
    working: int


def measure(first: date, last: date) -> Span:
    """Years and months are the most that fit in; adding them to `first`, then the rest, gives `last`."""
    months = (last.year - first.year) * 12 + last.month - first.month
    if add_months(first, months) > last:
        months -= 1
    rest = (last - add_months(first, months)).days
    return Span((last - first).days, *divmod(months, 12), rest, _working_until(last) - _working_until(first))


def add_months(day: date, months: int) -> date:
    """31 January and a month is the last day of February. Raises ToolError beyond the calendar."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    if not 1 <= year <= 9999:
        raise ToolError("that is outside of the years 1 to 9999")
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def add_working_days(day: date, count: int) -> date:
    """So many days from Monday to Friday on or back; from a weekend, the first is the Monday after or the Friday
    before it."""
    if not count:
        return day
    at = _working_until(day) + count
    if count < 0 and day.isoweekday() > 5:
        at += 1
    weeks, rest = divmod(at - 1, 5)
    return move(date(1, 1, 1), weeks * 7 + rest)


def _working_until(day: date) -> int:
    """Days from Monday to Friday since 1 January of the year 1, a Monday, up to this one."""
    weeks, rest = divmod(day.toordinal(), 7)
    return weeks * 5 + min(rest, 5)
