"""Whole numbers between two bounds -> GBNF, the grammars of llama.cpp."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

from ...errors import UpstreamRefusal

MOST_DIGITS = 16
_LARGEST = 10**MOST_DIGITS - 1


def express_integer(schema: dict[str, Any]) -> str:
    """A schema's whole number. OpenAPI's older exclusive bounds, which are only true or false, shift the plain ones."""
    low, high = _whole(schema.get("minimum"), math.ceil), _whole(schema.get("maximum"), math.floor)
    above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    if above is True and low is not None:
        low += 1
    elif (least := _whole(above, math.floor)) is not None:
        low = least + 1 if low is None else max(low, least + 1)
    if below is True and high is not None:
        high -= 1
    elif (most := _whole(below, math.ceil)) is not None:
        high = most - 1 if high is None else min(high, most - 1)
    if low is not None and high is not None and low > high:
        raise UpstreamRefusal("the schema's minimum is more than its maximum")
    return "integer" if low is None and high is None else f"({write_integers(low, high)})"


def _whole(bound: Any, turn: Callable[[float], int]) -> int | None:
    """Beyond 16 digits a bound is none."""
    is_number = isinstance(bound, (int, float)) and not isinstance(bound, bool)
    return turn(bound) if is_number and abs(bound) <= _LARGEST else None


def write_integers(low: int | None, high: int | None) -> str:
    """The numbers of up to 16 digits from `low` to `high`, None = no bound; there must be such a number."""
    least = -_LARGEST if low is None else low
    most = _LARGEST if high is None else high
    below = _naturals(max(1, -most), -least) if least < 0 else ()
    above = _naturals(max(0, least), most) if most >= 0 else ()
    return " | ".join([*(f'"-" {each}' for each in below), *above])


def _naturals(low: int, high: int) -> Iterator[str]:
    """Alternatives by the number of digits; where every number of so many is meant, all these are one."""
    full: list[int] = []
    for digits in range(len(str(low)), len(str(high)) + 1):
        first, last = 10 ** (digits - 1) if digits > 1 else 0, 10**digits - 1
        if low <= first and last <= high and digits > 1:
            full.append(digits)
        else:
            yield _between(str(max(low, first)), str(min(high, last)))
    if full:
        yield f"[1-9] [0-9]{{{full[0] - 1},{full[-1] - 1}}}"


def _between(low: str, high: str) -> str:
    """Texts of digits of the same length."""
    if low == high:
        return f'"{low}"'
    if set(low) == {"0"} and set(high) == {"9"}:
        return _any_digits(len(low))
    if len(low) == 1:
        return f"[{low}-{high}]"
    rest = len(low) - 1
    if low[0] == high[0]:
        return f'"{low[0]}" {_between(low[1:], high[1:])}'
    either = [f'"{low[0]}" {_between(low[1:], "9" * rest)}', f'"{high[0]}" {_between("0" * rest, high[1:])}']
    after, before = int(low[0]) + 1, int(high[0]) - 1
    if after <= before:
        either.append(f"[{after}-{before}] {_any_digits(rest)}")
    return f"({' | '.join(either)})"


def _any_digits(count: int) -> str:
    return f"[0-9]{{{count}}}" if count > 1 else "[0-9]"
