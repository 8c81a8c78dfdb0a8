"""Fits the router's settings to labelled prompts, and shows on prompts held out what that is worth."""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from msgspec.structs import replace

from ..config.schema import RouterConfig, ScoringWeights
from ..errors import ConfigError
from ..judge.cases import Case
from ..judge.json_edit import set_values
from ..judge.tuning import FEWEST_NOBODY, Signals, Tally, Tuned, deal_folds, tune
from ..judge.views import Remembering, Viewer, Views, depends
from ..routing.router import find_routable
from ..routing.text import clean
from .batch import write_whole
from .judging import (
    Bench,
    find_asked,
    find_own,
    make_meaning,
    open_bench,
    print_lines,
    read_labelled,
    watch,
)
from .line import read_settings
from .options import Misuse
from .terminal import Terminal, table

FEWEST = 20
TUNED = ("confidence_threshold", "confidence_threshold_keyword", "softmax_temperature")


def run(options: argparse.Namespace, terminal: Terminal) -> int:
    """Exit code 0 also when nothing better was found. Raises ConfigError, OSError, and Misuse for too few prompts."""
    bench = open_bench(read_settings(options), None, terminal)
    if bench.config.router.classifies:
        raise Misuse("a classifier decides here, which has nothing to tune")
    tuned = fit(bench, Path(options.file), terminal)
    changes = find_changes(bench.config.router, tuned.router)
    print_lines(show(tuned, changes, bench.config.router), terminal)
    if not tuned.is_better or not changes:
        terminal.print("the config is left as it is: nothing better was found")
        return 0
    file = bench.config.folder / "config.json"
    if not options.write:
        terminal.print(f"--write sets this in {file}")
        return 0
    backup = write(file, changes)
    terminal.print(f"{file} is written; as it was before, it is in {backup.name}")
    return 0


def fit(bench: Bench, file: Path, terminal: Terminal) -> Tuned:
    """Raises OSError, and Misuse when too few of the file's prompts are fit to learn from."""
    cases = read_labelled(file, bench.config, terminal).cases
    learnt = find_own(cases, bench.config, terminal, then="they are left out")
    cases = [case for place, case in enumerate(cases) if place not in learnt and depends(case)]
    nobody = bench.config.fallback.label
    if len(cases) < FEWEST:
        raise Misuse(f"{len(cases)} prompts are too few to learn from: {FEWEST} are the least, hundreds are better")
    if len({case.label for case in cases} - {nobody}) < 2:
        raise Misuse("the prompts must be for two experts at least")
    if sum(case.accepts(nobody) for case in cases) < FEWEST_NOBODY:
        terminal.complain(f'fewer than {FEWEST_NOBODY} prompts are labelled "{nobody}": thresholds stay as they are')
    sight = Sight(bench, cases, terminal)
    return tune(sight.see, deal_folds(cases), bench.config.router, sight.read_signals())


class Sight:
    """The prompts as the router sees them under one setting or another."""

    def __init__(self, bench: Bench, cases: Sequence[Case], terminal: Terminal) -> None:
        encoder = bench.embedder and Remembering(bench.embedder)
        self._bench = bench._replace(embedder=encoder)
        self._cases = cases
        self._terminal = terminal
        self._known: dict[tuple[object, ...], Views] = {}

    def see(self, router: RouterConfig) -> Views:
        """The thresholds of the settings make no difference, and to a fitted scorer nothing in them does."""
        key = () if self._bench.head is not None else (router.scoring_weights, router.softmax_temperature)
        if key not in self._known:
            config = replace(self._bench.config, router=router)
            viewer = Viewer(config, make_meaning(self._bench._replace(config=config)))
            looks = [viewer.look(case) for case in watch(self._cases, "reading", self._terminal)]
            self._known[key] = viewer.stack(self._cases, looks)
        return self._known[key]

    def read_signals(self) -> Signals | None:
        """Those of the newest messages, where the four-signal score is what the config asks for; of one that says
        nothing nobody is the right expert."""
        meaning = make_meaning(self._bench)
        if meaning is None or self._bench.config.router.scorer != "lemoe":
            return None
        labels = [expert.label for expert in find_routable(self._bench.config.experts)]
        texts = [find_asked(case.request) for case in self._cases]
        values = [meaning.read(clean(text), text).signals for text in texts]
        gold = [labels.index(case.label) if case.label in labels and clean(text) else -1
                for case, text in zip(self._cases, texts, strict=True)]
        return Signals(np.array(values, dtype=np.float32), np.array(gold, dtype=np.intp))


def find_changes(before: RouterConfig, after: RouterConfig) -> dict[tuple[str, ...], Any]:
    """The new values by their paths in config.json."""
    pairs: list[tuple[tuple[str, ...], Any, Any]] = [
        (("router", name), getattr(before, name), getattr(after, name)) for name in TUNED
    ]
    pairs += [(("router", "scoring_weights", name), getattr(before.scoring_weights, name),
               getattr(after.scoring_weights, name)) for name in ScoringWeights.__struct_fields__]
    return {path: new for path, old, new in pairs if new != old}


def show(tuned: Tuned, changes: Mapping[tuple[str, ...], Any], router: RouterConfig) -> Iterator[str]:
    head = ["", "right", "wrong expert", "unanswered"]
    yield from table([head, ["before", *_show_tally(tuned.before)], ["after", *_show_tally(tuned.after)]])
    yield f"on prompts held out, {tuned.folds} folds; unanswered = the fallback in place of an expert"
    if not tuned.is_better:
        return
    for path, new in changes.items():
        yield f"{'.'.join(path)}: {_spell(_find(router, path))} -> {_spell(new)}"


def write(file: Path, changes: Mapping[tuple[str, ...], Any]) -> Path:
    """Sets the values in the file and gives the name of the copy made before. Raises ConfigError, OSError."""
    file = file.resolve()
    text = file.read_bytes().decode("utf-8")
    mark = "\ufeff" if text.startswith("\ufeff") else ""
    try:
        written = mark + set_values(text.removeprefix(mark), changes)
    except ValueError as error:
        raise ConfigError((f"{file}: {error}",)) from error
    backup = next(name for name in _name_backups(file) if not name.exists())
    shutil.copy2(file, backup)
    with write_whole(file) as out:
        out.write(written.encode("utf-8"))
    shutil.copymode(backup, file)
    return backup


def _name_backups(file: Path) -> Iterator[Path]:
    yield file.with_name(f"{file.name}.bak")
    number = 2
    while True:
        yield file.with_name(f"{file.name}.bak{number}")
        number += 1


def _show_tally(tally: Tally) -> list[str]:
    return [f"{share:.3f}" for share in (tally.right, tally.wrong, tally.unanswered)]


def _find(router: RouterConfig, path: tuple[str, ...]) -> Any:
    value: Any = router
    for name in path[1:]:
        value = getattr(value, name)
    return value


def _spell(value: float | None) -> str:
    return "null" if value is None else f"{value:g}"
