"""How much a classifier's scores must be divided by, so that its probabilities mean what they say."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from .prompts import Places

Array = npt.NDArray[np.float64]

WIDEST = math.log(50)
# To be off 1 by a factor of e costs as much as so many prompts: a few that are all right prove no certainty.
PRIOR_ROWS = 5.0
STEPS = 60
GOLDEN = (math.sqrt(5) - 1) / 2


def fit_temperature(scores: Array, gold: Places) -> tuple[float, float]:
    """The temperature at which the right labels of [m, n] scores are likeliest, and their mean loss at it."""
    low, high = -WIDEST, WIDEST
    for _ in range(STEPS):
        width = GOLDEN * (high - low)
        if _cost(scores, gold, high - width) < _cost(scores, gold, low + width):
            high = low + width
        else:
            low = high - width
    temperature = math.exp((low + high) / 2)
    return temperature, _lose(scores / temperature, gold)


def _cost(scores: Array, gold: Places, log_temperature: float) -> float:
    return _lose(scores / math.exp(log_temperature), gold) + PRIOR_ROWS * log_temperature**2 / len(gold)


def _lose(scores: Array, gold: Places) -> float:
    best = scores.max(axis=1)
    total = best + np.log(np.exp(scores - best[:, np.newaxis]).sum(axis=1))
    return float((total - scores[np.arange(len(gold)), gold]).mean())
