"""A machine with a stack that works out programs: exactly while that is possible, else to so many digits."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ...errors import ToolError
from ..numbers import MOST_DIGITS, round_text
from .grammar import Step

if TYPE_CHECKING:
    Value = Fraction | Any

_MOST_BITS = int(MOST_DIGITS * math.log2(10))
_MOST_FACTORIAL = 1_400
_DIGITS = (60, 120)
_NOTHING = 10**45
_GROWING = frozenset({"exp", "sinh", "cosh", "tanh"})
_TOO_LARGE = f"the result has more than {MOST_DIGITS} digits"


def work_out(steps: Sequence[Step]) -> tuple[Fraction, bool]:
    """The value, and whether it is exact; what is not is right to at least fifteen digits. Raises ToolError."""
    first = _run(steps, _DIGITS[0])
    if isinstance(first, Fraction):
        return first, True
    near, nearer = _as_fraction(first), _as_fraction(_run(steps, _DIGITS[1]))
    if not nearer:
        return Fraction(0), True
    if abs(near - nearer) * 10**25 > abs(nearer):
        if abs(nearer) * _NOTHING**2 < 1 and abs(near) * _NOTHING < 1:
            return Fraction(0), True
        raise ToolError("there is no finite value, or none that can be worked out precisely")
    short = Fraction(round_text(nearer))
    is_exact = abs(short - nearer) * 10**50 < abs(nearer)
    return (short, True) if is_exact else (nearer, False)


def _as_fraction(value: Value) -> Fraction:
    if isinstance(value, Fraction):
        return value
    size = Fraction(int(value.man)) * Fraction(2) ** int(value.exp)
    return -size if value < 0 else size


def _run(steps: Sequence[Step], digits: int) -> Value:
    machine = _Machine(digits)
    try:
        for step in steps:
            machine.take(step)
    except (ZeroDivisionError, OverflowError, ValueError, TypeError) as error:
        raise ToolError(f"this has no value: {error}") from error
    return machine.stack.pop()


class _Machine:
    def __init__(self, digits: int) -> None:
        self.stack: list[Value] = []
        self._digits = digits

    @cached_property
    def mp(self) -> Any:
        """A context of its own: the library's common one is shared by all threads."""
        from mpmath import MPContext  # noqa: PLC0415

        context = MPContext()
        context.dps = self._digits
        return context

    def take(self, step: Step) -> None:
        """One step of a program."""
        if step.name == "push":
            self._push(step.value)
        elif step.name in _CONSTANTS:
            self._push(_CONSTANTS[step.name](self.mp))
        elif step.count:
            values = self.stack[-step.count:]
            del self.stack[-step.count:]
            self._push(self._call(step.name, values))
        elif step.name in _MARKS:
            self._push(_MARKS[step.name](self, self.stack.pop()))
        else:
            right, left = self.stack.pop(), self.stack.pop()
            self._push(self._combine(step.name, left, right))

    def _push(self, value: Value) -> None:
        if isinstance(value, int):
            value = Fraction(value)
        if isinstance(value, Fraction):
            if max(value.numerator.bit_length(), value.denominator.bit_length()) > _MOST_BITS:
                raise ToolError(_TOO_LARGE)
        elif not self.mp.isfinite(value):
            raise ToolError("there is no finite value")
        elif value and abs(self.mp.mag(value)) > _MOST_BITS:
            raise ToolError(_TOO_LARGE)
        self.stack.append(value)

    def real(self, value: Value) -> Any:
        """For functions whose values have no end."""
        return self.mp.mpf(value.numerator) / value.denominator if isinstance(value, Fraction) else value

    def _both(self, left: Value, right: Value) -> tuple[Any, Any]:
        if isinstance(left, Fraction) and isinstance(right, Fraction):
            return left, right
        return self.real(left), self.real(right)

    def _combine(self, name: str, left: Value, right: Value) -> Value:
        if name == "^":
            return self.power(left, right)
        left, right = self._both(left, right)
        if name in ("/", "//", "mod") and not right:
            raise ToolError("division by zero")
        if name == "//":
            return self.floor(left / right)
        if name == "mod":
            return left - right * self.floor(left / right)
        return _OPERATORS[name](left, right)

    def floor(self, value: Value) -> Fraction:
        """What lies next to a whole number by less than the digits worked with is that number."""
        if isinstance(value, Fraction):
            return Fraction(math.floor(value))
        near = self.mp.nint(value)
        if abs(near - value) < self.mp.mpf(10) ** (10 - self.mp.dps) * max(1, abs(value)):
            return Fraction(int(near))
        return Fraction(int(self.mp.floor(value)))

    def power(self, base: Value, exponent: Value) -> Value:
        """Exact for whole exponents and for roots that come out even."""
        if not base and exponent <= 0:
            if exponent == 0:
                return Fraction(1)
            raise ToolError("division by zero")
        if isinstance(base, Fraction) and isinstance(exponent, Fraction):
            if exponent.denominator == 1:
                return self._whole_power(base, exponent.numerator)
            if base < 0:
                raise ToolError("a negative number has no real power of this kind")
            if exponent.denominator <= 64:
                root = _root(base, exponent.denominator)
                if root is not None:
                    return self._whole_power(root, exponent.numerator)
        base, exponent = self.real(base), self.real(exponent)
        if base < 0 and exponent != self.mp.floor(exponent):
            raise ToolError("a negative number has no real power of this kind")
        if base and abs(exponent) * abs(self.mp.mag(base)) > _MOST_BITS * 2:
            raise ToolError(_TOO_LARGE)
        return self.mp.power(base, exponent)

    def _whole_power(self, base: Fraction, exponent: int) -> Fraction:
        size = max(base.numerator.bit_length(), base.denominator.bit_length()) - 1
        if size * abs(exponent) > _MOST_BITS or abs(exponent).bit_length() > 64 and abs(base) not in (0, 1):
            raise ToolError(_TOO_LARGE)
        if abs(base) in (0, 1):
            return base if exponent % 2 else abs(base)
        return base**exponent

    def factorial(self, value: Value) -> Fraction:
        number = _whole(value, "a factorial")
        if number < 0:
            raise ToolError("a negative number has no factorial")
        if number > _MOST_FACTORIAL:
            raise ToolError(_TOO_LARGE)
        return Fraction(math.factorial(number))

    def _call(self, name: str, values: list[Value]) -> Value:
        first = values[0]
        if name in ("min", "max"):
            return (min if name == "min" else max)(values, key=self.real)
        if name == "sum":
            total: Value = Fraction(0)
            for value in values:
                total = self._combine("+", total, value)
            return total
        if name in ("comb", "perm"):
            return _choose(name, _whole(first, name), _whole(values[1], name))
        if name == "pow":
            return self.power(first, values[1])
        if name == "round":
            return self._round(first, _whole(values[1], "round") if len(values) > 1 else 0)
        if name == "log" and len(values) == 2:
            return self._logarithm(first, values[1])
        if name in ("log2", "log10"):
            return self._logarithm(first, Fraction(2 if name == "log2" else 10))
        if name in _EXACT:
            return _EXACT[name](self, first)
        return self._transcend(name, first)

    def _round(self, value: Value, places: int) -> Value:
        if abs(places) > MOST_DIGITS:
            raise ToolError(_TOO_LARGE)
        return Fraction(round(_as_fraction(value) * Fraction(10) ** places)) / Fraction(10) ** places

    def _logarithm(self, value: Value, base: Value) -> Value:
        if value <= 0 or base <= 0 or base == 1:
            raise ToolError("a logarithm is of a positive number, to a positive base other than 1")
        if isinstance(value, Fraction) and isinstance(base, Fraction):
            guess = int(self.mp.nint(self.mp.log(self.real(value)) / self.mp.log(self.real(base))))
            size = max(base.numerator.bit_length(), base.denominator.bit_length())
            if size * abs(guess) <= _MOST_BITS * 2 and base**guess == value:
                return Fraction(guess)
        return self.mp.log(self.real(value)) / self.mp.log(self.real(base))

    def _transcend(self, name: str, value: Value) -> Value:
        number = self.real(value)
        if name in ("log", "ln"):
            if number <= 0:
                raise ToolError("a logarithm is of a positive number")
            return self.mp.log(number)
        if abs(number) > (_MOST_BITS if name in _GROWING else 10**300):
            raise ToolError(f"the argument of {name} is too large")
        if name in ("asin", "acos") and abs(number) > 1:
            if abs(number) - 1 > self.mp.mpf(10) ** (10 - self.mp.dps):
                raise ToolError(f"{name} is of a number between -1 and 1")
            number = self.mp.sign(number)
        return getattr(self.mp, name)(number)


