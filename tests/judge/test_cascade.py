"""The figures of a cascade on cases small enough to work out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from moe.judge.cascade import trace_curve

SMALL = np.array([False, False, True, True])
LARGE = np.array([True, True, True, True])


def test_the_best_order_recovers_all_with_the_questions_that_failed() -> None:
    curve = trace_curve(np.array([0.9, 0.8, 0.2, 0.1]), SMALL, LARGE)
    assert curve.recovered.tolist() == [0.0, 0.5, 1.0, 1.0, 1.0]
    assert curve.area == pytest.approx(0.75)
    assert [curve.find_calls(share) for share in (0.5, 0.8, 0.95)] == [0.25, 0.5, 0.5]


def test_the_worst_order_recovers_nothing_before_the_end() -> None:
    curve = trace_curve(np.array([0.1, 0.2, 0.8, 0.9]), SMALL, LARGE)
    assert curve.area == pytest.approx(0.25)
    assert curve.find_calls(0.5) == 0.75


def test_equal_scores_are_chance_whatever_their_order() -> None:
    rng = np.random.default_rng(1)
    small, large = rng.random(200) < 0.6, rng.random(200) < 0.9
    assert trace_curve(np.zeros(200), small, large).area == pytest.approx(0.5)
    assert trace_curve(np.zeros(200), small[::-1], large[::-1]).area == pytest.approx(0.5)


def test_the_area_is_that_of_the_definition() -> None:
    rng = np.random.default_rng(2)
    score, small, large = rng.random(300), rng.random(300) < 0.5, rng.random(300) < 0.8
    order = np.argsort(-score)
    quality = [np.concatenate((large[order[:calls]], small[order[calls:]])).mean() for calls in range(301)]
    recovered = (np.array(quality) - small.mean()) / (large.mean() - small.mean())
    curve = trace_curve(score, small, large)
    assert np.allclose(curve.recovered, recovered)
    assert curve.area == pytest.approx(np.trapezoid(recovered, dx=1 / 300) if hasattr(np, "trapezoid")
                                       else float((recovered[1:] + recovered[:-1]).sum() / 600))


def test_where_there_is_no_gap_there_is_no_figure() -> None:
    curve = trace_curve(np.array([0.1, 0.2]), np.array([True, False]), np.array([False, True]))
    assert math.isnan(curve.area) and math.isnan(curve.find_calls(0.5))


def test_a_large_model_that_is_worse_somewhere_costs_what_was_gained() -> None:
    curve = trace_curve(np.array([3.0, 2.0, 1.0]), np.array([False, True, False]), np.array([True, False, True]))
    assert curve.recovered.tolist() == [0.0, 1.0, 0.0, 1.0]
    assert curve.find_calls(0.95) == pytest.approx(1 / 3)
