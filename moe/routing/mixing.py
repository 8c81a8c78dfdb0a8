"""How much each part of the score weighs: fitted on rows that the parts had not seen."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.optimize import minimize
from scipy.special import logsumexp

from .learner import Places, Rows
from .scoring import Floats

FOLDS = 5
# So many rows held out are enough for three weights: one fold does then, and saves four fits.
ENOUGH_HELD_OUT = 1_000
FEWEST_AN_EXPERT = 5
FEWEST_SOURCES = 5
# What is usual with many rows an expert, and with few.
USUAL_MIX, FEW_MIX = (1.0, 0.5, 10.0), (1.5, 0.5, 10.0)
# How many rows that is worth. Fewer make the mix follow the few rows there are, which cost CLINC150 1.5 points.
PRIOR_ROWS = 10.0


def choose_folds(rows: Rows) -> Places:
    """[m]: each row's fold. Sources stay whole where there are enough; else each expert's rows are dealt out."""
    random = np.random.default_rng(0)
    named = sorted(set(rows.sources) - {""})
    folds = np.zeros(len(rows.experts), dtype=np.intp)
    for expert in range(rows.count):
        own = random.permutation(np.flatnonzero(rows.experts == expert))
        folds[own] = (np.arange(len(own)) + expert) % FOLDS
    if len(named) >= FEWEST_SOURCES:
        dealt = random.permutation(len(named)) % FOLDS
        fold_of = dict(zip(named, dealt.tolist(), strict=True))
        folds = np.array([fold_of.get(source, fold) for source, fold in zip(rows.sources, folds, strict=True)])
    return folds


def fit_mix(rows: Rows, folds: Places) -> Floats:
    """[3]: the weights of the parts, which make rows held out the likeliest; the temperature is in them."""
    fewest = np.delete(np.bincount(rows.experts, minlength=rows.count), rows.few).min()
    given = USUAL_MIX if rows.are_many else FEW_MIX
    usual = np.array(given if rows.has_support else (*given[:2], 0.0), dtype=np.float32)
    if fewest < FEWEST_AN_EXPERT or rows.count < 2:
        return usual
    is_enough = len(folds) >= FOLDS * ENOUGH_HELD_OUT
    held_out, parts = [], []
    for fold in range(1 if is_enough else FOLDS):
        known, tested = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        tested = tested[np.isin(rows.experts[tested], rows.experts[known])]
        if len(tested):
            held_out.append(tested)
            parts.append(rows.measure(rows.fit(known), tested, known))
    chosen = np.concatenate(held_out)
    return _minimise(np.concatenate(parts), rows.experts[chosen], rows.weights[chosen], start=usual)


def _minimise(parts: Floats, experts: Places, weights: Floats, *, start: Floats) -> Floats:
    """`parts` [m, n, 3] of the rows whose right experts are `experts`.

    What is sought is how many times its usual weight each part has, as a logarithm. That the parts differ in it
    costs as much as PRIOR_ROWS rows at the distance e: a few rows change the temperature sooner than a part's share.
    """
    used = np.flatnonzero(start)
    values = parts[:, :, used].astype(np.float64) * start[used]
    counts = np.bincount(experts, weights=weights, minlength=parts.shape[1])
    each = weights / counts[experts]
    each = each * (len(each) / each.sum())
    place = np.arange(len(experts))

    def lose(logs: Any) -> tuple[float, Any]:
        mix = np.exp(logs)
        scores = values @ mix
        shares = np.exp(scores - logsumexp(scores, axis=1, keepdims=True))
        apart = logs - logs.mean()
        loss = PRIOR_ROWS * (apart @ apart) - (each * np.log(np.maximum(shares[place, experts], 1e-12))).sum()
        shares[place, experts] -= 1
        slope = np.einsum("m,mn,mnp->p", each, shares, values) * mix + 2 * PRIOR_ROWS * apart
        return float(loss) / len(each), slope / len(each)

    found = minimize(lose, np.zeros(len(used)), jac=True, method="L-BFGS-B", bounds=[(-5, 5)] * len(used),
                     options={"maxiter": 100})
    mix = start.copy()
    mix[used] *= np.exp(found.x)
    return mix
