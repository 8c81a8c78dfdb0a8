"""Chooses the next token from a model's logits, in llama.cpp's order: penalties, top k, top p, min p, temperature."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ...errors import NotReady
from ..dialogue.plan import Plan

Floats = npt.NDArray[np.float32]


class Sampler:
    """One answer's way of choosing. With a seed, equal logits give equal tokens; at temperature 0 always."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._random = np.random.default_rng(plan.seed)

    @property
    def looks_back(self) -> bool:
        """Whether it matters what was said before."""
        return self._plan.penalizes

    def pick(self, logits: npt.NDArray[Any], before: Sequence[int]) -> int:
        """The token to follow those `before`. Raises NotReady when the model computes no numbers."""
        scores = self._penalize(self._bias(logits.astype(np.float32)), before)
        best = int(scores.argmax())
        if not np.isfinite(scores[best]):
            raise NotReady("the model computes no finite numbers: its file is broken", reason="broken model file")
        if self._plan.is_greedy:
            return best
        ids, shares = self.weigh(scores)
        place = int(np.searchsorted(shares.cumsum(), self._random.random(), side="right"))
        return int(ids[min(place, len(ids) - 1)])

    def weigh(self, scores: Floats) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float64]]:
        """The tokens that may be chosen, the likeliest first, and their probabilities, adding up to 1."""
        plan = self._plan
        ids = _largest(scores, plan.top_k)
        shares = _softmax(scores[ids], 1.0)
        before = shares.cumsum() - shares
        kept = (before < plan.top_p) & (shares >= plan.min_p * shares[0]) & (shares > 0.0)
        ids = ids[:max(1, int(kept.sum()))]  # the shares fall, so the kept ones come first
        return ids, _softmax(scores[ids], plan.temperature)

    def _bias(self, scores: Floats) -> Floats:
        for token, bias in self._plan.logit_bias:
            if 0 <= token < len(scores):
                scores[token] += bias
        return scores

    def _penalize(self, scores: Floats, before: Sequence[int]) -> Floats:
        """Lowers each of the latest tokens: by a factor, once, and by how often it was said."""
        plan = self._plan
        if not before or not plan.penalizes:
            return scores
        recent = before if plan.repeat_last_n < 0 else before[-plan.repeat_last_n:]
        ids, counts = np.unique(np.fromiter(recent, dtype=np.int64), return_counts=True)
        ids, counts = ids[ids < len(scores)], counts[ids < len(scores)]
        old = scores[ids]
        factored = np.where(old > 0, old / plan.repeat_penalty, old * plan.repeat_penalty)
        scores[ids] = factored - plan.presence_penalty - plan.frequency_penalty * counts
        return scores


def _largest(scores: Floats, most: int) -> npt.NDArray[np.intp]:
    """The places of the largest scores, the largest first; of all of them where `most` is not positive."""
    if 0 < most < len(scores):
        ids = np.argpartition(scores, len(scores) - most)[len(scores) - most:]
    else:
        ids = np.arange(len(scores))
    order: npt.NDArray[np.intp] = ids[np.argsort(-scores[ids], kind="stable")]
    return order


def _softmax(scores: Floats, temperature: float) -> npt.NDArray[np.float64]:
    """The first score is the largest."""
    with np.errstate(over="ignore"):
        powers = np.exp((scores.astype(np.float64) - scores[0]) / temperature)
    shares: npt.NDArray[np.float64] = powers / powers.sum()
    return shares


def log_shares(logits: npt.NDArray[Any]) -> Floats:
    """The logarithm of each token's probability, before anything shifts it."""
    row = logits.astype(np.float32)
    row -= row.max()
    shares: Floats = row - np.log(np.exp(row).sum())
    return shares
