"""Prime factors, common divisors and Roman numerals, exactly."""

from __future__ import annotations

import contextlib
import math
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moe.errors import BadArguments, ToolError, ToolTimeout
from moe.tools.base import Setting
from moe.tools.equations.worker import Worker
from moe.tools.integers import gcd_lcm, prime_factorize, read_roman, roman_numeral, write_roman

SETTING = Setting()


@pytest.mark.parametrize(("n", "text"), [
    (360, "360 = 2^3 × 3^2 × 5"),
    (97, "97 is a prime number"),
    (2**67 - 1, "147573952589676412927 = 193707721 × 761838257287"),
    (2**61 - 1, "2305843009213693951 is a prime number"),
    (1_000_003**2, "1000006000009 = 1000003^2"),
    (561, "561 = 3 × 11 × 17"),
])
def test_a_number_is_split(n: int, text: str) -> None:
    assert prime_factorize(n, setting=SETTING).text == text


@pytest.mark.parametrize("n", [1, 0, -7, 10**500])
def test_what_has_no_prime_factors_is_refused(n: int) -> None:
    with pytest.raises(ToolError):
        prime_factorize(n, setting=SETTING)


def test_what_is_too_large_is_given_up_in_time() -> None:
    begun = time.monotonic()
    with pytest.raises(ToolTimeout):
        prime_factorize((10**24 + 7) * (10**25 + 13), setting=SETTING)
    assert time.monotonic() - begun < 2


def test_a_large_prime_is_proven_by_the_solver() -> None:
    worker = Worker()
    try:
        assert prime_factorize(10**50 + 151, setting=Setting(solver=worker)).result["is_prime"] is True
    finally:
        worker.close()


@settings(deadline=None)
@given(st.integers(2, 10**12))
def test_the_factors_make_the_number_again(n: int) -> None:
    factors = prime_factorize(n, setting=SETTING).result["factors"]
    assert math.prod(each["prime"] ** each["power"] for each in factors) == n
    assert all(each["prime"] % small for each in factors for small in range(2, min(each["prime"], 1000)))


@pytest.mark.parametrize(("a", "b", "result"), [
    (48, 18, {"gcd": 6, "lcm": 144}), (391, 299, {"gcd": 23, "lcm": 5083}), (-4, 6, {"gcd": 2, "lcm": 12}),
    (0, 0, {"gcd": 0, "lcm": 0}), (10**20, 3, {"gcd": 1, "lcm": str(3 * 10**20)}),
])
def test_common_divisor_and_multiple(a: int, b: int, result: dict[str, object]) -> None:
    assert gcd_lcm(a, b, setting=SETTING).result == result


def test_an_unknown_operation_is_refused() -> None:
    with pytest.raises(BadArguments):
        gcd_lcm.call({"a": 1, "b": 2, "operation": "sum"}, SETTING)


@given(st.integers(1, 10**30), st.integers(1, 10**30))
def test_divisor_times_multiple_is_the_product(a: int, b: int) -> None:
    result = gcd_lcm(a, b, setting=SETTING).result
    assert int(result["gcd"]) * int(result["lcm"]) == a * b


@pytest.mark.parametrize(("value", "result"), [
    ("2026", "MMXXVI"), ("MMXXVI", 2026), ("XIV", 14), ("1994", "MCMXCIV"), (" xiv ", 14), ("3999", "MMMCMXCIX"),
])
def test_roman_numerals(value: str, result: object) -> None:
    assert roman_numeral(value, setting=SETTING).result == result


@pytest.mark.parametrize("value", ["IIII", "IC", "VX", "", "0", "4000", "MMMM", "IIX", "12a", "-5", "٣",
                                   "Ⅷ", "X" * 10**6])
def test_only_the_one_right_form_is_roman(value: str) -> None:
    with pytest.raises(ToolError):
        roman_numeral(value, setting=SETTING)


def test_every_roman_numeral_can_be_read_again() -> None:
    assert [read_roman(write_roman(n)) for n in range(1, 4000)] == list(range(1, 4000))


@given(st.text(max_size=30))
def test_any_text_is_roman_or_refused(text: str) -> None:
    with contextlib.suppress(ToolError):
        roman_numeral(text, setting=SETTING)
