"""Scores become probabilities that mean what they say."""

from __future__ import annotations

import numpy as np
import pytest

from moe.training.calibration import fit_temperature


def draw(temperature: float, rows: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    """Scores, and labels drawn with the probabilities that they give at `temperature`."""
    random = np.random.default_rng(0)
    scores = random.normal(size=(rows, 5)) * 3
    powers = np.exp(scores / temperature)
    shares = powers / powers.sum(axis=1, keepdims=True)
    gold = np.array([random.choice(5, p=row) for row in shares])
    return scores, gold


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_temperature_that_was_drawn_with_is_found(temperature: float) -> None:
    scores, gold = draw(temperature)
    assert fit_temperature(scores, gold)[0] == pytest.approx(temperature, rel=0.1)


def test_the_loss_is_that_of_the_scores_divided() -> None:
    scores, gold = draw(2.0)
    temperature, loss = fit_temperature(scores, gold)
    powers = np.exp(scores / temperature)
    shares = (powers / powers.sum(axis=1, keepdims=True))[np.arange(len(gold)), gold]
    assert loss == pytest.approx(-np.log(shares).mean())


def test_a_few_that_are_all_right_prove_no_certainty() -> None:
    scores = 4 * np.eye(3)
    temperature, _ = fit_temperature(scores, np.arange(3))
    shares = np.exp(4 / temperature) / (np.exp(4 / temperature) + 2)
    assert 0.5 < shares < 0.9999


def test_scores_of_any_size_are_borne() -> None:
    scores = np.array([[1e4, -1e4], [-1e4, 1e4], [1e4, -1e4], [0.0, 0.0]])
    temperature, loss = fit_temperature(scores, np.array([0, 1, 1, 0]))
    assert np.isfinite(loss) and temperature > 10
