"""statistics_calc: what is said of a list of numbers, exactly as far as that goes."""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Context, Decimal
from fractions import Fraction
from typing import Any

from msgspec import Struct

from ..errors import ToolError
from .base import Language, Outcome, Setting, tool
from .numbers import Ambiguous, agree, decimal_text, exact, has_end, localise, quote, read_number, round_text

MOST_VALUES = 20_000
LONGEST_NUMBER = 330
LARGEST = Fraction(10) ** 308
MOST_OPERATIONS = 40

_TIMES = re.compile(r"[*×]")
_PERCENTILE = re.compile(r"(?:p|percentile[:_ ]?|perzentil[:_ ]?|percentil[:_ ]?)([0-9]{1,3}(?:\.[0-9]{1,6})?)")
_SAME = {
    "average": "mean", "avg": "mean", "mittelwert": "mean", "durchschnitt": "mean", "media": "mean",
    "promedio": "mean", "mediana": "median", "modus": "mode", "moda": "mode", "std": "stdev", "stddev": "stdev",
    "std_dev": "stdev", "standard_deviation": "stdev", "standardabweichung": "stdev", "desviación_estándar": "stdev",
    "var": "variance", "varianz": "variance", "varianza": "variance", "minimum": "min", "maximum": "max",
    "mínimo": "min", "máximo": "max", "summe": "sum", "suma": "sum", "total": "sum", "anzahl": "count", "n": "count",
    "spannweite": "range", "rango": "range", "quartile": "quartiles", "cuartiles": "quartiles", "pvar": "pvariance",
}
_TOLD: dict[str, tuple[str, str, str]] = {
    "mean": ("mean", "Mittelwert", "media"), "median": ("median", "Median", "mediana"),
    "stdev": ("sample standard deviation", "Standardabweichung (Stichprobe)", "desviación estándar (muestral)"),
    "pstdev": ("population standard deviation", "Standardabweichung (Grundgesamtheit)",
               "desviación estándar (poblacional)"),
    "variance": ("sample variance", "Varianz (Stichprobe)", "varianza (muestral)"), "mode": ("mode", "Modus", "moda"),
    "pvariance": ("population variance", "Varianz (Grundgesamtheit)", "varianza (poblacional)"),
    "min": ("min", "Minimum", "mínimo"), "max": ("max", "Maximum", "máximo"), "sum": ("sum", "Summe", "suma"),
    "count": ("count", "Anzahl", "cantidad"), "range": ("range", "Spannweite", "rango"),
    "iqr": ("interquartile range", "Interquartilsabstand", "rango intercuartílico"),
    "q1": ("first quartile", "erstes Quartil", "primer cuartil"),
    "q2": ("second quartile", "zweites Quartil", "segundo cuartil"),
    "q3": ("third quartile", "drittes Quartil", "tercer cuartil"),
}
_NONE = {"en": "none", "de": "keiner", "es": "ninguna"}
_OF = {"en": ("{} value", "{} values"), "de": ("{} Wert", "{} Werte"), "es": ("{} valor", "{} valores")}
_QUANTILES = {"en": "quantiles by linear interpolation, at (n - 1) * p",
              "de": "Quantile durch lineare Interpolation, an der Stelle (n - 1) * p",
              "es": "cuantiles por interpolación lineal, en (n - 1) * p"}
# Without whole weights nothing can be said about places in the order.
_NEED_COUNTS = frozenset({"median", "mode", "stdev", "variance", "q1", "q2", "q3", "iqr"})


class Figures(Struct, frozen=True):
    """Values in their order, each with its weight; `is_counted`: every weight is how often the value occurs."""

    pairs: tuple[tuple[Fraction, Fraction], ...]
    is_counted: bool
    total: Fraction

    def find(self, place: int) -> Fraction:
        """The value at a place from 0, as if each stood there as often as it occurs."""
        for value, weight in self.pairs:
            place -= int(weight)
            if place < 0:
                return value
        return self.pairs[-1][0]


@tool("measures")
def statistics_calc(
    data: str | list[int | float | str], operations: str = "mean,median,stdev,min,max,sum,count", weights: str = "", *,
    setting: Setting,
) -> Outcome:
    """Statistics of a list of numbers: mean, median, mode, standard deviation, variance, quartiles, percentiles, for
    example data "2,4,4,5" with operations "mean,p90".

    data: the numbers, "1,2,3" or "1;2;3" or "1,5; 2,5"; with weights as "value*weight"
    operations: mean, median, mode, stdev, variance (of a sample), pstdev, pvariance (of all), min, max, range, sum,
      count, q1, q2, q3, quartiles, iqr, p90 or percentile:90
    weights: as many numbers as data has values, or nothing
    """
    figures = _read_figures(data, weights, setting.language)
    names = _read_operations(operations)
    result, told = dict[str, Any](), list[str]()
    for name in names:
        if not figures.is_counted and (name in _NEED_COUNTS or name.startswith("p") and name[1:2].isdigit()):
            raise ToolError(f"{name} needs weights that are whole numbers")
        found = _work_out(name, figures)
        result[name], words = _say(found, setting.language)
        told.append(f"{_name(name, setting.language)} {words}")
    has_places = any(name in ("q1", "q2", "q3", "iqr") or name[1:2].isdigit() for name in names)
    count = figures.total if figures.is_counted else Fraction(len(figures.pairs))
    of = _OF[setting.language][count != 1].format(count)
    return Outcome(result=result, text=f"{', '.join(told)} ({of})",
                   steps=(_QUANTILES[setting.language],) if has_places else ())


