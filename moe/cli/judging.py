"""What the tools around the router share: its parts in this process, and labelled prompts from a file."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple, TypeVar

from msgspec.structs import replace

from ..build import load_router
from ..config import Config, Settings, read_config
from ..core import ChatRequest
from ..embed import Embedder, Encoders
from ..errors import NotReady
from ..judge.cases import Case, describe_unknown, find_learnt, read_cases, settle_labels
from ..log import LOGGER
from ..routing import Router
from ..routing.head import Head
from ..routing.heads import Heads, make_task
from ..routing.meaning import Meaning
from ..routing.router import find_routable
from ..routing.rows import Task
from ..routing.stages import Trace
from ..service import copy_examples
from .bar import await_head, draw
from .terminal import Terminal, say_warnings

BAR_EVERY_S = 0.1

Item = TypeVar("Item")


class Bench(NamedTuple):
    """A config's router and its parts. Without an encoder there is no task, and without a task no head."""

    config: Config
    settings: Settings
    router: Router
    embedder: Embedder | None
    task: Task | None
    head: Head | None


class Labelled(NamedTuple):
    """Prompts that can be judged; `bad` rows of the file cannot."""

    cases: list[Case]
    bad: int


def open_bench(settings: Settings, experts: str | None, terminal: Terminal) -> Bench:
    """Waits until the scorer is fitted; what is wrong is said on standard error. Raises ConfigError."""
    say_warnings()
    copy_examples(settings.config_folder)
    config = read_config(settings.config_folder, experts_file=Path(experts) if experts else None)
    encoders = Encoders(settings.models_folder)
    config, embedder = _find_encoder(config, encoders)
    with closing(Heads()) as heads:
        router = load_router(config, settings, encoders=encoders, heads=heads)
        await_head(heads, terminal)
        task = None
        if embedder is not None and config.router.scorer == "hybrid":
            task = make_task(config, embedder, settings, model_path=config.router.model_path)
        head = heads.find(task) if task is not None else None
    if router.mode == "keyword" and config.router.model_path is None:
        terminal.complain(router.note)
    return Bench(config, settings, router, embedder, task, head)


def read_labelled(file: Path, config: Config, terminal: Terminal) -> Labelled:
    """What cannot be judged is told: bad lines by number, labels that no expert has once each. Raises OSError."""
    bad = 0

    def complain(number: int, text: str) -> None:
        nonlocal bad
        bad += 1
        terminal.complain(f"{file}:{number}: {text}")

    with file.open("rb") as lines:
        cases, unknown = settle_labels(read_cases(lines, complain), config)
    for line in describe_unknown(unknown, config):
        terminal.complain(line)
    return Labelled(cases, bad + unknown.total())


def find_own(cases: Sequence[Case], config: Config, terminal: Terminal, *, then: str) -> set[int]:
    """The places of prompts that the experts learnt from; `then` says what becomes of them."""
    learnt = find_learnt(cases, config)
    if learnt:
        rows = "1 prompt is an example" if len(learnt) == 1 else f"{len(learnt)} prompts are examples"
        terminal.complain(f"{rows} of the experts themselves: {then}")
    return learnt


def watch(items: Sequence[Item], told: str, terminal: Terminal) -> Iterator[Item]:
    """The items, with a bar on standard error while somebody watches."""
    due = 0.0
    for done, item in enumerate(items):
        if time.monotonic() >= due:
            due = time.monotonic() + BAR_EVERY_S
            draw(done / len(items), f"{told}: {done} of {len(items)}", terminal)
        yield item
    terminal.redraw("")


def make_meaning(bench: Bench) -> Meaning | None:
    """The scorer as the router has it, to be asked by itself; None where only keywords decide."""
    experts = find_routable(bench.config.experts)
    if bench.embedder is None or not experts:
        return None
    meaning = Meaning(experts, bench.embedder, bench.settings.data_folder / "vectors", bench.config.router)
    if bench.head is not None:
        meaning.adopt(bench.head)
    return meaning


def find_asked(request: ChatRequest) -> str:
    """What the stages read of the newest message, "" for nothing."""
    return next(iter(Trace(request, messages=1).texts[-1:]), "")


def print_lines(lines: Iterable[str], terminal: Terminal) -> None:
    for line in lines:
        terminal.print(line)


def _find_encoder(config: Config, encoders: Encoders) -> tuple[Config, Embedder | None]:
    """The encoder, and the config that names it: where the one it named is not here, that made at set-up serves."""
    if config.router.classifies:
        return config, None
    try:
        return config, encoders.open(config.router.model_path)
    except NotReady as error:
        if not config.router.model_path:
            return config, None
        logging.getLogger(LOGGER).warning("%s", error.message)
        return _find_encoder(replace(config, router=replace(config.router, model_path=None)), encoders)
