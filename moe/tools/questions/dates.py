"""Questions about dates and times of day, as they are asked in English, German and Spanish."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime, timedelta

from ...errors import ToolError
from ..base import Language
from ..dates.hours import read_time
from ..dates.reading import read_date
from ..dates.words import FEASTS, MONTHS, NEAR
from ..dates.zones import Zone, read_zone
from .date_phrases import ADD, AMOUNT, DAY, DIFF, NOW_IN, NUMBERS, SINCE, TODAY, UNITS, UNTIL, WORKING, ZONE, Patterns
from .question import Asked, Finder, Question, Reader, fold

# Before, not everybody's calendar was today's.
FIRST_YEAR = 1753
# What "in 8 Tagen" and "en quince días" mean is no count.
_IDIOMS = {("de", 8), ("es", 8), ("es", 15)}

_ARTICLES = re.compile(r"^(?:(?:on|the|am|dem|den|der|zum|el|la|día|al|del) )*")
_AMOUNT = re.compile(AMOUNT)
_DAY_ONE, _DAY_TWO = date(2024, 1, 1), date(2017, 7, 8)


def _slot(words: str, language: Language, *, is_coming: bool = False) -> str | None:
    """A date for the tool: written out, or a word such as today. `is_coming`: one without a year is the next."""
    plain = _ARTICLES.sub("", words)
    if plain in NEAR or words in NEAR:
        return plain if plain in NEAR else words
    if plain in FEASTS:
        return plain if is_coming else None
    try:
        days = [read_date(plain, language, today) for today in (_DAY_ONE, _DAY_TWO)]
    except ToolError:
        return _coming(plain, language) if is_coming else None
    return days[0].isoformat() if days[0] == days[1] and days[0].year >= FIRST_YEAR else None


def _coming(words: str, language: Language) -> str | None:
    if not any(month in words for month in MONTHS):
        return None
    try:
        read_date(f"next {words}", language, _DAY_ONE)
    except ToolError:
        return None
    return f"next {words}"


# Whoever says "from … to" means the first of the working days too, or not.
_WHOLE_WORKING = re.compile(rf"(?=.*(?:{WORKING}))(?=.*\b(?:from|vom|von|desde|del?) .*"
                            r"\b(?:to|until|till|bis|hasta|al?) )")


def _read_diff(question: Question) -> Asked | None:
    if _WHOLE_WORKING.match(question.folded):
        return None
    for language, found in _matches(DIFF, question):
        if asked := _ask_diff(_slot(found["a"], language), _slot(found["b"], language), language):
            return asked
    for language, found in _matches(UNTIL, question):
        if asked := _ask_diff("today", _slot(found["a"], language, is_coming=True), language):
            return asked
    for language, found in _matches(SINCE, question):
        slot = _slot(found["a"], language)
        if slot not in NEAR and (asked := _ask_diff(slot, "today", language)):
            return asked
    return None


def _ask_diff(first: str | None, last: str | None, language: Language) -> Asked | None:
    if first is None or last is None:
        return None
    return Asked("date_diff", {"date1": first, "date2": last}, language)


def _read_add(question: Question) -> Asked | None:
    for language, found in _matches(ADD, question):
        groups = found.groupdict()
        base = _slot(groups["a"], language) if groups.get("a") else "today"
        counts = _count(found["n"], -1 if groups.get("minus") else 1, language)
        if base is None or counts is None:
            continue
        if base == "today" and (language, abs(counts.get("days", 0))) in _IDIOMS:
            return None
        return Asked("date_add", {"base_date": base} | counts, language)
    return None


def _count(words: str, sign: int, language: Language) -> dict[str, int] | None:
    """Of "3 months and 5 days"; None where a unit is of another language or comes twice."""
    counts: dict[str, int] = {}
    for found in _AMOUNT.finditer(words):
        unit = UNITS[language].get(found[2])
        if unit is None or unit in counts:
            return None
        counts[unit] = sign * (NUMBERS[found[1]] if found[1] in NUMBERS else int(found[1]))
    return counts


def _read_day(question: Question) -> Asked | None:
    for language, _ in _matches(TODAY, question):
        return Asked("day_of_week", {"date_str": "today"}, language)
    for language, found in _matches(DAY, question):
        if slot := _slot(found["a"], language):
            return Asked("day_of_week", {"date_str": slot}, language)
    return None


def _read_zone(question: Question) -> Asked | None:
    for language, found in _matches(ZONE, question):
        if asked := _ask_zone(found.groupdict(), _tongue(found["t"]) or language):
            return asked
    for language, found in _matches(NOW_IN, question):
        there = _zone(found["p"])
        if there is not None and _is_settled(there, None):
            arguments = {"time": "now", "from_timezone": "UTC", "to_timezone": there.name}
            return Asked("timezone_convert", arguments, language)
    return None


def _tongue(time: str) -> Language | None:
    """Of a time of day, where a word stands in it that only one language has."""
    if re.search(r"\buhr\b|mitternacht|mittag", time):
        return "de"
    return "es" if re.search(r"\bhoras\b|\bde la\b|medio|media", time) else None


def _ask_zone(words: Mapping[str, str | None], language: Language) -> Asked | None:
    day = words.get("d")
    when = _slot(day, language) if day else ""
    here, there = _zone(words["q"] or ""), _zone(words["p"] or "")
    if when is None or when in NEAR or here is None or there is None:
        return None
    if not _is_settled(here, when) or not _is_settled(there, when):
        return None
    try:
        at = read_time(words["t"] or "").strftime("%H:%M")
    except ToolError:
        return None
    arguments = {"time": at, "from_timezone": here.name, "to_timezone": there.name}
    return Asked("timezone_convert", arguments | ({"date": when} if when else {}), language)


def _zone(words: str) -> Zone | None:
    try:
        return read_zone(words)
    except ToolError:
        return None


def _is_settled(zone: Zone, when: str | None) -> bool:
    """Whether its place keeps that offset on the day: who says EST in July may mean the clocks of New York."""
    if zone.place is None or zone.place == zone.name:
        return True
    place = read_zone(zone.place).rules if zone.place != "UTC" else zone.rules
    days = [datetime.fromisoformat(when)] if when else [datetime(2026, 1, 15), datetime(2026, 7, 15)]
    noon = timedelta(hours=12)
    return all((day + noon).replace(tzinfo=place).utcoffset() == zone.rules.utcoffset(None) for day in days)


def _matches(patterns: Patterns, question: Question) -> Iterator[tuple[Language, re.Match[str]]]:
    for language, those in patterns.items():
        for pattern in those:
            if found := pattern.fullmatch(question.folded):
                yield language, found


_MONTH = "|".join(sorted(MONTHS, key=len, reverse=True))
_WRITTEN = (r"([0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{1,2}\. ?[0-9]{1,2}\. ?[0-9]{4}|"
            rf"[0-9]{{1,2}}(?:st|nd|rd|th|\.)? (?:of |de )?(?:{_MONTH}),? (?:del? )?[0-9]{{4}}|"
            rf"(?:{_MONTH}) [0-9]{{1,2}}(?:st|nd|rd|th)?,? [0-9]{{4}})(?![\w-])")
_PAIRS: tuple[tuple[Language, re.Pattern[str]], ...] = (
    ("en", re.compile(rf"\b(?:between|from) (?:the )?{_WRITTEN} (?:and|to|until|till) (?:the )?{_WRITTEN}")),
    ("de", re.compile(rf"\b(?:zwischen|vom|von) (?:dem )?{_WRITTEN} (?:und|bis) (?:dem |zum )?{_WRITTEN}")),
    ("es", re.compile(rf"\b(?:entre|desde|del) (?:el )?{_WRITTEN} (?:y|hasta|al) (?:el )?{_WRITTEN}")),
)


# Who tells from when to when wants to know how long it is only if one of these is there.
_LASTING = re.compile(
    r"\b(?:days?|weeks?|months?|years?|nights?|long|ages?|old|elapsed|duration|interval|deadlines?|periods?|tage?n?|wochen?|"
    r"monate?n?|jahre?n?|nächte|dauer\w*|zeitraum|zeitspanne|frist(?:en)?|lange?|alt|d[ií]as?|semanas?|mes|meses|años?|"
    r"noches?|tiempo|duración|duró|plazos?|per[ií]odos?|edad)\b")


# Where days are counted otherwise than the tool does: both ends, no leap days, or only some of them.
_OTHERWISE = re.compile(
    r"\b(?:inclu|inkl|einschlie(?:ß|ss)|mitgez|mitz[äa]hl|exclu|exklu|ausschlie(?:ß|ss)|leap|bisiest|julian|weekend|"
    r"schalt(?:tag|jahr))|\bboth (?:days|dates|ends)|\bbeide[nr]? (?:tage|daten|grenz)|\bambos\b|"
    r"\b36[05]\b|\bthrough\b|\bwochenend|\bfines? de semana|"
    rf"{WORKING}")


def _find_pairs(text: str) -> Iterator[tuple[str, Asked]]:
    folded = fold(text)
    if not _LASTING.search(folded) or _OTHERWISE.search(folded):
        return
    for language, pattern in _PAIRS:
        for found in pattern.finditer(folded):
            first, last = _slot(found[1], language), _slot(found[2], language)
            if first and last:
                yield text[found.start():found.end()], Asked("date_diff", {"date1": first, "date2": last}, language)


def _reader(cue: str, read: Callable[[Question], Asked | None]) -> Reader:
    return Reader(re.compile(cue), read)


READERS: tuple[Reader, ...] = (
    _reader(r"days?\b|weeks\b|years\b|difference\b|how (?:old|long)\b|tagen?\b|wochen\b|jahren?\b|"
            r"wie (?:alt|lange)\b|d[ií]as\b|semanas\b|a[ñn]os\b|tiempo\b|falta\b|zeit(?:raum|spanne)|abstand|"
            r"dauer|unterschied|period|interval|edad\b", _read_diff),
    _reader(r"\b(?:days?|weeks?|months?|years?|(?:arbeits)?tage?n?|wochen?|monate?n?|jahre?n?|d[ií]as?|semanas?|mes|"
            r"meses|años?)\b", _read_add),
    _reader(r"day\b|date\b|\bweek\b|tag\b|woche\b|\bkw\b|datum\b|\bd[ií]a\b|\bsemana\b|\bfecha\b", _read_day),
    _reader(r"\btime\b|[0-9] ?(?:am|pm|a\.m|p\.m)\b|[0-9]:[0-9]{2}\b|\buhr|\bsp(?:ä|ae?)t\b|\bhora\b", _read_zone),
)
FINDERS: tuple[Finder, ...] = (
    Finder(re.compile(r"\b(?:between|from|zwischen|vom|von|entre|desde|del) (?:the |dem |el )?"
                      r"(?:[0-9]|[a-z]{3,9} [0-9])"), _find_pairs),
)
# Letters first: only so does the search skip what cannot begin one.
_NAMES = "|".join(month for month in MONTHS if len(month) > 4)
_DATED = (rf"[0-9](?:[0-9]{{3}}-[0-9]{{2}}-[0-9]|[0-9]?[./][0-9]{{1,2}}[./][0-9]{{4}}|"
          rf"(?:st|nd|rd|th|\.)? (?:of |de )?(?:{_NAMES})\b)|(?:{_NAMES}),? [0-9]")
CUES: Mapping[str, re.Pattern[str]] = {
    "date_diff": re.compile(rf"(?=[0-9jfmasondteh])(?:{_DATED}|days? (?:between|until|since|left)\b|"
                            r"tage (?:bis|seit|zwischen)\b|días (?:hasta|desde|entre|para)\b)"),
    "date_add": re.compile(rf"(?=[0-9jfmasondtehp])(?:{_DATED}|deadline|fristen\b|frist\b|plazos?\b|"
                           r"[0-9] (?:(?:business|working) days?|arbeitstage|werktage|días (?:hábiles|laborables))\b)"),
    "day_of_week": re.compile(rf"(?=[0-9jfmasondtehwkq])(?:{_DATED}|weekday|day of the week|wochentag|kalenderwoche|"
                              r"día de la semana|what (?:day|date) is|welcher tag|qué día)"),
    "timezone_convert": re.compile(r"\btime ?zones?\b|\bzeitzonen?\b|\bzonas? horarias?\b|"
                                   r"\b(?:utc|gmt|c?est|cet|pst|pdt)\b|"
                                   r"\btime is it in\b|\bwie spät\b|\bqué hora\b"),
}
