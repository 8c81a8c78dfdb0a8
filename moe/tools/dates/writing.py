"""Dates and durations in sentences of three languages."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

from ..base import Language
from .counting import Span

_LOCALES = {"en": "en_GB", "de": "de", "es": "es"}
WORKING_DAYS = {"en": ("working day", "working days"), "de": ("Arbeitstag", "Arbeitstage"),
                "es": ("día laborable", "días laborables")}
_SPANS = {"en": "From {} to {} it is {}", "de": "Vom {} bis zum {} {verb} es {}", "es": "Del {} al {} hay {}"}
_OF_THEM = {"en": "{} from Monday to Friday", "de": "{} von Montag bis Freitag", "es": "{} de lunes a viernes"}
_OR = {"en": "or", "de": "oder", "es": "o"}
_SUMS = {"en": "{base} {added} is {weekday}, {day}", "de": "{base} {added} ist {weekday}, der {day}",
         "es": "{base} {added} es el {weekday} {day}"}
_SIGNS = {"en": ("plus", "minus"), "de": ("plus", "minus"), "es": ("más", "menos")}
_DAYS = {
    "en": "{day} {verb} a {weekday} (calendar week {week}, day {number} of the year)",
    "de": "Der {day} {verb} ein {weekday} (Kalenderwoche {week}, {number}. Tag des Jahres)",
    "es": "El {day} {verb} {weekday} (semana {week}, día {number} del año)",
}
_VERBS = {"en": ("was", "is"), "de": ("war", "ist"), "es": ("fue", "es")}
_NOW = {"en": "In {place} it is {weekday}, {moment}", "de": "In {place} ist es {weekday}, {moment}",
        "es": "En {place} es {weekday}, {moment}"}
_ZONES = {"en": "{} in {} is {} in {}", "de": "{} in {} ist {} in {}", "es": "{} en {} equivale a {} en {}"}
_RULES = {
    "en": "The first day is not counted, the last one is; public holidays are not taken out of the working days.",
    "de": "Der erste Tag zählt nicht mit, der letzte schon; Feiertage sind von den Arbeitstagen nicht abgezogen.",
    "es": "El primer día no se cuenta y el último sí; los festivos no se descuentan de los días laborables.",
}
_WITH_FIRST = {"en": "Counting the first day too it is {}.", "de": "Mit dem ersten Tag sind es {}.",
               "es": "Contando también el primer día son {}."}
_HOLIDAYS = {
    "en": "Working days are those from Monday to Friday; the first day is not counted, and public holidays are not "
          "taken out.",
    "de": "Arbeitstage sind die von Montag bis Freitag; der erste Tag zählt nicht mit, Feiertage sind nicht abgezogen.",
    "es": "Los días laborables van de lunes a viernes; el primer día no se cuenta y los festivos no se descuentan.",
}


def write_date(day: date, language: Language) -> str:
    """20 July 1969, 20. Juli 1969, 20 de julio de 1969."""
    from babel.dates import format_date  # noqa: PLC0415

    return str(format_date(day, "long", locale=_LOCALES[language]))


def write_weekday(day: date, language: Language) -> str:
    from babel.dates import format_date  # noqa: PLC0415

    return str(format_date(day, "EEEE", locale=_LOCALES[language]))


def write_count(count: int, unit: str, language: Language) -> str:
    """3 days, 3 Tage, 3 días; `unit` is day, week, month, year or working."""
    from babel.units import format_unit  # noqa: PLC0415

    if unit == "working":
        return f"{count} {WORKING_DAYS[language][abs(count) != 1]}"
    return str(format_unit(count, f"duration-{unit}", "long", format="0", locale=_LOCALES[language]))


def write_counts(counts: Sequence[tuple[int, str]], language: Language) -> str:
    """Those that are not zero, joined."""
    from babel.lists import format_list  # noqa: PLC0415

    told = [write_count(count, unit, language) for count, unit in counts if count]
    return str(format_list(told, locale=_LOCALES[language]))


def write_span(first: date, last: date, span: Span, language: Language) -> str:
    days = write_count(span.days, "day", language)
    ways = []
    if span.years or span.months:
        ways.append(write_counts([(span.years, "year"), (span.months, "month"), (span.rest, "day")], language))
    if span.days >= 7:
        ways.append(write_counts([(span.days // 7, "week"), (span.days % 7, "day")], language))
    told = _SPANS[language].format(write_date(first, language), write_date(last, language), days,
                                   verb="ist" if span.days == 1 else "sind")
    told += f": {f', {_OR[language]} '.join(ways)}" if ways else ""
    return f"{told}; " + _OF_THEM[language].format(write_count(span.working, "working", language))


def write_rule(first: date, span: Span, language: Language) -> str:
    """How the days of a span are counted, and what they are otherwise."""
    told = write_count(span.days + 1, "day", language)
    if first.weekday() < 5:
        told += f", {write_count(span.working + 1, 'working', language)}"
    return f"{_RULES[language]} {_WITH_FIRST[language].format(told)}"


def write_holidays(language: Language) -> str:
    """Which days working days are."""
    return _HOLIDAYS[language]


def write_sum(base: date, counts: Sequence[tuple[int, str]], day: date, language: Language) -> str:
    plus, minus = _SIGNS[language]
    added = " ".join(f"{plus if count >= 0 else minus} {write_count(abs(count), unit, language)}"
                     for count, unit in counts)
    return _SUMS[language].format(
        base=write_date(base, language), added=added, weekday=write_weekday(day, language),
        day=write_date(day, language),
    )


def write_day(day: date, today: date, language: Language) -> str:
    year, week, _ = day.isocalendar()
    joint = {"en": "of", "de": "von", "es": "de"}[language]
    return _DAYS[language].format(
        day=write_date(day, language), verb=_VERBS[language][day >= today], weekday=write_weekday(day, language),
        week=week if year == day.year else f"{week} {joint} {year}", number=day.timetuple().tm_yday,
    )


def write_offset(offset: timedelta) -> str:
    """UTC, UTC+2, UTC-3:30."""
    seconds = abs(offset) // timedelta(seconds=1)
    if not seconds:
        return "UTC"
    hours, rest = divmod(seconds, 3600)
    minutes = f":{rest // 60:02}" if rest else ""
    return f"UTC{'-' if offset < timedelta(0) else '+'}{hours}{minutes}"


def write_now(day: date, moment: str, place: str, language: Language) -> str:
    """What the clocks there show at this moment."""
    return _NOW[language].format(place=place, weekday=write_weekday(day, language), moment=moment)


def write_times(here: tuple[str, str], there: tuple[str, str], language: Language) -> str:
    """Each a moment with its place."""
    return _ZONES[language].format(*here, *there)
