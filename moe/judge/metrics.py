"""Figures of a classifier that may abstain; pure functions of arrays, one entry for each of m prompts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from msgspec import Struct

Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Counts = npt.NDArray[np.int64]

BINS = 15


class Bin(Struct, frozen=True):
    """Prompts of about the same confidence: how sure they were on average, and the share that was right."""

    confidence: float
    accuracy: float
    count: int


class Scores(Struct, frozen=True):
    """Of n labels, each [n]; 0 where it is undefined."""

    precision: Array
    recall: Array
    f1: Array


def confuse(gold: Sequence[str], said: Sequence[str], labels: Sequence[str]) -> Counts:
    """[n, n]: how often label i (row) was taken for label j (column). Raises ValueError for another label."""
    places = {label: place for place, label in enumerate(labels)}
    try:
        pairs = [places[a] * len(labels) + places[b] for a, b in zip(gold, said, strict=True)]
    except KeyError as error:
        raise ValueError(f"{error.args[0]!r} is not among the labels") from error
    counts: Counts = np.bincount(np.array(pairs, dtype=np.int64), minlength=len(labels) ** 2)
    return counts.reshape(len(labels), len(labels))


def rate_labels(matrix: Counts) -> Scores:
    hits = np.diag(matrix).astype(np.float64)
    gold, said = matrix.sum(axis=1), matrix.sum(axis=0)
    return Scores(_share(hits, said), _share(hits, gold), _share(2 * hits, gold + said))


def macro_f1(matrix: Counts) -> float:
    """The mean F1 of the labels that some prompt has; a label that was only said has none to find."""
    present = matrix.sum(axis=1) > 0
    return float(rate_labels(matrix).f1[present].mean()) if present.any() else math.nan


def bin_by_confidence(confidence: Array, right: Flags, *, bins: int = BINS) -> list[Bin]:
    """Bins of equal mass, the least sure first; fewer where there are fewer prompts."""
    order = np.argsort(confidence, kind="stable")
    parts = [part for part in np.array_split(order, bins) if len(part)]
    return [Bin(float(confidence[part].mean()), float(right[part].mean()), len(part)) for part in parts]


def calibration_error(bins: Sequence[Bin]) -> float:
    """The expected calibration error: how far confidence and accuracy are apart, on average over the prompts."""
    total = sum(each.count for each in bins)
    gaps = (each.count * abs(each.confidence - each.accuracy) for each in bins)
    return sum(gaps) / total if total else math.nan


def cover(confidence: Array, right: Flags) -> tuple[Array, Array]:
    """[k], [k]: the shares of prompts that are answered when the less sure are left out, rising to 1, and the risk
    of each: the share of those answered that is wrong. Equally sure prompts are answered together."""
    order = np.argsort(-confidence, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(confidence[order]) != 0, True)) if len(order) else order
    answered = ends + 1.0
    risk = np.cumsum(~right[order])[ends] / answered
    return answered / max(1, len(order)), risk


def find_accuracy(coverage: Array, risk: Array, share: float) -> float:
    """The accuracy where the surest `share` of the prompts is answered, or as few more as can be."""
    place = int(np.searchsorted(coverage, share - 1e-9))
    return 1.0 - float(risk[place]) if place < len(risk) else math.nan


def rank_apart(scores: Array, positive: Flags) -> float:
    """AUROC: how likely a positive prompt has the higher score than another one, ties as a half. NaN without both."""
    high, low = scores[positive], np.sort(scores[~positive])
    if not len(high) or not len(low):
        return math.nan
    below = np.searchsorted(low, high, side="left") + np.searchsorted(low, high, side="right")
    return float(below.mean() / (2 * len(low)))


def _share(part: npt.NDArray[Any], whole: npt.NDArray[Any]) -> Array:
    share: Array = np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0)
    return share
