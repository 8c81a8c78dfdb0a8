"""Thresholds, and of the four-signal score its weights and temperature, that suit labelled prompts best."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from msgspec import Struct
from msgspec.structs import replace
from scipy.optimize import minimize
from scipy.special import logsumexp

from ..config.schema import RouterConfig, ScoringWeights
from ..routing.scoring import SIGNALS, Floats
from .cases import Case
from .metrics import Array
from .views import Places, Views

FOLDS = 5
FEWEST_SOURCES = 3
# Where fewer prompts fit nobody, no threshold can be learnt: the lowest one would always win.
FEWEST_NOBODY = 10
THRESHOLDS = tuple(step / 50 for step in range(1, 50))
KEYWORD_THRESHOLDS = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
PRIOR_ROWS = 5.0

See = Callable[[RouterConfig], Views]


class Signals(Struct, frozen=True):
    """What the four-signal score reads of m prompts: `values` [m, n, 4]; `gold` [m] is the right expert, or -1."""

    values: Floats
    gold: Places


class Tally(Struct, frozen=True):
    """Shares of the prompts. `unanswered`: the fallback in place of an expert; the rest went to a wrong expert."""

    right: float
    unanswered: float

    @property
    def wrong(self) -> float:
        return max(0.0, 1 - self.right - self.unanswered)


class Tuned(Struct, frozen=True):
    """`before` and `after` on prompts that were held out of what was fitted; `router` is fitted on all of them."""

    before: Tally
    after: Tally
    router: RouterConfig
    folds: int

    @property
    def is_better(self) -> bool:
        return self.after.right > self.before.right + 1e-9


def tune(see: See, folds: Places, router: RouterConfig, signals: Signals | None = None) -> Tuned:
    """The best settings for the prompts. Folds [m] are left out one at a time to see what they are worth.

    `see` gives the views of all prompts under some settings; `signals` are given where their weights shall be fitted.
    """
    views = see(router)
    held_out = np.zeros(len(folds), dtype=np.intp)
    names = np.unique(folds)
    for fold in names:
        tested = np.flatnonzero(folds == fold)
        fitted = fit(see, np.flatnonzero(folds != fold), router, signals)
        held_out[tested] = decide(see(fitted).take(tested), fitted)
    whole = fit(see, np.arange(len(folds)), router, signals)
    return Tuned(tally(views, decide(views, router)), tally(views, held_out), whole, len(names))


def fit(see: See, chosen: Places, router: RouterConfig, signals: Signals | None = None) -> RouterConfig:
    """The settings with those that suit the prompts at `chosen` best; what makes no difference stays as it is."""
    if signals is not None:
        router = _fit_weights(Signals(signals.values[chosen], signals.gold[chosen]), router)
    views = see(router).take(chosen)
    return _fit_thresholds(views, router) if views.nobody.sum() >= FEWEST_NOBODY else router


def decide(views: Views, router: RouterConfig) -> Places:
    """[m]: the experts' places under these thresholds, n for the fallback."""
    return views.choose(router.confidence_threshold, router.keyword_threshold)


def tally(views: Views, chosen: Places) -> Tally:
    right = views.judge(chosen)
    unanswered = ~right & (chosen == views.right.shape[1] - 1)
    return Tally(float(right.mean()), float(unanswered.mean()))


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


def _fit_thresholds(views: Views, router: RouterConfig) -> RouterConfig:
    thresholds = sorted({*THRESHOLDS, router.confidence_threshold})
    keyed: list[float | None] = [router.confidence_threshold_keyword]
    if views.has_keywords:
        keyed += [None, *KEYWORD_THRESHOLDS]
    accuracy = np.array([[_try(views, _set(router, threshold, key)) for key in keyed] for threshold in thresholds])
    # A peak of one threshold between worse ones is chance: its neighbours count as well.
    padded = np.pad(accuracy, ((1, 1), (0, 0)), mode="edge")
    smooth = (padded[:-2] + 2 * padded[1:-1] + padded[2:]) / 4
    is_best = smooth >= smooth.max() - 1e-9
    if is_best[thresholds.index(router.confidence_threshold), 0]:
        return router
    key = int(is_best.any(axis=0).argmax())
    equal = np.flatnonzero(is_best[:, key])
    return _set(router, thresholds[equal[len(equal) // 2]], keyed[key])


def _try(views: Views, router: RouterConfig) -> float:
    return float(views.judge(decide(views, router)).mean())


def _set(router: RouterConfig, threshold: float, keyword_threshold: float | None) -> RouterConfig:
    return replace(router, confidence_threshold=threshold, confidence_threshold_keyword=keyword_threshold)


def _fit_weights(signals: Signals, router: RouterConfig) -> RouterConfig:
    """The weights and the temperature that make the right experts likeliest, by L-BFGS on their logarithms.

    That they differ from the config's costs as much as PRIOR_ROWS prompts at the distance e.
    """
    known = np.flatnonzero(signals.gold >= 0)
    values, gold, place = signals.values[known].astype(np.float64), signals.gold[known], np.arange(len(known))
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

    if not len(known):
        return router
    found = minimize(lose, np.zeros(len(SIGNALS)), jac=True, method="L-BFGS-B", bounds=[(-5, 5)] * len(SIGNALS))
    factors: Array = start * np.exp(found.x)
    weights = ScoringWeights(**{name: round(float(share), 3) for name, share in
                                zip(SIGNALS, factors / factors.sum(), strict=True)})
    return replace(router, scoring_weights=weights, softmax_temperature=round(float(1 / factors.sum()), 4))
