"""What can be counted in an answer that bears on whether it is right: its sums worked out again, numbers of the
question that it never uses, an end that is missing, second thoughts."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from fractions import Fraction

from msgspec import Struct

from ..embed import excerpt
from .sums import NOTE, Calculate, Sum, find_sums, read_numbers

READ_CHARS = 8_000

_FINAL = "####"
_SPELT = {
    "one": 1, "once": 1, "two": 2, "twice": 2, "half": 2, "double": 2, "both": 2, "couple": 2, "pair": 2, "three": 3,
    "triple": 3, "third": 3, "thrice": 3, "four": 4, "quarter": 4, "five": 5, "six": 6, "seven": 7, "week": 7,
    "eight": 8, "nine": 9, "ten": 10, "eleven": 11, "twelve": 12, "dozen": 12, "fifteen": 15, "twenty": 20,
    "thirty": 30, "forty": 40, "fifty": 50, "hundred": 100,
}
# Numbers that anybody may bring in: of clocks, calendars and shares.
_COMMON = frozenset(map(Fraction, (0, 1, 2, 4, 7, 10, 12, 24, 30, 52, 60, 100, 365, 1000)))
_OPERATORS = re.compile(r"[-+*/^()%]")
_OPERATION = re.compile(r"[-+*/]")
_END = re.compile(r"[.!)]\s*\Z")
_LETTERS = re.compile(r"[a-z]+")
_DIVISIBLE = re.compile(r"\$|dollar|cost|price|percent|average|hour|mile|pound|ounce|gallon|meter|feet|inch|cup|liter",
                        re.IGNORECASE)
_COUNTED = {name: re.compile(pattern, re.IGNORECASE | re.MULTILINE) for name, pattern in {
    "second thoughts": r"\b(?:actually|wait|mistake|correction|apolog[a-z]+|let me re[a-z]*|re-?check|oops|instead"
                       r"|sorry|however)\b",
    "hedges": r"\b(?:approximately|about|roughly|assum[a-z]+|seems?|perhaps|might|maybe|round[a-z]*|cannot|can't"
              r"|(?:im|not )possible|negative|not enough|doesn'?t (?:say|specify)|unclear|unknown)\b",
    "algebra": r"\blet (?:[a-z]\b|['\"]?s (?:call|denote|say|define|use)|the number)|\b[xyzn]\b|\bsolv[a-z]+"
               r"|\bequation",
    "announced": r"\blet'?s\b|step[ -]by[ -]step|break (?:this|it) down",
    "numbered": r"^\s?\d{1,3}[.)]\s", "bullets": r"^\s?[-*]\s",
    "conclusions": r"\b(?:therefore|so|thus|hence)\b", "totals": r"\b(?:total|altogether|in all)\b",
    "answer named": r"\b(?:final answer|the answer is)\b",
}.items()}


class _Read(Struct, frozen=True):
    """An answer and its question: `said` is the last number, `before` the numbers in front of the last line."""

    body: str
    lines: Sequence[str]
    sums: Sequence[Sum]
    is_marked: bool
    said: Fraction | None
    before: Sequence[Fraction]
    asked: Sequence[Fraction]
    spelt: frozenset[Fraction]
    numbers: frozenset[Fraction]


def read_answer(question: str, answer: str, calculate: Calculate) -> dict[str, float]:
    """Named figures, always the same names in the same order."""
    question, answer = excerpt(question, READ_CHARS), excerpt(answer, READ_CHARS)
    read = _read(question, answer, calculate)
    counted = {name: math.log1p(len(pattern.findall(read.body))) for name, pattern in _COUNTED.items()}
    return _read_shape(answer, read) | _read_end(question, read) | _read_work(read) | counted


def _read(question: str, answer: str, calculate: Calculate) -> _Read:
    body = NOTE.sub("", answer).strip()
    lines = [line for line in body.split("\n") if line.strip()]
    work, mark, end = answer.rpartition(_FINAL)
    if mark:
        found = read_numbers(end)[:1]
    else:
        work, found = "\n".join(lines[:-1]), read_numbers(lines[-1])[-1:] if lines else []
    words = (_SPELT.get(word) for word in _LETTERS.findall(question.lower()))
    return _Read(body, lines, find_sums(answer, calculate), bool(mark), found[0] if found else None,
                 read_numbers(work), read_numbers(question), frozenset(Fraction(word) for word in words if word),
                 frozenset(read_numbers(answer)))


def _read_shape(answer: str, read: _Read) -> dict[str, float]:
    is_ended = read.is_marked or _END.search(read.body) is not None
    notes = NOTE.findall(answer)
    return {
        "length": math.log1p(len(read.body)), "lines": math.log1p(len(read.lines)),
        "notes": math.log1p(len(notes)), "no notes": float(not notes), "is marked": float(read.is_marked),
        "is cut": float(not is_ended or answer.count("<<") > answer.count(">>")), "is ended": float(is_ended),
        "per cent": float("%" in answer),
    }


def _read_end(question: str, read: _Read) -> dict[str, float]:
    """What the last number is, and what it has to do with the work before it."""
    said = read.said
    results = [each.said for each in read.sums if each.is_read]
    is_broken = said is not None and said.denominator != 1
    return {
        "no number": float(said is None), "broken number": float(is_broken),
        "broken thing": float(is_broken and _DIVISIBLE.search(question) is None),
        "not positive": float(said is not None and said <= 0), "is one": float(said == 1),
        "size": math.log1p(abs(float(said or 0))) / 5,
        "is a late result": float(said is not None and said in results[-3:]),
        "is a result": float(said is not None and said in results),
        "is said before": float(read.is_marked and bool(read.before) and read.before[-1] == said),
        "is of the question": float(said in read.asked),
    }


def _read_work(read: _Read) -> dict[str, float]:
    known = [each for each in read.sums if each.is_read]
    wrong = [each for each in known if not each.holds]
    results = [each.said for each in known if each.said is not None]
    operands = {number for each in known for number in _list_operands(each)}
    operations = [len(_OPERATION.findall(each.left)) for each in known]
    asked = frozenset(read.asked)
    unused = asked - read.numbers
    return {
        "sums": math.log1p(len(known)), "unread sums": math.log1p(len(read.sums) - len(known)),
        "is wrong": float(bool(wrong)), "wrong sums": math.log1p(len(wrong)),
        "wrong note": float(any(each.is_note for each in wrong)),
        "numbers unused": math.log1p(len(unused)), "share unused": len(unused) / max(1, len(asked)),
        "numbers brought in": math.log1p(_count_foreign(known, asked | read.spelt)),
        "results unused": math.log1p(len({result for result in results if result != read.said} - operands)),
        "broken results": float(any(result.denominator != 1 for result in results)),
        "endless results": float(any(len(str(result.denominator)) > 2 and 100 % result.denominator
                                     for result in results)),
        "negative results": float(any(result < 0 for result in results)),
        "sums beyond numbers": float(len(known) - len(read.asked)),
        "operations": math.log1p(sum(operations)), "most in a sum": float(max(operations, default=0)),
        "divides": float(any("/" in each.left for each in known)),
    }


def _list_operands(each: Sum) -> list[Fraction]:
    return read_numbers(_OPERATORS.sub(" ", each.left))


def _count_foreign(known: Sequence[Sum], given: frozenset[Fraction]) -> int:
    """How many operands neither the question gave nor a sum before."""
    seen, foreign = set(given | _COMMON), 0
    for each in known:
        for number in _list_operands(each):
            foreign += not {number, number * 100, number / 100, 1 - number, 100 - number} & seen
        seen |= {value for value in (each.value, each.said) if value is not None}
    return foreign
