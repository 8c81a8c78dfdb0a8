"""What the router did with labelled prompts: every figure of one run, as a value."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from msgspec import Struct

from ..core import Decision
from .cases import Case
from .metrics import (
    BINS,
    Bin,
    Counts,
    bin_by_confidence,
    calibration_error,
    confuse,
    cover,
    find_accuracy,
    macro_f1,
    rank_apart,
    rate_labels,
)

COVERAGES = (0.5, 0.8, 0.9)
MISTAKES_KEPT = 30
CURVE_POINTS = 200
TEXT_CHARS = 300


class Judged(Struct, frozen=True):
    """One prompt and what was decided; `fits` is how likely it is, says the router, that some expert fits."""

    case: Case
    said: str
    stage: str
    confidence: float
    fits: float
    elapsed_ms: float

    @property
    def is_right(self) -> bool:
        return self.case.accepts(self.said)


class Group(Struct, frozen=True):
    """A part of the prompts. `strict` counts the label alone, `lenient` the alternatives too."""

    name: str
    rows: int
    strict: float
    lenient: float


class LabelRow(Struct, frozen=True):
    """One label; `taken_for` is the label most often said in its place, "" for none."""

    label: str
    rows: int
    precision: float
    recall: float
    f1: float
    taken_for: str
    taken: int


class Mistake(Struct, frozen=True):
    """A wrong decision; `text` is cut."""

    id: str
    text: str
    label: str
    said: str
    stage: str
    confidence: float


class Report(Struct, frozen=True, kw_only=True):
    """All figures. Those of confidence (`ece` and below) count a defensible label as right; None = undefined here.

    `none_auroc` is that of "no expert fits" against the prompts that some expert fits. `confusion` [n][n] has the
    labels in rows as they should be and in columns as they were said, both in the order of `matrix_labels`.
    """

    rows: int
    strict: float
    lenient: float
    macro_f1: float
    ece: float
    accuracy_at: dict[str, float]
    none_auroc: float | None
    p50_ms: float
    p99_ms: float
    stages: dict[str, int]
    labels: list[LabelRow]
    groups: dict[str, list[Group]]
    matrix_labels: list[str]
    confusion: list[list[int]]
    bins: list[Bin]
    curve: list[tuple[float, float]]
    mistakes: list[Mistake]


def judge(case: Case, decision: Decision, fallback: str) -> Judged:
    """`fallback` is the label of the expert for what fits nobody, whose confidence is that nobody does."""
    said, confidence = decision.expert.label, decision.confidence
    fits = 1 - confidence if said == fallback else confidence
    return Judged(case, said, decision.stage, confidence, fits, decision.elapsed_ms)


def sum_up(judged: Sequence[Judged], order: Sequence[str], *, fallback: str) -> Report:
    """The report on one prompt at least; `order` is that of the experts' labels."""
    gold, said = [each.case.label for each in judged], [each.said for each in judged]
    used = {*gold, *said}
    labels = [label for label in order if label in used] + sorted(used - set(order))
    matrix = confuse(gold, said, labels)
    right = np.array([each.is_right for each in judged])
    confidence = np.array([each.confidence for each in judged])
    coverage, risk = cover(confidence, right)
    bins = bin_by_confidence(confidence, right, bins=BINS)
    doubt = 1 - np.array([each.fits for each in judged])
    auroc = rank_apart(doubt, np.array(gold) == fallback)
    p50, p99 = np.percentile([each.elapsed_ms for each in judged], (50, 99))
    whole = _group("all", judged)
    step = max(1, math.ceil(len(coverage) / CURVE_POINTS))
    curve = list(zip(coverage[::-1][::step].tolist(), risk[::-1][::step].tolist(), strict=True))[::-1]
    return Report(
        rows=len(judged), strict=whole.strict, lenient=whole.lenient, macro_f1=macro_f1(matrix),
        ece=calibration_error(bins), none_auroc=None if math.isnan(auroc) else auroc, p50_ms=float(p50),
        p99_ms=float(p99), stages=_count(each.stage for each in judged), labels=_rate_labels(matrix, labels),
        accuracy_at={f"{share:.0%}": find_accuracy(coverage, risk, share) for share in COVERAGES},
        groups=_group_all(judged), matrix_labels=labels, confusion=matrix.tolist(), bins=bins, curve=curve,
        mistakes=_find_mistakes(judged),
    )


def _group_all(judged: Sequence[Judged]) -> dict[str, list[Group]]:
    """By language, kind and source, where the prompts name any."""
    keys: dict[str, Callable[[Case], str]] = {
        "lang": lambda case: case.lang, "kind": lambda case: case.kind, "source": lambda case: case.source,
    }
    groups = {}
    for title, key in keys.items():
        names = sorted({key(each.case) for each in judged})
        if names != [""]:
            groups[title] = [_group(name, [each for each in judged if key(each.case) == name]) for name in names]
    return groups


def _group(name: str, judged: Sequence[Judged]) -> Group:
    strict = sum(each.said == each.case.label for each in judged)
    lenient = sum(each.is_right for each in judged)
    return Group(name, len(judged), strict / len(judged), lenient / len(judged))


def _rate_labels(matrix: Counts, labels: Sequence[str]) -> list[LabelRow]:
    scores = rate_labels(matrix)
    wrong = matrix - np.diag(np.diag(matrix))
    rows = []
    for place, label in enumerate(labels):
        other = int(wrong[place].argmax())
        taken = int(wrong[place, other])
        rows.append(LabelRow(
            label, int(matrix[place].sum()), float(scores.precision[place]), float(scores.recall[place]),
            float(scores.f1[place]), labels[other] if taken else "", taken,
        ))
    return rows


def _find_mistakes(judged: Sequence[Judged]) -> list[Mistake]:
    """The surest ones, the worst first."""
    wrong = sorted((each for each in judged if not each.is_right), key=lambda each: -each.confidence)
    return [Mistake(str(each.case.id), each.case.text[:TEXT_CHARS], each.case.label, each.said, each.stage,
                    each.confidence) for each in wrong[:MISTAKES_KEPT]]


def _count(words: Iterable[str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for word in words:
        counts[word] = counts.get(word, 0) + 1
    return dict(sorted(counts.items(), key=lambda item: -item[1]))
