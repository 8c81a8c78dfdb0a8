"""Questions about dates and times of day, as tools."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any

from msgspec import Meta

from ...errors import ToolError
from ..base import Outcome, Setting, tool
from . import writing
from .counting import add_months, add_working_days, measure
from .hours import NOW, describe, offset_of, place_moment, read_time, shift
from .reading import move, read_date
from .zones import Zone, read_zone

Days = Annotated[int, Meta(ge=-4_000_000, le=4_000_000)]
Months = Annotated[int, Meta(ge=-120_000, le=120_000)]
Years = Annotated[int, Meta(ge=-10_000, le=10_000)]
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


@tool("dates")
def date_diff(date1: str, date2: str, *, setting: Setting) -> Outcome:
    """Counts the days from one date to another, as days, weeks, years with months and days, and working days from
    Monday to Friday; the order of the two does not matter. 1990-05-15 to 2026-03-29 is 13102 days.

    date1: a date such as 1990-05-15, 29.03.2026, March 29 2026 or today
    date2: the other date
    """
    today = _today(setting)
    first, last = sorted(read_date(text, setting.language, today) for text in (date1, date2))
    span = measure(first, last)
    result = {
        "from": first.isoformat(), "to": last.isoformat(), "days": span.days, "weeks": span.days // 7,
        "years": span.years, "months": span.months, "remaining_days": span.rest, "business_days": span.working,
    }
    text = writing.write_span(first, last, span, setting.language)
    return Outcome(result=result, text=text, body=writing.write_rule(first, span, setting.language))


@tool("dates")
def date_add(
    base_date: str, days: Days = 0, months: Months = 0, years: Years = 0, weeks: Days = 0, business_days: Days = 0,
    *, setting: Setting,
) -> Outcome:
    """Adds days, weeks, months, years or working days to a date, or takes them away when they are negative: first
    years and months together, then weeks and days, then working days. 2024-01-31 and 1 month is 2024-02-29.

    base_date: a date such as 2026-01-01, 29.03.2026, March 29 2026 or today
    days: days to add
    months: months to add; a day that the month does not have becomes its last
    years: years to add
    weeks: weeks to add
    business_days: days from Monday to Friday to add; public holidays are not known
    """
    base = read_date(base_date, setting.language, _today(setting))
    day = move(add_months(base, years * 12 + months), weeks * 7 + days)
    day = add_working_days(day, business_days)
    given = [(years, "year"), (months, "month"), (weeks, "week"), (days, "day"), (business_days, "working")]
    counts = [each for each in given if each[0]] or [(0, "day")]
    text = writing.write_sum(base, counts, day, setting.language)
    return Outcome(result={"base_date": base.isoformat()} | _facts(day), text=text,
                   body=writing.write_holidays(setting.language) if business_days else "")


@tool("dates")
def day_of_week(date_str: str, *, setting: Setting) -> Outcome:
    """Says which day of the week a date is, its ISO calendar week and its number in the year. 2026-12-25 is a Friday
    in week 52, day 359.

    date_str: a date such as 1969-07-20, 29.03.2026, March 29 2026 or today
    """
    today = _today(setting)
    day = read_date(date_str, setting.language, today)
    return Outcome(result=_facts(day), text=writing.write_day(day, today, setting.language))


@tool("dates")
def timezone_convert(
    time: str, from_timezone: str, to_timezone: str, date: str = "",
    fold: Annotated[int, Meta(ge=0, le=1)] | None = None, *, setting: Setting,
) -> Outcome:
    """Says what the clocks of one time zone show when it is a given time in another. 15:30 in Europe/Berlin is 09:30
    in America/New_York in winter.

    time: a time such as 15:30, 3:30 pm, 15 Uhr or now
    from_timezone: where that is the time: an IANA name such as Europe/Berlin, a large city, UTC or UTC+2
    to_timezone: where it is asked for
    date: the day in from_timezone; today when it is left out
    fold: for a time that the clocks show twice, 0 for the first and 1 for the second
    """
    here, there = read_zone(from_timezone), read_zone(to_timezone)
    moment = _read_moment(time, date, here, fold, setting)
    moved = shift(moment, there)
    apart = round((offset_of(moved) - offset_of(moment)).total_seconds() / 60)
    result: dict[str, Any] = describe(moved, there)
    result |= {"from": describe(moment, here), "difference_minutes": apart,
               "day_shift": (moved.date() - moment.date()).days}
    there_told = _tell(moved, there, setting)
    is_now = time.strip().lower() in NOW
    text = writing.write_now(moved.date(), *there_told, setting.language) if is_now else (
        writing.write_times(_tell(moment, here, setting), there_told, setting.language))
    return Outcome(result=result, text=text)


def _today(setting: Setting) -> date:
    return setting.now().date()


def _facts(day: date) -> dict[str, Any]:
    year, week, number = day.isocalendar()
    return {"date": day.isoformat(), "weekday": _WEEKDAYS[number - 1], "weekday_number": number, "week": week,
            "week_year": year, "day_of_year": day.timetuple().tm_yday}


def _read_moment(text: str, day: str, zone: Zone, fold: int | None, setting: Setting) -> datetime:
    """Without a day it is today's in `zone`."""
    now = setting.now().astimezone(zone.rules).replace(microsecond=0)
    if text.strip().lower() in NOW:
        if day.strip():
            raise ToolError("now is a time of today only: leave out the date")
        return now
    at = read_time(text)
    when = read_date(day, setting.language, now.date()) if day.strip() else now.date()
    return place_moment(when, at, zone, fold)


def _tell(moment: datetime, zone: Zone, setting: Setting) -> tuple[str, str]:
    clock = f"{moment:%H:%M:%S}" if moment.second else f"{moment:%H:%M}"
    clock += " Uhr" if setting.language == "de" else ""
    offset = writing.write_offset(offset_of(moment))
    name = zone.name.replace("_", " ")
    place = name if name == offset else f"{name} ({offset})"
    return f"{writing.write_date(moment.date(), setting.language)}, {clock}", place


TOOLS = (date_diff, date_add, day_of_week, timezone_convert)
