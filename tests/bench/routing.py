"""Routers side by side on labelled prompts: ours with each scorer, LeMoE's formula, semantic-router, simple ones.

All are taught by the same experts and, but for the words, read by the same encoder; each answers in a process of its
own on one thread. With --few the labels of a file become a user's experts, each known by a few examples drawn from it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
from msgspec.structs import replace

from moe.config import Settings, read_config
from moe.errors import ConfigError
from tests.bench.asking import (
    CENTROIDS,
    HYBRID,
    KEYWORD,
    LEMOE,
    LINEAR,
    NEIGHBOURS,
    SEMANTIC,
    SHIPPED,
    WORDS,
    Job,
    Report,
)
from tests.bench.machine import Stopwatch
from tests.bench.marks import Marks, average, mark
from tests.bench.process import ROOT, end_like_interrupt
from tests.bench.prompts import (
    Answer,
    Row,
    draw,
    freeze_experts,
    leave_out,
    list_languages,
    read_rows,
    write_experts,
)
from tests.bench.report import Cell, Section, Verdict, say
from tests.bench.results import NoMarkers, publish
from tests.bench.store import Store, Unavailable

SYSTEMS = {
    HYBRID: "ours, `hybrid`", LEMOE: "ours, `lemoe`", KEYWORD: "ours, keyword mode",
    SHIPPED: "LeMoE's formula as shipped", SEMANTIC: "semantic-router 1.1.1", NEIGHBOURS: "kNN, k = 5",
    CENTROIDS: "nearest centroid", LINEAR: "linear head", WORDS: "TF-IDF + logistic regression",
}
ROUTER = {HYBRID: {"scorer": "hybrid"}, LEMOE: {"scorer": "lemoe"}, KEYWORD: {"model_path": ""}}
RIVAL = ("semantic-router==1.1.1", *(f"{name}=={version(name)}" for name in (
    "msgspec", "numpy", "onnxruntime", "rapidfuzz", "sentencepiece", "tokenizers")))
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
MARKER, FEW_MARKER = "routing", "routing-few"
SHORT_CHARS = 60  # about 15 tokens
FEW_AIMS = {"clinc150": 0.85, "hwu64_scenarios": 0.90, "banking77": 0.88, "assistant_multi": 0.95}


class Bench(NamedTuple):
    """Where things are: `folder` is gone afterwards, `settings` name what stays."""

    folder: Path
    settings: Settings
    store: Store

    def settings_for(self, system: str) -> Settings:
        """A config folder with the user's own settings of the router, but for what makes it this system."""
        home = self.folder / system
        home.mkdir(exist_ok=True)
        own = self.settings.config_folder / "config.json"
        file = own if own.is_file() else ROOT / "config" / "config.example.json"
        router = json.loads(file.read_text("utf-8")).get("router", {})
        (home / "config.json").write_text(json.dumps({"router": router | ROUTER.get(system, {})}), "utf-8")
        return replace(self.settings, config_folder=home)


