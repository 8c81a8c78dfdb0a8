"""The exact tools: which questions they answer and how rightly, which prompts they take that they must not, and the
processor's time for each prompt. The tables of cases are the tests' own; more prompts may be given as files."""

from __future__ import annotations

import argparse
import gc
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from moe.tools.base import LANGUAGES, Setting
from moe.tools.equations.worker import Worker
from moe.tools.known import open_toolkit
from moe.tools.questions.recogniser import Recogniser
from tests.bench.machine import Stopwatch
from tests.bench.prompts import read_rows
from tests.bench.report import Section, Verdict, say
from tests.bench.results import NoMarkers, publish
from tests.statutes import open_laws
from tests.tools.test_cases import FOLDER, fits, read

MARKER = "exact"
LEAST_RECALL, MOST_WRONG_CAPTURES, MOST_MS = 0.95, 0.001, 1.0
TRIES = 3
LENGTHS = (0, 60, 400, 2000, 8000)
LONG = (8_000, 20_000, 200_000)
# One long prompt is repeated out of each: prose, figures, brackets, quotes, beginnings of questions.
PARTS = ("The fox met 3 hares on 3 May 2020. ", "1234567890", "1 ", "1 + ", "1/2", "(", "()", '"', "\"a 'b ", "x=", "?",
         "5% of ", "10.0.0.0/8 ", "how many words in ", "how many days between ", "from 3 May 2020 to ", "base64 of ",
         "sha256 of \"a ", "convert 5 miles to km ", "mean of 1, ", "`a` /b/ ", '{"a": [', "json [", "solve x=1 ", "٣")
# What in public sets of prompts is a question to a tool indeed, looked at one by one.
GENUINE = {
    "what does 6 x 1 equal": "calculate", "what is 15% of 3143": "calculate", "what is 3/4 of 18": "calculate",
    "what is the square root of 144": "calculate", "what is 562 times 400": "calculate",
    "what is the square root of 31": "calculate", "what is the square root of 80": "calculate",
    "what is 500 x 25": "calculate", "what is 2/3 x 1/9": "calculate", "what day of the week is it": "day_of_week",
    "what date is today": "day_of_week", "how many centimeters are in an inch": "unit_convert",
    "what is 10 ounces in grams, please": "unit_convert", "how many meters are in 2 inches": "unit_convert",
    "what is 20 ounces in grams, please": "unit_convert", "what is the current time in new york": "timezone_convert",
    "what's the time in dubai": "timezone_convert", "what is the time in china": "timezone_convert",
    "what is the current time in delhi": "timezone_convert",
    "Löse die Gleichung 3x² - 12x + 9 = 0": "solve_equation", "Resuelve la ecuación 2x + 7 = 3x - 5": "solve_equation",
}


class Tally(NamedTuple):
    """Of the questions of one table."""

    asked: int
    answered: int
    wrong: tuple[str, ...]


