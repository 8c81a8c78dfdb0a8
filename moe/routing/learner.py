"""Linear heads learnt from rows, by scikit-learn; imported only where something is fitted."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from copy import copy
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from .grams import Grams, learn_grams
from .head import Linear
from .rows import Row
from .scoring import Floats
from .text import clean

Places = npt.NDArray[np.intp]

MOST_SUPPORT = 2_000
MANY_AN_EXPERT = 100
DENSE_C, GRAM_C = 1.0, 10.0
FEW_DENSE_C, FEW_GRAM_C = 5.0, 20.0
DENSE_ROUNDS, GRAM_ROUNDS = 40, 30
# An expert with fewer rows than this, among others with many, is given so many imagined ones.
FEW_ROWS, IMAGINED = 40, 100
# How far the words of such an expert may speak for or against it.
FEW_GRAMS = 0.5
# The bias of an expert that no row was of: never chosen.
ABSENT = -20.0


class Pair(NamedTuple):
    """The two heads fitted on the same rows."""

    dense: Linear
    grams: Linear


class Rows:
    """All rows as numbers: `vectors` [m, d], `sparse` [m, g], `experts` and `weights` [m], for `count` experts."""

    def __init__(self, rows: Sequence[Row], vectors: Floats, count: int) -> None:
        self.count = count
        self.vectors = vectors
        self.experts = np.array([row.expert for row in rows], dtype=np.intp)
        self.weights = np.array([row.weight for row in rows], dtype=np.float32)
        self.sources = [row.source for row in rows]
        self.has_support = len(rows) <= MOST_SUPPORT
        self.are_many = len(rows) >= MANY_AN_EXPERT * count
        texts = [clean(row.text) for row in rows]
        self.grams = learn_grams(texts)
        self.sparse = _stack(self.grams, texts, [row.text for row in rows])
        counts = np.bincount(self.experts, minlength=count)
        self.few = np.flatnonzero(counts < FEW_ROWS) if self.are_many else np.empty(0, dtype=np.intp)
        self._gram_heads: dict[tuple[int, bytes], Linear] = {}

    def keep(self, columns: slice) -> Rows:
        """The same rows by these columns of their vectors alone; what was fitted on their words is not fitted again."""
        kept = copy(self)
        kept.vectors = _unit(self.vectors[:, columns])
        return kept

    def fit(self, chosen: Places, *, rounds: float = 1.0) -> Pair:
        """Both heads on the rows at `chosen`, in at most so many times the usual rounds."""
        dense_c, gram_c = (DENSE_C, GRAM_C) if self.are_many else (FEW_DENSE_C, FEW_GRAM_C)
        return Pair(
            self._fit(*self._imagine(chosen), c=dense_c, rounds=round(DENSE_ROUNDS * rounds)),
            self._fit_grams(chosen, c=gram_c, rounds=round(GRAM_ROUNDS * rounds)),
        )

    def measure(self, pair: Pair, chosen: Places, known: Places) -> Floats:
        """[m, n, 3]: what the pair and the nearest of the rows `known` say of the rows at `chosen`."""
        dense = self.vectors[chosen] @ pair.dense.weights + pair.dense.bias
        grams = self.sparse[chosen] @ pair.grams.weights + pair.grams.bias
        return np.stack((dense, grams, self.near(chosen, known)), axis=2).astype(np.float32)

    def near(self, chosen: Places, known: Places) -> Floats:
        """[m, n]: the greatest cosine to each expert's support out of the rows `known`; 0 for an expert without."""
        nearest = np.zeros((len(chosen), self.count), dtype=np.float32)
        for expert in np.unique(self.experts[known]):
            support = self.choose_support(known[self.experts[known] == expert])
            nearest[:, expert] = (self.vectors[chosen] @ support.T).max(axis=1)
        return nearest

    def choose_support(self, own: Places) -> Floats:
        """One expert's rows, or their mean where all are too many."""
        if self.has_support:
            return self.vectors[own]
        mean = np.einsum("m,md->d", self.weights[own], self.vectors[own])
        unit: Floats = (mean / (np.linalg.norm(mean) or 1))[np.newaxis].astype(np.float32)
        return unit

    def _imagine(self, chosen: Places) -> tuple[Floats, Places, Floats]:
        """The vectors [m, d], experts and weights [m] of the rows at `chosen`, and of imagined ones.

        A few rows show where an expert is but not how far prompts stray from there. That is taken from the others:
        what sets one of their rows apart from its expert's mean is added to a row of the expert that has few
        (Hariharan & Girshick 2017).
        """
        vectors, experts, weights = self.vectors[chosen], self.experts[chosen], self.weights[chosen]
        few = np.intersect1d(self.few, experts)
        donors = np.flatnonzero(~np.isin(experts, self.few))
        if not len(few) or len(np.unique(experts[donors])) < 2:
            return vectors, experts, weights
        random = np.random.default_rng(0)
        means = {expert: vectors[experts == expert].mean(axis=0) for expert in np.unique(experts[donors])}
        length = np.mean([np.linalg.norm(mean) for mean in means.values()])
        made = []
        for expert in few:
            own = vectors[experts == expert]
            lent = random.choice(donors, IMAGINED)
            strays = vectors[lent] - np.stack([means[donor] for donor in experts[lent]])
            towards = own[np.arange(IMAGINED) % len(own)] + own.mean(axis=0)
            made.append(_unit(length * _unit(towards) + strays))
        imagined = np.ones(len(few) * IMAGINED, dtype=np.float32)
        return (np.concatenate((vectors, *made)).astype(np.float32),
                np.concatenate((experts, np.repeat(few, IMAGINED))), np.concatenate((weights, imagined)))

    def _fit_grams(self, chosen: Places, *, c: float, rounds: int) -> Linear:
        key = (rounds, chosen.tobytes())
        if key not in self._gram_heads:
            fitted = self._fit(self.sparse[chosen], self.experts[chosen], self.weights[chosen], c=c, rounds=rounds)
            self._gram_heads[key] = self._hush(fitted, chosen)
        return self._gram_heads[key]

    def _hush(self, head: Linear, chosen: Places) -> Linear:
        """An expert of few rows has hardly any words: those it has not say nothing against it."""
        known = np.setdiff1d(np.unique(self.experts[chosen]), self.few)
        if not len(self.few) or not len(known):
            return head
        weights, bias = head.weights.copy(), head.bias.copy()
        usual = weights[:, known].mean(axis=1, keepdims=True)
        weights[:, self.few] = usual + FEW_GRAMS * (weights[:, self.few] - usual)
        bias[self.few] = bias[known].mean()
        return Linear(weights, bias)

    def _fit(self, matrix: Any, experts: Places, sample_weights: Floats, *, c: float, rounds: int) -> Linear:
        present = np.unique(experts)
        weights = np.zeros((matrix.shape[1], self.count), dtype=np.float32)
        bias = np.full(self.count, ABSENT if len(present) < self.count else 0.0, dtype=np.float32)
        bias[present] = 0
        if len(present) < 2:
            return Linear(weights, bias)
        model = LogisticRegression(C=c, class_weight="balanced", max_iter=rounds)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # the rounds are few on purpose
            model.fit(matrix, experts, sample_weight=sample_weights)
        columns, offsets = model.coef_.T, model.intercept_
        if len(present) == 2:  # the model gives one column then, for the second of the two
            columns, offsets = np.hstack((-columns, columns)) / 2, np.hstack((-offsets, offsets)) / 2
        weights[:, present], bias[present] = columns, offsets
        return Linear(weights, bias)


def _unit(rows: Floats) -> Floats:
    unit: Floats = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    return unit


def _stack(grams: Grams, texts: Sequence[str], raws: Sequence[str]) -> Any:
    read = [grams.read(text, raw) for text, raw in zip(texts, raws, strict=True)]
    starts = np.cumsum([0, *(len(row.ids) for row in read)])
    return csr_matrix((np.concatenate([row.values for row in read]), np.concatenate([row.ids for row in read]), starts),
                      shape=(len(read), grams.width))