def main(arguments: Sequence[str]) -> int:
    """Returns 0 when every system answered, 1 otherwise, 2 for prompts that cannot be used, 130 after Ctrl-C."""
    asked = _parse(arguments)
    end_like_interrupt()
    store = Store()
    settings = replace(Settings.gather(), data_folder=store.folder / "routing")
    try:
        with tempfile.TemporaryDirectory() as folder:
            bench = Bench(Path(folder), settings, store)
            measure = measure_few if asked.few else measure_file
            sections = [measure(file, asked, bench) for file in asked.files]
        _publish(sections, asked)
    except KeyboardInterrupt:
        return 130
    except (ConfigError, NoMarkers, OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    return int(any(section.errors for section in sections))


def measure_file(file: Path, asked: argparse.Namespace, bench: Bench) -> Section:
    """All systems on a file, taught by the experts of the config or by --train."""
    watch, found, experts = Stopwatch(), _find_experts(asked, bench), bench.folder / "frozen.json"
    config = read_config(bench.settings_for(HYBRID).config_folder, experts_file=found)
    freeze_experts(found, config.examples, experts)
    rows = read_rows(file)
    kept = leave_out(rows, [example.text for own in config.examples.values() for example in own])
    unknown = {row.label for row in kept if not row.is_outside} - {expert.label for expert in config.experts}
    if not kept:
        raise ValueError(f"{file}: an expert has every one of these prompts as an example")
    if unknown:
        raise ValueError(f"{file}: no expert is labelled {', '.join(sorted(unknown))}")
    languages = list_languages(kept)
    section = Section(f"{file.name}: {len(kept)} prompts, {len(config.experts) - 1} experts",
                      (*_columns(languages), "p50 ms", "p99 ms", "CPU ms"))
    for system in asked.only:
        try:
            report = ask(system, kept, experts, bench=bench, is_timed=True)
        except Unavailable as error:
            section.errors.append(f"{SYSTEMS[system]}: {error}")
            continue
        marks = mark(kept, report.answers)
        section.rows.append((*_cells(SYSTEMS[system], marks, languages), *np.percentile(report.ms, (50, 99)).tolist(),
                             float(np.mean(report.cpu_ms))))
        if system == HYBRID and not asked.experts and not asked.train:
            section.verdicts += judge(marks, [ms for row, ms in zip(kept, report.ms, strict=True)
                                              if len(row.text) <= SHORT_CHARS])
    if len(kept) < len(rows):
        section.notes.append(f"{len(rows) - len(kept)} prompts are left away, for an expert has them as examples")
    section.notes.append(str(watch))
    return section


def measure_few(file: Path, asked: argparse.Namespace, bench: Bench) -> Section:
    """All systems on a file, taught by what is drawn from it; ours as a user would, by `moe route --batch`."""
    watch, rows = Stopwatch(), read_rows(file)
    languages = list_languages(rows)
    found: dict[str, list[Marks]] = {}
    section = Section(f"{file.name}: {asked.few} examples a label", (*_columns(languages), "strict, least draw"))
    for seed in range(asked.draws):
        drawn, rest = draw(rows, asked.few, seed=seed)
        experts = bench.folder / "experts.json"
        write_experts(drawn, experts)
        for system in asked.only:
            try:
                answers = (ask_product(rest, experts, bench) if system == HYBRID
                           else ask(system, rest, experts, bench=bench, is_timed=False).answers)
                found.setdefault(system, []).append(mark(rest, answers))
            except Unavailable as error:
                section.errors.append(f"{SYSTEMS[system]}: {error}")
    for system, marks in found.items():
        section.rows.append((*_cells(SYSTEMS[system], average(marks), languages), min(each.strict for each in marks)))
    if HYBRID in found:
        section.verdicts += judge_few(file.stem, average(found[HYBRID]))
    section.notes.append(f"the mean of {asked.draws} draws; the last had {len(drawn)} examples and {len(rest)} prompts")
    section.notes.append(str(watch))
    return section


def ask(system: str, rows: Sequence[Row], experts: Path, *, bench: Bench, is_timed: bool) -> Report:
    """Raises Unavailable with the last that the system's process said."""
    say(f"{SYSTEMS[system]}: {len(rows)} prompts")
    job = Job(system=system, experts=str(experts.absolute()), settings=bench.settings_for(system),
              texts=tuple(row.text for row in rows), is_timed=is_timed)
    python = str(bench.store.environment(SEMANTIC, RIVAL) / "python") if system == SEMANTIC else sys.executable
    told = _call([python, "-m", "tests.bench.asking"], msgspec.json.encode(job, enc_hook=str), bench)
    return msgspec.json.decode(told, type=Report)


def ask_product(rows: Sequence[Row], experts: Path, bench: Bench) -> list[Answer]:
    """By the command line. Raises Unavailable."""
    say(f"{SYSTEMS[HYBRID]}: {len(rows)} prompts by `moe route --batch`")
    source, target = bench.folder / "in.jsonl", bench.folder / "out.jsonl"
    source.write_text("".join(json.dumps({"id": i, "text": row.text}) + "\n" for i, row in enumerate(rows)), "utf-8")
    folder = bench.settings_for(HYBRID).config_folder
    _call([sys.executable, "-m", "moe", "route", "--batch", str(source), str(target), "--experts", str(experts),
           "--config", str(folder), "--data", str(bench.settings.data_folder)], b"", bench)
    told = sorted(map(json.loads, target.read_text("utf-8").splitlines()), key=lambda line: int(line["id"]))
    return [Answer(line["label"], line["confidence"],
                   1 - line["confidence"] if line["stage"] == "fallback" else line["confidence"]) for line in told]


def judge(marks: Marks, short_ms: Sequence[float]) -> list[Verdict]:
    """The shipped experts beside the aims; `short_ms` are the times of short prompts."""
    gaps = [marks.by_language["en"] - share for lang, share in marks.by_language.items()
            if "en" in marks.by_language and lang != "en"]
    return [
        Verdict("strict", marks.strict, 0.80, "of 1", at_least=True),
        Verdict("lenient", marks.lenient, 0.87, "of 1", at_least=True),
        Verdict("macro-F1", marks.macro_f1, 0.80, "of 1", at_least=True),
        *([Verdict("another language behind English", 100 * max(gaps), 4, "points")] if gaps else ()),
        Verdict("ECE", marks.ece, 0.03, "of 1"),
        Verdict("lenient at 80 % coverage", marks.covered, 0.93, "of 1", at_least=True),
        *([Verdict(f"p50 of prompts up to {SHORT_CHARS} characters", float(np.median(short_ms)), 2.5, "ms")]
          if short_ms else ()),
    ]


def judge_few(stem: str, marks: Marks) -> list[Verdict]:
    """A user's experts beside the aims."""
    strict = [Verdict("strict", marks.strict, FEW_AIMS[stem], "of 1", at_least=True)] if stem in FEW_AIMS else []
    known = not np.isnan(marks.auroc)
    return strict + ([Verdict("none of these, AUROC", marks.auroc, 0.93, "of 1", at_least=True)] if known else [])


def _columns(languages: Sequence[str]) -> tuple[str, ...]:
    return ("router", "strict", "lenient", "macro-F1", *(f"lenient {lang}" for lang in languages), "ECE",
            "lenient at 80 %", "none of these, AUROC")


def _cells(name: str, marks: Marks, languages: Sequence[str]) -> tuple[Cell, ...]:
    shares = (marks.strict, marks.lenient, marks.macro_f1,
              *(marks.by_language.get(lang, float("nan")) for lang in languages), marks.ece, marks.covered, marks.auroc)
    return (name, *("–" if np.isnan(share) else f"{share:.3f}" for share in shares))


def _find_experts(asked: argparse.Namespace, bench: Bench) -> Path:
    own = bench.settings.config_folder / "experts.json"
    found = asked.experts or (own if own.is_file() else ROOT / "config" / "experts.example.json")
    if asked.train is None:
        return Path(found)
    base = json.loads(asked.experts.read_text("utf-8")) if asked.experts else None
    write_experts(read_rows(asked.train), bench.folder / "experts.json", base=base)
    return bench.folder / "experts.json"


def _call(command: Sequence[str], said: bytes, bench: Bench) -> bytes:
    env = {**os.environ, **ONE_THREAD, "MOE_MODELS": str(bench.settings.models_folder)}
    done = subprocess.run(command, input=said, cwd=ROOT, env=env, capture_output=True, check=False)
    if done.returncode:
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["it said nothing"]
        raise Unavailable(last[0])
    return done.stdout


def _publish(sections: Sequence[Section], asked: argparse.Namespace) -> None:
    words = ["tests.bench.routing", *(file.name for file in asked.files)]
    words += ["--few", str(asked.few), "--draws", str(asked.draws)] if asked.few else []
    for flag in ("experts", "train"):
        words += [f"--{flag}", getattr(asked, flag).name] if getattr(asked, flag) else []
    words += [word for name in asked.only for word in ("--only", name)] if asked.only != list(SYSTEMS) else []
    publish(sections, words, marker=FEW_MARKER if asked.few else MARKER, json_file=asked.json, report=asked.report)


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.routing", description=__doc__)
    parser.add_argument("files", metavar="FILE.jsonl", type=Path, nargs="+",
                        help='{"text", "label"[, "alt", "lang"]} a line; "oos" and "fallback" are for no expert')
    parser.add_argument("--experts", metavar="FILE", type=Path, help="the experts, in place of the config's own")
    parser.add_argument("--train", metavar="TRAIN.jsonl", type=Path,
                        help="labelled prompts as the experts' examples, in place of their own")
    parser.add_argument("--few", metavar="N", type=int, default=0, help="draw N examples a label, and language")
    parser.add_argument("--draws", metavar="N", type=int, default=5, help="with --few: how often (5)")
    parser.add_argument("--only", metavar="NAME", action="append", choices=SYSTEMS, help=", ".join(SYSTEMS))
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the figures there too")
    parser.add_argument("--report", metavar="FILE", type=Path, help="renew the tables there: RESULTS.md")
    asked = parser.parse_args(arguments)
    asked.only = asked.only or list(SYSTEMS)
    return asked


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
