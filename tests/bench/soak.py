"""A long stay under a mixed load: whether the server still has the memory, threads and files it had after a minute."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import shlex
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from statistics import linear_regression
from typing import Any, NamedTuple

import requests

from tests.bench.crowd import Tally, crowd, list_kinds
from tests.bench.load import Started, Target
from tests.bench.machine import Stopwatch
from tests.bench.process import PROC, ROOT, end_like_interrupt, tree
from tests.bench.report import Section, Verdict, say
from tests.bench.results import NoMarkers, write
from tests.bench.servers import CONFIGS, Servers

MARKER = "soak"
LOCAL = "soak-tiny"
SAMPLE_S = 3.0
# What may be there more at the end than after the warm-up; descriptors include idle connections to upstreams.
LIMITS: Mapping[str, tuple[str, float, str]] = {
    "rss_mb": ("RSS", 20, "MB"),
    "threads": ("threads", 2, "threads"),
    "descriptors": ("descriptors", 12, "descriptors"),
    "children": ("children", 0, "processes"),
}


class Ended(RuntimeError):
    """The server is no more."""


class Vitals(NamedTuple):
    """Of a process with its children; descriptors are its own."""

    rss_mb: float
    threads: int
    descriptors: int
    children: int


class Plan(NamedTuple):
    """`rest_s` without clients follow the warm-up and the end, before each is looked at."""

    warm_s: float
    seconds: float
    rest_s: float
    clients: int
    seed: int
    sample_s: float = SAMPLE_S


class Course(NamedTuple):
    """What a soak saw; `samples` are of the time after the warm-up, each with its second."""

    warm: Vitals
    samples: list[tuple[float, Vitals]]
    end: Vitals

    @property
    def peak(self) -> Vitals:
        return Vitals(*map(max, zip(self.warm, self.end, *(vitals for _, vitals in self.samples), strict=True)))

    @property
    def growth_mb_per_min(self) -> float:
        """The slope of the memory under load, second half; NaN of fewer than two samples."""
        half = self.samples[len(self.samples) // 2:]
        if len(half) < 2:
            return float("nan")
        return linear_regression([second / 60 for second, _ in half], [vitals.rss_mb for _, vitals in half]).slope


def main(arguments: Sequence[str]) -> int:
    """Returns 0 when nothing leaked and every answer was the expected one, 1 otherwise, 130 after Ctrl-C."""
    asked = _parse(arguments)
    if not PROC:
        print("a soak needs /proc", file=sys.stderr)
        return 1
    end_like_interrupt()
    plan = Plan(asked.warm_up, asked.minutes * 60, asked.rest, asked.clients, asked.seed)
    try:
        section = asyncio.run(measure(plan))
        words = [Path(argument).name for argument in arguments]
        command = f"venv/bin/python -m tests.bench.soak {shlex.join(words)}".rstrip()
        section.notes.append(f"`{command}`")
        print(section)
        if asked.json:
            asked.json.write_text(json.dumps(section.tell(), indent=1) + "\n", "utf-8")
        if asked.report:
            write(asked.report, {MARKER: str(section)})
    except KeyboardInterrupt:
        return 130
    except (NoMarkers, RuntimeError) as error:
        print(error, file=sys.stderr)
        return 1
    return int(bool(section.errors) or not all(verdict.is_met for verdict in section.verdicts))


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10, help="after the warm-up (default: 10)")
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--seed", type=int, default=1, help="what is asked, and who leaves when")
    parser.add_argument("--warm-up", metavar="SECONDS", type=float, default=60)
    parser.add_argument("--rest", metavar="SECONDS", type=float, default=15)
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the figures there too")
    parser.add_argument("--report", metavar="FILE", type=Path, help="renew its table there: RESULTS.md")
    return parser.parse_args(arguments)


async def measure(plan: Plan) -> Section:
    watch = Stopwatch()
    with contextlib.ExitStack() as stack:
        servers = Servers(stack)
        local = _lend_model(servers.folder / "models")
        started = _start(servers, stack, plan.seed)
        tally = Tally()
        try:
            course = await soak(started.target, plan, tally, local=local)
        except Ended as error:
            log = servers.folder / MARKER / "errors.log"
            raise RuntimeError("\n".join([str(error), *log.read_text("utf-8").splitlines()[-30:]])) from error
        section = tell(plan, course, tally)
        section.errors += [*_find_busy(started.target), *_find_tracebacks(servers.folder / MARKER)]
        if not local:
            section.notes.append("without a model in the process: llama-cpp-python is not installed")
    section.notes.append(str(watch))
    return section


async def soak(target: Target, plan: Plan, tally: Tally, *, local: str) -> Course:
    kinds = list_kinds(local)
    say(f"warm-up: {plan.clients} clients for {plan.warm_s:g} s")
    await crowd(target, kinds, Tally(), clients=plan.clients, seconds=plan.warm_s, seed=f"warm {plan.seed}")
    await asyncio.sleep(plan.rest_s)
    warm = take(target.pid)
    say(str(warm))
    samples: list[tuple[float, Vitals]] = []
    watching = asyncio.ensure_future(_watch(target.pid, samples, plan.sample_s))
    asking = asyncio.ensure_future(
        crowd(target, kinds, tally, clients=plan.clients, seconds=plan.seconds, seed=str(plan.seed)))
    await asyncio.wait((watching, asking), return_when=asyncio.FIRST_COMPLETED)
    if watching.done():
        asking.cancel()
        watching.result()
    watching.cancel()
    await asking
    await asyncio.sleep(plan.rest_s)
    end = take(target.pid)
    say(str(end))
    return Course(warm, samples, end)


def take(pid: int) -> Vitals:
    """Raises Ended."""
    told = [_read_status(each) for each in tree(pid)]
    if "VmRSS" not in told[0]:
        raise Ended(f"process {pid} has ended")
    alive = [each for each in told if each]
    return Vitals(
        rss_mb=sum(int(each.get("VmRSS", "0").split()[0]) for each in alive) / 1024,
        threads=sum(int(each["Threads"]) for each in alive),
        descriptors=len(os.listdir(f"/proc/{pid}/fd")),
        children=len(alive) - 1,
    )


def judge(course: Course) -> list[Verdict]:
    before, after = course.warm._asdict(), course.end._asdict()
    return [Verdict(f"{what}, at the end beyond the warm-up", after[name] - before[name], limit, unit)
            for name, (what, limit, unit) in LIMITS.items()]


def tell(plan: Plan, course: Course, tally: Tally) -> Section:
    title = f"A soak: {plan.clients} mixed clients for {plan.seconds / 60:g} minutes after {plan.warm_s:g} s of warm-up"
    section = Section(title, ("what", "asked", "answered as expected", "cut by the client", "read slowly"),
                      verdicts=judge(course), errors=list(tally.errors))
    for name in sorted(tally.asked):
        section.rows.append((name, *map(str, (tally.asked[name], tally.good[name], tally.cut[name], tally.slow[name]))))
    section.rows.append(("all", *(str(counted.total()) for counted in
                                  (tally.asked, tally.good, tally.cut, tally.slow))))
    section.notes += [f"{name}: {_show(vitals)}" for name, vitals in
                      (("after the warm-up, at rest", course.warm), ("most, of each", course.peak),
                       ("at the end, at rest", course.end))]
    section.notes.append(f"RSS under load, second half: {course.growth_mb_per_min:+.2f} MB a minute")
    section.notes.append(f"answers that were not expected: {len(tally.errors)}")
    return section


def _start(servers: Servers, stack: contextlib.ExitStack, seed: int) -> Started:
    """Ours in keyword mode over an Ollama without a model."""
    upstream = servers.start_own("tests.bench.speaker", "speaker", str(seed)).target
    env = {"MOE_OLLAMA_URL": f"127.0.0.1:{upstream.port}", "MOE_MODELS": str(servers.folder / "models")}
    return stack.enter_context(servers.start(MARKER, CONFIGS["keyword"], **env))


def _lend_model(folder: Path) -> str:
    """Puts a small model into `folder`, by a name that no expert has; "" where nothing can run it."""
    folder.mkdir()
    if find_spec("llama_cpp") is None:
        return ""
    shutil.copyfile(ROOT / "tests" / "models" / "general.gguf", folder / f"{LOCAL}.gguf")
    return LOCAL


async def _watch(pid: int, samples: list[tuple[float, Vitals]], every_s: float) -> None:
    began = time.perf_counter()
    while True:
        samples.append((time.perf_counter() - began, take(pid)))
        await asyncio.sleep(every_s)


def _read_status(pid: int) -> dict[str, str]:
    """Empty for a process that has just ended."""
    with contextlib.suppress(OSError):
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return {}


def _find_busy(target: Target) -> list[str]:
    """Nodes that are said to be answering still, though nobody asks."""
    told: dict[str, Any] = requests.get(f"http://127.0.0.1:{target.port}/health", timeout=10).json()
    return [f"/health at rest: a node has {node['in_flight']} requests in flight"
            for node in told["nodes"].values() if node["in_flight"]]


def _find_tracebacks(folder: Path) -> list[str]:
    found = []
    for log in sorted(folder.rglob("*.log")):
        text = log.read_text("utf-8", errors="replace")
        if count := text.count("Traceback (most recent"):
            found.append(f"{log.name}: {count} tracebacks, the last: {text[text.rindex('Traceback (most'):][:1500]}")
    return found


def _show(vitals: Vitals) -> str:
    return (f"{vitals.rss_mb:.1f} MB, {vitals.threads} threads, {vitals.descriptors} descriptors, "
            f"{vitals.children} children")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