def _read_operations(text: str) -> list[str]:
    names: list[str] = []
    for each in filter(None, re.split(r"[,;\n]\s*", text.strip().lower()[:2_000])):
        name = _SAME.get("_".join(each.split()), each.strip())
        percentile = _PERCENTILE.fullmatch(name)
        if percentile:
            if Fraction(percentile[1]) > 100:
                raise ToolError(f"a percentile lies between 0 and 100, not at {percentile[1]}")
            names.append(f"p{decimal_text(Fraction(percentile[1]))}")
        elif name == "quartiles":
            names += ["q1", "q2", "q3"]
        elif name in _TOLD:
            names.append(name)
        else:
            raise ToolError(f"unknown operation '{quote(name)}'; known are {', '.join(_TOLD)}, quartiles, "
                            "p90 (or percentile:90)")
    if not names:
        raise ToolError("no operation is named")
    if len(names) > MOST_OPERATIONS:
        raise ToolError(f"more than {MOST_OPERATIONS} operations")
    return list(dict.fromkeys(names))


def _read_figures(data: str | list[int | float | str], weights: str, language: Language) -> Figures:
    """Raises ToolError."""
    items = _split(data, language) if isinstance(data, str) else [_write(each, language) for each in data]
    if not items:
        raise ToolError("there are no numbers")
    if len(items) > MOST_VALUES:
        raise ToolError(f"more than {MOST_VALUES} numbers")
    halves = [[half.strip() for half in _TIMES.split(item[: 2 * LONGEST_NUMBER])] for item in items]
    if any(len(each) != len(halves[0]) or len(each) > 2 for each in halves):
        raise ToolError("either every value has a weight, as in '3*2', or none")
    values = _read_numbers([each[0] for each in halves], language)
    if len(halves[0]) == 2 and weights.strip():
        raise ToolError("weights are given twice, in the data and beside it")
    heavy = [each[1] for each in halves] if len(halves[0]) == 2 else _split(weights, language)
    if heavy and len(heavy) != len(values):
        raise ToolError(f"{len(values)} values but {len(heavy)} weights")
    weigh = _read_numbers(heavy, language) if heavy else [Fraction(1)] * len(values)
    if min(weigh) < 0 or not any(weigh):
        raise ToolError("weights are not below 0, and not all 0")
    pairs = tuple(sorted((value, weight) for value, weight in zip(values, weigh, strict=True) if weight))
    return Figures(pairs, all(weight.denominator == 1 for weight in weigh), _add(weigh))


def _write(item: int | float | str, language: Language) -> str:
    """An item of a JSON list, as `language` writes numbers."""
    if isinstance(item, str):
        return item
    if isinstance(item, int):
        if abs(item) > LARGEST:
            raise ToolError("a number beyond 1e308")
        return str(item)
    return localise(repr(item), language)


def _split(text: str, language: Language) -> list[str]:
    """At what divides the list. Raises Ambiguous where commas may do that or begin decimals."""
    text = " ".join(text.split()).strip("[](){} ")
    if not text:
        return []
    if ";" in text or "|" in text:
        parts = text.replace("|", ";").split(";")
    elif "," not in text:
        parts = text.split()
    elif " " not in text:
        if language != "en" and text.count(",") == 1:
            raise Ambiguous(f"'{quote(text)}' may be one number or two: divide them by ';'")
        parts = text.split(",")
    else:
        parts = _split_with_blanks(text, language)
    parts = [part.strip() for part in parts]
    if parts and not parts[-1]:
        parts.pop()
    if not all(parts):
        raise ToolError("a number is missing between two separators")
    return parts


def _split_with_blanks(text: str, language: Language) -> list[str]:
    """"1, 2, 3", "1,5 2,5", "1,5, 2,5"."""
    text = text.replace(" ,", ", ")
    if not re.search(r",[0-9]", text):
        return text.split(",")
    parts = text.split(", ") if ", " in text else text.split()
    grouped = all(re.fullmatch(r"[+-]?[0-9]{1,3}(?:,[0-9]{3})*(?:\.[0-9]+)?", part) for part in parts)
    if language == "en" and not grouped:
        raise Ambiguous("some commas may begin decimals: divide the numbers by ';'")
    if language != "en" and sum("," in part for part in parts) < 2:
        raise Ambiguous("one comma may begin decimals: divide the numbers by ';'")
    return parts


