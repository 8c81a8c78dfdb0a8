"""Numbers as people of three languages write them, read exactly, and written again."""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal
from fractions import Fraction

from ..errors import ToolError
from .base import Language

# What a number may be made of; its parts are sorted out by `read_number`. Only ASCII digits count.
NUMBER = (r"(?:[0-9]+(?:[.,'’\u00a0\u202f][0-9]{3})*(?:[.,][0-9]+)?|[.,][0-9]+|[0-9]+[.,])"
          r"(?:[eE][+-]?[0-9]{1,4})?")
MOST_DIGITS = 4_000
# Digits of a number that has no end, in texts.
SHOWN_DIGITS = 12
SAFE_INTEGER = 2**53

_PARTS = re.compile(r"([+-]?)([0-9.,'’\u00a0\u202f]+)(?:[eE]([+-]?[0-9]{1,4}))?")
_SPACES = re.compile(r"['’\u00a0\u202f](?=[0-9]{3}(?![0-9]))")
_GROUPED = re.compile(r"[0-9]{1,3}(?:[.,][0-9]{3})+")


class Ambiguous(ToolError):
    """Both a point that groups and one that divides would make sense."""


def read_number(text: str, language: Language | None = None, *, is_settled: bool = False) -> Fraction:
    """Exactly what is written: "1,234.5", "1.234,5", "1'234.5", ".5", "1e3".

    One comma or point before exactly three digits groups them or begins the decimals, by `language`: in English a
    comma groups and a point divides; in German and Spanish a comma divides, and a point is refused unless
    `is_settled` by other numbers of the same text; a comma is refused where no language is known.

    Raises ToolError for what is no number, Ambiguous where both readings make sense.
    """
    found = _PARTS.fullmatch(text.strip())
    if not found:
        raise ToolError(f"'{quote(text)}' is not a number")
    sign, digits, exponent = found.groups()
    plain = _unify(_SPACES.sub("", digits), language, text, is_settled=is_settled)
    if len(plain) > MOST_DIGITS:
        raise ToolError(f"a number of more than {MOST_DIGITS} digits")
    value = Fraction(plain) * Fraction(10) ** int(exponent or 0)
    return -value if sign == "-" else value


def _unify(digits: str, language: Language | None, text: str, *, is_settled: bool) -> str:
    """With a point before the decimals and nothing else."""
    points, commas = digits.count("."), digits.count(",")
    if points and commas:
        last, other = (".", ",") if digits.rfind(".") > digits.rfind(",") else (",", ".")
        whole, _, rest = digits.rpartition(last)
        if digits.count(last) > 1 or not _GROUPED.fullmatch(whole) or last in whole:
            raise ToolError(f"'{quote(text)}' is not a number")
        return _plain(whole.replace(other, ""), rest, text)
    mark = "." if points else ","
    if points + commas > 1:
        if not _GROUPED.fullmatch(digits):
            raise ToolError(f"'{quote(text)}' is not a number")
        return digits.replace(mark, "")
    whole, _, rest = digits.partition(mark)
    may_group = bool(points + commas) and len(rest) == 3 and 1 <= len(whole) <= 3 and not whole.startswith("0")
    if may_group and (mark == ".") == (language in ("de", "es")):
        if language is None or (mark == "." and not is_settled):
            raise Ambiguous(f"'{quote(text)}' may mean two numbers")
        whole, rest = whole + rest, ""
    return _plain(whole, rest, text)


def _plain(whole: str, rest: str, text: str) -> str:
    if not (whole or rest) or not f"{whole}0".isascii() or not f"{whole}{rest}".isdigit():
        raise ToolError(f"'{quote(text)}' is not a number")
    return f"{whole or '0'}.{rest or '0'}"


def agree(numbers: Iterable[str], language: Language) -> Language | None:
    """How the numbers of one text are written, as far as they show it: "en" for a decimal point, "de" for a decimal
    comma; None where they contradict each other. What shows nothing leaves it to `language`."""
    shown = set()
    for text in numbers:
        digits = text.partition("e")[0].partition("E")[0]
        last = max(digits.rfind("."), digits.rfind(","))
        if last < 0:
            continue
        mark, rest = digits[last], digits[last + 1 :]
        both = "." in digits and "," in digits
        if both or (digits.count(mark) == 1 and (len(rest) != 3 or digits[:last] in ("", "0"))):
            shown.add("en" if mark == "." else "de")
        elif digits.count(mark) > 1:
            shown.add("de" if mark == "." else "en")
    if len(shown) > 1:
        return None
    found: Language = "en" if shown == {"en"} else "de" if shown else language
    return found


def has_end(value: Fraction) -> bool:
    """Whether its decimals end."""
    rest = value.denominator
    for prime in (2, 5):
        while rest % prime == 0:
            rest //= prime
    return rest == 1


def decimal_text(value: Fraction | int, digits: int = SHOWN_DIGITS) -> str:
    """Its decimals: all where they end, else rounded to so many significant ones; never in exponents below 10**15."""
    number = Fraction(value)
    if number.denominator == 1:
        return str(number.numerator)
    if has_end(number):
        scale = 0
        while (number * 10**scale).denominator != 1:
            scale += 1
        whole = abs(number.numerator * 10**scale // number.denominator)
        text = str(whole).rjust(scale + 1, "0")
        return f"{'-' if number < 0 else ''}{text[:-scale]}.{text[-scale:]}"
    return round_text(number, digits)


def round_text(value: Fraction, digits: int = SHOWN_DIGITS) -> str:
    """Rounded half to even to so many significant digits, without zeros at the end."""
    if not value:
        return "0"
    size = len(str(abs(value.numerator))) - len(str(value.denominator))
    places = digits - size
    while abs(value) * Fraction(10) ** places >= 10**digits:
        places -= 1
    while abs(value) * Fraction(10) ** places < 10 ** (digits - 1):
        places += 1
    number = Decimal(round(value * Fraction(10) ** places)).scaleb(-places).normalize()
    return f"{number:f}" if -7 <= number.adjusted() < 21 else str(number)


def exact(value: Fraction | int) -> int | str:
    """For JSON: a small whole number as it is, anything else as a decimal string."""
    number = Fraction(value)
    if number.denominator == 1 and abs(number.numerator) <= SAFE_INTEGER:
        return number.numerator
    return decimal_text(number)


def localise(text: str, language: Language) -> str:
    """A number of `decimal_text` as `language` writes it: a decimal comma in German and Spanish, no groups."""
    return text if language == "en" else text.replace(".", ",")


def quote(text: str, most: int = 40) -> str:
    """The beginning of what somebody wrote, for an error's one line: what cannot be seen is escaped."""
    shown = "".join(letter if letter.isprintable() else f"\\u{ord(letter):04x}" for letter in text[:most])
    return shown if len(text) <= most else f"{shown}…"
