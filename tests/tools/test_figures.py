"""What is said of a list of numbers."""

from __future__ import annotations

import contextlib
import math
import statistics
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moe.errors import ToolError
from moe.tools.base import Language, Setting
from moe.tools.figures import MOST_VALUES, statistics_calc

GERMAN = Setting(language="de")
EIGHT = "2,4,4,4,5,5,7,9"


def test_the_examples_of_the_reference() -> None:
    ten = statistics_calc("1,2,3,4,5,6,7,8,9,10").result
    assert ten == {"mean": "5.5", "median": "5.5", "stdev": "3.0276503541", "min": 1, "max": 10, "sum": 55, "count": 10}
    eight = statistics_calc(EIGHT, "mean,median,stdev,variance,mode").result
    assert eight == {"mean": 5, "median": "4.5", "stdev": "2.1380899353", "variance": "4.57142857143", "mode": 4}
    assert statistics_calc("7", "stdev").result == {"stdev": 0}


def test_bug_9_an_unknown_operation_is_refused() -> None:
    with pytest.raises(ToolError, match="unknown operation 'kurtosis'; known are mean"):
        statistics_calc("1,2,3", "mean,kurtosis")


def test_bug_9_semicolons_divide() -> None:
    assert statistics_calc("1;2;3", "sum").result == {"sum": 6}


def test_bug_9_a_count_is_a_whole_number() -> None:
    count = statistics_calc("1.5,2.5", "count").result["count"]
    assert type(count) is int and count == 2


@pytest.mark.parametrize(("data", "language", "total"), [
    ("1,5; 2,5", "de", 4), ("1,5; 2,5", "en", 4), ("1,5 2,5", "de", 4), ("1,5, 2,5", "es", 4), ("[1, 2, 3]", "de", 6),
    ("1 2 3", "en", 6), ("1\n2\n3", "en", 6), ("1, 2, 3,", "en", 6), ("1.5 | 2.5", "en", 4),
    ("1,000, 2,000", "en", 3000),
    ("1.234,5; 1,5", "de", 1236), ([1, 2.5, "0.5"], "en", 4), ([1.234, 1.766], "de", 3), ("-1;1e3", "en", 999),
])
def test_lists_as_people_write_them(data: Any, language: Language, total: int) -> None:
    assert statistics_calc(data, "sum", setting=Setting(language=language)).result == {"sum": total}


@pytest.mark.parametrize(("data", "operations", "weights", "message"), [
    ("", "mean", "", "no numbers"), ("1,,2", "mean", "", "missing between"), ("1,x", "mean", "", "'x' is not"),
    ("1,5 2,5", "mean", "", "divide the numbers"), ("1,2", "", "", "no operation"), ("1,2", "p101", "", "0 and 100"),
    ("1*2;3", "mean", "", "every value has a weight"), ("1,2", "mean", "1", "2 values but 1 weights"),
    ("1,2", "mean", "1,-1", "not below 0"), ("1,2", "mean", "0,0", "not all 0"), ("1*2", "mean", "2", "twice"),
    ("1;2", "median", "0.5;1", "whole numbers"), ("１;2", "mean", "", "not a number"), ([math.nan], "sum", "", "not a"),
    ("1.5;2,5", "sum", "", "some numbers"), ([10**5000], "sum", "", "beyond"), ("1e999;1", "sum", "", "too large"),
])
def test_what_has_no_answer_is_said(data: Any, operations: str, weights: str, message: str) -> None:
    with pytest.raises(ToolError, match=message):
        statistics_calc(data, operations, weights)


def test_one_german_comma_is_not_guessed() -> None:
    with pytest.raises(ToolError, match="one number or two"):
        statistics_calc("1,5", "mean", setting=GERMAN)


def test_a_point_before_three_digits_is_not_guessed_in_german() -> None:
    with pytest.raises(ToolError, match="two numbers"):
        statistics_calc("1.234; 5", "mean", setting=GERMAN)
    assert statistics_calc("1.234; 5,5", "max", setting=GERMAN).result == {"max": 1234}


def test_quartiles_and_percentiles() -> None:
    found = statistics_calc(EIGHT, "quartiles,p90,percentile:12.5,iqr,p0,p100").result
    assert found == {"q1": 4, "q2": "4.5", "q3": "5.5", "p90": "7.6", "p12.5": "3.75", "iqr": "1.5", "p0": 2, "p100": 9}


