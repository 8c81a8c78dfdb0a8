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
_TIME = re.compile(r"(?<![\w.,:])(\d{1,2}):([0-5]\d)(?::[0-5]\d)?(?![\d:])(?:\s?([ap])\.?m\b)?", re.IGNORECASE)
# What may follow a number that a text ends in: what is counted, and no further clause.
_NO_MORE = re.compile(r"[\s%°)\]*]{0,4}(?:[^\W\d]{1,20}[\s.!*)]{1,3}|[^\W\d]{1,20}\Z){0,2}[\s.!*)\]}]{0,6}")
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
    for read in (read_letter, read_verdict, _read_named):
        first, second = read(one), read(two)
        if first and second:
            return _agree(first, second)
    if not are_long:
        short, long = sorted((one, two), key=lambda text: (len(text), text))
        values, others = _list_values(short), _list_values(long)
        if values and others:
            return _compare(short, values, long, others)
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


class _Value(NamedTuple):
    """A number or a time of day in a text, in each notation it may be in. `is_last`: the text ends with it."""

    readings: tuple[Reading, ...]
    is_time: bool
    is_last: bool


def _compare(short: str, values: list[_Value], long: str, others: list[_Value]) -> bool | None:
    """By what the shorter text comes to: the longer one may say more numbers, and its last need not be its answer."""
    named, named_long = _read_named(short), _read_named(long)
    last = values[-1]
    answer = named or last.readings
    if named_long:
        return _agree(answer, named_long)
    is_time = last.is_time and not named
    if any(_agree(answer, other.readings) for other in others if other.is_time == is_time):
        return True
    is_certain = last.is_last and others[-1].is_last and others[-1].is_time == is_time
    return False if is_certain else None


def _list_values(text: str) -> list[_Value]:
    plain = _DRESS.sub("", _excerpt(text))
    times = [(found.span(), _read_time(found)) for found in _TIME.finditer(plain)]
    rest = _TIME.sub(lambda found: " " * len(found[0]), plain)
    numbers = [(found.span(), _read(found[0])) for found in _NUMBER.finditer(rest)]
    marked = [(*each, True) for each in times] + [(*each, False) for each in numbers if each[1]]
    return [_Value(readings, is_time, _NO_MORE.fullmatch(plain, span[1]) is not None)
            for span, readings, is_time in sorted(marked, key=lambda each: each[0])]


def _read_time(found: re.Match[str]) -> tuple[Reading, ...]:
    """In minutes; without a word of which half of the day it may be either."""
    hours, minutes, half = int(found[1]), int(found[2]), (found[3] or "").lower()
    if half:
        hours = hours % 12 + (12 if half == "p" else 0)
    either = (hours, hours + 12) if not half and 0 < hours <= 12 else (hours,)
    return tuple(Reading(Fraction(each * 60 + minutes), Fraction(0)) for each in either)


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
