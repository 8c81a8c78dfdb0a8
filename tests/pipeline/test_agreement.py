"""Sums in an answer are worked out again, and what tools found is looked for in any notation."""

from __future__ import annotations

import time
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moe.pipeline.agreement import Sums, check_sums, find_agreement


@pytest.mark.parametrize("text", [
    "3 + 4 = 7", "So he has 3 x 12 = 36 eggs.", "6 x 4 = <<6*4=24>>24 miles", "$4,200 - $1,050.50 = $3,149.50",
    "(3 + 4) * 2 = 14.", "20% of 50 = 10", "10 / 3 = 3.33", "10/3 = 3.3333", "2 ÷ 3 = 0.67", "5 − 8 = -3", "1/4 = 25%",
    "3 \\times 4 = 12", "100 * 1.05 = 105.0", "7 X 8 = 56", "40/36 = 1.1111111111111112", "1,000 x 3 = 3,000",
    "5 · 5 = 25", "(1 + 2) * (3 + 4) = 21",
])
def test_a_sum_that_holds_is_right(text: str) -> None:
    assert check_sums(text) == Sums(1, 0)


@pytest.mark.parametrize("text", [
    "3 + 4 = 8", "So he has 3 x 12 = 35 eggs.", "3150 + 1300 + 48 + 2 = 4490 pounds", "$4,200 - $1,050 = $3,159",
    "(3 + 4) * 2 = 11.", "10 / 4 = 4", "10 / 3 = 4", "10 / 3 = 3.5", "2 * 3 = -6", "100 * 1.05 = 104",
])
def test_a_sum_that_does_not_hold_is_wrong(text: str) -> None:
    assert check_sums(text) == Sums(0, 1)


@pytest.mark.parametrize("text", [
    "", "x = 5", "a + b = c", "2x + 3 = 7", "x + 3 = 7", "5 = 5", "In 2020 = nothing", "3 + 4", "3 + 4 = ?", "f(3) = 4",
    "10 + ($28 - $17) = $10 + $11", "240 * 100% = 40 * total", "16 * 3/4 = y", "the temperature was -6 + 3 = -3",
    "width=3/4=", "1/0 = 5", "3 + 4 == 8", "v1.2-3 = 4x", "total = 3 + 4", "14 x ($6 + $2) = 14 x $8", "i = 2^3 = 9",
])
def test_what_is_no_plain_sum_is_left_alone(text: str) -> None:
    assert check_sums(text) == Sums(0, 0)


@given(a=st.integers(0, 10**6), b=st.integers(1, 10**6), error=st.integers(1, 1000))
def test_any_sum_is_judged_rightly(a: int, b: int, error: int) -> None:
    assert check_sums(f"So {a:,} + {b:,} = {a + b:,} in all.") == Sums(1, 0)
    assert check_sums(f"So {a} - {b} = {a - b + error} in all.") == Sums(0, 1)
    assert check_sums(f"({a} * {b}) = {a * b}") == Sums(1, 0)


def test_shares_are_of_those_that_could_be_checked() -> None:
    assert check_sums("3 + 4 = 7, then 7 * 2 = 15. And x + 1 = 9").share == 0.5
    assert check_sums("no numbers").share is None


@pytest.mark.parametrize(("text", "result", "agrees"), [
    ("It is 42.", "42", True), ("It is 43.", "42", False), ("It is 1,234.5.", "1234.5", True),
    ("Es sind 1.234,5 Euro.", "1234.5", True), ("1 234,5", "1234.5", True), ("about 3.14", "3.14159265", True),
    ("about 3.15", "3.14159265", True), ("about 3.2", "3.14159265", False), ("about 3", "3.14159265", False),
    ("It is 0.333.", "1/3", True), ("-5 degrees", "-5", True), ("It is 5.", "-5", False), ("The day is Friday.",
     "friday", True),
    ("Am 3. Mai", "2024-05-03", False), ("2024-05-03", "2024-05-03", True), ("It is a thousand.", "1000", False),
    ("1000000", "1000000", True), ("1.000.000", "1000000", True), ("142", "42", False), ("", "42", False),
])
def test_a_tools_result_is_found_in_any_notation(text: str, result: str, agrees: bool) -> None:
    assert find_agreement(text, [result]) == float(agrees)


def test_of_several_results_it_is_the_share() -> None:
    assert find_agreement("It is 42.", ["42", "43"]) == 0.5
    assert find_agreement("It is 42.", []) is None
    assert find_agreement("It is 42.", ["", " "]) is None


@given(value=st.fractions(-10**9, 10**9, max_denominator=1000), text=st.text(max_size=50))
def test_anything_can_be_compared(value: Fraction, text: str) -> None:
    assert find_agreement(f"{text} {value}", [str(value), text]) is not None
    assert check_sums(text).share in (None, *(n / d for d in range(1, 41) for n in range(d + 1)))


@pytest.mark.parametrize("unit", ["1 + ", "1", "(", "1,", "1+1=", "1 = ", "3 x 4 = 12 ", "($1 ", "- ", "1 ) ", "1\t",
"x ", "1 of ", " ",
                                  "\t", "1  ", "1 x "])
def test_no_answer_makes_it_slow(unit: str) -> None:
    text = unit * (50_000 // len(unit))
    begin = time.process_time()
    check_sums(text)
    find_agreement(text, ["42"])
    assert time.process_time() - begin < 1
