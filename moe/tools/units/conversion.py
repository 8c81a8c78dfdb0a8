"""unit_convert."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import product
from typing import Any

from ...errors import ToolError
from ..base import Language, Outcome, Setting, tool
from ..numbers import decimal_text, exact, has_end, localise, read_number, round_text
from .reading import Part, Unit, read_amount, read_targets, read_unit

LARGEST = Fraction(10) ** 300
MOST_PLACES = 60
_ZEROS = {"degC": Fraction("273.15"), "degF": Fraction("459.67") * Fraction(5, 9)}
_DIMENSIONS: dict[tuple[tuple[str, Fraction | int], ...], str] = {
    (): "number", (("meter", 1),): "length", (("meter", 2),): "area", (("meter", 3),): "volume",
    (("kilogram", 1),): "mass", (("second", 1),): "time", (("kelvin", 1),): "temperature", (("bit", 1),): "data size",
    (("bit", 1), ("second", -1)): "data rate", (("radian", 1),): "angle", (("meter", 1), ("second", -1)): "speed",
    (("meter", 1), ("second", -2)): "acceleration", (("second", -1),): "frequency", (("meter", -2),): "fuel economy",
    (("kilogram", 1), ("meter", 1), ("second", -2)): "force",
    (("kilogram", 1), ("meter", 2), ("second", -2)): "energy",
    (("kilogram", 1), ("meter", 2), ("second", -3)): "power",
    (("kilogram", 1), ("meter", -1), ("second", -2)): "pressure",
    (("kilogram", 1), ("meter", -3)): "density", (("ampere", 1),): "electric current",
    (("radian", 1), ("second", -1)): "angular speed",
    (("ampere", -1), ("kilogram", 1), ("meter", 2), ("second", -3)): "voltage",
}


@tool("measures")
def unit_convert(value: int | float | str, from_unit: str, to_unit: str, *, setting: Setting) -> Outcome:
    """Converts an amount from one unit to another: lengths, weights, temperatures, data sizes, speeds, fuel economy
    and all others, for example 100 km/h to m/s or 5 ft 11 in to cm.

    value: the number, or an amount with its units such as "5 ft 11 in" (from_unit may then be empty)
    from_unit: unit of the value: km/h, mile, degC, GiB, mpg, L/100km, Meilen, libras
    to_unit: unit wanted; several share the amount: "ft in", "h min s"
    """
    parts = _read_value(value, from_unit, setting.language)
    targets = read_targets(to_unit)
    sources, wanted = _agree([part.units for part in parts], list(targets))
    numbers = [part.number for part in parts]
    _check_order(sources)
    _check_order(wanted)
    amount = sum((number * unit.size.factor for number, unit in zip(numbers, sources, strict=True)), Fraction(0))
    given = " ".join(_write(number, unit, setting.language, is_first=not place)
                     for place, (number, unit) in enumerate(zip(numbers, sources, strict=True)))
    if len(wanted) > 1:
        return _share(amount, wanted, given, setting.language)
    found = _convert(numbers[0], sources[0], wanted[0]) if len(parts) == 1 else amount / wanted[0].size.factor
    _check_size(found)
    same = _is_shown_whole(found)
    text = f"{given} {'=' if same else '≈'} {_write(found, wanted[0], setting.language)}"
    return Outcome(result={"value": _result(found), "unit": wanted[0].shown}, text=text,
                   steps=() if numbers == [1] else _explain(sources, wanted[0], setting.language))


def _read_value(value: int | float | str, from_unit: str, language: Language) -> tuple[Part, ...]:
    """Raises ToolError."""
    if isinstance(value, str):
        if not any(sign.isalpha() or sign in "'\"°′″’”" for sign in _without_exponent(value)):
            number = read_number(value.replace("−", "-"), language)
        else:
            parts = read_amount(value, language)
            if from_unit.strip():
                _agree([part.units for part in parts], list(read_targets(from_unit)))
            for part in parts:
                _check_size(part.number)
            return parts
    elif isinstance(value, float) and not math.isfinite(value):
        raise ToolError("the value is not a finite number")
    else:
        number = Fraction(str(value)) if isinstance(value, float) else Fraction(value)
    _check_size(number)
    return (Part(number, read_unit(from_unit)),)


def _without_exponent(value: str) -> str:
    text = value.strip()[:200].lower()
    head, mark, tail = text.partition("e")
    return head if mark and tail.lstrip("+-").isdigit() else text


def _check_size(number: Fraction) -> None:
    if number and not 1 / LARGEST <= abs(number) <= LARGEST:
        raise ToolError("the value is too large or too small: 1e-300 to 1e300 is accepted")


def _agree(given: list[tuple[Unit, ...]], wanted: list[tuple[Unit, ...]]) -> tuple[list[Unit], list[Unit]]:
    """The readings that measure the same. Raises ToolError that names both dimensions."""
    for choice in product(*given, *wanted):
        roots = {unit.size.roots for unit in choice}
        if len(roots) == 1 or (len(choice) == 2 and _are_reciprocal(*choice)):
            return list(choice[: len(given)]), list(choice[len(given) :])
    first = given[0][0]
    for other in (units[0] for units in (*given, *wanted)):
        if other.size.roots != first.size.roots:
            raise ToolError(f"cannot convert {first.shown} ({name_dimension(first)}) to {other.shown} "
                            f"({name_dimension(other)})")
    raise ToolError("these units do not measure the same")


def _are_reciprocal(one: Unit, other: Unit) -> bool:
    """Distance by fuel and fuel by distance."""
    powers = {unit.size.roots for unit in (one, other) if len(unit.terms) > 1}
    return powers == {(("meter", Fraction(2)),), (("meter", Fraction(-2)),)}


def name_dimension(unit: Unit) -> str:
    """"length", "data rate"; base units with their powers where it has no name."""
    roots = unit.size.roots
    if roots == (("meter", 2),) and len(unit.terms) > 1 and any("liter" in n or "gallon" in n for n, _ in unit.terms):
        return "fuel economy"
    return _DIMENSIONS.get(roots) or "·".join(f"{root}^{power}" for root, power in roots)


def _convert(number: Fraction, source: Unit, target: Unit) -> Fraction:
    """Raises ToolError below absolute zero, and for nothing by which to divide."""
    if source.size.roots != target.size.roots:
        if not number:
            raise ToolError(f"0 {source.shown} has no counterpart in {target.shown}")
        return 1 / (number * source.size.factor) / target.size.factor
    amount = number * source.size.factor + _offset(source)
    if source.size.roots == (("kelvin", 1),) and amount < 0:
        raise ToolError(f"{decimal_text(number)} {source.shown} is below absolute zero")
    return (amount - _offset(target)) / target.size.factor


def _offset(unit: Unit) -> Fraction:
    """Where its zero lies, in kelvin."""
    return _ZEROS.get(unit.terms[0][0], Fraction(0)) if len(unit.terms) == 1 and unit.terms[0][1] == 1 else Fraction(0)


def _check_order(units: list[Unit]) -> None:
    sizes = [unit.size.factor for unit in units]
    if len(units) > 1 and (any(_offset(unit) for unit in units) or sorted(set(sizes), reverse=True) != sizes):
        raise ToolError("the units of one amount go from large to small, such as '5 ft 11 in'")


def _share(amount: Fraction, units: list[Unit], given: str, language: Language) -> Outcome:
    """So many whole ones of each, and the rest in the last."""
    rest, shares = abs(amount), list[Fraction]()
    _check_size(rest / units[-1].size.factor)
    for unit in units[:-1]:
        count = Fraction(rest // unit.size.factor)
        shares.append(count)
        rest -= count * unit.size.factor
    shares.append(rest / units[-1].size.factor)
    sign = "-" if amount < 0 else ""
    told = sign + " ".join(_write(share, unit, language) for share, unit in zip(shares, units, strict=True))
    parts = [{"value": _result(share), "unit": unit.shown} for share, unit in zip(shares, units, strict=True)]
    whole = _result(amount / units[0].size.factor)
    result: dict[str, Any] = {"value": whole, "unit": units[0].shown, "parts": parts, "is_negative": amount < 0}
    return Outcome(result=result, text=f"{given} {'=' if _is_shown_whole(shares[-1]) else '≈'} {told}")


def _is_shown_whole(number: Fraction) -> bool:
    return has_end(number) and len(decimal_text(number)) <= MOST_PLACES and max(
        len(str(number.denominator)), 1) <= MOST_PLACES // 2


def _result(number: Fraction) -> int | str:
    return exact(number) if _is_shown_whole(number) else round_text(number)


def _write(number: Fraction, unit: Unit, language: Language, *, is_first: bool = True) -> str:
    text = str(_result(number if is_first else abs(number)))
    gap = "" if unit.shown == "°" else " "
    return f"{localise(text, language)}{gap}{unit.shown}"


def _explain(sources: list[Unit], target: Unit, language: Language) -> tuple[str, ...]:
    """The factor, where one is all there is to it."""
    source = sources[0]
    if len(sources) > 1 or source.size.roots != target.size.roots or _offset(source) or _offset(target):
        return ()
    factor = source.size.factor / target.size.factor
    sign = "=" if _is_shown_whole(factor) else "≈"
    return (f"1 {source.shown} {sign} {localise(str(_result(factor)), language)} {target.shown}",)


__all__ = ["unit_convert"]
