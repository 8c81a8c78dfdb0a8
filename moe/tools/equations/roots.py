"""What sympy makes of equations: every root there is, each put into the equation again before it is told."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from typing import Any

import mpmath
import sympy

from .nodes import build, measure, write
from .scanning import REACH, is_always_zero, scan

Sides = list[list[Any]]

DIGITS = 30
SHOWN = 15
MOST_EXACT_CHARS = 60
MOST_DEGREE = 60
MOST_SCANNED = 6
CLOSE = 1e-12
# A whole number so near to what was found is tried instead of it.
NEXT = 1e-8
TURNING = (sympy.sin, sympy.cos, sympy.tan)


class Unsolved(Exception):
    """The message says what is the matter."""


def solve(relations: Sides, unknowns: list[str], parameters: list[str]) -> dict[str, Any]:
    """`relations`: left, sign and right of each. The answer's `kind` tells how to read it."""
    is_real = any(sign != "=" for _, sign, _ in relations)
    names = {name: sympy.Symbol(name, real=True) if is_real else sympy.Symbol(name) for name in unknowns + parameters}
    sides = [(build(left, names), sign, build(right, names)) for left, sign, right in relations]
    for value in itertools.chain.from_iterable((left, right) for left, _, right in sides):
        if value.has(sympy.zoo, sympy.nan, sympy.oo, -sympy.oo):
            raise Unsolved("the equation divides by zero")
    wanted = [names[name] for name in unknowns]
    if is_real:
        return _inequality(relations, sides, wanted[0])
    zeros = [left - right for left, _, right in sides]
    if len(zeros) == 1 and len(wanted) == 1:
        return _formula(zeros[0], wanted[0]) if parameters else _one(relations, zeros[0], wanted[0])
    return _system(relations, zeros, wanted)


def _one(relations: Sides, zero: Any, x: Any) -> dict[str, Any]:
    above, below = sympy.fraction(sympy.together(zero))
    if above.is_polynomial(x) and below.is_polynomial(x):
        return _polynomial(relations, sympy.expand(above), below, x)
    return _transcendental(relations, zero, x)


def _formula(zero: Any, x: Any) -> dict[str, Any]:
    found = sympy.solve(zero, x)
    right = [value for value in found if sympy.simplify(zero.subs(x, value)) == 0]
    if not right or len(right) < len(found):
        raise Unsolved(f"the equation cannot be solved for {x}")
    return {"kind": "formula", "solutions": [_tell(value) for value in right], "complete": True}


def _polynomial(relations: Sides, above: Any, below: Any, x: Any) -> dict[str, Any]:
    poly = sympy.Poly(above, x)
    if poly.is_zero:
        if not all(_fits(relations, {x.name: sympy.Integer(point)}) for point in range(-9, 10)):
            raise Unsolved(f"the equation holds wherever it is defined, which is not for every {x}")
        return {"kind": "identity", "solutions": [], "complete": True}
    if poly.degree() > MOST_DEGREE:
        raise Unsolved(f"a polynomial of a degree over {MOST_DEGREE}")
    roots: list[Any] = []
    for factor, _ in poly.factor_list()[1]:
        roots += _exact_roots(factor, x) or factor.nroots(n=DIGITS, maxsteps=200)
    kept = [root for root in roots if _fits(relations, {x.name: root})]
    if not all(root in kept or _is_cancelled(relations, x, root) for root in roots):
        raise Unsolved("the roots that were found do not stand the test")
    kind = "linear" if poly.degree() == 1 and not below.has(x) else "polynomial"
    return {"kind": kind, "solutions": [_tell(root) for root in _sorted(kept)], "complete": True}


def _is_cancelled(relations: Sides, x: Any, root: Any) -> bool:
    """Whether the equation as it was written divides by zero there."""
    try:
        for left, _, right in relations:
            measure(left, {x.name: _number(root)})
            measure(right, {x.name: _number(root)})
    except ZeroDivisionError:
        return True
    return False


def _exact_roots(factor: Any, x: Any) -> list[Any]:
    """Those that can be written shortly; none where that is not so."""
    if factor.degree() > 4:
        # Only x^n = c and the like have short roots then.
        return []
    found = list(sympy.roots(factor, x, cubics=False, quartics=False))
    return found if len(found) == factor.degree() else []


