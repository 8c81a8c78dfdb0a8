"""The sums that an answer writes down, worked out again: which hold, which do not, which cannot be read."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import NamedTuple

# An expression's exact value; None for what is no expression. Whoever scores brings the tool that works it out.
Calculate = Callable[[str], Fraction | None]

MOST_SUMS, MOST_CHARS = 60, 160
NUMBER = re.compile(r"(?<![\w.])-?\d[\d,]{0,20}(?:\.\d{1,20})?|(?<![\w.])\.\d{1,20}")
# As models that were taught with a calculator write: <<48/2=24>>.
NOTE = re.compile(r"<<([^<>\n]{0,200})>>")
_OPERATORS = str.maketrans({"×": "*", "·": "*", "÷": "/", "−": "-", "–": "-", "$": " ", "€": " ", "£": " "})
_TIMES_WORD = re.compile(r"\\(?:times|cdot)")
_TIMES_LETTER = re.compile(r"(?<=[\d%)\s])[xX](?=\s?[\d($.])")
_CLAUSE = re.compile(r"[;:!?]|\.\s|,\s|\.\Z")
_WORDS = re.compile(r"/\s?[A-Za-z]+|[A-Za-z'’\"]{2,}|(?<![A-Za-z])[a-wyzA-WYZ](?![A-Za-z])|[#°\[\]]"
                    r"|(?<=\w)-(?=[A-Za-z])")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3})")
_EXPRESSION = re.compile(r"[\d\s.,+*/()%^-]+\Z")
_OPERATION = re.compile(r"\d[\d\s.,)%]{0,40}[-+*/^][\s(]{0,10}[\d.(-]")
_RESULT = re.compile(r"\s*-?\s*[-\d.]")
_CENT, _NEAR = Fraction(1, 100), Fraction(1, 200)


class Sum(NamedTuple):
    """`left` as it was worked out, the `value` it has and the one that was `said`; None where it cannot be read."""

    left: str
    value: Fraction | None
    said: Fraction | None
    is_note: bool
    is_share: bool

    @property
    def is_read(self) -> bool:
        return self.value is not None and self.said is not None

    @property
    def holds(self) -> bool:
        """Whether it is right, rounded as people round; a share may be said in per cent."""
        if self.value is None or self.said is None:
            return False
        size = abs(self.value)
        return (abs(self.value - self.said) <= max(_CENT, size * _NEAR) or self.value == -self.said
                or (self.is_share and abs(self.value * 100 - self.said) <= size))


def find_sums(answer: str, calculate: Calculate) -> list[Sum]:
    """Every "a op b = c", the notes first; a chain is a sum for each of its links."""
    found: list[Sum] = []
    for left, right, is_note in _split(answer):
        if len(found) == MOST_SUMS:
            break
        if _EXPRESSION.match(left) is None:
            found.append(Sum(left, None, None, is_note, False))
        elif _OPERATION.search(left):
            found.append(Sum(left, calculate(left), _read_result(right, calculate), is_note, "%" in right[:12]))
    return found


def read_numbers(text: str) -> list[Fraction]:
    spelt = (found.replace(",", "") for found in NUMBER.findall(text.replace("$", " ")))
    return [Fraction(number) for number in spelt if len(number) < 16]


def _split(answer: str) -> Iterator[tuple[str, str, bool]]:
    for note in NOTE.finditer(answer):
        left, equals, right = note[1].rpartition("=")
        if equals:
            yield _clean(left), right, True
    for line in NOTE.sub("", answer).split("\n"):
        parts = line.split("=")
        for left, right in zip(parts, parts[1:], strict=False):
            yield _clean(_CLAUSE.split(left[-MOST_CHARS:])[-1]), right[:MOST_CHARS], False


def _read_result(right: str, calculate: Calculate) -> Fraction | None:
    """What stands after the sign: another expression's value, or the number it begins with."""
    expression = _clean(_CLAUSE.split(right)[0])
    if _EXPRESSION.match(expression) and _OPERATION.search(expression):
        return calculate(expression)
    plain = right.translate(_OPERATORS)
    return next(iter(read_numbers(plain)), None) if _RESULT.match(plain) else None


def _clean(text: str) -> str:
    """Without words and units, the operators as the tool writes them."""
    text = _TIMES_WORD.sub("*", text.translate(_OPERATORS))
    text = _WORDS.sub(" ", _TIMES_LETTER.sub("*", text))
    return _THOUSANDS.sub("", text).strip(" *,.")
