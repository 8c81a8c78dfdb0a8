"""The tool that works out an expression."""

from __future__ import annotations

import re
from fractions import Fraction

from ..base import Outcome, Setting, tool
from ..numbers import SHOWN_DIGITS, decimal_text, localise, round_text
from .evaluation import work_out
from .grammar import Parser
from .tokens import find_notation, tokenise

MOST_PLACES = 60
_SHOWN_CHARS = 200
_END = re.compile(r"(?<![=?\s])\s*=\s*\??\s*\Z")


@tool("arithmetic")
def calculate(expression: str, *, setting: Setting) -> Outcome:
    """Works out an arithmetic expression exactly, such as "15% of 239.99", "240 + 10%", "sqrt(2)*pi" or "2^64 - 1".

    Knows + - * / // % ^ ! and brackets, percentages, sqrt, abs, round, floor, ceil, min, max, exp, ln, log (natural, or
    log(x; base)), log2, log10, sin, cos, tan and their inverses (radians, or degrees with °), pi, e and tau.

    expression: the expression, numbers written in English, German or Spanish
    """
    tokens = tokenise(_END.sub("", expression), setting.language)
    value, is_exact = work_out(Parser(tokens).parse())
    result = write(value) if is_exact else round_text(value, SHOWN_DIGITS)
    is_whole = is_exact and Fraction(result) == value
    shown = _shorten(" ".join(_END.sub("", expression).split()))
    text = f"{shown} {'=' if is_whole else '≈'} {localise(result, find_notation(tokens, setting.language))}"
    ratio = f"{value.numerator}/{value.denominator}"
    steps = (f"{shown} = {ratio}",) if is_exact and not is_whole and len(ratio) <= MOST_PLACES else ()
    return Outcome(result=result, text=text, steps=steps)


def write(value: Fraction) -> str:
    """All decimals where they end soon, else twelve significant digits."""
    if value.denominator == 1:
        return str(value.numerator)
    places = _count_places(value)
    if places is None or places > MOST_PLACES:
        return round_text(value, SHOWN_DIGITS)
    return decimal_text(value)


def _count_places(value: Fraction) -> int | None:
    """How many decimals it has; None where they do not end."""
    rest = value.denominator
    twos = (rest & -rest).bit_length() - 1
    rest >>= twos
    fives = 0
    while rest % 5 == 0 and fives <= MOST_PLACES:
        rest //= 5
        fives += 1
    return max(twos, fives) if rest == 1 else None


def _shorten(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}…"