def _whole(value: Value, what: str) -> int:
    number = _as_fraction(value)
    if number.denominator != 1:
        raise ToolError(f"{what} takes whole numbers")
    return number.numerator


def _choose(name: str, number: int, taken: int) -> Fraction:
    if not 0 <= number <= 10_000 or not 0 <= taken <= 1_000:
        raise ToolError(f"{name} takes numbers up to 10000 and 1000")
    return Fraction((math.comb if name == "comb" else math.perm)(number, taken))


def _root(value: Fraction, degree: int) -> Fraction | None:
    """None where it does not come out even."""
    top, bottom = _whole_root(value.numerator, degree), _whole_root(value.denominator, degree)
    return None if top is None or bottom is None else Fraction(top, bottom)


def _whole_root(number: int, degree: int) -> int | None:
    if degree == 2 or number < 2:
        root = math.isqrt(number)
    else:
        root, nearer = 0, 1 << (number.bit_length() // degree + 1)
        while not root or nearer < root:
            root = nearer
            nearer = ((degree - 1) * root + number // root ** (degree - 1)) // degree
    return root if root**degree == number else None


def _square_root(machine: _Machine, value: Value) -> Value:
    if value < 0:
        raise ToolError("a negative number has no real square root")
    return machine.power(value, Fraction(1, 2))


def _cube_root(machine: _Machine, value: Value) -> Value:
    root = machine.power(abs(value), Fraction(1, 3))
    return -root if value < 0 else root


_CONSTANTS: dict[str, Callable[[Any], Any]] = {
    "pi": lambda mp: +mp.pi, "e": lambda mp: +mp.e, "tau": lambda mp: 2 * mp.pi, "phi": lambda mp: +mp.phi,
}
_MARKS: dict[str, Callable[[_Machine, Any], Any]] = {
    "neg": lambda machine, value: -value,
    "percent": lambda machine, value: value / 100,
    "!": lambda machine, value: machine.factorial(value),
    "°": lambda machine, value: machine.real(value) * machine.mp.pi / 180,
    "²": lambda machine, value: value * value,
    "³": lambda machine, value: value * value * value,
}
_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "+": lambda left, right: left + right,
    "-": lambda left, right: left - right,
    "*": lambda left, right: left * right,
    "/": lambda left, right: left / right,
    "+%": lambda left, right: left * (1 + right),
    "-%": lambda left, right: left * (1 - right),
    "off": lambda left, right: right * (1 - left),
}
_EXACT: dict[str, Callable[[_Machine, Any], Any]] = {
    "sqrt": _square_root,
    "cbrt": _cube_root,
    "abs": lambda machine, value: abs(value),
    "floor": lambda machine, value: machine.floor(value),
    "ceil": lambda machine, value: -machine.floor(-value),
    "factorial": lambda machine, value: machine.factorial(value),
    "degrees": lambda machine, value: machine.real(value) * 180 / machine.mp.pi,
    "radians": lambda machine, value: machine.real(value) * machine.mp.pi / 180,
}
