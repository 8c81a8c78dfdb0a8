"""Models in this process: many answers at once, ours beside the high-level Llama behind a lock."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import NamedTuple

from moe.backends.machine import usable_cores
from tests.bench.cases import Pace
from tests.bench.load import Target
from tests.bench.process import ROOT
from tests.bench.report import Cell, Section, Verdict, say
from tests.bench.servers import Servers
from tests.bench.store import Unavailable
from tests.bench.talk import Burst, ask_all, questions, start_locked, start_ours

NO_ENGINE = "llama-cpp-python is not installed: ./setup.sh --with local"
KINDS = ("Q8_0", "Q4_K_M")
JUDGED_STREAMS = 8
TIMES = 2.5


class Setting(NamedTuple):
    """A file and a number of threads, with the two servers that have them."""

    kind: str
    threads: int
    ours: Target
    locked: Target
    rounds: int


Found = dict[tuple[Setting, int, str], list[Burst]]


async def measure_local(servers: Servers, pace: Pace) -> Section:
    section = Section(
        "A model in the process: answers at the same time, over HTTP",
        ("file", "threads", "streams", "server", "tokens/s", "worst first token ms", "CPU s/1000 tokens", "RSS MB"),
    )
    try:
        settings = await _start(servers, pace)
    except Unavailable as error:
        section.verdicts.append(Verdict("several answers at a time", None, TIMES, "x", at_least=True, note=str(error)))
        return section
    found = await _interleave(settings, pace)
    for (setting, streams, name), bursts in found.items():
        section.rows.append((setting.kind, setting.threads, streams, name, *_figures(bursts)))
        section.errors += [error for burst in bursts for error in burst.errors]
    judged = min(JUDGED_STREAMS, max(pace.streams))
    section.verdicts += [_judge(found, setting, judged) for setting in settings]
    section.notes.append(f"every answer is of {pace.tokens} tokens, greedy; threads are those of the model")
    section.notes += [_bound(kind, file) for kind, file in choose_files(servers).items()]
    return section


def _bound(kind: str, file: Path) -> str:
    """What answering together can gain at all, by what llama.cpp's own steps take."""
    command = [sys.executable, "-m", "tests.bench.steps", str(file)]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    steps = {int(width): taken_ms for width, taken_ms in json.loads(told).items()}
    taken = ", ".join(f"{taken_ms:.1f} ms for {width}" for width, taken_ms in steps.items())
    gains = ", ".join(f"{width * steps[1] / taken_ms:.2f} at {width}" for width, taken_ms in steps.items())
    return f"{kind}, llama.cpp's own step on one thread: {taken} tokens; so together they gain at most {gains}"


def choose_files(servers: Servers) -> dict[str, Path]:
    """The models to measure, by kind. Raises Unavailable."""
    if find_spec("llama_cpp") is None:
        raise Unavailable(NO_ENGINE)
    if servers.gguf is not None:
        return {servers.gguf.stem: servers.gguf}
    return {kind: servers.store.model(kind) for kind in KINDS}


def default_threads() -> int:
    """Ours takes all cores but one."""
    return max(1, usable_cores() - 1)


async def _start(servers: Servers, pace: Pace) -> list[Setting]:
    """The first file with the default threads and with all cores, the others with the default only."""
    settings = []
    for kind, file in choose_files(servers).items():
        is_first = not settings
        for threads in sorted({default_threads(), usable_cores()} if is_first else {default_threads()}):
            ours, locked = start_ours(servers, file, threads), start_locked(servers, file, threads)
            settings.append(Setting(kind, threads, ours, locked, rounds=pace.turns if is_first else 1))
            for target in (ours, locked):  # loads it
                await ask_all(target, list(itertools.islice(questions(), 1)), tokens=2)
    return settings


async def _interleave(settings: Sequence[Setting], pace: Pace) -> Found:
    found: Found = {(setting, streams, name): [] for setting in settings for streams in pace.streams
                    for name in ("ours", "locked")}
    asked = questions()
    for number in range(pace.turns):
        for setting, streams in itertools.product(settings, pace.streams):
            if number >= setting.rounds:
                continue
            talks = list(itertools.islice(asked, streams))
            for target in (setting.ours, setting.locked):
                burst = await ask_all(target, talks, tokens=pace.tokens)
                found[setting, streams, target.name].append(burst)
                say(f"{setting.kind} threads={setting.threads} streams={streams} {target.name}: "
                    f"{burst.tokens / burst.elapsed_s:.0f} tokens/s")
    return found


def _figures(bursts: Sequence[Burst]) -> tuple[Cell, ...]:
    tokens = sum(burst.tokens for burst in bursts)
    return (median(_rates(bursts)), max(burst.worst_first_ms for burst in bursts),
            sum(burst.cpu_s for burst in bursts) / max(tokens, 1) * 1000, max(burst.rss_mb for burst in bursts))


def _rates(bursts: Sequence[Burst]) -> list[float]:
    return [burst.tokens / burst.elapsed_s for burst in bursts]


def _judge(found: Found, setting: Setting, streams: int) -> Verdict:
    ours, locked = (_rates(found[setting, streams, name]) for name in ("ours", "locked"))
    times = median(mine / its for mine, its in zip(ours, locked, strict=True) if its)
    what = f"{setting.kind}, threads={setting.threads}, {streams} streams, tokens/s beside the locked API"
    return Verdict(what, times, TIMES, "x", at_least=True)
