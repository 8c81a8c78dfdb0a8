"""Dates are counted exactly; months end where they end; the clocks of the world agree about a moment."""

from __future__ import annotations

import calendar
import json
import time
from datetime import date, datetime, timedelta, timezone

import pytest
from babel.dates import get_day_names, get_month_names
from dateutil.relativedelta import relativedelta
from hypothesis import given
from hypothesis import strategies as st

from moe.errors import ToolError
from moe.tools.base import LANGUAGES, Language, Setting
from moe.tools.dates.counting import add_working_days, measure
from moe.tools.dates.reading import read_date
from moe.tools.dates.tools import TOOLS, date_add, date_diff, day_of_week, timezone_convert
from moe.tools.dates.words import MONTHS, WEEKDAYS
from moe.tools.dates.writing import write_date

# A Wednesday.
NOON = datetime(2026, 3, 18, 12, 0, tzinfo=timezone.utc)
SETTING = Setting(now=lambda: NOON)
DATES = st.dates()
ROUGH = st.one_of(st.text(max_size=70), st.text(alphabet="0123456789-./ :+WTmarzdeof٣３²", max_size=20))


def at(language: Language) -> Setting:
    return Setting(language=language, now=lambda: NOON)


@pytest.mark.parametrize(("first", "last", "days", "years", "months", "rest"), [
    ("1990-05-15", "2026-03-29", 13102, 35, 10, 14), ("2026-03-29", "1990-05-15", 13102, 35, 10, 14),
    ("2024-02-29", "2025-02-28", 365, 1, 0, 0), ("2024-02-28", "2024-03-01", 2, 0, 0, 2),
    ("2024-01-31", "2024-02-29", 29, 0, 1, 0), ("2026-01-01", "2026-01-01", 0, 0, 0, 0),
    ("0001-01-01", "9999-12-31", 3652058, 9998, 11, 30),
])
def test_the_days_between_are_counted_in_either_order(
    first: str, last: str, days: int, years: int, months: int, rest: int
) -> None:
    result = date_diff(first, last).result
    assert (result["days"], result["years"], result["months"], result["remaining_days"]) == (days, years, months, rest)


@pytest.mark.parametrize(("base", "given", "day", "weekday"), [
    ("2026-01-01", {"months": 3, "days": -5}, "2026-03-27", "Friday"),
    ("2024-01-31", {"months": 1}, "2024-02-29", "Thursday"), ("2024-02-29", {"years": 1}, "2025-02-28", "Friday"),
    ("2026-03-15", {"days": -30}, "2026-02-13", "Friday"), ("2024-12-31", {"days": 1}, "2025-01-01", "Wednesday"),
    ("2024-02-29", {"years": 4}, "2028-02-29", "Tuesday"), ("2024-03-31", {"months": -1}, "2024-02-29", "Thursday"),
    ("2026-03-18", {"weeks": 2}, "2026-04-01", "Wednesday"),
    ("2026-03-20", {"business_days": 1}, "2026-03-23", "Monday"),
    ("2026-03-21", {"business_days": 1}, "2026-03-23", "Monday"),
    ("2026-03-21", {"business_days": -1}, "2026-03-20", "Friday"),
    ("2026-03-23", {"business_days": -1}, "2026-03-20", "Friday"), ("2026-03-21", {}, "2026-03-21", "Saturday"),
])
def test_a_date_moves(base: str, given: dict[str, int], day: str, weekday: str) -> None:
    result = date_add(base, **given).result
    assert (result["date"], result["weekday"]) == (day, weekday)


@pytest.mark.parametrize(("day", "weekday", "week", "number"), [
    ("2026-12-25", "Friday", 52, 359), ("2021-01-01", "Friday", 53, 1), ("2024-12-31", "Tuesday", 1, 366),
])
def test_a_day_has_its_week_and_its_number(day: str, weekday: str, week: int, number: int) -> None:
    result = day_of_week(day).result
    assert (result["weekday"], result["week"], result["day_of_year"]) == (weekday, week, number)


def test_bug_dates_were_read_in_iso_only() -> None:
    for text in ("29.03.2026", "29. 3. 2026", "2026/3/29", "March 29 2026", "March 29th, 2026", "29 March 2026",
                 "the 29th of March 2026", "Sunday, 29 March 2026", "Mar 29, 2026", "29-Mar-2026", "29. März 2026",
                 "Sonntag, den 29. März 2026", "29 de marzo de 2026", "29 de marzo del 2026", "29/03/2026",
                 "03/29/2026", "2026-W13-7"):
        assert read_date(text, "en", NOON.date()) == date(2026, 3, 29), text


