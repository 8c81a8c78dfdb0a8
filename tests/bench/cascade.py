"""How well `moe/routing/hardness.py` tells which questions a small model fails at, and the fitting of its weights.

Questions whose subject is `…/…` are scored by weights that never saw that subject; those of another source, which is
one subject, by weights that never saw them. Each line of FILE is `{text, small, large, source, small_answer?}`.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from moe.config import Settings
from moe.embed import open_encoder
from moe.errors import MoeError
from moe.judge.cascade import SHARES, trace_curve
from moe.judge.metrics import bin_by_confidence, calibration_error, rank_apart
from moe.routing.hardness import FILE, load_hardness
from tests.bench.report import Section, Verdict, say
from tests.bench.results import NoMarkers, write
from tests.bench.teaching import (
    PARTS,
    PROBLEM_C,
    QUESTION_C,
    SEEDS,
    VECTOR_C,
    Data,
    Fit,
    Floats,
    Places,
    by_answers,
    by_figures,
    fit_all,
    fit_logistic,
    has_subjects,
    leave_out,
    make_probable,
    rate,
    read_answers,
    read_data,
    read_questions,
    take,
    work_out,
)

MARKER = "cascade"
ENCODER = "all-MiniLM-L6-v2"
LEAST_ALONE, LEAST_ANSWERED, MOST_MS = 0.64, 0.75, 1.0


class Found(NamedTuple):
    """A system's scores of one source in each run; `likely` are ours as probabilities."""

    name: str
    runs: Sequence[Floats]
    likely: Sequence[Floats] = ()


