"""Whether any expert fits: learnt by leaving experts out, so that their prompts become such that nobody fits."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from sklearn.linear_model import LogisticRegression

from .head import measure_gate
from .learner import Places, Rows
from .scoring import Floats

GROUPS = 5
FEWEST_EXPERTS = 4
MOST_ROWS = 1_500
ROUNDS = 0.5
OUTSIDE = 0.1
# The best score says the same as their logsumexp: with both, few rows give slopes that cancel out.
READ = [0, 2]
# Without experts enough to leave out: even at this cosine, surer by a factor of e for each further 1/20.
USUAL_COSINE, USUAL_SLOPE = 0.15, 20.0


def fit_gate(rows: Rows, folds: Places, mix: Floats) -> Floats:
    """[4]: the gate of a Head, for one prompt in ten that is outside."""
    if rows.count < FEWEST_EXPERTS:
        return np.array((USUAL_SLOPE, 0, 0, -USUAL_SLOPE * USUAL_COSINE), dtype=np.float32)
    measured, inside = [], []
    for known, tested, left in _leave_out(rows, folds):
        pair = rows.fit(known, rounds=ROUNDS)
        kept = np.setdiff1d(np.arange(rows.count), left)
        parts = rows.measure(pair, tested, known)[:, kept]
        measured.append(measure_gate(parts[:, :, 2], parts @ mix))
        inside.append(~np.isin(rows.experts[tested], left))
    return _fit(np.concatenate(measured), np.concatenate(inside))


def _leave_out(rows: Rows, folds: Places) -> Iterator[tuple[Places, Places, Places]]:
    """For each group of experts: rows to learn from, rows to test, and the experts that were left out."""
    random = np.random.default_rng(0)
    pool = np.arange(len(rows.experts))
    if len(pool) > MOST_ROWS:
        pool = np.sort(random.choice(pool, MOST_ROWS, replace=False))
    dealt = random.permutation(rows.count) % GROUPS
    for group in range(min(GROUPS, rows.count)):
        left = np.flatnonzero(dealt == group)
        is_left = np.isin(rows.experts[pool], left)
        known = pool[~is_left & (folds[pool] != group)]
        tested = pool[is_left | (folds[pool] == group)]
        if len(known) and len(tested):
            yield known, tested, left


def _fit(measured: Floats, inside: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> Floats:
    read = measured[:, READ]
    centre, spread = read.mean(axis=0), read.std(axis=0) + 1e-6
    model = LogisticRegression(C=1.0, class_weight="balanced").fit((read - centre) / spread, inside)
    slopes = model.coef_[0] / spread
    gate = np.zeros(measured.shape[1], dtype=np.float32)
    gate[READ] = slopes
    gate[-1] = model.intercept_[0] - slopes @ centre + math.log((1 - OUTSIDE) / OUTSIDE)
    return gate
