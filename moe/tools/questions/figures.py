"""Questions about a list of numbers."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ...errors import ToolError
from ..base import Language
from ..numbers import decimal_text, localise, read_number
from .question import Asked, Question, Reader, is_unsettled
from .spelling import flatten, loosen

_WORDS = {
    "mean": "mean, average, arithmetic mean, avg, mittelwert, durchschnitt, arithmetische mittel, arithmetisches "
            "mittel, "
            "media, promedio, media aritmética",
    "median": "median, zentralwert, mediana",
    "mode": "mode, modus, modalwert, moda",
    "stdev": "standard deviation, sample standard deviation, std dev, standardabweichung, desviación estándar, "
             "desviación típica",
    "pstdev": "population standard deviation, desviación estándar poblacional",
    "variance": "variance, sample variance, varianz, varianza", "pvariance": "population variance, varianza "
                                                                             "poblacional",
    "range": "range, spannweite, rango, recorrido", "iqr": "interquartile range, interquartilsabstand, "
                                                           "rango intercuartílico",
    "quartiles": "quartiles, quartile, cuartiles", "q1": "first quartile, erste quartil, primer cuartil",
    "q3": "third quartile, dritte quartil, tercer cuartil",
    "sum": "sum, total, summe, suma", "min": "minimum, min, minimalwert, mínimo",
    "max": "maximum, max, maximalwert, máximo",
}
# The others are German, and so are a few of these.
_ENGLISH = ("mean, average, arithmetic mean, avg, median, mode, standard deviation, sample standard deviation, "
            "std dev, population standard deviation, variance, sample variance, population variance, range, "
            "interquartile range, quartiles, first quartile, third quartile, sum, total, minimum, min, maximum, max")
_SPANISH = ("media, media aritmética, promedio, mediana, moda, desviación estándar, desviación típica, "
            "desviación estándar poblacional, varianza, varianza poblacional, rango, recorrido, "
            "rango intercuartílico, cuartiles, primer cuartil, tercer cuartil, suma, total, mínimo, min, máximo, max")
_SPOKEN: tuple[tuple[Language, frozenset[str]], ...] = (
    ("en", frozenset(map(flatten, _ENGLISH.split(", ")))), ("es", frozenset(map(flatten, _SPANISH.split(", ")))))
_OPERATIONS = {flatten(word): name for name, words in _WORDS.items() for word in words.split(", ")}
_NAMED = "|".join(sorted((word for words in _WORDS.values() for word in words.split(", ")), key=len, reverse=True))
_OPS = rf"(?P<op>(?:{_NAMED})(?:(?:,| and|,? und| y)(?: the| die| der| das| den| la| el)? (?:{_NAMED})){{0,4}})"
_DATA = r"[\[({]?(?P<data>[+-]?[0-9][0-9.,; +-]*(?:(?:and|und|y|e) [+-]?[0-9][0-9.,]*)?)[\])}]?"
_LISTS: tuple[tuple[Language, re.Pattern[str]], ...] = (
    ("en", re.compile(r"(?:(?:what(?:['’]?s| is| are)|find|calculate|compute|determine|work out|get|tell me) "
                      r")?(?:me )?"
                      rf"(?:the )?(?:{_OPS}|(?P<share>[0-9]{{1,2}})(?:st|nd|rd|th) percentile)(?: value)? (?:of|for|"
                      r"from|in)"
                      r"(?: the(?: following)?| these| this)?(?: numbers| values| list| data(?: ?set)?| set)?:? "
                      rf"{_DATA}")),
    ("de", re.compile(loosen(
        r"(?:(?:was|wie|wie hoch|wie groß) (?:ist|sind) |wie (?:lautet|lauten) |(?:berechne|bestimme|ermittle|finde|"
        r"nenne|"
        rf"bilde)(?: mir)?(?: bitte)? |was )?(?:der |die |das |den )?(?:{_OPS}|(?P<share>[0-9]{{1,2}})\. perzentil)"
        r"(?: von| aus| für| in| der| des)?(?: der| den| dem)?(?: folgenden)?(?: zahlen| werten?| liste| daten| "
        rf"datensatz(?:es)?| zahlenreihe)?:? {_DATA}(?: ist| sind| berechnen| bestimmen)?"))),
    ("es", re.compile(loosen(
        r"(?:(?:cuál es|cuáles son|calcula|calcular|halla|hallar|determina|dame|encuentra|obtén|qué es|saca)(?: por "
        r"favor)? )?"
        rf"(?:el |la |los )?(?:{_OPS}|percentil (?P<share>[0-9]{{1,2}})) (?:de|del|para|entre)(?: la| el)?"
        r"(?: los| las| estos)?(?: siguientes)?(?: números| valores| datos| lista| conjunto)?(?: de datos)?:? "
        rf"{_DATA}"))),
)
_CONJUNCTION = re.compile(r" (?:and|und|y|e) ")
_AND = re.compile(r",? (?:and|und|y) |, ")
_ARTICLES = re.compile(r"(?:the|die|der|das|den|la|el) ")


def _read_statistics(question: Question) -> Asked | None:
    """"What are the mean and median of 3, 1 and 2?"."""
    for language, pattern in _LISTS:
        found = pattern.fullmatch(question.folded)
        if not found:
            continue
        language = _guess(question.folded, found, language)
        numbers = _read_list(found["data"], language)
        if numbers is None or is_unsettled(found["data"], language):
            return None
        names = [f"p{found['share']}"] if found["share"] else _name_operations(found["op"])
        return Asked("statistics_calc", {"data": numbers, "operations": ",".join(names)}, language)
    return None


def _guess(folded: str, found: re.Match[str], language: Language) -> Language:
    """The one that has all the words, where beside them stands nothing but the numbers."""
    if found["share"] or (folded[:found.start("op")] + folded[found.end("op"):found.start("data")]).strip(" :[({"):
        return language
    names = {flatten(_ARTICLES.sub("", word)) for word in _AND.split(found["op"])}
    return next((spoken for spoken, words in _SPOKEN if names <= words), language)


def _name_operations(words: str) -> list[str]:
    names = (_ARTICLES.sub("", word) for word in _AND.split(words))
    return [_OPERATIONS.get(flatten(name)) or _OPERATIONS[name] for name in names]


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


READERS: tuple[Reader, ...] = (
    Reader(re.compile(r"mean|average|avg|median|mod[eua]|devia|desvia|std|varian|quart|per[cz]e|mittel|durchschn|"
                      r"standardab|zentral|min of|max of|"
                      r"media|promedio|cuart|range|rang|spannw|recorr|sum|total|m[ií]nim|maxim|máxim"),
           _read_statistics),
)