def main(arguments: Sequence[str]) -> int:
    """Returns 0 when nothing was answered that must not be, and all of it rightly; 1 otherwise, 2 for a file that
    cannot be used."""
    asked = _parse(arguments)
    try:
        with open_recogniser() as recogniser:
            sections = [measure_cases(recogniser), measure_captures(recogniser, asked.files),
                        measure_cpu(recogniser, asked.files)]
        _publish(sections, asked)
    except (NoMarkers, OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    return int(any(section.errors for section in sections))


@contextmanager
def open_recogniser() -> Iterator[Recogniser]:
    """With all that tools may need: the process that solves, and the statutes of the tests."""
    with tempfile.TemporaryDirectory() as folder, closing(Worker()) as worker, open_laws(Path(folder)) as laws:
        worker.warm()
        yield open_toolkit(Setting(solver=worker, laws=laws)).recogniser


def measure_cases(recogniser: Recogniser) -> Section:
    """Recall, and answers that differ from what was computed by other means."""
    section = Section("Questions to tools", (
        "table", "questions", "answered", *(f"answered {lang}" for lang in LANGUAGES), "wrong"))
    everything: list[dict[str, Any]] = []
    for file in sorted(FOLDER.glob("*.jsonl")):
        cases = [] if file.stem.endswith("_not") else [case for case in read(file) if "prompt" in case]
        if cases:
            section.rows.append(_row(file.stem, cases, recogniser))
            everything += cases
    section.rows.append(_row("all", everything, recogniser))
    total = tally(everything, recogniser)
    section.errors += [f"answered wrongly: {prompt}" for prompt in total.wrong]
    section.verdicts += [
        Verdict("recall", total.answered / total.asked, LEAST_RECALL, "of 1", at_least=True),
        Verdict("wrong answers", len(total.wrong), 0, "questions"),
    ]
    return section


def measure_captures(recogniser: Recogniser, files: Sequence[Path]) -> Section:
    """What is answered among prompts that are for an expert."""
    section = Section("Prompts that are no tool's", (
        "file", "prompts", "genuine questions, answered", "wrong captures"))
    prompts, wrong = 0, 0
    for name, texts in _list_ordinary(files):
        say(f"{name}: {len(texts)} prompts")
        taken = {text: answered.asked.tool for text in texts if (answered := recogniser.answer(text))}
        genuine = {text for text, tool in taken.items() if GENUINE.get(text.strip()) == tool}
        section.errors += [f"taken by {tool}: {text[:200]}" for text, tool in taken.items() if text not in genuine]
        section.rows.append((name, len(texts), len(genuine), len(taken) - len(genuine)))
        prompts, wrong = prompts + len(texts), wrong + len(taken) - len(genuine)
    section.verdicts.append(Verdict("wrong captures", 100 * wrong / prompts, 100 * MOST_WRONG_CAPTURES, "%"))
    section.notes.append("which of them are genuine questions after all was decided by hand, one by one: `GENUINE`")
    return section


def measure_cpu(recogniser: Recogniser, files: Sequence[Path]) -> Section:
    """For ordinary prompts by their length, and for long ones that are made to hurt."""
    watch = Stopwatch()
    texts = [text for _, those in _list_ordinary(files) for text in those if recogniser.answer(text) is None]
    works, answers = _works(recogniser), list[float]()
    section = Section("Processor time of a prompt that is none, µs", (
        "characters", "prompts", *(f"{work} {figure}" for work in works for figure in ("p50", "p95", "max"))))
    for least, most in zip(LENGTHS, (*LENGTHS[1:], sys.maxsize), strict=True):
        chosen = [text for text in texts if least <= len(text) < most]
        if not chosen:
            continue
        say(f"processor time of {len(chosen)} prompts from {least} characters")
        taken = [[_time(run, text) for text in chosen] for run in works.values()]
        answers += taken[0]
        section.rows.append((f"from {least}", len(chosen), *_spread(taken)))
    for length in LONG:
        hostile = [(part * (length // len(part) + 1))[:length] for part in PARTS]
        taken = [[_time(run, text) for text in hostile] for run in works.values()]
        section.rows.append((f"{length}, repeated", len(hostile), *_spread(taken)))
    p99 = float(np.percentile(answers, 99)) / 1000
    section.verdicts.append(Verdict("whether a prompt is a tool's question, p99", p99, MOST_MS, "ms"))
    section.notes += [f"the best of {TRIES} tries each, tables loaded; `answer` decides and answers, `find` looks for "
                      "facts in it, `fitting` for tools to offer", str(watch)]
    return section


def tally(cases: Sequence[dict[str, Any]], recogniser: Recogniser) -> Tally:
    """Each case has a prompt, and the result that it must have."""
    answered, wrong = 0, []
    for case in cases:
        found = recogniser.answer(case["prompt"])
        if found:
            answered += 1
            result = json.loads(json.dumps(found.outcome.result))
            if found.asked.tool != case["tool"] or not fits(case["result"], result):
                wrong.append(case["prompt"])
    return Tally(len(cases), answered, tuple(wrong))


def _row(name: str, cases: Sequence[dict[str, Any]], recogniser: Recogniser) -> tuple[str | int, ...]:
    total = tally(cases, recogniser)
    spoken = [tally([case for case in cases if case["lang"] == lang], recogniser) for lang in LANGUAGES]
    return (name, total.asked, _share(total), *map(_share, spoken), len(total.wrong))


def _share(found: Tally) -> str:
    return f"{100 * found.answered / found.asked:.1f} %" if found.asked else "–"


def _list_ordinary(files: Sequence[Path]) -> Iterator[tuple[str, list[str]]]:
    for file in sorted(FOLDER.glob("*_not.jsonl")):
        yield file.stem, [case["prompt"] for case in read(file)]
    for file in files:
        yield file.name, [row.text for row in read_rows(file)]


def _works(recogniser: Recogniser) -> dict[str, Callable[[str], object]]:
    return {"answer": recogniser.answer, "find": recogniser.find, "fitting": recogniser.fitting}


def _spread(taken: Sequence[Sequence[float]]) -> Iterator[float]:
    """The middle, what few exceed and the most, of each."""
    for times in taken:
        yield from (*np.percentile(times, (50, 95)).tolist(), max(times))


def _time(run: Callable[[str], object], text: str) -> float:
    """In microseconds."""
    best = float("inf")
    gc.disable()
    for _ in range(TRIES):
        began = time.thread_time_ns()
        run(text)
        best = min(best, (time.thread_time_ns() - began) / 1000)
    gc.enable()
    return best


def _publish(sections: Sequence[Section], asked: argparse.Namespace) -> None:
    words = ["tests.bench.exact", *(file.name for file in asked.files)]
    publish(sections, words, marker=MARKER, json_file=asked.json, report=asked.report)


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.exact", description=__doc__)
    parser.add_argument("files", metavar="FILE.jsonl", type=Path, nargs="*",
                        help='ordinary prompts: {"text", "label"} a line')
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the figures there too")
    parser.add_argument("--report", metavar="FILE", type=Path, help="renew the tables there: RESULTS.md")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
