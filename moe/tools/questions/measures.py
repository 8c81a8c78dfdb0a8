"""Questions about units."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ...errors import ToolError
from ..base import Language
from ..numbers import NUMBER, exact, localise, read_number
from ..units.reading import Unit, read_amount, read_unit
from . import figures, loans
from .question import Asked, Finder, Question, Reader, is_unsettled
from .spelling import loosen

_LINKS: dict[str, tuple[Language, ...]] = {
    "to": ("en",), "into": ("en",), "in": ("en", "de"), "nach": ("de",), "zu": ("de",), "a": ("es",), "en": ("es",)}
_LINK = re.compile(r" (to|into|in|nach|a|en) ")
# Around "X units in units"; without words of its own a prompt may be of any language.
_BODIES: tuple[tuple[tuple[Language, ...], re.Pattern[str]], ...] = (
    (("en",), re.compile(r"(?:please )?(?:convert|change|turn|express|what(?:['’]?s| is| are)|how much (?:is|are)|"
                         r"how (?:long|far|tall|heavy|fast|hot|big) (?:is|are)) (.+)")),
    (("de",), re.compile(r"(?:rechne|wandle|wandele|konvertiere)(?: mir)?(?: bitte)? (.+?)(?: um)?")),
    (("de",), re.compile(loosen(r"(?:was|wie ?viel|wie (?:lang|weit|groß|schwer|schnell|warm)) (?:sind|ist)(?: "
                                r"denn)? (.+)"))),
    (("de",), re.compile(r"(?:was|wie ?viel) (.+) (?:sind|ist)")),
    (("de",), re.compile(r"(.+) (?:umrechnen|umwandeln)")),
    (("es",), re.compile(loosen(r"(?:convierte|convertir|conviérteme|convierta|pasa|pasar|pásame|transforma)(?: de)? "
                                r"(.+)"))),
    (("es",), re.compile(r"(?:cu[aá]nt[oa]s?|qué) (?:es|son|equivalen?) (.+)")),
    (("en", "de", "es"), re.compile(r"(.+)")),
)
# "How many units are X units".
_COUNTS: tuple[tuple[Language, re.Pattern[str]], ...] = (
    ("en", re.compile(r"how many (?P<unit>.+?) (?:are there in|are in|is in|are|is|in|make up|make|equals?|"
                      r"does|do) (?P<amount>.+?)(?: have| equal| make)?")),
    ("de", re.compile(r"wie ?viele? (?P<unit>.+?) (?:sind in|sind es in|gibt es in|stecken in|passen in|sind|ist|hat|"
                      r"haben|entsprechen|ergeben) (?P<amount>.+)")),
    ("de", re.compile(r"wie ?viele? (?P<unit>[^0-9]+?) (?P<amount>(?:[0-9]|eine?r? ).+?) "
                      r"(?:sind|ist|hat|haben|entsprechen|ergeben)")),
    ("es", re.compile(r"(?:a )?cu[aá]nt[oa]s (?P<unit>.+?) (?:son|es|hay en|tienen?|equivalen?(?: a)?|contienen?) "
                      r"(?P<amount>.+)")),
)
_MINUS = re.compile(r"\A−(?=[0-9])")
_ONE = re.compile(r"(?:an?|one|eine?[mnr]?|une?|una) (.+)")
_SEVERAL = re.compile(r"[0-9.,]+ ?(?:[a-zñáéíóúß]+|['\"′″])(?: ?(?:and |und |y |con )?"
                      r"[0-9.,]+ ?(?:[a-zñáéíóúß]+|['\"′″])?){1,3}")
_PLAIN = re.compile(rf"([+-]?{NUMBER}) ?([^0-9].*)")


def _read_units(question: Question) -> Asked | None:
    """"Convert 5 ft 11 in to cm", "Wie viele Meter sind 3 Meilen?"."""
    text, folded = question.text, question.folded
    for language, count in _COUNTS:
        found = count.fullmatch(folded)
        if found:
            asked = _ask(text[slice(*found.span("amount"))], text[slice(*found.span("unit"))], (language,))
            if asked:
                return asked
    for languages, body in _BODIES:
        found = body.fullmatch(folded)
        if found:
            readings = [asked for asked in _split(text, folded, *found.span(1), languages) if asked]
            if readings:
                return readings[0] if len(readings) == 1 else None
    return None


def _split(text: str, folded: str, start: int, end: int, languages: tuple[Language, ...]) -> Iterator[Asked | None]:
    """Wherever a word stands that may join an amount to the unit wanted."""
    place = start
    while link := _LINK.search(folded, place, end):
        place = link.start() + 1
        spoken = tuple(each for each in _LINKS[link[1]] if each in languages)
        if spoken:
            yield _ask(text[start : link.start()], text[link.end() : end], spoken)


def _ask(amount: str, unit: str, languages: tuple[Language, ...]) -> Asked | None:
    """None unless every word is a unit of the table or a number that has one reading."""
    amount, unit = _MINUS.sub("-", amount.strip()), unit.strip()
    if len(amount) > 60 or len(unit) > 40 or any(sign.isdigit() for sign in unit[:1]):
        return None
    one = _ONE.fullmatch(amount.lower())
    if one:
        amount = f"1 {amount[one.start(1):]}"
    try:
        wanted = read_unit(unit, is_named=True)
        if not _is_sure(wanted):
            return None
        readings = [_read_amount(amount, language) for language in languages]
    except ToolError:
        return None
    if any(reading != readings[0] for reading in readings) or readings[0] is None:
        return None
    language = "de" if "de" in languages and ("," in amount or "en" not in languages or _is_german(amount, unit)) \
        else languages[0]
    value, source = readings[0]
    if is_unsettled(amount, language):
        return None
    if source and not _measure_the_same(read_unit(source), wanted):
        return None
    told = value if isinstance(value, int) or source == "" else localise(value, language)
    return Asked("unit_convert", {"value": told, "from_unit": source, "to_unit": unit}, language)


def _read_amount(amount: str, language: Language) -> tuple[int | str, str] | None:
    """The number and its unit, or an amount of several and nothing."""
    plain = _PLAIN.fullmatch(amount)
    if plain:
        try:
            if not _is_sure(read_unit(plain[2], is_named=True)):
                return None
            return exact(read_number(plain[1], language)), plain[2]
        except ToolError:
            if not re.search(r"[0-9]", plain[2]):
                return None
    if not _SEVERAL.fullmatch(amount.lower()):
        return None
    parts = read_amount(amount, language)
    return (amount, "") if all(_is_sure(part.units) for part in parts) else None


def _is_sure(units: tuple[Unit, ...]) -> bool:
    return units[0].is_sure


def _measure_the_same(given: tuple[Unit, ...], wanted: tuple[Unit, ...]) -> bool:
    """In the likeliest reading of both, where there are several: an ounce may be a weight or a volume."""
    return len(given) == len(wanted) == 1 or given[0].size.roots == wanted[0].size.roots


def _is_german(amount: str, unit: str) -> bool:
    plain = _PLAIN.fullmatch(amount)
    names = (unit, plain[2]) if plain and not re.search(r"[0-9]", plain[2].replace("100", "")) else (unit,)
    sides = [read_unit(name, is_named=True)[0].languages for name in names]
    return any("de" in side for side in sides) and not all("en" in side for side in sides if side)


_WORD = r"([^\W\d_]{1,12}(?:/[^\W\d_]{1,3})?)"
_NUMBER = r"([+-]?[0-9][0-9.,]*) ?"
_FOUND: tuple[tuple[Language, re.Pattern[str]], ...] = (
    ("en", re.compile(rf"\bconvert {_NUMBER}{_WORD} (?:to|into) {_WORD}(?![\w/])", re.IGNORECASE)),
    ("de", re.compile(rf"\b(?:rechne|wandle|konvertiere) {_NUMBER}{_WORD} (?:in|nach) {_WORD}(?![\w/])",
                      re.IGNORECASE)),
    ("es", re.compile(rf"\b(?:convierte|convertir|pasa|pasar) {_NUMBER}{_WORD} a {_WORD}(?![\w/])", re.IGNORECASE)),
)


def _find_units(text: str) -> Iterator[tuple[str, Asked]]:
    """"… convert 5 miles to km and …"."""
    for language, pattern in _FOUND:
        for found in pattern.finditer(text):
            asked = _ask(f"{found[1]} {found[2]}", found[3], (language,))
            if asked:
                yield found[0], asked


READERS: tuple[Reader, ...] = (
    Reader(re.compile(r"[0-9]|how many|wie ?viel|cu[aá]nt"), _read_units),
    *figures.READERS, *loans.READERS,
)
FINDERS: tuple[Finder, ...] = (Finder(
    re.compile(r"\b(?:convert|rechne|wandle|konvertiere|convierte|convertir|pasar?) [+-]?[0-9]"), _find_units),)
_UNIT = (r"(?:kilo|centi|milli|zenti|kiló|centí|milí)?(?:met(?:er|re|ro)s?n?|gram(?:m|o)?s?)|inch(?:es)?|feet|foot|"
         r"yards?|miles?|gallons?|pounds?|ounces?|lit(?:er|re|ro)s?|acres?|meilen?|zoll|pfund|unzen?|millas?|"
         r"pulgadas?|pies|"
         r"libras?|onzas?|galon(?:es)?|hect[aá]reas?|hektar|degrees|grad|grados|celsius|fahrenheit|kelvin")
CUES: dict[str, re.Pattern[str]] = {
    "unit_convert": re.compile(
        rf"\b(?:umrechn|umwandel|(?:convert|convierte|convertir|wandle|rechne) [^.?!]{{0,20}}[0-9])|fahrenheit|celsius|"
        rf"[0-9] ?(?:{_UNIT}|km|kg|cm|mm|ft|lbs?|oz|mph|gib|mib|[gmkt]b|kwh)\b|"
        rf"(?:how many|wie ?viele?|cu[aá]nt[oa]s) (?:{_UNIT})\b"),
    "statistics_calc": re.compile(
        r"(?:average|median|standard deviation|variance|percentiles?|quartiles?|mittelwerte?|durchschnitt|"
        r"standardabweichung|varianz|perzentile?|promedio|mediana|desviación|varianza|percentil|cuartiles?)\b"),
    "loan_payment": re.compile(
        r"monthly payment|monatsrate|mensualidad|cuota mensual|"
        r"\b(?:loan|mortgage|kredit|darlehen|hypothek|préstamo|hipoteca)\b[^.?!]{0,60}[0-9]"),
}
