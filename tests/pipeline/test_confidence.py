"""One calibrated function of what is known of an answer: any of it may be missing, and better is never worse."""

from __future__ import annotations

import math
import random
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moe.core import Done, TokenLogprob
from moe.judge.metrics import bin_by_confidence, calibration_error, rank_apart
from moe.pipeline.confidence import (
    EMPTY,
    REFUSED,
    UNLIKELY,
    USUAL,
    Signals,
    Tokens,
    combine,
    explain,
    read_tokens,
    weigh,
)

THRESHOLD = 0.65
SHARES = st.none() | st.floats(0, 1)
LOGPROBS = st.none() | st.floats(-20, 0)
SIGNALS = st.builds(
    Signals, likely=SHARES, mean_logprob=LOGPROBS, min_logprob=LOGPROBS, unlikely_share=SHARES, self_report=SHARES,
    agreement=SHARES, sums=SHARES, past_score=SHARES, is_empty=st.booleans(), refuses=st.booleans(),
    hedges=st.floats(0, 20), is_cut=st.booleans(), loops=st.booleans(), lacks_form=st.booleans(),
)
RISING = ("likely", "mean_logprob", "min_logprob", "self_report", "agreement", "sums", "past_score")
FALLING = ("unlikely_share", "hedges", "is_empty", "refuses", "is_cut", "loops", "lacks_form")
# What the 658 answers to GSM8K in RouteLLM's evaluation data (Apache-2.0) show: the share of their sums that hold,
# words of doubt, whether they were cut; how many such answers are wrong, and how many right.
GSM8K = (
    (0.0, 0.0, False, 5, 0), (0.333, 0.0, False, 1, 0), (0.5, 0.0, False, 8, 0), (0.6, 0.0, False, 1, 0),
    (0.667, 0.0, False, 8, 0), (0.75, 0.0, False, 5, 1), (0.75, 0.25, False, 1, 0), (0.8, 0.0, False, 4, 1),
    (0.833, 0.0, False, 1, 0), (0.875, 0.0, False, 1, 0), (1.0, 0.0, False, 154, 405), (1.0, 0.25, False, 2, 2),
    (1.0, 0.5, False, 1, 2), (1.0, 0.9, False, 1, 2), (None, 0.0, False, 34, 11), (None, 0.0, True, 2, 0),
    (None, 0.2, False, 5, 0),
)


@pytest.mark.parametrize("name", [*RISING, *FALLING])
@given(signals=SIGNALS, data=st.data())
def test_better_in_one_signal_is_never_worse_in_all(name: str, signals: Signals, data: st.DataObject) -> None:
    strategy: Any = st.floats(-30, 1) if "logprob" in name else st.floats(0, 1) if name in RISING else (
        st.floats(0, 30) if name in ("hedges", "unlikely_share") else st.booleans())
    low, high = sorted(data.draw(st.tuples(strategy, strategy)))
    less, more = (combine(msgspec.structs.replace(signals, **{name: value})) for value in (low, high))
    assert less <= more + 1e-12 if name in RISING else less >= more - 1e-12


@given(signals=SIGNALS)
def test_it_is_a_probability_whatever_is_missing(signals: Signals) -> None:
    assert 0 <= combine(signals) <= 1
    assert explain(signals)


@pytest.mark.parametrize("value", [-math.inf, -9999.0, -1e300, 0.0, 5.0])
def test_figures_that_no_model_should_tell_are_bounded(value: float) -> None:
    for name in ("mean_logprob", "min_logprob"):
        assert 0.2 < combine(msgspec.structs.replace(Signals(), **{name: value})) < 0.95


def test_with_nothing_known_it_is_the_usual_share_and_no_reason_to_ask_again() -> None:
    assert combine(Signals()) == pytest.approx(USUAL)
    assert weigh(Signals()) == {}
    assert combine(Signals()) > THRESHOLD
    assert combine(Signals(likely=0.4)) == pytest.approx(0.4)
    assert combine(Signals(past_score=0.5)) == pytest.approx(USUAL)


