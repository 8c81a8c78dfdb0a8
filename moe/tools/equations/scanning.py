"""Where an equation without a formula has real roots: by its values at many places."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import sympy

REACH = 100
STEPS = 2_000
DIGITS = 30
SAME = 1e-9
WIDEST = 0.2
_ENTIRE = (sympy.sin, sympy.cos, sympy.exp, sympy.sinh, sympy.cosh)
# Of a parabola that touches zero, no value at the place next to that is more than an eighth of its second difference.
_TOUCHING = 0.2


def is_always_zero(zero: Any, x: Any) -> bool:
    """Of what is defined everywhere, whether it is zero everywhere."""
    if not all(isinstance(each, _ENTIRE) for each in zero.atoms(sympy.Function)):
        return False
    if not all(each.exp.is_Integer and each.exp > 0 for each in zero.atoms(sympy.Pow) if each.has(x)):
        return False
    places = (sympy.Rational(-13, 7), sympy.Rational(3, 11), sympy.Rational(29, 13))
    return all(abs(sympy.N(zero.subs(x, each), DIGITS)) < SAME for each in places) and sympy.simplify(zero) == 0


def scan(zero: Any, x: Any) -> list[Any]:
    """Roots where its sign changes or where it touches zero, each once; untested."""
    number = sympy.lambdify(x, zero, "math")
    places = [REACH * (2 * step / STEPS - 1) + 0.00037 for step in range(STEPS + 1)]
    values = [(place, value) for place in places if (value := _value(number, place)) is not None]
    roots: list[Any] = []
    for near in itertools.chain(_crossings(zero, x, values), _touches(zero, x, values)):
        if not any(abs(near - each) < SAME for each in roots):
            roots.append(near)
    return sorted(roots)


def _crossings(zero: Any, x: Any, values: list[tuple[float, float]]) -> Iterator[Any]:
    for (low, before), (high, after) in itertools.pairwise(values):
        if before * after <= 0 and high - low <= WIDEST:
            yield from _refine(zero, x, low, high)


def _touches(zero: Any, x: Any, values: list[tuple[float, float]]) -> Iterator[Any]:
    slope = None
    for (low, before), (_, here), (high, after) in zip(values, values[1:], values[2:], strict=False):
        if min(before * here, here * after) <= 0 or high - low > 2 * WIDEST:
            continue
        if abs(here) <= min(abs(before), abs(after)) and abs(here) <= _TOUCHING * abs(before - 2 * here + after):
            slope = sympy.diff(zero, x) if slope is None else slope
            yield from _refine(slope, x, low, high)


def _refine(zero: Any, x: Any, low: float, high: float) -> Iterator[Any]:
    """The quick way, which ends too early at a flat root, and then the sure one."""
    tried = []
    for solver in ("anderson", "bisect"):
        try:
            root = sympy.nsolve(zero, x, (low, high), solver=solver, prec=DIGITS, verify=False)
        except (ValueError, ZeroDivisionError, TypeError, ArithmeticError):
            continue
        if root.is_real and low <= root <= high:
            tried.append(root)
            if abs(sympy.N(zero.subs(x, root), DIGITS)) < 10 ** (5 - DIGITS):
                break
    yield from tried[-1:]


def _value(number: Any, place: float) -> float | None:
    try:
        value = number(place)
    except (ValueError, ZeroDivisionError, OverflowError, TypeError):
        return None
    return value if isinstance(value, (int, float)) and value == value else None
