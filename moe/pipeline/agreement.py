"""Whether an answer says what the exact tools say: sums in it that do not hold, results that it leaves out."""

from __future__ import annotations

import re
from collections.abc import Iterable
from fractions import Fraction
from itertools import islice

from msgspec import Struct

from ..errors import ToolError
from ..tools.arithmetic.evaluation import work_out
from ..tools.arithmetic.grammar import parse

MOST_SUMS, LONGEST_SUM = 40, 80
MOST_NUMBERS = 10_000
_FLOAT = Fraction(1, 10**12)  # how exact the digits of a calculator are
_LEAST_DIGITS, _MOST_DIGITS = 3, 40

# Blanks are settled first: where a pattern may find them in two places, it tries both of each.
_TIGHT = re.compile(r"(?:(?<![ \t])[ \t]+)?(\\times|\\div|[-+*/×÷·−=()$€£%]|(?<=\d) (?=of \d)|"
                    r"(?<=[\d)])[ \t]*[xX](?=[ \t]*[\d($€£]))[ \t]*")
_OF = re.compile(r"(?<=[\d%])of[ \t]+(?=\d)")
_VALUE = r"[$€£]?\d[\d,]{0,24}(?:\.\d{1,20})?%?"
_OPERATOR = r"(?:[-+*/×÷·−x]|\\times|\\div)\({0,4}"
_SUM = re.compile(rf"(?<![\w.,=^)+*/×÷·−-])([(-]{{0,4}}{_VALUE}(?:\)|{_OPERATOR}{_VALUE}){{1,12}})="
                  rf"(?:<<[^<>\n]{{0,80}}>>)?(-?{_VALUE})(?![\d.,]*\d|\s?[-+*/×÷·−x^(\\])", re.IGNORECASE)
_NOISE = re.compile(r"[$€£,\s]|<<|>>")
_SIGNS = (("×", "*"), ("·", "*"), ("÷", "/"), ("−", "-"), ("\\times", "*"), ("\\div", "/"), ("x", "*"), ("%", "/100"))
_NUMBERS = re.compile(r"[-−]?\d[\d.,  '’_]*")
_PLAIN = re.compile(r"[-−]?\d+(?:\.\d+|/0*[1-9]\d*)?")
_GROUPS = re.compile(r"[  '’_\s]")


class Sums(Struct, frozen=True, gc=False):
    """Those of an answer that could be checked."""

    right: int = 0
    wrong: int = 0

    @property
    def share(self) -> float | None:
        """Of those that hold, None without any."""
        total = self.right + self.wrong
        return self.right / total if total else None


def check_sums(text: str) -> Sums:
    """Works out again what is written as a sum with its result, such as "3 x 12 = 36"."""
    verdicts = []
    for found in _SUM.finditer(_OF.sub("*", _TIGHT.sub(_squeeze, text))):
        if len(found[1]) <= LONGEST_SUM and (verdict := _holds(found[1], found[2])) is not None:
            verdicts.append(verdict)
        if len(verdicts) == MOST_SUMS:
            break
    return Sums(sum(verdicts), len(verdicts) - sum(verdicts))


def calculate(expression: str) -> Fraction | None:
    """Its exact value; None for what cannot be worked out."""
    try:
        return work_out(parse(expression, "en"))[0]
    except ToolError:
        return None


def find_agreement(text: str, results: Iterable[str]) -> float | None:
    """The share of what tools found that the answer says too, None where they found nothing: a number in any notation
    and rounded as one likes, anything else in its own words."""
    wanted = [result.strip() for result in results if result.strip()]
    if not wanted:
        return None
    said = read_numbers(text)
    folded = " ".join(text.casefold().split())
    return sum(_says(folded, said, result) for result in wanted) / len(wanted)


def _squeeze(found: re.Match[str]) -> str:
    return found[1].strip().lower()


def _holds(left: str, right: str) -> bool | None:
    """None for what cannot be worked out."""
    value = calculate(_spell(left))
    if value is None:
        return None
    told = _NOISE.sub("", right)
    number = told.rstrip("%")
    unit = Fraction(1, 10 ** len(number.partition(".")[2]))
    scales = (1, 100) if "%" in told else (1,)
    return any(_is_rounded(value * scale, Fraction(number), unit) for scale in scales)


def _is_rounded(value: Fraction, told: Fraction, unit: Fraction) -> bool:
    """Whether `told` is the value in such units, cut off or rounded; a whole number is never rounded."""
    if value.denominator == 1:
        return value == told
    is_float = abs(value - told) <= abs(value) * _FLOAT
    is_cut_off = abs(told) >= 10 * unit and 0 <= (value - told) * (1 if value > 0 else -1) < unit
    return is_float or is_cut_off or abs(value - told) <= unit / 2


def _spell(text: str) -> str:
    plain = _NOISE.sub("", text)
    for sign, meant in _SIGNS:
        plain = plain.replace(sign, meant)
    return plain


def _says(folded: str, said: list[tuple[Fraction, Fraction]], result: str) -> bool:
    if not _PLAIN.fullmatch(result):
        return " ".join(result.casefold().split()) in folded
    value = Fraction(result.replace("−", "-"))
    return any(abs(number - value) <= slack for number, slack in said)


def read_numbers(text: str) -> list[tuple[Fraction, Fraction]]:
    """All numbers, once, in each notation they may be in, with what may be missing to the exact one by rounding."""
    numbers = []
    for found in islice(dict.fromkeys(_NUMBERS.findall(text)), MOST_NUMBERS):
        digits = _GROUPS.sub("", found).rstrip(".,").replace("−", "-")
        for point, group in ((".", ","), (",", ".")):
            whole, _, places = digits.replace(group, "").partition(point)
            if point in places or len(digits) > _MOST_DIGITS:
                continue
            value = Fraction(f"{whole}.{places or 0}")
            is_precise = len((whole + places).strip("-").lstrip("0")) >= _LEAST_DIGITS and bool(places)
            numbers.append((value, Fraction(1, 10 ** len(places)) if is_precise else Fraction(0)))
    return numbers
