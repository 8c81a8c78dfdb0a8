"""How well the confidence in an answer is calibrated by what its text shows, and what its weights should be.

Each line of FILE is `{small, small_answer?}`: an answer and whether it is right; lines without an answer are skipped.
"""

from __future__ import annotations

import argparse
import math
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import numpy as np
from msgspec import Struct

from moe.judge.metrics import Flags, bin_by_confidence, calibration_error, rank_apart
from moe.pipeline.agreement import check_sums
from moe.pipeline.confidence import Signals, combine, weigh
from moe.pipeline.symptoms import read_symptoms
from tests.bench.report import Section, Verdict
from tests.bench.results import NoMarkers, write

MARKER = "confidence"
MOST_OFF = 0.1
BINS = 5
MARKS: dict[str, Callable[[Signals], bool]] = {
    "a sum that does not hold": lambda signals: signals.sums is not None and signals.sums < 1,
    "all sums hold": lambda signals: signals.sums == 1,
    "no sum that can be read": lambda signals: signals.sums is None,
    "a word of doubt": lambda signals: signals.hedges > 0,
    "cut": lambda signals: signals.is_cut,
    "refuses": lambda signals: signals.refuses,
    "loops": lambda signals: signals.loops,
}


class Row(Struct, frozen=True):
    small: bool
    small_answer: str = ""


def main(arguments: Sequence[str]) -> int:
    """Returns 0, 1 where the calibration is worse than it should be, 2 for a file that cannot be used."""
    asked = _parse(arguments)
    try:
        lines = asked.file.read_bytes().splitlines()
        rows = [row for line in lines if (row := msgspec.json.decode(line, type=Row)).small_answer]
        signals, right = [read(row.small_answer) for row in rows], np.array([row.small for row in rows], dtype=bool)
        sections = [measure_marks(signals, right), measure_calibration(signals, right)]
        words = ["python", "-m", "tests.bench.confidence", asked.file.name]
        sections[-1].notes.append(f"`venv/bin/{shlex.join(words)}`")
        block = "\n".join(map(str, sections))
        print(block)
        if asked.report:
            write(asked.report, {MARKER: block})
    except (NoMarkers, OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    return int(not all(verdict.is_met for section in sections for verdict in section.verdicts))


def read(answer: str) -> Signals:
    """What the text alone tells."""
    return Signals(sums=check_sums(answer).share, **msgspec.structs.asdict(read_symptoms(answer)))


def measure_marks(signals: Sequence[Signals], right: Flags) -> Section:
    section = Section("What an answer's text tells", (
        "mark", "answers", "of them right", "log odds by the data", "weight"))
    for name, has in MARKS.items():
        marked = np.array([has(each) for each in signals], dtype=bool)
        weights = [sum(weigh(each).values()) for each, is_marked in zip(signals, marked, strict=True) if is_marked]
        count = int(marked.sum())
        section.rows.append((name, count, _percent(right[marked]), rate(marked, right) if count else "–",
                             float(np.median(weights)) if weights else "–"))
    section.notes.append(f"{len(right)} answers, {_percent(right)} right; log odds with a half added to each count")
    return section


def measure_calibration(signals: Sequence[Signals], right: Flags) -> Section:
    section = Section("Confidence by the text alone", ("mean confidence", "right", "answers"))
    confidence = np.array([combine(each) for each in signals])
    bins = bin_by_confidence(confidence, right, bins=BINS)
    section.rows += [(each.confidence, each.accuracy, each.count) for each in bins]
    brier = float(np.mean((confidence - right) ** 2))
    section.verdicts.append(Verdict("expected calibration error", calibration_error(bins), MOST_OFF, "of 1"))
    section.notes.append(f"AUROC {rank_apart(confidence, right):.3f}; Brier score {brier:.3f}, of one confidence for "
                         f"all {float(right.mean() * (1 - right.mean())):.3f}")
    return section


def rate(marked: Flags, right: Flags) -> float:
    """How much more likely the mark is in a right answer than in a wrong one, as a logarithm."""
    good, bad = (float((marked[kind].sum() + 0.5) / (kind.sum() + 1)) for kind in (right, ~right))
    return math.log(good / bad)


def _percent(right: Flags) -> str:
    return f"{100 * right.mean():.0f} %" if len(right) else "–"


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.confidence", description=__doc__)
    parser.add_argument("file", metavar="FILE.jsonl", type=Path)
    parser.add_argument("--report", metavar="FILE", type=Path, help="renew the tables there: RESULTS.md")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
