"""Thresholds, and of the four-signal score its weights and temperature, that suit labelled prompts best."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from msgspec import Struct
from msgspec.structs import replace
from scipy.optimize import minimize
from scipy.special import logsumexp

from ..config.schema import RouterConfig, ScoringWeights
from ..routing.scoring import SIGNALS
from .cases import Case
from .metrics import Array
from .views import ABSENT, SCORED, UNANSWERED, Places, Views

FOLDS = 5
FEWEST_SOURCES = 3
THRESHOLDS = tuple(step / 50 for step in range(1, 50))
KEYWORD_THRESHOLDS = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
PRIOR_ROWS = 5.0


class Tally(Struct, frozen=True):
    """Shares of the prompts; the rest went to a wrong expert. `worth` counts an unanswered one by half."""

    right: float
    unanswered: float

    @property
    def wrong(self) -> float:
        return max(0.0, 1 - self.right - self.unanswered)

    @property
    def worth(self) -> float:
        return self.right + UNANSWERED * self.unanswered


class Tuned(Struct, frozen=True):
    """`before` and `after` on prompts that were held out of what was fitted; `router` is fitted on all of them."""

    before: Tally
    after: Tally
    router: RouterConfig
    folds: int

    @property
    def is_better(self) -> bool:
        return self.after.worth > self.before.worth + 1e-9


def tune(views: Views, folds: Places, router: RouterConfig) -> Tuned:
    """The best settings for the prompts. Folds [m] are left out one at a time to see what they are worth."""
    held_out = np.zeros(len(folds), dtype=np.intp)
    names = np.unique(folds)
    for fold in names:
        tested = np.flatnonzero(folds == fold)
        fitted = fit(views.take(np.flatnonzero(folds != fold)), router)
        held_out[tested] = decide(views.take(tested), fitted)
    return Tuned(tally(views, decide(views, router)), tally(views, held_out), fit(views, router), len(names))


def fit(views: Views, router: RouterConfig) -> RouterConfig:
    """The config's settings with those that suit the prompts best; what makes no difference stays as it is."""
    if views.signals is not None:
        router = _fit_weights(views, router)
    rated = score_by(views, router)
    thresholds = sorted({*THRESHOLDS, router.confidence_threshold})
    keyed: list[float | None] = [router.confidence_threshold_keyword]
    if np.any(views.confidence[:, SCORED:] > ABSENT):
        keyed += [None, *KEYWORD_THRESHOLDS]
    worth = np.array([[_worth(rated, _set(router, threshold, key)) for key in keyed] for threshold in thresholds])
    # A peak of one threshold between worse ones is chance: its neighbours count as well.
    padded = np.pad(worth, ((1, 1), (0, 0)), mode="edge")
    smooth = (padded[:-2] + 2 * padded[1:-1] + padded[2:]) / 4
    best = np.argwhere(smooth >= smooth.max() - 1e-9)
    near = min(best.tolist(), key=lambda at: (abs(thresholds[at[0]] - router.confidence_threshold), at[1]))
    return _set(router, thresholds[near[0]], keyed[near[1]])


def decide(views: Views, router: RouterConfig) -> Places:
    """[m]: the experts' places under these settings, n for the fallback."""
    return score_by(views, router).choose(router.confidence_threshold, router.keyword_threshold)


def tally(views: Views, chosen: Places) -> Tally:
    worth = views.rate(chosen)
    return Tally(float((worth == 1).mean()), float((worth == UNANSWERED).mean()))


def score_by(views: Views, router: RouterConfig) -> Views:
    """The views with the confidences that these weights and this temperature give; a fitted scorer has its own."""
    if views.signals is None:
        return views
    weights = np.array([getattr(router.scoring_weights, name) for name in SIGNALS])
    scores = np.einsum("mcns,s->mcn", views.signals, weights) / router.softmax_temperature
    shares = np.exp(scores - logsumexp(scores, axis=2, keepdims=True))
    is_there = views.confidence[:, :SCORED] > ABSENT
    confidence, place = views.confidence.copy(), views.place.copy()
    confidence[:, :SCORED] = np.where(is_there, shares.max(axis=2), ABSENT)
    place[:, :SCORED] = shares.argmax(axis=2)
    return replace(views, confidence=confidence, place=place)


def deal_folds(cases: Sequence[Case]) -> Places:
    """[m]: each prompt's fold. Sources stay whole where there are enough of them; else each label is dealt out."""
    random = np.random.default_rng(0)
    sources = sorted({case.source for case in cases})
    if len(sources) >= FEWEST_SOURCES:
        dealt = dict(zip(sources, (random.permutation(len(sources)) % FOLDS).tolist(), strict=True))
        return np.array([dealt[case.source] for case in cases], dtype=np.intp)
    folds = np.zeros(len(cases), dtype=np.intp)
    labels = np.array([case.label for case in cases])
    for offset, label in enumerate(np.unique(labels)):
        own = random.permutation(np.flatnonzero(labels == label))
        folds[own] = (np.arange(len(own)) + offset) % FOLDS
    return folds


def _fit_weights(views: Views, router: RouterConfig) -> RouterConfig:
    """The weights and the temperature that make the right experts likeliest, by L-BFGS on their logarithms.

    That they differ from the config's costs as much as PRIOR_ROWS prompts at the distance e.
    """
    assert views.signals is not None
    column = np.where(views.confidence[:, 0] > ABSENT, 0, 1)
    known = np.flatnonzero((views.gold >= 0) & (views.gold < views.signals.shape[2])
                           & (views.confidence[:, :SCORED].max(axis=1) > ABSENT))
    if not len(known):
        return router
    values = views.signals[known, column[known]].astype(np.float64)
    gold, place = views.gold[known], np.arange(len(known))
    given = np.array([getattr(router.scoring_weights, name) for name in SIGNALS])
    start = np.maximum(given, 1e-3) / router.softmax_temperature

    def lose(logs: Any) -> tuple[float, Any]:
        factors = start * np.exp(logs)
        scores = values @ factors
        shares = np.exp(scores - logsumexp(scores, axis=1, keepdims=True))
        apart = logs - logs.mean()
        loss = PRIOR_ROWS * (apart @ apart) - np.log(np.maximum(shares[place, gold], 1e-12)).sum()
        shares[place, gold] -= 1
        slope = np.einsum("mn,mns->s", shares, values) * factors + 2 * PRIOR_ROWS * apart
        return float(loss) / len(known), slope / len(known)

    found = minimize(lose, np.zeros(len(SIGNALS)), jac=True, method="L-BFGS-B", bounds=[(-5, 5)] * len(SIGNALS))
    factors: Array = start * np.exp(found.x)
    weights = ScoringWeights(**{name: round(float(share), 3) for name, share in
                                zip(SIGNALS, factors / factors.sum(), strict=True)})
    return replace(router, scoring_weights=weights, softmax_temperature=round(float(1 / factors.sum()), 4))


def _worth(views: Views, router: RouterConfig) -> float:
    return float(views.rate(views.choose(router.confidence_threshold, router.keyword_threshold)).mean())


def _set(router: RouterConfig, threshold: float, keyword_threshold: float | None) -> RouterConfig:
    return replace(router, confidence_threshold=threshold, confidence_threshold_keyword=keyword_threshold)
