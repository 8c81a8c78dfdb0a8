"""What the solver found, as JSON values and in the words of three languages."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from ..base import Language, Outcome
from ..numbers import decimal_text, exact, localise, round_text

_OR = {"en": "or", "de": "oder", "es": "o"}
_NONE = {"en": "no solution", "de": "keine Lösung", "es": "sin solución"}
_NO_REAL = {"en": "no real solution", "de": "keine reelle Lösung", "es": "sin solución real"}
_ALL = {"en": "true for every {x}", "de": "wahr für jedes {x}", "es": "se cumple para todo {x}"}
_FOR_ALL = {"en": "for every {}", "de": "für jedes {}", "es": "para todo {}"}
_TURN = {"en": "plus any multiple of 2π", "de": "plus jedes Vielfache von 2π", "es": "más cualquier múltiplo de 2π"}
_NEAR = {"en": "found numerically between -100 and 100", "de": "numerisch gefunden zwischen -100 und 100",
         "es": "hallado numéricamente entre -100 y 100"}

Found = Mapping[str, Any]


def tell(question: str, unknowns: list[str], found: Found, language: Language) -> Outcome:
    """The outcome of what `roots.solve` gave."""
    kind, x = found["kind"], unknowns[0]
    result: dict[str, Any] = {"kind": kind, "variables": unknowns}
    if kind == "inequality":
        intervals = [_span(each) for each in found["intervals"]]
        words = f" {_OR[language]} ".join(_bounds(each, x, language) for each in found["intervals"])
        words = _ALL[language].format(x=x) if words == x else words or _NO_REAL[language]
        plain = " or ".join(_bounds(each, x, "en") for each in found["intervals"])
        result |= {"solutions": "any real number" if plain == x else plain,
                   "intervals": intervals}
        return Outcome(result=result, text=f"{question}: {words}")
    if kind == "system":
        result |= {"solutions": [{x: value(each[x]) for x in unknowns} for each in found["solutions"]],
                   "exact": [{x: formula(each[x]) for x in unknowns} for each in found["solutions"]]}
        told = [_each(unknowns, each, language) for each in found["solutions"]]
    else:
        result |= {"solutions": [value(each) for each in found["solutions"]],
                   "exact": [formula(each) for each in found["solutions"]]}
        told = [_equal(x, each, language) for each in found["solutions"]]
    result["complete"] = found["complete"]
    words = f" {_OR[language]} ".join(told)
    if kind == "identity":
        words = _ALL[language].format(x=x)
    elif not told:
        words = (_NO_REAL if kind == "transcendental" else _NONE)[language]
    if kind == "periodic":
        words += f" ({_TURN[language]})"
    elif not found["complete"]:
        words += f" ({_NEAR[language]})"
    return Outcome(result=result, text=f"{question}: {words}")


def value(told: Found) -> int | str:
    """A number, or its decimals as text, "1 + 2i" for a complex one; a formula where it holds variables."""
    if told["fraction"]:
        return exact(Fraction(told["fraction"]))
    if not told["re"]:
        return str(told["exact"])
    return _complex(told)


def formula(told: Found) -> str:
    """The exact value as it is typed; its decimals where there is no short one."""
    return str(told["exact"] or value(told))


def _complex(told: Found) -> str:
    real, imaginary = (Fraction(told[part]) for part in ("re", "im"))
    if not imaginary:
        return round_text(real)
    size = "" if abs(imaginary) == 1 else round_text(abs(imaginary))
    sign = "-" if imaginary < 0 else "+"
    if not real:
        return f"{sign if sign == '-' else ''}{size}i"
    return f"{round_text(real)} {sign} {size}i"


def _each(unknowns: list[str], solution: Mapping[str, Found], language: Language) -> str:
    """ "x = 1 - y for every y": what stays free is no solution by itself."""
    free = [x for x in unknowns if solution[x]["exact"] == x]
    told = ", ".join(_equal(x, solution[x], language) for x in unknowns if x not in free)
    return f"{told} {_FOR_ALL[language].format(', '.join(free))}" if free else told


def _equal(x: str, told: Found, language: Language) -> str:
    """ "x = 1/3 ≈ 0.333333333333" """
    return f"{x} {_shown(told, language)}"


def _shown(told: Found, language: Language) -> str:
    plain = str(value(told))
    written = localise(plain, language)
    if told["fraction"]:
        fraction = Fraction(told["fraction"])
        if fraction.denominator == 1 or decimal_text(fraction) == told["exact"]:
            return f"= {written}"
        return f"= {told['exact']} = {written}" if _ends(fraction) else f"= {told['exact']} ≈ {written}"
    if not told["exact"]:
        return f"≈ {written}"
    is_all = told["exact"].replace("*i", "i") == plain or not told["re"]
    return f"= {told['exact']}" if is_all else f"= {told['exact']} ≈ {written}"


def _ends(fraction: Fraction) -> bool:
    return Fraction(decimal_text(fraction)) == fraction


def _span(each: Found) -> dict[str, Any]:
    return {"from": value(each["from"]) if each["from"] else None, "to": value(each["to"]) if each["to"] else None,
            "from_included": each["from_included"], "to_included": each["to_included"]}


def _bounds(each: Found, x: str, language: Language) -> str:
    low, high = each["from"], each["to"]
    if low and high and low == high:
        return f"{x} = {localise(_short(low), language)}"
    left, right = ("≤" if each[end] else "<" for end in ("from_included", "to_included"))
    if low and high:
        return f"{localise(_short(low), language)} {left} {x} {right} {localise(_short(high), language)}"
    if high:
        return f"{x} {right} {localise(_short(high), language)}"
    if low:
        return f"{x} {'≥' if each['from_included'] else '>'} {localise(_short(low), language)}"
    return x


def _short(told: Found) -> str:
    fraction = Fraction(told["fraction"]) if told["fraction"] else None
    if fraction is None or _ends(fraction):
        return str(value(told))
    return str(told["exact"])
