"""How well `moe/routing/complexity.py` tells plain prompts from doubtful and compound ones, and the fitting of its
weights. The labelled prompts are the tests' own, with the probabilities that the shipped router gave them."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Struct
from sklearn.linear_model import LogisticRegression

from moe.judge.metrics import bin_by_confidence, calibration_error, confuse, macro_f1, rate_labels
from moe.routing.complexity import CLIP, FILE, Kind, Weights, read_complexity, read_figures
from tests.bench.report import Section, Verdict
from tests.bench.results import NoMarkers, write

MARKER = "complexity"
PROMPTS = Path(__file__).parents[1] / "routing" / "data" / "complexity.jsonl"
UNSEEN = PROMPTS.with_name("complexity_unseen.jsonl")
KINDS: tuple[Kind, ...] = ("plain", "doubtful", "compound")
STRENGTH = 0.15
DOUBTS = ["domains", "second domain", "router's doubt", "nobody"]
# What is of the router, and not of the text; and of that, what it says of the parts.
APART = frozenset(("subjects", "distance"))
ROUTER = APART | frozenset(name for name, figure in read_figures("", {}).items() if np.isnan(figure))
PARTS, SEEDS = 10, (0, 1, 2)
MOST_MS = 1.0
SOURCE = "fitted on tests/routing/data/complexity.jsonl, prompts written and labelled for this project"

Floats = npt.NDArray[np.float64]


class Prompt(Struct, frozen=True):
    text: str
    label: Kind
    lang: str
    probabilities: dict[str, float]
    parts: dict[str, dict[str, float]] = {}

    def rate(self, part: str) -> dict[str, float]:
        """What the router gave a part by itself; raises KeyError for one that was never asked."""
        return self.parts[part]


def main(arguments: Sequence[str]) -> int:
    """Returns 0, or 2 for files that cannot be used."""
    asked = _parse(arguments)
    try:
        prompts = read_prompts(asked.file)
        if asked.fit:
            asked.fit.write_bytes(msgspec.json.format(msgspec.json.encode(fit_all(prompts)), indent=0) + b"\n")
        section = measure(prompts)
        section.notes.append(f"`venv/bin/{shlex.join(('python', '-m', 'tests.bench.complexity'))}`")
        print(section)
        if asked.json:
            asked.json.write_text(json.dumps(section.tell(), indent=1) + "\n", "utf-8")
        if asked.report:
            write(asked.report, {MARKER: str(section)})
    except (NoMarkers, OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def read_prompts(file: Path) -> list[Prompt]:
    return [msgspec.json.decode(line, type=Prompt) for line in file.read_bytes().splitlines()]


def fit_all(prompts: Sequence[Prompt]) -> Weights:
    names, read = _read(prompts)
    return fit(names, read, np.array([prompt.label for prompt in prompts]))


def fit(names: Sequence[str], read: Floats, labels: npt.NDArray[np.str_]) -> Weights:
    """Each prompt counts as it is, once without the router's word on its parts and once without any, for routers that
    have none; of a prompt of one part there is nothing to say."""
    mean, scale = np.nanmean(read, axis=0), np.nanstd(read, axis=0)
    scale[scale == 0] = 1.0
    spread = _spread(read, mean, scale)
    apart = np.array([name in APART for name in names])
    is_silent = apart & (_count(names, read) > 1)[:, None]
    halves = np.where(is_silent, 0.0, spread)
    silent = np.where(is_silent | (np.array([name in ROUTER for name in names]) & ~apart), 0.0, spread)
    fitted = LogisticRegression(C=STRENGTH, max_iter=2000).fit(np.concatenate((spread, halves, silent)),
                                                               np.tile(labels, 3))
    order = [fitted.classes_.tolist().index(kind) for kind in KINDS]
    return Weights(SOURCE, tuple(names), _short(mean), _short(scale),
                   tuple(_short(fitted.coef_[place]) for place in order), _short(fitted.intercept_[order]), KINDS)


def _count(names: Sequence[str], read: Floats) -> Floats:
    """How many things each prompt asks for."""
    counted: Floats = np.rint(np.expm1(read[:, names.index("requests")])) if "requests" in names else np.ones(len(read))
    return counted


def _spread(read: Floats, mean: Floats, scale: Floats) -> Floats:
    spread: Floats = np.nan_to_num(np.clip((read - mean) / scale, -CLIP, CLIP))
    return spread


def rate(weights: Weights, read: Floats) -> Floats:
    """[m, 3]: the probabilities of the kinds."""
    spread = _spread(read, np.array(weights.mean), np.array(weights.scale))
    scores = spread @ np.array(weights.weights).T + np.array(weights.bias)
    odds = np.exp(scores - scores.max(axis=1, keepdims=True))
    rated: Floats = odds / odds.sum(axis=1, keepdims=True)
    return rated


def measure(prompts: Sequence[Prompt]) -> Section:
    names, read = _read(prompts)
    labels = np.array([prompt.label for prompt in prompts])
    langs = np.array([prompt.lang for prompt in prompts])
    section = Section("How much a prompt asks for: plain, doubtful or compound", (
        "weights of", "prompts", "right", "macro F1", *(f"F1 {kind}" for kind in KINDS), "compound taken for plain",
        "plain taken for compound", "calibration error"))
    for title, chosen in (("length alone, ten parts", ["words"]), ("the router's doubt alone, ten parts", DOUBTS),
                          ("all figures but the router's, ten parts", [name for name in names if name not in ROUTER]),
                          ("all figures, ten parts", names)):
        columns = [names.index(name) for name in chosen]
        section.rows.append(_row(title, labels, _cross(chosen, read[:, columns], labels)))
    unseen = read_prompts(UNSEEN)
    section.rows.append(_row("all prompts, for those written after the fit", np.array([each.label for each in unseen]),
                             [rate(fit(names, read, labels), _read(unseen)[1])]))
    for lang in sorted(set(langs.tolist())):
        here = langs == lang
        rated = rate(fit(names, read[~here], labels[~here]), read[here])
        section.rows.append(_row(f"the other languages, for {lang}", labels[here], [rated]))
    taken = [_time(prompt) for prompt in prompts]
    section.verdicts.append(Verdict("its time, p95", float(np.percentile(taken, 95)), MOST_MS, "ms"))
    section.notes.append(f"mean of {len(SEEDS)} draws of the parts; weights of {FILE.stat().st_size / 1000:.0f} kB")
    return section


def _cross(names: Sequence[str], read: Floats, labels: npt.NDArray[np.str_]) -> list[Floats]:
    runs = []
    for seed in SEEDS:
        parts = np.random.default_rng(seed).permutation(np.arange(len(labels)) % PARTS)
        rated = np.zeros((len(labels), len(KINDS)))
        for part in range(PARTS):
            here = parts == part
            rated[here] = rate(fit(names, read[~here], labels[~here]), read[here])
        runs.append(rated)
    return runs


def _row(title: str, labels: npt.NDArray[np.str_], runs: Sequence[Floats]) -> tuple[str | float, ...]:
    said = [[KINDS[place] for place in rated.argmax(axis=1)] for rated in runs]
    tables = [confuse(labels.tolist(), each, KINDS) for each in said]
    right = [np.array(each) == labels for each in said]
    return (title, len(labels), float(np.mean(right)), float(np.mean([macro_f1(table) for table in tables])),
            *np.mean([rate_labels(table).f1 for table in tables], axis=0).tolist(),
            float(np.mean([table[2, 0] for table in tables])), float(np.mean([table[0, 2] for table in tables])),
            float(np.mean([calibration_error(bin_by_confidence(rated.max(axis=1), hit))
                           for rated, hit in zip(runs, right, strict=True)])))


def _read(prompts: Sequence[Prompt]) -> tuple[list[str], Floats]:
    figures = [read_figures(prompt.text, prompt.probabilities, prompt.rate) for prompt in prompts]
    return list(figures[0]), np.array([list(each.values()) for each in figures])


def _short(values: Floats) -> tuple[float, ...]:
    return tuple(float(f"{value:.5g}") for value in values)


def _time(prompt: Prompt) -> float:
    """In milliseconds, the best of three."""
    best = float("inf")
    for _ in range(3):
        began = time.thread_time_ns()
        read_complexity(prompt.text, prompt.probabilities, prompt.rate)
        best = min(best, (time.thread_time_ns() - began) / 1e6)
    return best


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.complexity", description=__doc__)
    parser.add_argument("file", metavar="FILE.jsonl", type=Path, nargs="?", default=PROMPTS)
    parser.add_argument("--fit", metavar="FILE", type=Path, help=f"write new weights there: {FILE.name}")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the figures there too")
    parser.add_argument("--report", metavar="FILE", type=Path, help="renew the table there: RESULTS.md")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
