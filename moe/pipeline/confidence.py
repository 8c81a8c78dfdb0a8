"""How likely an answer is right, from whatever is known of it: one calibrated function; any signal may be missing.

Each signal adds to the log odds what it is evidence for, so the sum is a probability again, and no signal can make an
answer look worse by being better. Two weights are measured, on the 658 answers to GSM8K of RouteLLM's evaluation data
(`python -m tests.bench.confidence` does it again); the others are priors, and say what they are taken from.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from msgspec import Struct

from ..core import Done, TokenLogprob

# Of the questions in that data a small model answered seven of ten rightly.
USUAL = 0.70
# A token that the model itself gave less than this was a gamble.
UNLIKELY = math.log(0.2)
EMPTY, REFUSED = 0.02, 0.1
_EDGE = 0.02

# Measured: of right answers 0.5 % had a sum that does not hold, of wrong ones 15 %; in 97 % and 68 % all held.
_ALL_HOLD, _ONE_FAILS, _EACH_FAILS = 0.36, -3.0, -0.5
# Measured on few, and so by half: 6 of 16 answers with a word of doubt were right, none of 2 that broke off.
_HEDGE, _MOST_HEDGES = -0.5, 3.0
_CUT = -2.0
_LOOPS = -2.5
_LACKS_FORM = -3.0
# Prior: none of the answers in that data is nothing but doubt; who says no more has not answered.
_VAGUE = -3.0
# Prior: log probabilities of tokens tell right answers from wrong ones with an AUROC of about 0.70, which for two equal
# normal distributions is 0.74 standard deviations between them. The three say nearly the same, so they share it.
_SPREAD = 0.74
_MEAN, _LEAST, _SHARE = 0.5, 0.2, 0.3
_FURTHEST = 2.5
# Prior: what instructed models' answers have, and how far they spread; of the mean by its logarithm.
_USUAL_MEAN, _MEAN_SPREAD = 0.25, 0.7
_USUAL_LEAST, _LEAST_SPREAD = -3.0, 1.5
_USUAL_SHARE, _SHARE_SPREAD = 0.06, 0.05
# Prior: models say 0.85 of most answers, and what they say beyond that is worth half of what it should be.
_SAID, _BELIEVED = 0.85, 0.5
# Prior: past answers were judged when they were doubtful or remarkable, so half of what they show is believed.
_PAST = 0.5
# Prior: what an exact tool found is right, so an answer without it is nearly surely wrong.
_AGREES, _DISAGREES = 1.2, -3.0


class Signals(Struct, frozen=True, kw_only=True):
    """What is known of an answer; None where nothing is.

    `likely` is how probable a right answer was before it was seen, by the question alone; where a reader was fitted on
    answers of its kind, it is that reader's word, and `sums` and `hedges`, which are in it, are left out.
    `self_report` is the model's own word, `agreement` the share of the tools' results that it repeats, `sums` the share
    of its sums that hold, `past_score` how this model has done in this domain, 0.5 for unknown. `lacks_form`: what was
    asked for as JSON or code is none. The rest is as in `Symptoms`.
    """

    likely: float | None = None
    mean_logprob: float | None = None
    min_logprob: float | None = None
    unlikely_share: float | None = None
    self_report: float | None = None
    agreement: float | None = None
    sums: float | None = None
    past_score: float | None = None
    is_empty: bool = False
    is_vague: bool = False
    refuses: bool = False
    hedges: float = 0.0
    is_cut: bool = False
    loops: bool = False
    lacks_form: bool = False


class Tokens:
    """The log probabilities of an answer's tokens, counted as they come."""

    def __init__(self) -> None:
        self.count = self.unlikely = 0
        self._total, self._least = 0.0, 0.0

    def add(self, tokens: Iterable[TokenLogprob]) -> None:
        for token in tokens:
            self.count += 1
            self._total += token.logprob
            self._least = min(self._least, token.logprob)
            self.unlikely += token.logprob < UNLIKELY

    @property
    def mean(self) -> float | None:
        return self._total / self.count if self.count else None

    @property
    def least(self) -> float | None:
        return self._least if self.count else None

    @property
    def unlikely_share(self) -> float | None:
        return self.unlikely / self.count if self.count else None


