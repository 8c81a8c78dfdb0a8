"""What answers are worth beside the labels: how many are right, and whether their confidence means what it says."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from msgspec import Struct
from sklearn.metrics import f1_score, roc_auc_score

from tests.bench.prompts import OUTSIDE, Answer, Row, list_languages

BINS = 15
COVERAGE = 0.8

Floats = npt.NDArray[np.float64]


class Marks(Struct, frozen=True):
    """Shares from 0 to 1; NaN where there was nothing to measure them on.

    Accuracy, F1 and coverage are of the prompts that have an expert. `ece` is of all prompts: one that has none is
    answered rightly by the fallback. `covered` is the lenient accuracy of the COVERAGE with the greatest confidence.
    """

    strict: float
    lenient: float
    macro_f1: float
    ece: float
    covered: float
    auroc: float
    by_language: dict[str, float]


def mark(rows: Sequence[Row], answers: Sequence[Answer]) -> Marks:
    """`answers[i]` is the one to `rows[i]`."""
    inside = np.array([not row.is_outside for row in rows])
    strict = np.array([_is_right(row, answer, ()) for row, answer in zip(rows, answers, strict=True)])
    lenient = np.array([_is_right(row, answer, row.alt) for row, answer in zip(rows, answers, strict=True)])
    confidence = np.array([answer.confidence for answer in answers])
    languages = np.array([row.lang for row in rows])
    return Marks(
        strict=_mean(strict[inside]), lenient=_mean(lenient[inside]), macro_f1=_macro_f1(rows, answers),
        ece=measure_ece(confidence, lenient), covered=cover(confidence[inside], lenient[inside]),
        auroc=_auroc(inside, np.array([answer.inside for answer in answers])),
        by_language={lang: _mean(lenient[inside & (languages == lang)]) for lang in list_languages(rows)},
    )


def average(marks: Sequence[Marks]) -> Marks:
    """The mean of each figure over several draws."""
    figures = {name: float(np.mean([getattr(each, name) for each in marks]))
               for name in ("strict", "lenient", "macro_f1", "ece", "covered", "auroc")}
    languages = {lang: float(np.mean([each.by_language[lang] for each in marks])) for lang in marks[0].by_language}
    return Marks(**figures, by_language=languages)


def measure_ece(confidence: Floats, right: npt.NDArray[np.bool_]) -> float:
    """The mean distance of confidence and accuracy over BINS bins of equal size, each weighed by its size."""
    order = np.argsort(confidence, kind="stable")
    bins = [part for part in np.array_split(order, BINS) if len(part)]
    return sum(abs(float(confidence[part].mean() - right[part].mean())) * len(part) for part in bins) / len(order)


def cover(confidence: Floats, right: npt.NDArray[np.bool_]) -> float:
    """The accuracy of the share COVERAGE that is answered most surely."""
    surest = np.argsort(-confidence, kind="stable")[:math.ceil(COVERAGE * len(confidence))]
    return _mean(right[surest])


def _is_right(row: Row, answer: Answer, alternatives: Sequence[str]) -> bool:
    if row.is_outside:
        return answer.label in OUTSIDE
    return answer.label in (row.label, *alternatives)


def _macro_f1(rows: Sequence[Row], answers: Sequence[Answer]) -> float:
    pairs = [(row.label, answer.label) for row, answer in zip(rows, answers, strict=True) if not row.is_outside]
    labels = sorted({label for label, _ in pairs})
    return float(f1_score([label for label, _ in pairs], [told for _, told in pairs], labels=labels, average="macro",
                          zero_division=0.0))


def _auroc(inside: npt.NDArray[np.bool_], score: Floats) -> float:
    return float(roc_auc_score(inside, score)) if 0 < inside.sum() < len(inside) else math.nan


def _mean(values: npt.NDArray[np.bool_]) -> float:
    return float(values.mean()) if len(values) else math.nan
