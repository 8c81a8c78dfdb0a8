"""What the grammar has read, node by node: as expressions of sympy, and as numbers where its variables are known."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import mpmath
import sympy

from .grammar import Node

NOTHING = mpmath.mpf("1e-20")
_CAPITALS = re.compile(r"\b[EI]\b")
_CONSTANTS = {"pi": sympy.pi, "e": sympy.E, "i": sympy.I}
_CALLS: dict[str, Callable[[Any], Any]] = {
    "sqrt": sympy.sqrt, "abs": sympy.Abs, "exp": sympy.exp, "ln": sympy.log, "log": sympy.log,
    "log2": lambda node: sympy.log(node, 2), "log10": lambda node: sympy.log(node, 10), "sin": sympy.sin,
    "cos": sympy.cos, "tan": sympy.tan, "asin": sympy.asin, "acos": sympy.acos, "atan": sympy.atan,
    "sinh": sympy.sinh, "cosh": sympy.cosh, "tanh": sympy.tanh,
}
_SIGNS: dict[str, Callable[[Any, Any], Any]] = {
    "+": lambda left, right: left + right, "-": lambda left, right: left - right,
    "*": lambda left, right: left * right, "/": lambda left, right: left / right,
    "^": lambda left, right: left**right,
}


def build(node: Node, names: dict[str, Any]) -> Any:
    """`names`: sympy's symbol of each variable."""
    kind = node[0]
    if kind == "num":
        return sympy.Rational(node[1])
    if kind == "sym":
        return names[node[1]]
    if kind == "neg":
        return -build(node[1], names)
    if kind == "call":
        return _CALLS[node[1]](build(node[2], names))
    if kind in _SIGNS:
        return _SIGNS[kind](build(node[1], names), build(node[2], names))
    return _CONSTANTS[kind]


_NUMBERS: dict[str, Callable[[Any], Any]] = {
    "sqrt": mpmath.sqrt, "abs": abs, "exp": mpmath.exp, "ln": mpmath.log, "log": mpmath.log,
    "log2": lambda value: mpmath.log(value, 2), "log10": mpmath.log10, "sin": mpmath.sin, "cos": mpmath.cos,
    "tan": mpmath.tan, "asin": mpmath.asin, "acos": mpmath.acos, "atan": mpmath.atan, "sinh": mpmath.sinh,
    "cosh": mpmath.cosh, "tanh": mpmath.tanh,
}


def measure(node: Node, values: Mapping[str, Any]) -> tuple[Any, Any]:
    """Its value, and how large what is added up in it is. Nothing is cancelled: raises ZeroDivisionError where the
    equation as it was written divides by zero."""
    kind = node[0]
    if kind in ("+", "-", "*"):
        (left, first), (right, second) = measure(node[1], values), measure(node[2], values)
        size = first * second if kind == "*" else first + second
        return _SIGNS[kind](left, right), size
    if kind == "sym":
        value = values[node[1]]
    elif kind == "num":
        above, _, below = node[1].partition("/")
        value = mpmath.mpf(above) / mpmath.mpf(below or 1)
    elif kind == "neg":
        value, size = measure(node[1], values)
        return -value, size
    elif kind == "call":
        value = _NUMBERS[node[1]](measure(node[2], values)[0])
    elif kind in ("/", "^"):
        right = measure(node[2], values)[0]
        if kind == "/" and abs(right) < NOTHING:
            raise ZeroDivisionError
        value = _SIGNS[kind](measure(node[1], values)[0], right)
    else:
        value = {"pi": mpmath.pi, "e": mpmath.e, "i": mpmath.j}[kind] * 1
    return value, abs(value)


def write(value: Any) -> str:
    """An expression as people type it."""
    if value.free_symbols:
        # Capital letters may be variables here.
        plain = str(value.subs({sympy.E: sympy.Symbol("e"), sympy.I: sympy.Symbol("i")}))
    else:
        plain = _CAPITALS.sub(lambda found: found[0].lower(), str(value))
    return plain.replace("**", "^")