def _transcendental(relations: Sides, zero: Any, x: Any) -> dict[str, Any]:
    real = sympy.Symbol(x.name, real=True)
    zero = zero.subs(x, real)
    if is_always_zero(zero, real):
        return {"kind": "identity", "solutions": [], "complete": True}
    try:
        found = sympy.solveset(zero, real, sympy.S.Reals)
    except (NotImplementedError, ValueError, TypeError):
        found = None
    scanned = [root for near in scan(zero, real) if (root := _settle(relations, real, near)) is not None]
    if isinstance(found, sympy.FiniteSet) or found is sympy.S.EmptySet:
        exact = [root for root in found if _fits(relations, {x.name: root})]
        missed = [root for root in scanned if not any(abs(sympy.N(each - root)) < 1e-9 for each in exact)]
        return {"kind": "transcendental", "solutions": [_tell(root) for root in _sorted(exact + missed)],
                "complete": not missed}
    turn = sympy.Interval.Ropen(0, 2 * sympy.pi)
    within = found.intersect(turn) if found is not None and zero.has(*TURNING) else None
    if isinstance(within, sympy.FiniteSet) and _repeats(zero, real):
        roots = [root for root in within if _fits(relations, {x.name: root})]
        if len(roots) == len(within):
            return {"kind": "periodic", "solutions": [_tell(root) for root in _sorted(roots)], "complete": True}
    if len(scanned) > MOST_SCANNED:
        raise Unsolved("the equation has too many solutions to be listed, and there is no formula for them")
    if not scanned:
        raise Unsolved(f"no real solution was found between -{REACH} and {REACH}, and there is no formula for it")
    return {"kind": "numeric", "solutions": [_tell(root) for root in scanned], "complete": False}


def _repeats(zero: Any, x: Any) -> bool:
    """Whether it is the same a full turn further on."""
    return bool(sympy.simplify(zero.subs(x, x + 2 * sympy.pi) - zero) == 0)


def _settle(relations: Sides, x: Any, root: Any) -> Any:
    """The whole number that lies there, or the root itself; None where neither stands the test."""
    whole = sympy.Integer(round(root)) if root.is_real else root
    near = whole if abs(whole - root) < NEXT else root
    return next((each for each in (near, root) if _fits(relations, {x.name: each})), None)


def _system(relations: Sides, zeros: list[Any], wanted: list[Any]) -> dict[str, Any]:
    if not all(zero.is_rational_function(*wanted) for zero in zeros):
        raise Unsolved("only systems of polynomials and fractions of them are solved here")
    try:
        found = sympy.solve(zeros, wanted, dict=True)
    except NotImplementedError as error:
        raise Unsolved("no formula was found for this system") from error
    kept = [each for each in found if _stands(relations, zeros, each)]
    if len(kept) < len(found):
        raise Unsolved("the solutions that were found do not stand the test")
    solutions = [{str(name): _tell(each.get(name, name)) for name in wanted} for each in kept]
    return {"kind": "system", "solutions": solutions, "complete": True}


def _stands(relations: Sides, zeros: list[Any], found: Mapping[Any, Any]) -> bool:
    if any(value.free_symbols for value in found.values()) or any(zero.subs(found).free_symbols for zero in zeros):
        return all(sympy.simplify(zero.subs(found)) == 0 for zero in zeros)
    return _fits(relations, {name.name: value for name, value in found.items()})


def _inequality(relations: Sides, sides: list[tuple[Any, str, Any]], x: Any) -> dict[str, Any]:
    makers = {"<": sympy.Lt, ">": sympy.Gt, "<=": sympy.Le, ">=": sympy.Ge, "!=": sympy.Ne, "=": sympy.Eq}
    found: Any = sympy.S.Reals
    for left, sign, right in sides:
        relation = makers[sign](left, right)
        if relation is sympy.false:
            found = sympy.S.EmptySet
        elif relation is not sympy.true:
            found = found.intersect(sympy.solveset(relation, x, sympy.S.Reals))
    repeats = any(left.has(*TURNING) or right.has(*TURNING) for left, _, right in sides)
    if repeats and found not in (sympy.S.Reals, sympy.S.EmptySet):
        raise Unsolved("inequalities of periodic functions are not solved here")
    parts = found.args if isinstance(found, sympy.Union) else (() if found is sympy.S.EmptySet else (found,))
    spans = [span for part in parts for span in _spans(part)]
    spans.sort(key=lambda span: float(sympy.N(span[0])))
    _test(relations, x, spans)
    return {"kind": "inequality", "complete": True, "intervals": [
        {"from": _end(low), "to": _end(high), "from_included": first, "to_included": last}
        for low, high, first, last in spans]}


