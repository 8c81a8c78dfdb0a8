"""How a decision's experts stand to one another: who comes first, whether it was close, how likely it is nobody."""

from __future__ import annotations

from collections.abc import Sequence

from ..core import Decision
from .scoring import SIGNALS

NEAR_TIE = 0.15


def rank(decision: Decision) -> list[tuple[str, float]]:
    """The experts that were scored with their probabilities, or else their shares of the keywords, the best first."""
    key = "probability" if any("probability" in row for row in decision.scores.values()) else "keyword"
    rated = [(label, row.get(key, 0.0)) for label, row in decision.scores.items()]
    return sorted(rated, key=lambda each: -each[1])


def is_tie(ranked: Sequence[tuple[str, float]]) -> bool:
    """Whether the first two are close, and are anything at all."""
    return len(ranked) > 1 and ranked[0][1] > NEAR_TIE and ranked[0][1] - ranked[1][1] < NEAR_TIE


def find_doubt(decision: Decision) -> float | None:
    """The probability that no expert fits; None where nothing tells: keywords alone, or the four-signal score, whose
    probabilities always add up to 1."""
    rows = [row for row in decision.scores.values() if "probability" in row and SIGNALS[0] not in row]
    return max(0.0, 1.0 - sum(row["probability"] for row in rows)) if rows else None
