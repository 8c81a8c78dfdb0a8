"""What a text means to the experts: its vector, measured against theirs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..config.schema import RouterConfig
from ..core import Expert
from ..embed import Embedder
from .followups import FOLLOW_UPS
from .head import Head
from .scoring import SIGNALS, Floats, Reading, measure_signals, score, softmax
from .vectors import VectorCache, embed_experts


class Meaning:
    """The experts as vectors, and the head that was fitted on them once there is one: until then the four-signal
    score serves. Encodes what `folder` does not hold of their texts, so building may take seconds."""

    def __init__(self, experts: Sequence[Expert], embedder: Embedder, folder: Path, config: RouterConfig) -> None:
        self._head: Head | None = None
        self._embedder = embedder
        self._weights = config.scoring_weights
        self._temperature = config.softmax_temperature
        cache = VectorCache(folder, embedder)
        self._experts = embed_experts(experts, cache)
        self._follow_ups = cache.rows(FOLLOW_UPS)

    def adopt(self, head: Head) -> None:
        """From the next prompt on the head is asked; safe while others read."""
        self._head = head

    def read(self, text: str, raw: str) -> Reading:
        """`text` as it was cleaned, `raw` as it was sent."""
        vector, head = self._encode(text), self._head
        if head is not None:
            return head.read(vector, text, raw)
        signals = measure_signals(vector, self._experts)
        scores = score(signals, self._weights)
        return Reading(signals, scores, softmax(scores, self._temperature), SIGNALS)

    def liken_to_follow_ups(self, text: str) -> float:
        """The cleaned text's greatest cosine to what people say about an answer."""
        return float(np.einsum("kd,d->k", self._follow_ups, self._encode(text)).max())

    def _encode(self, text: str) -> Floats:
        vector: Floats = self._embedder.embed([text], kind="query")[0]
        return vector
