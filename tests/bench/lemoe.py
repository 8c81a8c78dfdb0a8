"""LeMoE's formula as it shipped, written anew from its description: four cosines, a softmax over all experts and a
threshold, then words and fuzzy likeness."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from rapidfuzz import fuzz, process

from moe.embed import Embedder
from moe.experts import Expert
from moe.routing.text import clean
from tests.bench.prompts import Answer

TEMPERATURE, THRESHOLD = 0.15, 0.4
KEYWORDS_READ, VOTES, VOTE_COSINE = 32, 3, 0.40
QUERY, PASSAGE = "query: ", "passage: "  # meant for E5, put before every text whatever the encoder


class Formula:
    """The fallback competes like every other expert; whoever fails both tiers goes to it."""

    def __init__(self, experts: Sequence[Expert], fallback: str, embedder: Embedder) -> None:
        self._labels = [expert.label for expert in experts]
        self._fallback = fallback
        self._embedder = embedder
        keywords = [[keyword.lower() for keyword in expert.keywords] for expert in experts]
        self._keywords = keywords
        self._words = [{word for keyword in own for word in keyword.split()} for own in keywords]
        self._keyword_rows = [self._embed([PASSAGE + keyword for keyword in own[:KEYWORDS_READ]]) for own in keywords]
        self._description_rows = [self._embed([PASSAGE + expert.description] if expert.description else [])
                                  for expert in experts]

    def __call__(self, text: str) -> Answer:
        shares = self._share(clean(text))
        best = int(shares.argmax())
        inside = max(float(share) for share, label in zip(shares, self._labels, strict=True) if label != self._fallback)
        if shares[best] >= THRESHOLD and self._labels[best] != self._fallback:
            return Answer(self._labels[best], float(shares[best]), inside)
        words = [self._match(place, text.lower()) for place in range(len(self._labels))]
        place = max(range(len(words)), key=lambda i: (words[i], -len(self._words[i])))
        if words[place] >= THRESHOLD:
            return Answer(self._labels[place], words[place], inside)
        return Answer(self._fallback, 1 - inside, inside)

    def _embed(self, texts: Sequence[str]) -> np.ndarray:
        return self._embedder.embed(texts, kind="passage")

    def _share(self, text: str) -> np.ndarray:
        query = self._embedder.embed([QUERY + text], kind="query")[0]
        scores = np.array([self._score(place, query) for place in range(len(self._labels))])
        powers = np.exp((scores - scores.max()) / TEMPERATURE)
        return powers / powers.sum()

    def _score(self, place: int, query: np.ndarray) -> float:
        cosines, described = self._keyword_rows[place] @ query, self._description_rows[place] @ query
        mean = float(cosines.mean()) if len(cosines) else 0.0
        best = float(cosines.max()) if len(cosines) else 0.0
        top = np.sort(cosines)[-VOTES:]
        vote = float((top >= VOTE_COSINE).mean()) if len(top) else 0.0
        return 0.4 * best + 0.3 * (float(described[0]) if len(described) else mean) + 0.2 * mean + 0.1 * vote

    def _match(self, place: int, text: str) -> float:
        """How many of the expert's words the text has, and how alike it is to one of its keywords."""
        if not self._keywords[place]:
            return 0.0
        overlap = len(self._words[place] & set(text.split())) / len(self._words[place])
        nearest = process.extractOne(text, self._keywords[place], scorer=fuzz.token_set_ratio)
        return 0.6 * overlap + 0.4 * nearest[1] / 100