def _spans(part: Any) -> Iterable[tuple[Any, Any, bool, bool]]:
    if part is sympy.S.Reals:
        return [(-sympy.oo, sympy.oo, False, False)]
    if isinstance(part, sympy.FiniteSet):
        return [(point, point, True, True) for point in part]
    if isinstance(part, sympy.Interval):
        return [(part.start, part.end, not part.left_open, not part.right_open)]
    raise Unsolved("the inequality has no solution that can be written as intervals")


def _test(relations: Sides, x: Any, spans: list[tuple[Any, Any, bool, bool]]) -> None:
    """Puts in a point of each interval and of each gap between them."""
    ends = sorted({sympy.N(end, DIGITS) for low, high, _, _ in spans for end in (low, high) if end.is_finite})
    points = [sympy.Rational(0)] if not ends else [
        ends[0] - 1, *((low + high) / 2 for low, high in itertools.pairwise(ends)), ends[-1] + 1]
    for point in points:
        is_in = any(low < point < high for low, high, _, _ in spans)
        if _holds(relations, x, point) not in (is_in, None):
            raise Unsolved("the intervals that were found do not stand the test")
    for low, high, first, last in spans:
        for end, is_in in ((low, first), (high, last)):
            if is_in and _holds(relations, x, end) is False:
                raise Unsolved("the intervals that were found do not stand the test")


def _holds(relations: Sides, x: Any, point: Any) -> bool | None:
    """None on an edge."""
    put = {x.name: _number(point)}
    for left, sign, right in relations:
        try:
            apart = measure(left, put)[0] - measure(right, put)[0]
        except (ZeroDivisionError, ValueError, OverflowError):
            return False
        if apart.imag or not mpmath.isfinite(apart):
            return False
        if abs(apart) < CLOSE:
            return None
        if sign != "!=" and (sign == "=" or (apart.real < 0) != (sign in ("<", "<="))):
            return False
    return True


def _end(value: Any) -> dict[str, Any] | None:
    return _tell(value) if value.is_finite else None


def _fits(relations: Sides, values: Mapping[str, Any]) -> bool:
    """Whether the equations, as they were written, hold: to many digits, measured by the size of what is added up."""
    put = {name: _number(value) for name, value in values.items()}
    for left, sign, right in relations:
        try:
            (first, size), (second, more) = measure(left, put), measure(right, put)
        except (ZeroDivisionError, ValueError, OverflowError):
            return False
        if sign == "=" and not abs(first - second) <= CLOSE * (1 + size + more):
            return False
    return True


def _number(value: Any) -> Any:
    real, imaginary = sympy.N(value, 2 * DIGITS).as_real_imag()
    return mpmath.mpc(str(real), str(imaginary)) if abs(imaginary) > CLOSE else mpmath.mpf(str(real))


def _sorted(roots: list[Any]) -> list[Any]:
    """The real ones first, upwards."""
    def place(root: Any) -> tuple[bool, float, float]:
        real, imaginary = sympy.N(root, SHOWN).as_real_imag()
        return bool(abs(imaginary) > CLOSE), float(real), float(imaginary)

    return sorted(roots, key=place)


def _tell(value: Any) -> dict[str, Any]:
    """`exact` is "" where that would be long or is not known; `fraction` for a rational one; else decimals."""
    if value.free_symbols:
        return {"exact": write(value), "fraction": "", "re": "", "im": ""}
    if isinstance(value, sympy.Rational):
        return {"exact": write(value), "fraction": str(value), "re": "", "im": ""}
    tidy = value if value.has(sympy.Float) else sympy.simplify(value)
    exact = "" if tidy.has(sympy.Float) or len(str(tidy)) > MOST_EXACT_CHARS else write(tidy)
    number = sympy.N(value, DIGITS)
    real, imaginary = (_decimals(part, abs(number)) for part in number.as_real_imag())
    return {"exact": exact, "fraction": "", "re": real, "im": imaginary}


def _decimals(part: Any, size: Any) -> str:
    return "0" if abs(part) < CLOSE * size else str(sympy.Float(part, SHOWN))
