"""How likely a small model fails at a question, and how likely the answer that it gave is wrong.

Both are logistic regressions on what `question.py` and `answer.py` count, fitted by `tests/bench/teaching.py`, and
calibrated there; their weights lie in `hardness.json`, with where they are from.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Struct

from .answer import read_answer
from .question import read_question
from .sums import Calculate

FILE = Path(__file__).with_name("hardness.json")
# No figure counts for more than so many standard deviations: what lies beyond was never seen in fitting.
CLIP = 4.0
# The logarithm of two numbers, and one more.
LEAST_NUMBERS = math.log1p(2)

Column = npt.NDArray[np.float64]


class Logistic(Struct, frozen=True):
    """`names` are the figures it reads, each less its `mean` and over its `scale`. `slope` and `bias` make the score a
    log-odds that means what it says."""

    names: tuple[str, ...]
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    weights: tuple[float, ...]
    slope: float
    bias: float

    def rate(self, figures: Mapping[str, float]) -> float:
        """The probability. Raises KeyError for a figure that is missing."""
        score = float(np.dot(self.spread(figures), np.array(self.weights)))
        return float(1 / (1 + np.exp(-np.clip(self.slope * score + self.bias, -30, 30))))

    def spread(self, figures: Mapping[str, float]) -> Column:
        row = np.array([figures[name] for name in self.names])
        spread: Column = np.clip((row - np.array(self.mean)) / np.array(self.scale), -CLIP, CLIP)
        return spread

    def explain(self, figures: Mapping[str, float], most: int = 3) -> list[tuple[str, float]]:
        """The figures that say most for a failure, the strongest first, in log-odds."""
        shares = self.slope * self.spread(figures) * np.array(self.weights)
        ranked = sorted(zip(self.names, shares.tolist(), strict=True), key=lambda each: -each[1])
        return [each for each in ranked[:most] if each[1] > 0]


class Hardness(Struct, frozen=True):
    """`question` and `problem` read a question alone, the latter where something is to be worked out from its numbers;
    `answer` reads both, for answers that reason with numbers."""

    source: str
    question: Logistic
    problem: Logistic
    answer: Logistic

    def foresee(self, question: str) -> float:
        """P(a small model fails)."""
        figures = read_question(question)
        return (self.problem if is_problem(figures) else self.question).rate(figures)

    def doubt(self, question: str, answer: str, calculate: Calculate) -> float:
        """P(the answer is wrong). Fitted on word problems in English, whose answers show their work: for anything
        else it is no more than an order."""
        return self.answer.rate(read_both(question, answer, calculate))

    def doubt_work(self, question: str, answer: str, calculate: Calculate) -> float | None:
        """The same, for what it was fitted on only: None where nothing was to be worked out, or no sum shows how."""
        if not poses_problem(question):
            return None
        figures = read_both(question, answer, calculate)
        return self.answer.rate(figures) if figures["sums"] else None


def is_problem(figures: Mapping[str, float]) -> bool:
    """Whether there are numbers to work with, and no answers to choose from."""
    return not figures["has options"] and figures["numbers"] >= LEAST_NUMBERS


def poses_problem(question: str) -> bool:
    return is_problem(read_question(question))


def read_both(question: str, answer: str, calculate: Calculate) -> dict[str, float]:
    asked = {f"question: {name}": figure for name, figure in read_question(question).items()}
    return asked | read_answer(question, answer, calculate)


@cache
def load_hardness(file: Path = FILE) -> Hardness:
    """The shipped weights. Raises OSError, msgspec.ValidationError."""
    return msgspec.json.decode(file.read_bytes(), type=Hardness)
