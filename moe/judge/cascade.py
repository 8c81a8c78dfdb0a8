"""Figures of a cascade: what is gained when the questions that look hardest go to the large model.

For a share p of large calls, PGR(p) = (quality(p) - all small) / (all large - all small) is the part of the quality
gap that is recovered. CPT(x) is the least p whose PGR reaches x, and APGR the area under PGR from p = 0 to 1: a half
for chance. Names and definitions are RouteLLM's (Ong et al. 2024, arXiv:2406.18665), there with ten steps of p, here
with every question a step.
"""

from __future__ import annotations

import math

import numpy as np
from msgspec import Struct

from .metrics import Array, Flags

SHARES = (0.50, 0.80, 0.95)


class Curve(Struct, frozen=True):
    """`recovered` [m + 1] is PGR after 0 to m large calls. NaN throughout where there is no gap to recover."""

    recovered: Array

    @property
    def area(self) -> float:
        """APGR."""
        return float((self.recovered[1:] + self.recovered[:-1]).mean() / 2)

    def find_calls(self, share: float) -> float:
        """CPT: the share of large calls that recovers `share` of the gap."""
        reached = np.flatnonzero(self.recovered >= share - 1e-9)
        return float(reached[0]) / (len(self.recovered) - 1) if len(reached) else math.nan


def trace_curve(score: Array, small: Flags, large: Flags) -> Curve:
    """All [m]: the greater its score, the sooner a question goes to the large model; equal scores share alike."""
    gain = large.astype(np.float64) - small
    _, place = np.unique(-score, return_inverse=True)
    even = np.bincount(place, gain) / np.bincount(place)
    total = gain.sum()
    summed = np.concatenate(([0.0], np.cumsum(even[np.sort(place)])))
    return Curve(summed / total if total else np.full(len(gain) + 1, math.nan))
