"""Questions about units, lists of numbers and loans."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from ...errors import ToolError
from ..base import Language
from ..numbers import NUMBER, decimal_text, exact, localise, read_number
from ..units.reading import Unit, read_amount, read_unit
from .question import Asked, Finder, Question, Reader

_LINKS: dict[str, tuple[Language, ...]] = {
    "to": ("en",), "into": ("en",), "in": ("en", "de"), "nach": ("de",), "zu": ("de",), "a": ("es",), "en": ("es",)}
_LINK = re.compile(r" (to|into|in|nach|a|en) ")
# Around "X units in units"; without words of its own a prompt may be of any language.
_BODIES: tuple[tuple[tuple[Language, ...], re.Pattern[str]], ...] = (
    (("en",), re.compile(r"(?:please )?(?:convert|change|turn|express|what(?:['’]s| is| are)|how much (?:is|are)|"
                         r"how (?:long|far|tall|heavy|fast|hot|big) (?:is|are)) (.+)")),
    (("de",), re.compile(r"(?:rechne|wandle|wandele|konvertiere)(?: mir)?(?: bitte)? (.+?)(?: um)?")),
    (("de",), re.compile(r"(?:was|wie ?viel|wie (?:lang|weit|groß|schwer|schnell|warm)) (?:sind|ist)(?: denn)? (.+)")),
    (("de",), re.compile(r"(?:was|wie ?viel) (.+) (?:sind|ist)")),
    (("de",), re.compile(r"(.+) (?:umrechnen|umwandeln)")),
    (("es",), re.compile(r"(?:convierte|convertir|conviérteme|pasa|pasar|transforma)(?: de)? (.+)")),
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
    amount, unit = amount.strip(), unit.strip()
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


_OPERATIONS = {
    "mean": "mean", "average": "mean", "arithmetic mean": "mean", "median": "median", "mode": "mode",
    "standard deviation": "stdev", "sample standard deviation": "stdev", "population standard deviation": "pstdev",
    "sample variance": "variance", "population variance": "pvariance", "interquartile range": "iqr",
    "quartiles": "quartiles", "mittelwert": "mean", "durchschnitt": "mean", "arithmetische mittel": "mean",
    "modus": "mode", "modalwert": "mode", "standardabweichung": "stdev", "quartile": "quartiles",
    "interquartilsabstand": "iqr", "media": "mean", "promedio": "mean", "media aritmética": "mean",
    "mediana": "median", "moda": "mode", "desviación estándar": "stdev", "desviación típica": "stdev",
    "cuartiles": "quartiles", "rango intercuartílico": "iqr", "first quartile": "q1", "third quartile": "q3",
    "erste quartil": "q1", "dritte quartil": "q3", "primer cuartil": "q1", "tercer cuartil": "q3",
}
_NAMED = "|".join(sorted(_OPERATIONS, key=len, reverse=True))
_DATA = r"(?P<data>[+-]?[0-9][0-9.,; +-]*(?:(?:and|und|y|e) [+-]?[0-9][0-9.,]*)?)"
_LISTS: tuple[tuple[Language, re.Pattern[str]], ...] = (
    ("en", re.compile(rf"(?:(?:what(?:['’]s| is| are)|find|calculate|compute|determine|work out) )?(?:the )?"
                      rf"(?:(?P<op>{_NAMED})|(?P<share>[0-9]{{1,2}})(?:st|nd|rd|th) percentile) (?:of|for|from)"
                      rf"(?: the(?: following)?| these)?(?: numbers| values| list| data)?:? \[?{_DATA}\]?")),
    ("de", re.compile(rf"(?:(?:was|wie|wie hoch|wie groß) (?:ist|sind) |berechne |bestimme |ermittle |was )?"
                      rf"(?:der |die |das |den )?(?:(?P<op>{_NAMED})|(?P<share>[0-9]{{1,2}})\. perzentil)"
                      rf"(?: von| aus| für)?(?: der| den| folgenden)?(?: zahlen| werten?)?:? \[?{_DATA}\]?"
                      r"(?: ist| sind)?")),
    ("es", re.compile(rf"(?:(?:cuál es|cuáles son|calcula|calcular|halla|determina) )?(?:el |la |los )?"
                      rf"(?:(?P<op>{_NAMED})|percentil (?P<share>[0-9]{{1,2}})) (?:de|para)"
                      rf"(?: los| estos)?(?: números| valores| datos)?:? \[?{_DATA}\]?")),
)
_CONJUNCTION = re.compile(r" (?:and|und|y|e) ")


def _read_statistics(question: Question) -> Asked | None:
    """"What is the median of 3, 1 and 2?"."""
    for language, pattern in _LISTS:
        found = pattern.fullmatch(question.folded)
        if not found:
            continue
        numbers = _read_list(found["data"], language)
        if numbers is None:
            return None
        operation = f"p{found['share']}" if found["share"] else _OPERATIONS[found["op"]]
        return Asked("statistics_calc", {"data": numbers, "operations": operation}, language)
    return None


def _read_list(data: str, language: Language) -> str | None:
    """Divided by semicolons; None where commas may mean two things, or there is but one number."""
    text = _CONJUNCTION.sub("; ", data.strip(" ,;"))
    text = text.replace(",;", ";")
    if " " not in text and ";" not in text:
        items = text.split(",") if text.count(",") > 1 or language == "en" else []
        if _may_be_grouped(items):
            return None
    elif ";" in text and text.count(";") > 1:
        items = text.split(";")
    else:
        items = re.split(r"; ?|, | ", text)
        if ";" in text and not re.search(r", | ", text.partition(";")[0]) and "," in text.partition(";")[0]:
            return None
    inner = [item for item in items if "," in item]
    if len(items) < 2 or (language == "en" and any(not re.fullmatch(r" ?[0-9]{1,3}(?:,[0-9]{3})+", item)
                                                   for item in inner)):
        return None
    if language != "en" and len(inner) == 1 and ";" not in data:
        return None
    try:
        values = [read_number(item, language) for item in items]
    except ToolError:
        return None
    return "; ".join(localise(decimal_text(value), language) for value in values)


def _may_be_grouped(items: Sequence[str]) -> bool:
    """"1,000,2,500" may be four numbers or two."""
    return bool(items) and all(re.fullmatch(r"[0-9]{3}", item) for item in items[1::2]) \
        and any(len(item) < 3 for item in items[::2])


_MONEY = rf"(?P<cur>[$€£] ?)?(?P<sum>{NUMBER})(?: ?(?:dollars|euros?|pounds|dólares|pesos|usd|eur|[€$£]))?"
_RATE = rf"(?P<rate>{NUMBER}) ?(?:%|percent|per cent|prozent|por ciento)"
# Two hundred thousand as much of Europe writes it, in English words.
_EUROPEAN = re.compile(r"[0-9]{1,3}[.][0-9]{3}")
_LOANS: tuple[tuple[Language, re.Pattern[str]], ...] = (
    ("en", re.compile(rf"(?:(?:what(?:['’]s| is| would be)|calculate|compute) )?(?:the |my )?monthly "
                      rf"(?:loan |mortgage )?payment (?:on|for|of) (?:an? )?(?:(?:loan|mortgage) of )?{_MONEY}"
                      rf"(?: loan| mortgage)? (?:at|with) {_RATE}(?: annual)?(?: interest| apr)?"
                      rf"(?: per year| a year)? (?:for|over) (?P<time>[0-9]{{1,3}}) (?P<unit>years?|months?)")),
    ("de", re.compile(rf"(?:(?:was|wie hoch|wie) ist |berechne )?(?:die )?(?:monatliche rate|monatsrate) "
                      rf"(?:für|bei|von) (?:einen |einem |ein )?(?:kredit|darlehen) (?:von|über) {_MONEY} "
                      rf"(?:zu|bei|mit) {_RATE}(?: zinsen| jahreszins| zins)?(?: pro jahr| im jahr)? "
                      rf"(?:über|für|auf|und) (?P<time>[0-9]{{1,3}}) (?P<unit>jahren?|jahre|monaten?)(?: laufzeit)?")),
    ("es", re.compile(rf"(?:(?:cuál es|calcula|cuál sería) )?(?:la )?(?:cuota|mensualidad)(?: mensual)? "
                      rf"(?:de|para) un (?:préstamo|crédito|hipoteca) de {_MONEY} (?:al|con un|a un) "
                      rf"{_RATE}(?: de interés)?(?: anual)? (?:a|durante|en|por) (?P<time>[0-9]{{1,3}}) "
                      rf"(?P<unit>años?|mes(?:es)?)")),
)


def _read_loans(question: Question) -> Asked | None:
    """"Monthly payment on a $200,000 loan at 6% over 30 years"."""
    for language, pattern in _LOANS:
        found = pattern.fullmatch(question.folded)
        if found:
            if language == "en" and _EUROPEAN.fullmatch(found["sum"]):
                return None
            is_years = found["unit"].startswith(("year", "jahr", "año"))
            try:
                told = {"principal": exact(read_number(found["sum"], language, is_settled=True)),
                        "annual_rate": exact(read_number(found["rate"], language))}
            except ToolError:
                return None
            arguments = {name: value if isinstance(value, int) else localise(value, language)
                         for name, value in told.items()}
            return Asked("loan_payment", {**arguments, "years" if is_years else "months": int(found["time"])}, language)
    return None


_FOUND = re.compile(r"convert ([+-]?[0-9][0-9.,]*) ?([^\W\d_]{1,12}(?:/[^\W\d_]{1,3})?) (?:to|into) "
                    r"([^\W\d_]{1,12}(?:/[^\W\d_]{1,3})?)(?![\w/])", re.IGNORECASE)


def _find_units(text: str) -> Iterator[tuple[str, Asked]]:
    """"… convert 5 miles to km and …"."""
    for found in _FOUND.finditer(text):
        asked = _ask(f"{found[1]} {found[2]}", found[3], ("en",))
        if asked:
            yield found[0], asked


READERS: tuple[Reader, ...] = (
    Reader(re.compile(r"[0-9]|how many|wie ?viel|cu[aá]nt"), _read_units),
    Reader(re.compile(r"mean|average|median|mode|devia|desvia|varian|quart|perce|perz|mittel|durchschn|modus|modal|"
                      r"standardab|media|promedio|moda|cuart"), _read_statistics),
    Reader(re.compile(r"payment|monatsrate|monatliche rate|cuota|mensualidad"), _read_loans),
)
FINDERS: tuple[Finder, ...] = (Finder(re.compile(r"\bconvert [+-]?[0-9]"), _find_units),)
CUES: dict[str, re.Pattern[str]] = {
    "unit_convert": re.compile(
        r"\b(?:convert|umrechn|umwandeln|convert[ií]|convierte|fahrenheit|celsius|inch|miles?|gallons?|pounds?|"
        r"kilomet|kilómet|meilen|millas|zoll|pulgadas|libras)|"
        r"[0-9] ?(?:km|kg|cm|mm|ft|lbs?|oz|mph|gib|mib|[gmkt]b|kwh)\b"),
    "statistics_calc": re.compile(
        r"\b(?:average|median|standard deviation|variance|percentile|quartile|mittelwert|durchschnitt|"
        r"standardabweichung|varianz|perzentil|promedio|mediana|desviación|varianza|percentil|cuartil)"),
    "loan_payment": re.compile(
        r"\b(?:loan|mortgage|monthly payment|kredit|darlehen|hypothek|monatsrate|préstamo|hipoteca|cuota|mensualidad)"),
}