def test_whole_weights_are_how_often_a_value_occurs() -> None:
    every = "mean,median,mode,stdev,variance,pstdev,q1,q3,p90,sum,count"
    spread = statistics_calc(EIGHT, every).result
    assert statistics_calc("2*1; 4*3; 5*2; 7*1; 9*1", every).result == spread
    assert statistics_calc("2,4,5,7,9", every, "1,3,2,1,1").result == spread
    assert statistics_calc("1*1000000000000; 2*1", "median,count").result == {"median": 1, "count": 10**12 + 1}


def test_broken_weights_have_a_mean() -> None:
    assert statistics_calc("1;2", "mean,sum,pvariance", "0.5;1.5").result == {"mean": "1.75", "sum": "3.5",
                                                                              "pvariance": "0.1875"}


@pytest.mark.parametrize(("data", "mode"), [("1,1,2,2", [1, 2]), ("1,2,3", []), ("1,1,2", 1), ("7", 7)])
def test_modes(data: str, mode: Any) -> None:
    assert statistics_calc(data, "mode").result == {"mode": mode}


def test_the_sentence_is_in_the_language_asked_for() -> None:
    assert statistics_calc("1;2", "mean").text == "mean 1.5 (2 values)"
    assert statistics_calc("1;2", "Durchschnitt", setting=GERMAN).text == "Mittelwert 1,5 (2 Werte)"
    assert statistics_calc("1;2", "media", setting=Setting(language="es")).text == "media 1,5 (2 valores)"


@settings(max_examples=80, deadline=None)
@given(st.lists(st.integers(-10**6, 10**6), min_size=2, max_size=30))
def test_the_same_as_the_standard_library(numbers: list[int]) -> None:
    found = statistics_calc(list(numbers), "mean,median,stdev,pvariance,quartiles,sum,count").result
    assert float(found["mean"]) == pytest.approx(statistics.fmean(numbers), abs=1e-6)
    assert float(found["median"]) == pytest.approx(statistics.median(numbers))
    assert float(found["stdev"]) == pytest.approx(statistics.stdev(numbers), rel=1e-9)
    assert float(found["pvariance"]) == pytest.approx(statistics.pvariance(numbers), rel=1e-9)
    cuts = statistics.quantiles(numbers, n=4, method="inclusive")
    assert [float(found[name]) for name in ("q1", "q2", "q3")] == pytest.approx(cuts)
    assert (found["sum"], found["count"]) == (sum(numbers), len(numbers))


@settings(max_examples=150, deadline=None)
@given(st.one_of(st.text(max_size=40), st.text("0123456789,.;-*e ", max_size=30),
                 st.lists(st.one_of(st.floats(), st.integers(), st.text(max_size=9)), max_size=6)),
       st.one_of(st.just("mean,stdev,mode,p90"), st.text(max_size=20)), st.text("0123456789,; ", max_size=9),
       st.sampled_from(["en", "de", "es"]))
def test_nothing_but_a_tool_error_is_raised(data: Any, operations: str, weights: str, language: Language) -> None:
    with contextlib.suppress(ToolError):
        assert statistics_calc(data, operations, weights, setting=Setting(language=language)).text


@pytest.mark.parametrize("text", ["1," * 500_000, " " * 1_000_000, "1" * 1_000_000, "1 ," * 300_000, "*" * 1_000_000,
                                  ", " * 400_000, "1;" * (MOST_VALUES - 1), "\0;\ud800"])
def test_long_and_strange_inputs_end_soon(text: str) -> None:
    begin = time.process_time()
    for arguments in ((text,), ("1,2", text), ("1,2", "mean", text)):
        try:
            statistics_calc(*arguments)
        except ToolError:
            continue
    assert time.process_time() - begin < 3


def test_as_many_as_are_accepted_in_time() -> None:
    begin = time.process_time()
    statistics_calc([f"{n}e{300 if n % 2 else -300}" for n in range(1, MOST_VALUES)], "mean,stdev,mode,median,p90,q1")
    assert time.process_time() - begin < 2


@pytest.mark.parametrize(("language", "line"), [
    ("en", "percentile 90: 7, count 1 (1 value)"), ("de", "Perzentil 90: 7, Anzahl 1 (1 Wert)"),
    ("es", "percentil 90: 7, cantidad 1 (1 valor)"),
])
def test_one_value_is_no_plural(language: Language, line: str) -> None:
    assert statistics_calc("7", "p90,count", setting=Setting(language=language)).text == line
