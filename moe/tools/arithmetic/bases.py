"""The tool that writes numbers to another base."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Annotated

from msgspec import Meta

from ...errors import ToolError
from ..base import Language, Outcome, Setting, tool
from ..numbers import localise, read_number

Base = Annotated[int, Meta(ge=2, le=36)]

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_PREFIXES = {"0x": 16, "0o": 8, "0b": 2}
_LONGEST = 1_000
_MOST_PLACES = 200
_DECIMAL = re.compile(r"[0-9]+(?:[.,][0-9]+)+")
_SHAPE = re.compile(r"[0-9A-Z]+(?:[.,][0-9A-Z]+)?")
_TEXTS = {
    "en": "{value} (base {old}) is {result} in base {new}",
    "de": "{value} (Basis {old}) ist {result} zur Basis {new}",
    "es": "{value} (base {old}) es {result} en base {new}",
}

_IN_TENS = {"en": "decimal: {}", "de": "dezimal: {}", "es": "decimal: {}"}


@tool("arithmetic")
def number_base(
    value: str | int, to_base: Base, from_base: Base | None = None, *, setting: Setting
) -> Outcome:
    """Writes a number to another base, such as 255 in hexadecimal (to_base 16) or 1011 in binary as a decimal number.

    value: the number; 0x, 0o and 0b in front say its base
    to_base: the base to write it to, from 2 to 36
    from_base: the base it is written to; 10 if nothing says otherwise
    """
    is_long = value.bit_length() > _LONGEST * 3 if isinstance(value, int) else len(value) > _LONGEST
    text = "" if is_long else str(value).strip().upper()
    if not text:
        raise ToolError(f"a number of 1 to {_LONGEST} digits is needed")
    sign = "-" if text.startswith("-") else ""
    digits, base = _strip_prefix(text.removeprefix(sign or "+"), from_base)
    number = _read(digits, base, setting.language)
    result = sign * bool(number) + _write(number, to_base)
    shown = {"value": sign + digits, "old": base, "result": localise(result, setting.language), "new": to_base}
    plain = localise(f"{sign}{_write(number, 10)}", setting.language)
    steps = () if 10 in (base, to_base) else (_IN_TENS[setting.language].format(plain),)
    return Outcome(result=result, text=_TEXTS[setting.language].format_map(shown), steps=steps)


def _strip_prefix(text: str, base: int | None) -> tuple[str, int]:
    known = _PREFIXES.get(text[:2].lower())
    if known is not None and base in (None, known):
        return text[2:].replace("_", ""), known
    return text.replace("_", ""), base or 10


def _read(text: str, base: int, language: Language) -> Fraction:
    """To base 10 as `language` writes numbers; to others a comma begins decimals where the language has it so."""
    if base == 10 and _DECIMAL.fullmatch(text):
        return read_number(text, language)
    if not text.isascii() or not _SHAPE.fullmatch(text) or ("," in text and language == "en"):
        raise ToolError("not a number: digits and letters with at most one point are accepted")
    whole, _, rest = text.replace(",", ".").partition(".")
    wrong = [digit for digit in whole + rest if _DIGITS.index(digit) >= base]
    if wrong:
        raise ToolError(f"'{wrong[0]}' is no digit to base {base}")
    return Fraction(int(whole + rest, base), base ** len(rest))


def _write(number: Fraction, base: int) -> str:
    """Raises ToolError where the digits do not end."""
    whole, rest = divmod(number, 1)
    digits: list[str] = []
    while whole:
        whole, digit = divmod(whole, base)
        digits.append(_DIGITS[digit])
    text = "".join(reversed(digits)) or "0"
    places: list[str] = []
    while rest:
        if len(places) == _MOST_PLACES:
            raise ToolError(f"its digits to base {base} do not end")
        digit, rest = divmod(rest * base, 1)
        places.append(_DIGITS[digit])
    return f"{text}.{''.join(places)}" if places else text
