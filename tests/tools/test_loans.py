"""What a loan with equal monthly payments costs."""

from __future__ import annotations

import contextlib
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moe.errors import ToolError
from moe.tools.base import Setting
from moe.tools.loans import loan_payment


@pytest.mark.parametrize(("arguments", "payment", "interest"), [
    ((200_000, 6, 30), "1199.10", "231676.38"),
    ((100_000, 5, 30), "536.82", "93255.78"),
    ((10_000, "5%", 0, 36), "299.71", "789.52"),
    ((1_000, 0, 1), "83.33", "0.00"),
    ((1_000, 12, 0, 1), "1010.00", "10.00"),
    ((1_000, "4.5", "0.5"), "168.86", "13.17"),
])
def test_known_loans(arguments: tuple[Any, ...], payment: str, interest: str) -> None:
    found = loan_payment(*arguments).result
    assert (found["payment"], found["total_interest"]) == (payment, interest)


def test_years_and_months_are_added() -> None:
    assert loan_payment(1_000, 5, 1, 6).result["months"] == 18


def test_the_sentence_is_in_the_language_asked_for() -> None:
    assert loan_payment(1_000, 0, 1).text == (
        "1000 at 0% a year for 12 months: 83.33 a month, 0.00 interest in total")
    assert loan_payment("200.000,00", "3,5", 20, setting=Setting(language="de")).text == (
        "200000 zu 3,5 % im Jahr über 240 Monate: 1159,92 im Monat, 78380,66 Zinsen insgesamt")
    assert loan_payment("1000", "0", 1, setting=Setting(language="es")).text.startswith("1000 al 0 % anual durante 12")


@pytest.mark.parametrize(("arguments", "message"), [
    ((0, 5, 1), "principal lies"), ((-5, 5, 1), "principal lies"), ((1_000, -1, 1), "rate lies"),
    ((1_000, 5), "years and months"), ((1_000, 5, 101), "years and months"), ((1_000, 5, "0.3"), "whole months"),
    ((1_000, 5, 2, -3), "years and months"), (("x", 5, 1), "not a number"), ((float("inf"), 5, 1), "not a finite"),
    (("1e9999", 5, 1), "too many digits"), (("1" * 1_000_000, 5, 1), "more than 60"), ((10**400, 5, 1), "digits"),
    ((1_000, 2_000, 1), "rate lies"), ((1_000, 5, 10**9), "years and months"),
])
def test_what_has_no_answer_is_said(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ToolError, match=message):
        loan_payment(*arguments)


@settings(max_examples=80, deadline=None)
@given(st.integers(100, 10**9), st.decimals(Decimal("0.01"), Decimal(100), places=2), st.integers(1, 600))
def test_the_payments_pay_it_off(principal: int, rate: Decimal, months: int) -> None:
    found = loan_payment(principal, str(rate), 0, months).result
    payment, debt, growth = Decimal(found["payment"]), Decimal(principal), 1 + rate / 1200
    for _ in range(months):
        debt = debt * growth - payment
    error = Decimal("0.005") * sum(growth**place for place in range(months))
    assert abs(debt) <= error + Decimal("0.01")
    assert Decimal(found["total_paid"]) - Decimal(found["total_interest"]) == pytest.approx(principal)


@settings(max_examples=150, deadline=None)
@given(*[st.one_of(st.text(max_size=12), st.floats(), st.integers())] * 3, st.integers())
def test_nothing_but_a_tool_error_is_raised(principal: Any, rate: Any, years: Any, months: int) -> None:
    with contextlib.suppress(ToolError):
        assert loan_payment(principal, rate, years, months).text


def test_a_loan_without_interest_has_none() -> None:
    assert loan_payment(1000, 0, 0, 3).result["total_interest"] == "0.00"


@pytest.mark.parametrize(("language", "line"), [
    ("en", "1000 at 5% a year for 1 month: 1004.17 a month, 4.17 interest in total"),
    ("de", "1000 zu 5 % im Jahr über 1 Monat: 1004,17 im Monat, 4,17 Zinsen insgesamt"),
    ("es", "1000 al 5 % anual durante 1 mes: 1004,17 al mes, 4,17 de intereses en total"),
])
def test_one_month_is_no_plural(language: str, line: str) -> None:
    assert loan_payment(1000, 5, 0, 1, setting=Setting(language=language)).text == line  # type: ignore[arg-type]


def test_a_rate_too_small_to_be_worked_with_is_told() -> None:
    with pytest.raises(ToolError, match="annual rate"):
        loan_payment(1000, 5e-324, 1)