def _read_numbers(items: list[str], language: Language) -> list[Fraction]:
    if any(len(item) > LONGEST_NUMBER for item in items):
        raise ToolError(f"a number of more than {LONGEST_NUMBER} characters")
    style = agree(items, language)
    if style is None:
        raise Ambiguous("some numbers have a decimal point and some a decimal comma")
    is_settled = agree(items, "en") == agree(items, "de")
    values = [read_number(item, style, is_settled=is_settled) for item in items]
    for value in values:
        if value and not 1 / LARGEST <= abs(value) <= LARGEST:
            raise ToolError("a number is too large or too small: 1e-308 to 1e308 is accepted")
    return values


def _add(numbers: list[Fraction]) -> Fraction:
    """Over one denominator: many sums of fractions are slow."""
    scale = max(numbers, key=lambda number: number.denominator).denominator
    if any(scale % number.denominator for number in numbers):
        return sum(numbers, Fraction(0))
    return Fraction(sum(number.numerator * (scale // number.denominator) for number in numbers), scale)


def _work_out(name: str, figures: Figures) -> Fraction | Decimal | list[Fraction]:
    """A Decimal is rounded."""
    if name in _SIMPLE:
        return _SIMPLE[name](figures)
    if name == "mode":
        return _find_modes(figures)
    if name in ("stdev", "pstdev"):
        return _find_root(_find_variance(figures, is_sample=name == "stdev"))
    if name == "iqr":
        return _find_quantile(figures, Fraction(3, 4)) - _find_quantile(figures, Fraction(1, 4))
    share = Fraction(int(name[1:]), 4) if name[0] == "q" else Fraction(name[1:]) / 100
    return _find_quantile(figures, share)


def _find_sum(figures: Figures) -> Fraction:
    return _add([value * weight for value, weight in figures.pairs])


def _find_variance(figures: Figures, *, is_sample: bool) -> Fraction:
    """Of one value 0; with whole weights as if each value stood there so often."""
    squares = _add([value * value * weight for value, weight in figures.pairs])
    spread = squares - _find_sum(figures) ** 2 / figures.total
    if not is_sample:
        return spread / figures.total
    return spread / (figures.total - 1) if figures.total > 1 else Fraction(0)


def _find_quantile(figures: Figures, share: Fraction) -> Fraction:
    place = (figures.total - 1) * share
    low = int(place)
    first = figures.find(low)
    return first + (figures.find(low + 1) - first) * (place - low) if place != low else first


def _find_modes(figures: Figures) -> list[Fraction]:
    """All that occur most often; none where nothing occurs twice among several."""
    counts: dict[Fraction, Fraction] = {}
    for value, weight in figures.pairs:
        counts[value] = counts.get(value, Fraction(0)) + weight
    most = max(counts.values())
    return [value for value, count in counts.items() if count == most] if most > 1 or len(counts) == 1 else []


def _find_root(square: Fraction) -> Fraction | Decimal:
    """Exact where the root is."""
    context = Context(prec=40, Emax=10_000, Emin=-10_000)
    root = context.sqrt(context.divide(Decimal(square.numerator), Decimal(square.denominator)))
    near = Fraction(root)
    return near if near * near == square else root


_SIMPLE: dict[str, Callable[[Figures], Fraction]] = {
    "mean": lambda figures: _find_sum(figures) / figures.total,
    "median": lambda figures: _find_quantile(figures, Fraction(1, 2)),
    "variance": lambda figures: _find_variance(figures, is_sample=True),
    "pvariance": lambda figures: _find_variance(figures, is_sample=False),
    "min": lambda figures: figures.pairs[0][0],
    "max": lambda figures: figures.pairs[-1][0],
    "range": lambda figures: figures.pairs[-1][0] - figures.pairs[0][0],
    "sum": _find_sum,
    "count": lambda figures: figures.total if figures.is_counted else Fraction(len(figures.pairs)),
}


def _say(found: Fraction | Decimal | list[Fraction], language: Language) -> tuple[Any, str]:
    """As JSON holds it, and as people read it."""
    if isinstance(found, list):
        values = [_as_json(each) for each in found]
        words = "; ".join(localise(str(value), language) for value in values) or _NONE[language]
        return (values[0] if len(values) == 1 else values), words
    value = round_text(Fraction(found)) if isinstance(found, Decimal) else _as_json(found)
    return value, localise(str(value), language)


def _as_json(value: Fraction) -> int | str:
    return round_text(value) if has_end(value) and len(str(value.denominator)) > 30 else exact(value)


def _name(name: str, language: Language) -> str:
    place = ("en", "de", "es").index(language)
    if name in _TOLD:
        return _TOLD[name][place]
    share = localise(name[1:], language)
    return (f"percentile {share}:", f"Perzentil {share}:", f"percentil {share}:")[place]
