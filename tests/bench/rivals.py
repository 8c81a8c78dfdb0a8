"""Other ways to route, each taught by the same experts and read by the same encoder as ours."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from moe.config import Config
from moe.embed import Embedder
from moe.routing.text import clean
from moe.routing.vectors import VectorCache
from tests.bench.prompts import Answer

Ask = Callable[[str], Answer]

NEIGHBOURS = 5
HEAD_C = 10.0
HELD_OUT = 5  # one in so many examples calibrates semantic-router, which asks for unseen ones
KEPT_ROWS = 60_000


class Lessons(NamedTuple):
    """Each text that an expert is known by, its examples before its keywords, and the expert's label."""

    texts: list[str]
    labels: list[str]

    @classmethod
    def of(cls, config: Config) -> Lessons:
        pairs: dict[tuple[str, str], None] = {}
        for expert in config.experts:
            if expert.routable and not expert.is_fallback:
                own = [example.text for example in config.examples.get(expert.label, ())]
                own += [keyword for keyword in expert.keywords if keyword.strip()]
                own = own or [expert.description or expert.label]
                pairs |= dict.fromkeys((text, expert.label) for text in own)
        return cls([text for text, _ in pairs], [label for _, label in pairs])


class Encoder:
    """Prompts as unit vectors; what is `known` before is encoded once for all runs, and kept on disk."""

    def __init__(self, embedder: Embedder, cache: VectorCache, known: Sequence[str] = ()) -> None:
        self._embedder = embedder
        self._cache = cache
        self._known = dict(zip(known, self.all(known), strict=True)) if known else {}

    def all(self, texts: Sequence[str]) -> np.ndarray:
        """[m, d]"""
        return self._cache.rows([clean(text) for text in texts])

    def one(self, text: str) -> np.ndarray:
        """[d]"""
        row = self._known.get(text)
        return self._embedder.embed([clean(text)], kind="query")[0] if row is None else row


def ask_neighbours(lessons: Lessons, encoder: Encoder) -> Ask:
    """The label with most votes of the nearest, a tie going to the greater sum of cosines."""
    rows, labels = encoder.all(lessons.texts), np.array(lessons.labels)

    def ask(text: str) -> Answer:
        cosines = rows @ encoder.one(text)
        nearest = np.argpartition(-cosines, NEIGHBOURS - 1)[:NEIGHBOURS]
        votes: dict[str, float] = {}
        for label, cosine in zip(labels[nearest], cosines[nearest], strict=True):
            votes[label] = votes.get(label, 0.0) + 1 + float(cosine) / 100
        best = max(votes, key=votes.__getitem__)
        return Answer(str(best), float((labels[nearest] == best).mean()), float(cosines[nearest].max()))

    return ask


def ask_centroids(lessons: Lessons, encoder: Encoder) -> Ask:
    """The cosine to the mean of each expert's texts; it is taken for the confidence too."""
    rows, labels = encoder.all(lessons.texts), np.array(lessons.labels)
    names = sorted(set(lessons.labels))
    means = np.stack([rows[labels == name].mean(axis=0) for name in names])
    means /= np.linalg.norm(means, axis=1, keepdims=True)

    def ask(text: str) -> Answer:
        cosines = means @ encoder.one(text)
        best = int(cosines.argmax())
        return Answer(names[best], float(cosines[best]), float(cosines[best]))

    return ask


def ask_linear(lessons: Lessons, encoder: Encoder) -> Ask:
    """Logistic regression on the vectors."""
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415

    model = LogisticRegression(C=HEAD_C, class_weight="balanced", max_iter=300)
    model.fit(encoder.all(lessons.texts), lessons.labels)
    return lambda text: _choose(model.classes_, model.predict_proba(encoder.one(text)[np.newaxis])[0])


def ask_words(lessons: Lessons) -> Ask:
    """Logistic regression on TF-IDF of words and pairs of words: no encoder."""
    from sklearn.feature_extraction.text import TfidfVectorizer  # noqa: PLC0415
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415
    from sklearn.pipeline import make_pipeline  # noqa: PLC0415

    model = make_pipeline(TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True),
                          LogisticRegression(C=HEAD_C, class_weight="balanced", max_iter=300))
    model.fit(lessons.texts, lessons.labels)
    return lambda text: _choose(model.classes_, model.predict_proba([text])[0])


def ask_semantic_router(lessons: Lessons, encoder: Encoder) -> Ask:
    """semantic-router as its documents have it: routes of utterances, five nearest, their mean; calibrated by its own
    `fit` on a fifth of the texts that a first index leaves out, where there are enough of them."""
    from semantic_router import IndexedRouter, Route  # noqa: PLC0415
    from semantic_router.encoders import DenseEncoder  # noqa: PLC0415

    class Own(DenseEncoder):  # type: ignore[misc]
        """Our encoder in its words."""

        def __call__(self, docs: list[Any]) -> list[list[float]]:
            rows = encoder.one(docs[0])[np.newaxis] if len(docs) == 1 else encoder.all(docs)
            told: list[list[float]] = rows.tolist()
            return told

    def build(chosen: np.ndarray, **options: Any) -> Any:
        routes: dict[str, list[str]] = {}
        for place in np.flatnonzero(chosen):
            routes.setdefault(lessons.labels[place], []).append(lessons.texts[place])
        return IndexedRouter(encoder=Own(name="own"), routes=[Route(name=name, utterances=own)
                                                              for name, own in routes.items()], **options)

    folds = np.random.default_rng(0).permutation(len(lessons.texts)) % HELD_OUT
    first, held_out = build(folds > 0), np.flatnonzero(folds == 0)
    first.fit([lessons.texts[i] for i in held_out], [lessons.labels[i] for i in held_out])
    router = build(folds >= 0, calibrator=first.calibrator)

    def ask(text: str) -> Answer:
        choice = router(text)
        return Answer(choice.name, choice.confidence, choice.confidence)

    return ask


def _choose(labels: Sequence[str], shares: np.ndarray) -> Answer:
    best = int(shares.argmax())
    return Answer(str(labels[best]), float(shares[best]), float(shares[best]))