@pytest.mark.parametrize(("text", "day"), [
    ("today", "2026-03-18"), ("Heute", "2026-03-18"), ("hoy", "2026-03-18"), ("tomorrow", "2026-03-19"),
    ("morgen", "2026-03-19"), ("mañana", "2026-03-19"), ("man\u0303ana", "2026-03-19"), ("yesterday", "2026-03-17"),
    ("gestern", "2026-03-17"), ("ayer", "2026-03-17"), ("übermorgen", "2026-03-20"), ("next Friday", "2026-03-20"),
    ("nächsten Freitag", "2026-03-20"), ("el próximo viernes", "2026-03-20"), ("el viernes que viene", "2026-03-20"),
    ("next Wednesday", "2026-03-25"), ("last Wednesday", "2026-03-11"), ("letzten Montag", "2026-03-16"),
    ("el lunes pasado", "2026-03-16"), ("next 17 March", "2027-03-17"), ("next March 18", "2026-03-18"),
    ("coming 29 February", "2028-02-29"), ("Christmas", "2026-12-25"), ("Silvester 2030", "2030-12-31"),
])
def test_today_comes_from_the_clock(text: str, day: str) -> None:
    assert read_date(text, "de", NOON.date()).isoformat() == day


@pytest.mark.parametrize("text", [
    "", "03/04/2025", "3-4-2025", "29.03.26", "2023-02-29", "29 February 2023", "31.04.2026",
    "2026-13-01", "0000-01-01", "10000-01-01", "Monday, 29 March 2026", "29 March", "March 2026", "2026", "1st",
    "22th March 2026", "Friday", "next",
    "next 30 February", "２０２６-０３-２９", "٢٠٢٦-٠٣-٢٩", "2026-03-29 and more", "2021-W53-1",
    "\x00", "\ud800", "2026-03-29\x00", "1" * 1_000_000,
])
def test_what_is_no_date_or_two_is_refused(text: str) -> None:
    with pytest.raises(ToolError):
        read_date(text, "en", NOON.date())


def test_a_slash_is_read_by_language_and_refused_in_english() -> None:
    for language in ("de", "es"):
        assert read_date("03/04/2025", language, NOON.date()) == date(2025, 4, 3)
    assert read_date("04/04/2025", "en", NOON.date()) == date(2025, 4, 4)
    with pytest.raises(ToolError, match="2025-03-04 or 2025-04-03"):
        read_date("03/04/2025", "en", NOON.date())


@pytest.mark.parametrize("language", ["en", "de", "es"])
def test_every_name_of_a_month_and_a_day_is_known(language: str) -> None:
    for width in ("wide", "abbreviated"):
        for number, name in get_month_names(width, locale=language).items():
            assert MONTHS[name.lower().rstrip(".")] == number
    for number, name in get_day_names("wide", locale=language).items():
        assert WEEKDAYS[name.lower()] == number + 1


@pytest.mark.parametrize(("language", "text"), [
    ("en", "20 July 1969 was a Sunday (calendar week 29, day 201 of the year)"),
    ("de", "Der 20. Juli 1969 war ein Sonntag (Kalenderwoche 29, 201. Tag des Jahres)"),
    ("es", "El 20 de julio de 1969 fue domingo (semana 29, día 201 del año)"),
])
def test_a_sentence_says_it_in_each_language(language: Language, text: str) -> None:
    assert day_of_week("1969-07-20", setting=at(language)).text == text


def test_a_span_and_a_sum_are_told_whole() -> None:
    assert date_diff("2024-01-31", "2024-03-01", setting=at("en")).text == (
        "From 31 January 2024 to 1 March 2024 it is 30 days: 1 month and 1 day, or 4 weeks and 2 days; "
        "22 working days from Monday to Friday")
    assert date_add("2026-03-15", days=-30, setting=at("de")).text == (
        "15. März 2026 minus 30 Tage ist Freitag, der 13. Februar 2026")
    assert date_add("2026-01-01", months=1, business_days=1, setting=at("es")).text == (
        "1 de enero de 2026 más 1 mes más 1 día laborable es el lunes 2 de febrero de 2026")


def convert(at_time: str, here: str, there: str, day: str = "", fold: int | None = None) -> tuple[str, str]:
    result = timezone_convert(at_time, here, there, day, fold, setting=SETTING).result
    return result["date"], result["time"]


@pytest.mark.parametrize(("at_time", "here", "there", "day", "expected"), [
    ("15:30", "Europe/Berlin", "America/New_York", "2026-01-15", ("2026-01-15", "09:30")),
    ("15:30", "Berlin", "New York", "2026-03-20", ("2026-03-20", "10:30")),
    ("3 pm", "EST", "CET", "2026-01-15", ("2026-01-15", "21:00")),
    ("23:15 Uhr", "München", "Tokio", "2026-07-01", ("2026-07-02", "06:15")),
    ("las 8 de la tarde", "Madrid", "Ciudad de México", "2026-07-01", ("2026-07-01", "12:00")),
    ("12 am", "UTC", "Asia/Kathmandu", "2026-07-01", ("2026-07-01", "05:45")),
    ("noon", "UTC+2", "GMT-3:30", "2026-07-01", ("2026-07-01", "06:30")),
    ("now", "UTC", "India", "", ("2026-03-18", "17:30")),
])
def test_a_moment_is_shown_elsewhere(at_time: str, here: str, there: str, day: str, expected: tuple[str, str]) -> None:
    assert convert(at_time, here, there, day) == expected