@pytest.mark.parametrize(("signals", "is_sure"), [
    (Signals(mean_logprob=-0.05, min_logprob=-1.0, unlikely_share=0.0), True),
    (Signals(mean_logprob=-1.2, min_logprob=-7.0, unlikely_share=0.3), False),
    (Signals(self_report=0.95), True), (Signals(self_report=0.9), True), (Signals(self_report=0.6), False),
    (Signals(self_report=0.3), False), (Signals(past_score=0.8), True), (Signals(past_score=0.2), False),
    (Signals(agreement=1.0), True), (Signals(agreement=0.0), False), (Signals(sums=1.0), True),
    (Signals(sums=0.9), False), (Signals(hedges=0.3), True), (Signals(hedges=2.0), False),
    (Signals(is_cut=True), False), (Signals(loops=True), False), (Signals(lacks_form=True), False),
    (Signals(self_report=0.95, sums=0.8), False), (Signals(self_report=0.99, agreement=0.0), False),
    (Signals(agreement=1.0, hedges=1.0), True),
])
def test_each_signal_alone_tells_on_which_side_an_answer_is(signals: Signals, is_sure: bool) -> None:
    assert (combine(signals) >= THRESHOLD) is is_sure


def test_no_praise_helps_an_answer_that_is_none() -> None:
    praised = Signals(likely=0.99, mean_logprob=0.0, self_report=1.0, agreement=1.0, sums=1.0, past_score=0.99)
    assert combine(msgspec.structs.replace(praised, is_empty=True)) == EMPTY
    assert combine(msgspec.structs.replace(praised, refuses=True)) == REFUSED
    assert explain(Signals(refuses=True)) == "refused"
    assert explain(Signals(is_empty=True)) == "empty"


def test_the_reason_names_what_counted_most() -> None:
    assert explain(Signals()) == "nothing known against it"
    assert explain(Signals(sums=0.5, hedges=1.0, self_report=0.85)).startswith("sums -3.2, hedges -0.5")


def test_tokens_are_counted_as_they_come() -> None:
    tokens = Tokens()
    assert read_tokens(tokens) == Signals()
    tokens.add((TokenLogprob("a", -0.1), TokenLogprob("b", -2.3)))
    tokens.add((TokenLogprob("c", 0.0), TokenLogprob("d", UNLIKELY)))
    read = read_tokens(tokens, Done(mean_logprob=-9.0, min_logprob=-9.0))
    assert read.mean_logprob == pytest.approx((-2.4 + UNLIKELY) / 4)
    assert (read.min_logprob, read.unlikely_share) == (-2.3, 0.25)
    assert read_tokens(Tokens(), Done(mean_logprob=-0.4, min_logprob=-3.0)) == Signals(
        mean_logprob=-0.4, min_logprob=-3.0)


def test_it_is_calibrated_where_the_world_is_as_its_weights_say() -> None:
    """Answers drawn by the very likelihoods that the priors name, all signals independent and some missing."""
    chance, confidence, right = random.Random(5), [], []
    for _ in range(12_000):
        is_right = chance.random() < USUAL
        signals = Signals()
        if chance.random() < 0.7:
            z = chance.gauss(0.37 if is_right else -0.37)
            signals = msgspec.structs.replace(signals, mean_logprob=-0.25 / math.exp(0.7 * z))
        if chance.random() < 0.5:
            holds = chance.random() < (0.969 / 0.974 if is_right else 0.675 / 0.825)
            signals = msgspec.structs.replace(signals, sums=1.0 if holds else chance.choice((0.5, 0.75)))
        if chance.random() < 0.3:
            agrees = chance.random() < (0.97 if is_right else 0.29)
            signals = msgspec.structs.replace(signals, agreement=float(agrees))
        confidence.append(combine(signals))
        right.append(is_right)
    told, truth = np.array(confidence), np.array(right)
    assert calibration_error(bin_by_confidence(told, truth)) < 0.03
    assert rank_apart(told, truth) > 0.75


def test_it_is_calibrated_on_answers_of_a_real_model() -> None:
    told, truth = [], []
    for sums, hedges, is_cut, wrong, right in GSM8K:
        told += [combine(Signals(sums=sums, hedges=hedges, is_cut=is_cut))] * (wrong + right)
        truth += [False] * wrong + [True] * right
    confidence, is_right = np.array(told), np.array(truth)
    shuffled = np.random.default_rng(1).permutation(len(told))
    assert len(told) == 658
    assert calibration_error(bin_by_confidence(confidence[shuffled], is_right[shuffled], bins=5)) < 0.1
    assert rank_apart(confidence, is_right) > 0.62
    assert np.mean((confidence - is_right) ** 2) < is_right.mean() * (1 - is_right.mean()) - 0.015
    doubted = confidence < THRESHOLD
    assert is_right[doubted].mean() < 0.1
    assert doubted.sum() > 30