def read_tokens(tokens: Tokens, done: Done | None = None) -> Signals:
    """The signals of the tokens that came, or else of what was told at the end."""
    mean, least = tokens.mean, tokens.least
    if mean is None and done is not None:
        mean, least = done.mean_logprob, done.min_logprob
    return Signals(mean_logprob=mean, min_logprob=least, unlikely_share=tokens.unlikely_share)


def combine(signals: Signals) -> float:
    """The probability, 0 to 1, that the answer is right. Better in any signal is never worse in all."""
    if signals.is_empty:
        return EMPTY
    confidence = _squash(_odds(USUAL if signals.likely is None else signals.likely) + sum(weigh(signals).values()))
    confidence = max(confidence, EMPTY)
    return min(confidence, REFUSED) if signals.refuses else confidence


def weigh(signals: Signals) -> dict[str, float]:
    """What each signal that says something adds to the log odds."""
    found = {
        "logprobs": _weigh_logprobs(signals),
        "self_report": _move(signals.self_report, _SAID, _BELIEVED),
        "past_score": _move(signals.past_score, 0.5, _PAST),
        "agreement": _weigh_agreement(_bound(signals.agreement)),
        "sums": _weigh_sums(_bound(signals.sums)),
        "hedges": _HEDGE * min(max(signals.hedges, 0.0), _MOST_HEDGES),
        "vague": _VAGUE * signals.is_vague,
        "cut": _CUT * signals.is_cut,
        "loops": _LOOPS * signals.loops,
        "form": _LACKS_FORM * signals.lacks_form,
    }
    return {name: value for name, value in found.items() if value}


def explain(signals: Signals) -> str:
    """In a few words what counted most, for a trace."""
    if signals.is_empty or signals.refuses:
        return "empty" if signals.is_empty else "refused"
    ranked = sorted(weigh(signals).items(), key=lambda pair: -abs(pair[1]))
    return ", ".join(f"{name} {value:+.1f}" for name, value in ranked[:3]) or "nothing known against it"


def _weigh_logprobs(signals: Signals) -> float:
    """By standard deviations from what is usual for the answers of instructed models."""
    parts = []
    if (mean := signals.mean_logprob) is not None:
        parts.append((_MEAN, math.log(_USUAL_MEAN / max(1e-3, min(1e3, -mean))) / _MEAN_SPREAD))
    if (least := signals.min_logprob) is not None:
        parts.append((_LEAST, (least - _USUAL_LEAST) / _LEAST_SPREAD))
    if (share := signals.unlikely_share) is not None:
        parts.append((_SHARE, (_USUAL_SHARE - share) / _SHARE_SPREAD))
    total = sum(weight for weight, _ in parts)
    bounded = sum(weight * max(-_FURTHEST, min(_FURTHEST, value)) for weight, value in parts)
    return _SPREAD * bounded / total if parts else 0.0


def _weigh_agreement(share: float | None) -> float:
    return 0.0 if share is None else _DISAGREES + (_AGREES - _DISAGREES) * share


def _weigh_sums(share: float | None) -> float:
    """A single one that does not hold says nearly as much as several."""
    if share is None:
        return 0.0
    return _ALL_HOLD if share >= 1 else _ONE_FAILS + _EACH_FAILS * (1 - share)


def _move(value: float | None, usual: float, weight: float) -> float:
    return 0.0 if value is None else weight * (_odds(value) - _odds(usual))


def _bound(share: float | None) -> float | None:
    return None if share is None else max(0.0, min(1.0, share))


def _odds(probability: float) -> float:
    """Its logarithm; what claims to be certain is not quite believed."""
    bounded = max(_EDGE, min(1 - _EDGE, probability))
    return math.log(bounded / (1 - bounded))


def _squash(odds: float) -> float:
    return 1 / (1 + math.exp(-odds))