def test_a_time_the_clocks_show_twice_must_be_settled() -> None:
    with pytest.raises(ToolError, match="twice"):
        convert("02:30", "Europe/Berlin", "UTC", "2026-10-25")
    assert convert("02:30", "Europe/Berlin", "UTC", "2026-10-25", 0) == ("2026-10-25", "00:30")
    assert convert("02:30", "Europe/Berlin", "UTC", "2026-10-25", 1) == ("2026-10-25", "01:30")
    with pytest.raises(ToolError, match="leave out"):
        convert("02:30", "Europe/Berlin", "UTC", "2026-03-29")


@pytest.mark.parametrize(("at_time", "here", "there"), [
    ("15:30", "CST", "UTC"), ("15:30", "Córdoba", "UTC"), ("15:30", "Atlantis", "UTC"), ("15:30", "UTC+99", "UTC"),
    ("15", "UTC", "UTC"), ("25:00", "UTC", "UTC"), ("13 pm", "UTC", "UTC"), ("9 o'clock", "UTC", "UTC"), ("", "", ""),
    ("15:30", "../../etc/passwd", "UTC"), ("15:30", "\x00", "\ud800"), ("1" * 1_000_000, "UTC", "UTC"),
    ("15:30", "a" * 1_000_000, "UTC"), ("１５:３０", "UTC", "UTC"),
])
def test_an_unclear_time_or_place_is_refused(at_time: str, here: str, there: str) -> None:
    with pytest.raises(ToolError):
        convert(at_time, here, there)


@pytest.mark.parametrize("given", [
    {"days": 4_000_000}, {"years": 9000}, {"months": -120_000}, {"business_days": -10**6},
])
def test_nothing_leaves_the_calendar(given: dict[str, int]) -> None:
    with pytest.raises(ToolError):
        date_add("2026-01-01", **given)
    with pytest.raises(ToolError):
        date_add.call({"base_date": "2026-01-01", "days": 10**30}, SETTING)


@given(DATES, DATES)
def test_a_span_leads_from_one_day_to_the_other(one: date, other: date) -> None:
    first, last = sorted((one, other))
    span = measure(first, last)
    assert first + relativedelta(years=span.years, months=span.months) + timedelta(days=span.rest) == last
    assert span.days == (last - first).days
    assert 0 <= span.months < 12 and 0 <= span.rest < 31


@given(st.dates(date(1900, 1, 1), date(2100, 1, 1)), st.integers(-600, 600))
def test_working_days_are_counted_as_by_hand(day: date, count: int) -> None:
    step, left, at_day = (1 if count > 0 else -1), abs(count), day
    while left:
        at_day += timedelta(days=step)
        left -= at_day.weekday() < 5
    assert add_working_days(day, count) == at_day
    if count > 0:
        assert measure(day, at_day).working == count


@given(DATES, st.integers(-50_000, 50_000))
def test_days_there_and_back(day: date, days: int) -> None:
    try:
        moved = date_add(day.isoformat(), days=days).result["date"]
    except ToolError:
        return
    assert date_add(moved, days=-days).result["date"] == day.isoformat()
    assert date_diff(moved, day.isoformat()).result["days"] == abs(days)


@given(DATES, st.sampled_from(LANGUAGES))
def test_a_written_date_is_read_again(day: date, language: Language) -> None:
    if day.year >= 1000:
        assert read_date(write_date(day, language), language, NOON.date()) == day


@given(DATES)
def test_a_weekday_is_the_calendars(day: date) -> None:
    assert day_of_week(day.isoformat()).result["weekday"] == calendar.day_name[calendar.weekday(*day.timetuple()[:3])]


@given(ROUGH, ROUGH, ROUGH, ROUGH, st.sampled_from(LANGUAGES))
def test_nothing_but_tool_errors_escapes(one: str, two: str, three: str, four: str, language: Language) -> None:
    for call in (
        lambda: date_diff(one, two, setting=at(language)), lambda: day_of_week(three, setting=at(language)),
        lambda: date_add(four, days=3, setting=at(language)),
        lambda: timezone_convert(one, two, three, four, setting=at(language)),
        lambda: timezone_convert("12:00", two, "UTC", four, setting=at(language)),
    ):
        try:
            json.dumps(call().result)
        except ToolError as error:
            str(error).encode()


def test_large_inputs_are_refused_at_once() -> None:
    started = time.process_time()
    for text in ("9" * 10**6, "March " * 10**5, " " * 10**6, "-" * 10**6, "\u0301" * 10**6):
        with pytest.raises(ToolError):
            day_of_week(text)
        with pytest.raises(ToolError):
            timezone_convert(text, text, text, text)
    assert time.process_time() - started < 1


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
def test_each_argument_is_told(tool) -> None:
    assert all(member["description"] for member in tool.schema["properties"].values())


def test_one_day_is_no_plural() -> None:
    assert date_diff("2026-03-28", "2026-03-29", setting=at("de")).text.startswith(
        "Vom 28. März 2026 bis zum 29. März 2026 ist es 1 Tag;")
