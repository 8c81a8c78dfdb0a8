"""Whether two answers to one question say the same: by what each comes to, else by their words."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import NamedTuple

from rapidfuzz.fuzz import token_set_ratio

from .agreement import read_numbers

ALIKE = 85.0
# Two texts longer than this that come to nothing certain are worded in so many ways that their words prove nothing.
LONGEST_COMPARED = 600
_READ = 20_000
_END = 300

_MARK = (r"(?:####|\b(?:final answer|answer|result|endergebnis|ergebnis|antwort|lösung|respuesta(?: final)?|"
         r"resultado)\b(?:\s+(?:is|ist|lautet|es))?)")
_LETTER = r"[(\[*_`]{0,4}(?-i:([A-H]))(?![\w'’])[)\]*_`.:]{0,4}"
_NAMED_LETTER = re.compile(
    rf"(?:{_MARK}|\b(?:option|choice|antwortmöglichkeit|opción)\b(?:\s+(?:is|ist|es))?)\s*[:：=]?\s*{_LETTER}",
    re.IGNORECASE)
_RIGHT = r"\s+(?:is|ist|es) (?:the )?(?:right|correct|richtig|correct[oa])\b"
_BARE_LETTER = re.compile(
    rf"\A\s*{_LETTER}(?=\s|\Z)(?:\s*\Z|(?<=[)\].:*_`])\s|{_RIGHT})|(?:\A|\n)\s*{_LETTER}\s*\Z")
_BOXED = re.compile(r"\\boxed\{([^{}]{1,80})\}")
_NAMED_NUMBER = re.compile(rf"{_MARK}\s*[:：=]?[^\d\n]{{0,40}}?([-−]?\d[\d.,  '’]*(?:/\d+)?)", re.IGNORECASE)
_NUMBER = re.compile(r"(?<![\w.,])[-−]?\d[\d.,  '’]*(?:/\d+)?")
_DRESS = re.compile(r"[*_`$€£]")
_YES = "yes|true|correct|valid|ja|wahr|richtig|stimmt|sí|si|verdadero|cierto|correcto"
_NO = "no|false|incorrect|invalid|nein|falsch|unwahr|falso|incorrecto"
_VERDICT = re.compile(
    rf"(?:\A\W{{0,6}}|{_MARK}\W{{0,6}})(?:(?P<yes>{_YES})|(?P<no>{_NO}))(?=\s*(?:[,.;:!)*\n–—]|\Z|-\s))", re.IGNORECASE)

_NOT = re.compile(r"\b(?:not|never|cannot|nicht|nie|niemals|kein\w{0,2}|no|nunca|jamás|tampoco)\b|n['’]t\b",
                  re.IGNORECASE)
_WORD = re.compile(r"\w+")


class Reading(NamedTuple):
    """A number in one notation; `slack` is what may be missing of it by rounding."""

    value: Fraction
    slack: Fraction


def same_answer(one: str, two: str) -> bool | None:
    """Whether both say the same; None where that cannot be told."""
    one, two = one.strip(), two.strip()
    if not one or not two:
        return False
    if one == two:
        return True
    are_long = min(len(one), len(two)) > LONGEST_COMPARED
    for read in (read_letter, read_verdict, _read_named if are_long else read_number):
        first, second = read(one), read(two)
        if first and second:
            return _agree(first, second)
    is_alike = _ratio(one, two) >= ALIKE
    if are_long:
        return is_alike or None
    return is_alike and bool(_NOT.search(one)) == bool(_NOT.search(two))


def read_letter(text: str) -> str:
    """Of the option that is chosen, "" for none."""
    text = _excerpt(text)
    named = _NAMED_LETTER.findall(text)
    bare = _BARE_LETTER.search(text)
    return str(named[-1]) if named else (bare[1] or bare[2]) if bare else ""


def read_verdict(text: str) -> str:
    """"yes", "no", or "" where the text begins with neither."""
    found = _VERDICT.search(_DRESS.sub("", _excerpt(text)))
    return "" if found is None else "yes" if found["yes"] is not None else "no"


def read_number(text: str) -> tuple[Reading, ...]:
    """The number that is named as the answer, else the last one near the end, in each notation it may be in."""
    found = _NUMBER.findall(_DRESS.sub("", text[-_END:]))
    return _read_named(text) or (_read(found[-1]) if found else ())


def _read_named(text: str) -> tuple[Reading, ...]:
    plain = _DRESS.sub("", _excerpt(text))
    named = _BOXED.findall(plain) or _NAMED_NUMBER.findall(plain)
    return _read(named[-1]) if named else ()


def _read(number: str) -> tuple[Reading, ...]:
    plain = number.strip().rstrip(".,")
    whole, slash, below = plain.partition("/")
    if slash and below.isdigit() and int(below) and re.fullmatch(r"[-−]?\d+", whole):
        return (Reading(Fraction(int(whole.replace("−", "-")), int(below)), Fraction(0)),)
    return tuple(Reading(value, slack) for value, slack in read_numbers(plain))


def _agree(one: str | tuple[Reading, ...], two: str | tuple[Reading, ...]) -> bool:
    if isinstance(one, str) or isinstance(two, str):
        return one == two
    return any(a.value == b.value or abs(a.value - b.value) < max(a.slack, b.slack) for a in one for b in two)


def _ratio(one: str, two: str) -> float:
    return token_set_ratio(*(" ".join(_WORD.findall(text.casefold())) for text in (one, two)))


def _excerpt(text: str) -> str:
    return text if len(text) <= _READ else f"{text[:_READ // 2]}\n{text[-_READ // 2:]}"
