"""The four-signal score: how well each expert's keywords and description fit a query."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..config.schema import ScoringWeights

Floats = npt.NDArray[np.float32]

VOTES = 3
VOTE_COSINE = 0.40
SIGNALS = ("max_keyword", "description", "mean_keyword", "top3_vote")


class ExpertVectors(NamedTuple):
    """The experts' unit vectors. `keywords` [k, d] holds expert i's rows from `starts[i]`, `counts[i]` of them."""

    keywords: Floats
    starts: npt.NDArray[np.intp]
    counts: Floats
    descriptions: Floats


class Reading(NamedTuple):
    """One text as the experts see it: `signals` [n, k] by `names`, `scores` and `shares` [n].

    The shares are probabilities; what they lack to 1 is that no expert fits.
    """

    signals: Floats
    scores: Floats
    shares: Floats
    names: tuple[str, ...]

    def tell(self, expert: int) -> dict[str, float]:
        signals = dict(zip(self.names, self.signals[expert].tolist(), strict=True))
        return {"score": float(self.scores[expert]), "probability": float(self.shares[expert]), **signals}


def stack_experts(keywords: Sequence[Floats], descriptions: Floats) -> ExpertVectors:
    """`keywords[i]` [k_i, d] are expert i's, at least one row each; `descriptions` [n, d]."""
    counts = np.array([len(rows) for rows in keywords], dtype=np.float32)
    starts = np.concatenate(([0], np.cumsum(counts)[:-1])).astype(np.intp)
    return ExpertVectors(np.concatenate(keywords), starts, counts, descriptions)


def measure_signals(query: Floats, experts: ExpertVectors) -> Floats:
    """[n, 4], columns as in SIGNALS: the best keyword's cosine, the description's, the keywords' mean, and
    the share of the best three keywords (of all, where there are fewer) that reach VOTE_COSINE."""
    # einsum, not @: it never wakes BLAS's own threads, which would spin beside the encoder's.
    cosines = np.einsum("kd,d->k", experts.keywords, query)
    voters = np.minimum(experts.counts, VOTES)
    votes = np.add.reduceat(cosines >= VOTE_COSINE, experts.starts, dtype=np.float32)
    return np.stack((
        np.maximum.reduceat(cosines, experts.starts),
        np.einsum("nd,d->n", experts.descriptions, query),
        np.add.reduceat(cosines, experts.starts) / experts.counts,
        np.minimum(votes, voters) / voters,
    ), axis=1)


def score(signals: Floats, weights: ScoringWeights) -> Floats:
    """[n]: the weighted sum of each expert's signals."""
    factors = np.array([getattr(weights, name) for name in SIGNALS], dtype=np.float32)
    scores: Floats = np.einsum("ns,s->n", signals, factors)
    return scores


def softmax(scores: Floats, temperature: float) -> Floats:
    """The scores as probabilities; a lower temperature makes the best stand out more."""
    powers: Floats = np.exp((scores - scores.max()) / np.float32(temperature))
    shares: Floats = powers / powers.sum()
    return shares
