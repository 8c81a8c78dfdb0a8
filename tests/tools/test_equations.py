"""Equations are read by a grammar that knows nothing else, and solved right in every kind."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from moe.errors import ToolError
from moe.tools.base import Language, Outcome, Setting
from moe.tools.equations.grammar import parse, split
from moe.tools.equations.tools import solve_equation
from moe.tools.equations.worker import Worker


@pytest.fixture(scope="module")
def setting() -> Iterator[Setting]:
    worker = Worker()
    worker.warm()
    yield Setting(solver=worker)
    worker.close()


def solve(text: str, setting: Setting, **more: Any) -> Outcome:
    return solve_equation.call({"equation": text, **more}, setting)


@pytest.mark.parametrize(("text", "solutions"), [
    ("x**2 - 4 = 0", [-2, 2]),
    ("2*x + 5 = 13", [4]),
    ("x^2=9", [-3, 3]),
    ("x+y=3", ["3 - y"]),
    ("sin(x)=0.5", ["0.523598775598", "2.61799387799"]),
    ("x^2/x = 0", []),
    ("x + 1 = x", []),
    ("x² = 2", ["-1.41421356237", "1.41421356237"]),
    ("exp(x) = 5x", ["0.259171101819", "2.54264135777"]),
    ("x+y=3,2x-y=0", [{"x": 1, "y": 2}]),
    ("x^2+y^2=25\nx+y=7", [{"x": 3, "y": 4}, {"x": 4, "y": 3}]),
    ("1 < x <= 5", "1 < x ≤ 5"),
    ("x^2 > 4", "x < -2 or x > 2"),
    ("(x-1)/(x+2) >= 0", "x < -2 or x ≥ 1"),
    ("x^2 <= -1", ""),
    ("x*(x-10^25) = 1", ["-1E-25", "1E+25"]),
    ("2^x + 3^x = 13", [2]),
])
def test_it_is_solved(text: str, solutions: Any, setting: Setting) -> None:
    assert solve(text, setting).result["solutions"] == solutions


def test_complex_and_irrational_roots_are_not_lost(setting: Setting) -> None:
    assert solve("x^2 + x + 1 = 0", setting).result["exact"] == ["-1/2 - sqrt(3)*i/2", "-1/2 + sqrt(3)*i/2"]
    quintic = solve("x^5 - x + 1 = 0", setting).result["solutions"]
    assert len(quintic) == 5 and quintic[0] == "-1.16730397826"


@pytest.mark.parametrize("text", [
    'x - __import__("os").getpid()', "x.__class__ = 1", "open('f') = x", "lambda: x", "x = {1}", "eval(x) = 1",
    "x = '1'", "x; import os", "x = 1 if 2 else 3", "os = x.y", "", "=", "x = = 2", "x = (1", "x = 1)", "2 = 2",
    "x = ٣",
    "sin(x) > 0", "abs(x) + abs(x-1) = 1", "tan(x) = x", "sin(x) + cos(y) = 1; x - y = 0",
    "x = 1/0", "a = 1; b = 2; c = 3; d = 4; f = 5", "q + w = 1", "x > y", "x = 9^9^9",
    "x^1000 = 1", "x\0 = 1",
    "\ud800 = x", "x = " + "(" * 500, "x = " + "-" * 500 + "1", "x" * 1_000_000, "x = " + "9" * 999, "|x = 1",
])
def test_what_is_no_equation_is_refused(text: str, setting: Setting) -> None:
    with pytest.raises(ToolError):
        solve(text, setting)


@pytest.mark.parametrize(("text", "parts"), [
    ("2,5x = 5", ["2,5x = 5"]),
    ("x = 2,5", ["x = 2,5"]),
    ("x + y = 3,5, x - y = 1,5", ["x + y = 3,5", "x - y = 1,5"]),
    ("x=1;y=2\nz=3", ["x=1", "y=2", "z=3"]),
])
def test_a_comma_is_in_a_number_or_between_equations(text: str, parts: list[str]) -> None:
    assert split(text) == parts


@pytest.mark.parametrize(("language", "text"), [
    ("en", "x^2 = 2: x = -sqrt(2) ≈ -1.41421356237 or x = sqrt(2) ≈ 1.41421356237"),
    ("de", "x^2 = 2: x = -sqrt(2) ≈ -1,41421356237 oder x = sqrt(2) ≈ 1,41421356237"),
    ("es", "x^2 = 2: x = -sqrt(2) ≈ -1,41421356237 o x = sqrt(2) ≈ 1,41421356237"),
])
def test_it_is_told_in_each_language(language: Language, text: str, setting: Setting) -> None:
    assert solve("x^2 = 2", Setting(language=language, solver=setting.solver)).text == text


def test_it_is_solved_for_the_letter_asked_for(setting: Setting) -> None:
    assert solve("E = m c^2", setting, variable="m").result["solutions"] == ["E/c^2"]
    assert solve("U = R*I", setting, variable="R").result["solutions"] == ["U/I"]
    assert solve("ln(I) = 1", setting).result["exact"] == ["e"]
    assert solve("3k = 12", setting).result["variables"] == ["k"]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(-50, 50), min_size=1, max_size=4))
def test_a_product_is_zero_where_a_factor_is(setting: Setting, roots: list[int]) -> None:
    text = "".join(f"(x - ({root}))" for root in roots) + " = 0"
    assert solve(text, setting).result["solutions"] == sorted(set(roots))


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.text(max_size=60), st.text("0123456789xyei+-*/^()=<>|,.; sinlog", max_size=60)),
       st.sampled_from(["en", "de", "es"]))
def test_whatever_is_read_is_read_or_refused(text: str, language: Language) -> None:
    with contextlib.suppress(ToolError):
        parse(text, language, "x")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text("123x+-*/^()=<|; y.", max_size=24))
def test_whatever_is_solved_is_solved_or_refused(setting: Setting, text: str) -> None:
    with contextlib.suppress(ToolError):
        assert solve(text, setting).text


@pytest.mark.parametrize(("text", "solutions"), [
    ("sin(x) = x", [0]), ("e^x = 1 + x", [0]), ("cos(x) = 1 - x^3", [0, "0.490072638532"]),
    ("x^3 = sin(x)", ["-0.928626308732", 0, "0.928626308732"]), ("x^2 = 2^x", ["-0.766664695962", 2, 4]),
    ("|x| = x^2*e^x", [0, "0.56714329041"]),
])
def test_roots_where_a_curve_is_flat_or_only_touches_are_found(
    text: str, solutions: list[Any], setting: Setting,
) -> None:
    assert solve(text, setting).result["solutions"] == solutions


@pytest.mark.parametrize("text", ["sin(x)^2 + cos(x)^2 = 1", "e^(2x) = (e^x)^2"])
def test_what_always_holds_is_told(text: str, setting: Setting) -> None:
    assert solve(text, setting).text.endswith("true for every x")


def test_an_imaginary_root_is_said_once(setting: Setting) -> None:
    assert solve("x^2 = -9", setting).text == "x^2 = -9: x = -3*i or x = 3*i"


def test_the_line_is_one_whatever_blanks_were_typed(setting: Setting) -> None:
    assert solve("x\u00a0=\u202f 1\n", setting).text == "x = 1: x = 1"
