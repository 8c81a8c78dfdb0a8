"""The figures, against scikit-learn where it has them and by hand where it has not."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, f1_score, precision_recall_fscore_support, roc_auc_score

from moe.judge.metrics import (
    bin_by_confidence,
    calibration_error,
    confuse,
    cover,
    find_accuracy,
    macro_f1,
    rank_apart,
    rate_labels,
)

LABELS = ["a", "b", "c", "d"]


@pytest.mark.parametrize("seed", range(5))
def test_confusion_and_f1_are_scikit_learn_s(seed: int) -> None:
    random = np.random.default_rng(seed)
    gold = random.choice(LABELS[:3], 60).tolist()
    said = [random.choice(LABELS) if random.random() < 0.4 else label for label in gold]
    matrix = confuse(gold, said, LABELS)
    assert matrix.tolist() == confusion_matrix(gold, said, labels=LABELS).tolist()
    scores = rate_labels(matrix)
    due = precision_recall_fscore_support(gold, said, labels=LABELS, zero_division=0.0)
    for own, theirs in zip((scores.precision, scores.recall, scores.f1), due, strict=False):
        assert own == pytest.approx(theirs)
    present = sorted(set(gold))
    assert macro_f1(matrix) == pytest.approx(f1_score(gold, said, labels=present, average="macro"))


def test_a_label_that_is_not_listed_is_an_error() -> None:
    with pytest.raises(ValueError, match="'z'"):
        confuse(["a"], ["z"], ["a"])


@pytest.mark.parametrize("levels", [3, 1000])
def test_auroc_is_scikit_learn_s_with_and_without_ties(levels: int) -> None:
    random = np.random.default_rng(0)
    scores = random.integers(0, levels, 200) / levels
    positive = random.random(200) < 0.3
    assert rank_apart(scores, positive) == pytest.approx(roc_auc_score(positive, scores))
    assert math.isnan(rank_apart(scores, np.zeros(200, dtype=bool)))


def test_bins_hold_equally_many_and_the_error_is_the_mean_gap() -> None:
    confidence = np.array([0.9, 0.1, 0.8, 0.2])
    right = np.array([True, False, False, True])
    bins = bin_by_confidence(confidence, right, bins=2)
    assert [(round(each.confidence, 9), each.accuracy, each.count) for each in bins] == [(0.15, 0.5, 2), (0.85, 0.5, 2)]
    assert calibration_error(bins) == pytest.approx(0.35)
    assert len(bin_by_confidence(confidence, right)) == 4
    many = bin_by_confidence(np.linspace(0, 1, 1003), np.ones(1003, dtype=bool))
    assert len(many) == 15 and {each.count for each in many} == {66, 67}


def test_a_calibrated_classifier_has_a_small_error() -> None:
    random = np.random.default_rng(1)
    confidence = random.random(50_000)
    right = random.random(50_000) < confidence
    assert calibration_error(bin_by_confidence(confidence, right)) < 0.01
    assert calibration_error(bin_by_confidence(confidence, ~right)) > 0.4


def test_risk_by_coverage() -> None:
    coverage, risk = cover(np.array([0.9, 0.8, 0.8, 0.1]), np.array([True, False, True, False]))
    assert coverage.tolist() == [0.25, 0.75, 1.0]  # the two equally sure are answered together
    assert risk == pytest.approx([0, 1 / 3, 0.5])
    assert find_accuracy(coverage, risk, 0.5) == pytest.approx(2 / 3)
    assert find_accuracy(coverage, risk, 1.0) == 0.5
