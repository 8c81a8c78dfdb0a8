from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moe.config.schema import ScoringWeights
from moe.routing.scoring import measure_signals, score, softmax, stack_experts

# Three experts in a plane; the query points along the first axis, so a row's cosine is its first number.
QUERY = np.array([1, 0], dtype=np.float32)


def at(*cosines: float) -> np.ndarray:
    return np.array([(c, np.sqrt(1 - c * c)) for c in cosines], dtype=np.float32)


EXPERTS = stack_experts([at(0.9, 0.5, 0.3, 0.1), at(0.2), at(0.45, 0.41)], at(0.6, 0.0, -0.5))


def test_the_signals_are_those_computed_by_hand() -> None:
    assert measure_signals(QUERY, EXPERTS) == pytest.approx(np.array([
        [0.90, 0.6, 0.45, 2 / 3],
        [0.20, 0.0, 0.20, 0.0],
        [0.45, -0.5, 0.43, 1.0],
    ]), abs=1e-6)


def test_the_score_is_the_weighted_sum() -> None:
    signals = measure_signals(QUERY, EXPERTS)
    first = 0.40 * 0.90 + 0.30 * 0.6 + 0.20 * 0.45 + 0.10 * 2 / 3
    assert score(signals, ScoringWeights()) == pytest.approx([first, 0.12, 0.216], abs=1e-6)
    only_best = ScoringWeights(max_keyword=1, description=0, mean_keyword=0, top3_vote=0)
    assert score(signals, only_best) == pytest.approx([0.9, 0.2, 0.45], abs=1e-6)


def test_every_keyword_counts_beyond_the_thirty_second() -> None:
    experts = stack_experts([at(*[0.0] * 40, 0.8)], at(0.0))
    best, _, mean, votes = measure_signals(QUERY, experts)[0]
    assert (best, mean, votes) == pytest.approx((0.8, 0.8 / 41, 1 / 3), abs=1e-6)


def test_a_lower_temperature_makes_the_best_stand_out() -> None:
    scores = np.array([0.4, 0.3], dtype=np.float32)
    assert softmax(scores, 0.1) == pytest.approx([np.e / (np.e + 1), 1 / (np.e + 1)], rel=1e-4)
    assert softmax(scores, 0.02)[0] > 0.99 > softmax(scores, 0.1)[0]


@settings(deadline=None)
@given(st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=20), st.floats(0.001, 5))
def test_shares_add_up_to_one_at_any_temperature(scores: list[float], temperature: float) -> None:
    shares = softmax(np.array(scores, dtype=np.float32), temperature)
    assert shares.sum() == pytest.approx(1, abs=1e-5) and (shares >= 0).all()
    assert shares[int(np.argmax(scores))] == shares.max()
