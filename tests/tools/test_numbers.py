"""Numbers of three languages, read exactly and written again."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moe.errors import ToolError
from moe.tools.base import Language
from moe.tools.numbers import Ambiguous, agree, decimal_text, exact, has_end, localise, read_number, round_text


@pytest.mark.parametrize(("text", "language", "value"), [
    ("7", None, Fraction(7)),
    ("0.1", "en", Fraction(1, 10)),
    ("1,234.5", "en", Fraction(12345, 10)),
    ("1.234,5", "de", Fraction(12345, 10)),
    ("1.234,5", "en", Fraction(12345, 10)),
    ("239,99", "de", Fraction(23999, 100)),
    ("239.99", "de", Fraction(23999, 100)),
    ("1,234", "en", Fraction(1234)),
    ("1,234", "es", Fraction(1234, 1000)),
    ("1.234", "en", Fraction(1234, 1000)),
    ("0,125", None, Fraction(1, 8)),
    (".5", "en", Fraction(1, 2)),
    ("5.", "en", Fraction(5)),
    ("1e3", "en", Fraction(1000)),
    ("2.5e-3", "en", Fraction(25, 10000)),
    ("1.234.567", "de", Fraction(1234567)),
    ("1'234'567.5", "en", Fraction(12345675, 10)),
    ("-4", "en", Fraction(-4)),
])
def test_a_number_is_what_is_written(text: str, language: Language | None, value: Fraction) -> None:
    assert read_number(text, language) == value


@pytest.mark.parametrize(("text", "language"), [("1.234", "de"), ("1.234", "es"), ("1,234", None)])
def test_what_may_be_two_numbers_is_neither(text: str, language: Language | None) -> None:
    with pytest.raises(Ambiguous):
        read_number(text, language)


def test_other_numbers_of_a_text_settle_what_a_point_means() -> None:
    assert agree(["1.234", "5,5"], "de") == "de"
    assert read_number("1.234", "de", is_settled=True) == 1234


@pytest.mark.parametrize("text", ["", ".", "1..2", "12,34,56", "٣", "１２", "1.2.3,4", "0x1f", "1 2", "1e99999", "--1",
                                  "nan", "1" * 9999])
def test_what_is_no_number_is_told(text: str) -> None:
    with pytest.raises(ToolError):
        read_number(text, "en")


def test_the_numbers_of_a_text_show_how_they_are_written() -> None:
    assert agree(["2.5", "7"], "de") == "en"
    assert agree(["2,5", "7"], "en") == "de"
    assert agree(["2,5", "2.5"], "en") is None
    assert agree(["7"], "es") == "es"


@given(st.fractions(max_denominator=10**6))
def test_decimals_that_end_are_whole(value: Fraction) -> None:
    text = decimal_text(value)
    if has_end(value):
        assert Fraction(text) == value
    else:
        assert abs(Fraction(text) - value) <= abs(value) / 10**11


@given(st.integers())
def test_whole_numbers_are_written_whole(value: int) -> None:
    assert decimal_text(value) == str(value)
    assert exact(value) == (value if abs(value) <= 2**53 else str(value))


@pytest.mark.parametrize(("value", "text"), [
    (Fraction(10, 3), "3.33333333333"), (Fraction(1, 3 * 10**9), "3.33333333333E-10"),
    (Fraction(999999999999999, 10**15), "1"), (Fraction(0), "0"), (Fraction(-2, 3), "-0.666666666667"),
])
def test_decimals_without_an_end_are_rounded(value: Fraction, text: str) -> None:
    assert round_text(value) == text


def test_a_comma_divides_in_german_and_spanish() -> None:
    assert [localise("35.9985", language) for language in ("en", "de", "es")] == ["35.9985", "35,9985", "35,9985"]
