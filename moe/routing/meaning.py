"""What a text means to the experts: its vector, measured against theirs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..config.schema import RouterConfig
from ..core import Expert
from ..embed import Embedder
from .followups import FOLLOW_UPS
from .scoring import SIGNALS, Floats, measure_signals, score, softmax
from .vectors import VectorCache, embed_experts

FOLLOW_UP_WORDS = 8


class Reading(NamedTuple):
    """One text as the experts see it: `signals` [n, 4], `scores` and `shares` [n], the shares adding up to 1."""

    signals: Floats
    scores: Floats
    shares: Floats

    def tell(self, expert: int) -> dict[str, float]:
        signals = dict(zip(SIGNALS, self.signals[expert].tolist(), strict=True))
        return {"score": float(self.scores[expert]), "probability": float(self.shares[expert]), **signals}


class Meaning:
    """The experts as vectors. Encodes what `folder` does not hold of their texts, so building may take seconds."""

    def __init__(self, experts: Sequence[Expert], embedder: Embedder, folder: Path, config: RouterConfig) -> None:
        self._embedder = embedder
        self._weights = config.scoring_weights
        self._temperature = config.softmax_temperature
        cache = VectorCache(folder, embedder)
        self._experts = embed_experts(experts, cache)
        self._follow_ups = cache.rows(FOLLOW_UPS)

    def read(self, text: str) -> Reading:
        signals = measure_signals(self._encode(text), self._experts)
        scores = score(signals, self._weights)
        return Reading(signals, scores, softmax(scores, self._temperature))

    def is_follow_up(self, text: str) -> bool:
        """Whether a short text is nearer to what people say about an answer than to any expert's keyword."""
        if len(text.split(None, FOLLOW_UP_WORDS)) > FOLLOW_UP_WORDS:
            return False
        query = self._encode(text)
        nearest = np.einsum("kd,d->k", self._experts.keywords, query).max()
        return bool(np.einsum("kd,d->k", self._follow_ups, query).max() > nearest)

    def _encode(self, text: str) -> Floats:
        vector: Floats = self._embedder.embed([text], kind="query")[0]
        return vector
