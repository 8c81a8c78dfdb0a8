"""What a text means to the experts: its vector, measured against theirs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..config.schema import RouterConfig
from ..embed import Embedder, find_quick
from ..experts import Expert
from .followups import FOLLOW_UPS
from .head import Head
from .scoring import SIGNALS, Floats, Reading, measure_signals, score, softmax
from .vectors import VectorCache, embed_experts

# Where the quick part of an encoder gives an expert this probability, the whole would not say otherwise: on 3,684
# prompts that no expert learnt from two thirds are so sure, and not one decision in a thousand gets worse.
SURE_AT_ONCE = 0.9


class Meaning:
    """The experts as vectors, and the head that was fitted on them once there is one: until then the four-signal
    score serves. Encodes what `folder` does not hold of their texts, so building may take seconds."""

    def __init__(self, experts: Sequence[Expert], embedder: Embedder, folder: Path, config: RouterConfig) -> None:
        self._head: Head | None = None
        self._embedder = embedder
        self._quick = find_quick(embedder)
        self._sure = max(SURE_AT_ONCE, config.confidence_threshold)
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
        return self.read_by(text, raw)[1]

    def read_by(self, text: str, raw: str) -> tuple[Head | None, Reading]:
        """The reading, and the head that gave it: the quick one where it is sure; None for the four signals."""
        head = self._head
        if head is None:
            signals = measure_signals(self._encode(text), self._experts)
            scores = score(signals, self._weights)
            return None, Reading(signals, scores, softmax(scores, self._temperature), SIGNALS)
        grams = head.read_grams(text, raw)
        if head.quick is not None and self._quick is not None:
            reading = head.quick.weigh(_embed(self._quick.embedder, text), grams)
            if reading.shares.max() >= self._sure:
                return head.quick, reading
        return head, head.weigh(self._encode(text), grams)

    def rate(self, text: str, raw: str, head: Head | None) -> Floats:
        """[n]: the scores by a head that `read_by` gave for another text, for what is to be compared with it."""
        if head is None or self._head is None:
            return self.read(text, raw).scores
        embedder = self._quick.embedder if self._quick is not None and head is self._head.quick else self._embedder
        return head.read(_embed(embedder, text), text, raw).scores

    def liken_to_follow_ups(self, text: str) -> float:
        """The cleaned text's greatest cosine to what people say about an answer."""
        return float(np.einsum("kd,d->k", self._follow_ups, self._encode(text)).max())

    def _encode(self, text: str) -> Floats:
        return _embed(self._embedder, text)


def _embed(embedder: Embedder, text: str) -> Floats:
    vector: Floats = embedder.embed([text], kind="query")[0]
    return vector