def main(arguments: Sequence[str]) -> int:
    """Returns 0, or 2 for files that cannot be used."""
    asked = _parse(arguments)
    try:
        data = read_data(asked.file)
        if asked.fit:
            asked.fit.write_bytes(msgspec.json.format(msgspec.json.encode(fit_all(data)), indent=0) + b"\n")
        sections = [measure(data, without_vectors=asked.without_vectors), measure_subjects(data), measure_time(data)]
        sections[-1].notes.append(f"`venv/bin/{shlex.join(('python', '-m', 'tests.bench.cascade', asked.file.name))}`")
        block = "\n".join(map(str, sections))
        print(block)
        if asked.report:
            write(asked.report, {MARKER: block})
    except (NoMarkers, OSError, ValueError, MoeError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def measure(data: Data, *, without_vectors: bool) -> Section:
    section = Section("Which questions a small model fails at: what the large one's calls recover", (
        "source", "questions", "system", *(f"calls for {share:.0%}" for share in SHARES), "APGR", "AUROC",
        "calibration error"))
    others = sorted({str(source) for source in data.source if not has_subjects(source)})
    choices = [("MMLU", has_subjects), *((name, name.__eq__) for name in others)]
    for title, chosen in choices:
        own = take(data, data.where(chosen))
        if own.rows:
            _measure_source(section, title, own, without_vectors=without_vectors)
    section.notes.append(
        f"mean of {len(SEEDS)} runs; MMLU in {PARTS} parts of whole subjects, each scored by weights of the others'; "
        "GSM8K is one subject, in ten parts, each by weights of the other nine; an answer without marks has no notes "
        "of a calculator, and its end is said in words")
    return section


def _measure_source(section: Section, title: str, data: Data, *, without_vectors: bool) -> None:
    strength = QUESTION_C if has_subjects(data.source[0]) else PROBLEM_C
    names, read = read_questions(data)
    systems = [Found("chance", [np.zeros(len(read))]),
               Found("length", [np.array([float(len(row.text)) for row in data.rows])])]
    if not without_vectors:
        vectors = _embed(data)
        systems.append(_run("logistic regression on MiniLM vectors", data, _by_vectors(data, vectors)))
        systems.append(_run("figures and vectors", data, by_figures(
            data, names, np.concatenate((read, vectors), axis=1), strength)))
    systems.append(_run("**ours, the question alone**", data, by_figures(data, names, read, strength), is_ours=True))
    section.verdicts.append(_judge(f"{title}, the question alone", systems[-1], data, LEAST_ALONE))
    if all(row.small_answer for row in data.rows):
        answers = read_answers(data.rows)
        for name, figures in (("its answer seen", answers.marked), ("its answer seen, without marks", answers.bare)):
            systems.append(_run(f"**ours, {name}**", data, by_answers(data, answers, figures), is_ours=True))
            section.verdicts.append(_judge(f"{title}, {name}", systems[-1], data, LEAST_ANSWERED))
    section.rows += [_row(title, system, data) for system in systems]


def measure_subjects(data: Data) -> Section:
    """Each subject by itself, scored by weights that never saw it."""
    section = Section("The same within each subject, the question alone", (
        "subject", "questions", "small right", "large right", *(f"calls for {share:.0%}" for share in SHARES), "APGR",
        "APGR by length"))
    exams = take(data, data.where(has_subjects))
    runs = _run("each subject", exams, by_figures(exams, *read_questions(exams), QUESTION_C)).runs
    length = np.array([float(len(row.text)) for row in exams.rows])
    areas, gaps = list[tuple[float, float]](), list[int]()
    for subject in np.unique(exams.source):
        here = exams.source == subject
        small, large = exams.small[here], exams.large[here]
        gaps.append(int(large.sum()) - int(small.sum()))
        shown = [np.nan] * (len(SHARES) + 2)
        if gaps[-1] > 0:
            curves = [trace_curve(run[here], small, large) for run in runs]
            areas.append((float(np.mean([each.area for each in curves])), trace_curve(length[here], small, large).area))
            shown = [*(float(np.mean([each.find_calls(share) for each in curves])) for share in SHARES), *areas[-1]]
        section.rows.append((str(subject).partition("/")[2].replace("_", " "), len(small), float(small.mean()),
                             float(large.mean()), *shown))
    if areas:
        ours, by_length = np.average(areas, axis=0, weights=[gap for gap in gaps if gap > 0]).tolist()
        section.notes.append(f"APGR on average, each subject by the gap it has: {ours:.3f}, by length {by_length:.3f}; "
                             "a subject whose gap is a few questions says little by itself, one where the large model "
                             "is no better says nothing")
    return section


def measure_time(data: Data) -> Section:
    """The whole way from text to a probability, on one thread."""
    hardness = load_hardness()
    rows = data.rows[::8]
    alone = [_time(lambda row=row: hardness.foresee(row.text)) for row in rows]
    seen = [_time(lambda row=row: hardness.doubt(row.text, row.small_answer, work_out))
            for row in rows if row.small_answer]
    section = Section("Its time, ms", ("what", "prompts", "p50", "p95", "max"))
    for what, taken in (("the question alone", alone), ("with the answer, its sums worked out", seen)):
        if taken:
            section.rows.append((what, len(taken), *np.percentile(taken, (50, 95)).tolist(), max(taken)))
    section.verdicts.append(Verdict("the question alone, p95", float(np.percentile(alone, 95)), MOST_MS, "ms"))
    section.notes.append(f"weights of {FILE.stat().st_size / 1000:.0f} kB; {hardness.source}")
    return section


def _by_vectors(data: Data, vectors: Floats) -> Fit:
    """Without levels, as others do it."""
    def fit(taught: Places, asked: Places) -> Floats:
        alike = np.full(len(taught), "")
        return rate(fit_logistic((), vectors[taught], data.fails[taught], alike, strength=VECTOR_C), vectors[asked])
    return fit


def _run(name: str, data: Data, fit: Fit, *, is_ours: bool = False) -> Found:
    say(name)
    runs = [leave_out(data, fit, seed=seed) for seed in SEEDS]
    likely = [make_probable(scores, parts, data.fails) for scores, parts in runs] if is_ours else []
    return Found(name, [scores for scores, _ in runs], likely)


def _row(title: str, system: Found, data: Data) -> tuple[str | float, ...]:
    curves = [trace_curve(run, data.small, data.large) for run in system.runs]
    error = [calibration_error(bin_by_confidence(run, ~data.small)) for run in system.likely]
    return (title, len(data.rows), system.name,
            *(float(np.mean([curve.find_calls(share) for curve in curves])) for share in SHARES),
            float(np.mean([curve.area for curve in curves])),
            float(np.mean([rank_apart(run, ~data.small) for run in system.runs])),
            float(np.mean(error)) if error else "–")


def _judge(what: str, system: Found, data: Data, least: float) -> Verdict:
    areas = [trace_curve(run, data.small, data.large).area for run in system.runs]
    return Verdict(what, float(np.mean(areas)), least, "APGR", at_least=True)


def _embed(data: Data) -> Floats:
    """By the encoder that set-up made. Raises NotReady."""
    say("vectors")
    encoder = open_encoder(Settings.gather().models_folder / "encoder" / ENCODER)
    return np.concatenate([encoder.embed([row.text], kind="query") for row in data.rows]).astype(np.float64)


def _time(run: Callable[[], object]) -> float:
    """In milliseconds, the best of three."""
    best = float("inf")
    for _ in range(3):
        began = time.thread_time_ns()
        run()
        best = min(best, (time.thread_time_ns() - began) / 1e6)
    return best


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.cascade", description=__doc__)
    parser.add_argument("file", metavar="FILE.jsonl", type=Path)
    parser.add_argument("--fit", metavar="FILE", type=Path, help=f"write new weights there: {FILE.name}")
    parser.add_argument("--without-vectors", action="store_true", help="leave out what needs an encoder")
    parser.add_argument("--report", metavar="FILE", type=Path, help="renew the tables there: RESULTS.md")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
