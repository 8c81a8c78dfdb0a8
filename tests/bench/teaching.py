"""Fits the weights of `moe/routing/hardness.py`: what is learnt, and which rows are left out of it.

Each line of a file is `{text, small, large, source, small_answer?}`. Rows whose source is `…/…` are of a subject, and
are left out with all of it; those of another source, which is one subject, at random.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Struct
from sklearn.linear_model import LogisticRegression

from moe.errors import MoeError
from moe.routing.hardness import CLIP, Hardness, Logistic, read_both
from moe.routing.question import read_question
from moe.routing.sums import NOTE
from moe.tools.arithmetic import calculate
from moe.tools.base import Setting

PARTS, SEEDS = 5, (0, 1, 2)
# How much is left of a weight: by leaving subjects out, among 1e-5 … 1e-1.
QUESTION_C, PROBLEM_C, ANSWER_C, VECTOR_C = 1e-3, 3e-4, 0.03, 1e-3
SUBJECT_SCALE = 3.0
SOURCE = ("fitted on whether Mixtral-8x7B-Instruct answered questions of MMLU and GSM8K (both MIT) right, as evaluated "
          "for RouteLLM, github.com/lm-sys/RouteLLM (Apache-2.0); it holds no question and no answer")

# How answers end that were taught on GSM8K, and a note that broke off.
_MARK, _CUT_NOTE = "#### ", re.compile(r"<<[^<>\n]*\Z")

Floats = npt.NDArray[np.float64]
Places = npt.NDArray[np.intp]
Fit = Callable[[Places, Places], Floats]


class Row(Struct, frozen=True):
    text: str
    small: bool
    large: bool
    source: str
    small_answer: str = ""


class Data(NamedTuple):
    rows: Sequence[Row]
    small: npt.NDArray[np.bool_]
    large: npt.NDArray[np.bool_]
    source: npt.NDArray[np.str_]

    @property
    def fails(self) -> Floats:
        return (~self.small).astype(np.float64)

    def where(self, chosen: Callable[[str], bool]) -> Places:
        return np.flatnonzero([chosen(source) for source in self.source])


def read_data(file: Path) -> Data:
    rows = [msgspec.json.decode(line, type=Row) for line in file.read_bytes().splitlines()]
    return Data(rows, np.array([row.small for row in rows]), np.array([row.large for row in rows]),
                np.array([row.source for row in rows]))


def work_out(expression: str) -> Fraction | None:
    """By the exact tool; None for what it cannot read."""
    try:
        return Fraction(str(calculate(expression, setting=Setting()).result))
    except (MoeError, ValueError, ZeroDivisionError):
        return None


def read_questions(data: Data) -> tuple[tuple[str, ...], Floats]:
    figures = [read_question(row.text) for row in data.rows]
    return tuple(figures[0]), np.array([list(each.values()) for each in figures])


class Answers(NamedTuple):
    """The figures of each answer as it is, and as a model writes it that was not taught with a calculator."""

    names: tuple[str, ...]
    marked: Floats
    bare: Floats


def read_answers(rows: Sequence[Row]) -> Answers:
    both = [[read_both(row.text, way(row.small_answer), work_out) for row in rows] for way in (str, undress)]
    return Answers(tuple(both[0][0]), *(np.array([list(each.values()) for each in read]) for read in both))


def undress(answer: str) -> str:
    """Without notes, and with its end in words."""
    return _CUT_NOTE.sub("", NOTE.sub("", answer)).replace(_MARK, "The answer is ")


def fit_logistic(names: Sequence[str], read: Floats, fails: Floats, subjects: npt.NDArray[np.str_], *,
                 strength: float) -> Logistic:
    """What tells questions of one subject apart: each subject has a level of its own, which is thrown away."""
    mean, scale = read.mean(axis=0), read.std(axis=0)
    scale[scale == 0] = 1.0
    spread = np.clip((read - mean) / scale, -CLIP, CLIP)
    known = sorted(set(subjects.tolist()))
    levels = SUBJECT_SCALE * (subjects[:, np.newaxis] == np.array(known)) if len(known) > 1 else spread[:, :0]
    fitted = LogisticRegression(C=strength, max_iter=1000).fit(np.concatenate((spread, levels), axis=1), fails)
    weights = fitted.coef_[0][:read.shape[1]]
    bias = 0.0 if len(known) > 1 else float(fitted.intercept_[0])
    return Logistic(tuple(names), _short(mean), _short(scale), _short(weights), 1.0, bias)


def rate(logistic: Logistic, read: Floats) -> Floats:
    """[m]: the scores, not yet probabilities."""
    spread = np.clip((read - np.array(logistic.mean)) / np.array(logistic.scale), -CLIP, CLIP)
    rated: Floats = spread @ np.array(logistic.weights)
    return rated


def calibrate(scores: Floats, fails: Floats) -> tuple[float, float]:
    """The slope and the bias that make scores log-odds."""
    fitted = LogisticRegression(C=1e6, max_iter=1000).fit(scores[:, np.newaxis], fails)
    return float(fitted.coef_[0][0]), float(fitted.intercept_[0])


def fit_all(data: Data) -> Hardness:
    """Weights of all rows, calibrated on scores of rows that were left out."""
    exams, others = (take(data, data.where(has)) for has in (has_subjects, lambda source: not has_subjects(source)))
    answered = take(data, np.flatnonzero([bool(row.small_answer) for row in data.rows]))
    return Hardness(SOURCE, _settle(exams, *read_questions(exams), QUESTION_C),
                    _settle(others, *read_questions(others), PROBLEM_C),
                    _settle_answers(answered, read_answers(answered.rows)))


def by_figures(data: Data, names: Sequence[str], read: Floats, strength: float) -> Fit:
    """With a level for each subject."""
    def fit(taught: Places, asked: Places) -> Floats:
        return rate(fit_logistic(names, read[taught], data.fails[taught], data.source[taught], strength=strength),
                    read[asked])
    return fit


def by_answers(data: Data, read: Answers, asked_about: Floats) -> Fit:
    """Taught with each answer both ways, and asked about the figures of one."""
    def fit(taught: Places, asked: Places) -> Floats:
        figures = np.concatenate((read.marked[taught], read.bare[taught]))
        twice = np.concatenate((taught, taught))
        fitted = fit_logistic(read.names, figures, data.fails[twice], data.source[twice], strength=ANSWER_C)
        return rate(fitted, asked_about[asked])
    return fit


def leave_out(data: Data, fit: Fit, *, seed: int) -> tuple[Floats, Places]:
    """The scores of all rows, and the part in which each was left out."""
    parts, scores = part_rows(data.source, seed), np.zeros(len(data.rows))
    for part in np.unique(parts):
        asked = np.flatnonzero(parts == part)
        scores[asked] = fit(np.flatnonzero(parts != part), asked)
    return scores, parts


def part_rows(source: npt.NDArray[np.str_], seed: int) -> Places:
    """Whole subjects into parts of about the same size; rows of a source without subjects at random into ten."""
    draw = np.random.default_rng(seed)
    subjects, counts = np.unique(source, return_counts=True)
    if len(subjects) == 1:
        return draw.permutation(np.arange(len(source)) % 10)
    parts, sizes = np.zeros(len(source), dtype=np.intp), np.zeros(PARTS)
    for place in np.argsort(-(counts + draw.uniform(0, 60, len(counts)))):
        part = int(np.argmin(sizes))
        parts[source == subjects[place]] = part
        sizes[part] += counts[place]
    return parts


def make_probable(scores: Floats, parts: Places, fails: Floats) -> Floats:
    """Each part's scores as probabilities, by the slope and bias of the other parts'."""
    made = np.zeros(len(scores))
    for part in np.unique(parts):
        here = parts == part
        slope, bias = calibrate(scores[~here], fails[~here])
        made[here] = 1 / (1 + np.exp(-(slope * scores[here] + bias)))
    return made


def _settle(data: Data, names: Sequence[str], read: Floats, strength: float) -> Logistic:
    """The weights of all rows with the slope and bias of rows that were left out."""
    scores, _ = leave_out(data, by_figures(data, names, read, strength), seed=SEEDS[0])
    slope, bias = calibrate(scores, data.fails)
    fitted = fit_logistic(names, read, data.fails, data.source, strength=strength)
    return msgspec.structs.replace(fitted, slope=round(slope, 4), bias=round(bias, 4))


def _settle_answers(data: Data, read: Answers) -> Logistic:
    """The same for answers, each of them both ways."""
    ways = (read.marked, read.bare)
    scores = [leave_out(data, by_answers(data, read, figures), seed=SEEDS[0])[0] for figures in ways]
    twice = np.concatenate((data.fails, data.fails))
    slope, bias = calibrate(np.concatenate(scores), twice)
    fitted = fit_logistic(read.names, np.concatenate(ways), twice,
                          np.concatenate((data.source, data.source)), strength=ANSWER_C)
    return msgspec.structs.replace(fitted, slope=round(slope, 4), bias=round(bias, 4))


def has_subjects(source: str) -> bool:
    return "/" in source


def take(data: Data, chosen: Places) -> Data:
    return Data([data.rows[place] for place in chosen], data.small[chosen], data.large[chosen], data.source[chosen])


def _short(values: Floats) -> tuple[float, ...]:
    return tuple(float(f"{value:.5g}") for value in values)
