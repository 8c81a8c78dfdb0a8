"""The figures of ours alone: health beside endless streams, the start, the memory, one routed prompt."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from functools import partial
from statistics import median

from tests.bench.cases import Load, Pace, left_out, percentile
from tests.bench.load import OPENAI, Connection, Sample, Started, Target, connect, run, write_get, write_post
from tests.bench.mock import ENDLESS, SAID
from tests.bench.process import rss_mb
from tests.bench.report import Section, Verdict, say
from tests.bench.servers import CONFIGS, MODES, Mode, Servers, has_encoder

STREAMS = 64
EVERY_S = 0.1
IDLE_S = 1.0
NO_ENCODER = "no encoder: ./setup.sh makes one"
MEMORY_MB = {"keyword": 100.0, "encoder": 260.0}
_VERBS = ("boil", "repair", "translate", "solve", "paint", "measure", "describe", "compile", "compare", "cook")
_THINGS = ("an egg", "a bicycle", "this sentence", "an equation", "a portrait", "blood pressure", "a contract",
           "a Python module", "two phones", "rice")
_WAYS = ("quickly", "at home", "for a child", "in winter", "without tools", "step by step", "on a budget", "in Spain")


async def measure_health(servers: Servers, pace: Pace) -> Section:
    """/health of ours while it streams, and beside it the mock's, which shows what is the machine's own delay."""
    section = Section(f"/health every {EVERY_S * 1000:.0f} ms for {pace.watch_s:g} s beside {STREAMS} endless streams",
                      ("server", "asked", "p50 ms", "p99 ms", "max ms"))
    streams = await _open_streams(servers.keyword)
    try:
        times: dict[str, list[float]] = {"direct": [], "ours": []}
        until = time.perf_counter() + pace.watch_s
        while (began := time.perf_counter()) < until:
            for target in (servers.mock, servers.keyword):
                times[target.name].append(await _ask_health(target))
            await asyncio.sleep(max(0.0, began + EVERY_S - time.perf_counter()))
        if any(task.done() for task in streams):
            section.errors.append("an endless stream ended")
    finally:
        for task in streams:
            task.cancel()
        await asyncio.gather(*streams, return_exceptions=True)
    for name, taken in times.items():
        section.rows.append((name, len(taken), percentile(taken, 50), percentile(taken, 99), max(taken)))
    section.verdicts.append(Verdict("the slowest /health", max(times["ours"]), 50, "ms",
                                    note=f"the mock's own slowest: {max(times['direct']):.1f} ms"))
    return section


async def _open_streams(target: Target) -> list[asyncio.Task[None]]:
    """Tasks that read until they are cancelled, each over its first token."""
    request = next(Load(OPENAI, STREAMS, streams=True, model=ENDLESS).requests(target))
    connections = [await connect(target, SAID.encode()) for _ in range(STREAMS)]
    tasks = [asyncio.ensure_future(_read(connection, request)) for connection in connections]
    began = time.perf_counter()
    while not all(connection.has_spoken for connection in connections):
        await asyncio.sleep(0.05)
        if time.perf_counter() - began > 30 or any(task.done() for task in tasks):
            raise RuntimeError("the endless streams do not all begin")
    return tasks


async def _read(connection: Connection, request: bytes) -> None:
    try:
        await connection.ask(request)
    finally:
        connection.close()


async def _ask_health(target: Target) -> float:
    """Milliseconds for a new connection and its answer."""
    began = time.perf_counter()
    connection = await connect(target, b"")
    try:
        reply = await connection.ask(write_get("/health"))
    finally:
        connection.close()
    if reply.status != 200:
        raise RuntimeError(f"/health of {target.name}: status {reply.status}")
    return (reply.ended_s - began) * 1000


async def measure_start(servers: Servers, pace: Pace) -> Section:
    """From spawn to the first answer, then the memory once it has worked and rests; beside ours the floor and peers."""
    section = Section("Cold start and memory", ("server", "first start s", "start s (median)", "RSS MB at rest"))
    section.rows.append(await _watch_starts("floor", servers.start_floor, pace, section, starts=1))
    for mode in MODES:
        limit_mb = MEMORY_MB[mode]
        if mode == "encoder" and not has_encoder():
            section.verdicts += [Verdict(f"cold start, {mode}", None, 2, "s", note=NO_ENCODER),
                                 Verdict(f"memory, {mode}", None, limit_mb, "MB", note=NO_ENCODER)]
            continue
        start = partial(servers.start, f"start-{mode}", CONFIGS[mode])
        row = await _watch_starts(f"ours, {mode}", start, pace, section, starts=pace.starts)
        section.rows.append(row)
        section.verdicts += [Verdict(f"cold start, {mode}", float(row[2]), 2, "s"),
                             Verdict(f"memory, {mode}", float(row[3]), limit_mb, "MB")]
    if servers.peers:
        section.rows.append(await _watch_starts("litellm", servers.start_litellm, pace, section, starts=1))
    section.notes += left_out(servers)
    return section


async def _watch_starts(
    name: str, start: Callable[[], AbstractContextManager[Started]], pace: Pace, section: Section, *, starts: int
) -> tuple[str | float, ...]:
    """A row of the table; the first start of all, which makes what later ones find on disk, stands by itself."""
    seconds, memory_mb = [], []
    for number in range(starts + 1):
        with start() as started:
            seconds.append(started.seconds)
            if number:
                memory_mb.append(await _rest_mb(started.target, pace, section))
            say(f"start {number + 1}/{starts + 1} {name}: {started.seconds:.2f} s")
    return name, seconds[0], median(seconds[1:]), median(memory_mb)


async def _rest_mb(target: Target, pace: Pace, section: Section) -> float:
    load = Load(OPENAI, 8)
    sample = await run(target, load.requests(target), mark=SAID.encode(), clients=load.clients, seconds=pace.seconds)
    section.errors += sample.errors
    await asyncio.sleep(IDLE_S)
    return rss_mb(target.pid)


async def measure_route(servers: Servers, pace: Pace) -> Section:
    """Prompts that never repeat, of at most 15 tokens, one at a time."""
    section = Section("One routed short prompt, POST /v1/route", ("mode", "prompts/s", "CPU ms", "p50 ms", "p99 ms"))
    modes = [mode for mode in MODES if mode == "keyword" or has_encoder()]
    samples: dict[Mode, list[Sample]] = {mode: [] for mode in modes}
    prompts = unique_prompts()
    for _ in range(pace.rounds):
        for mode in modes:
            target = servers.keyword if mode == "keyword" else servers.encoder
            samples[mode].append(await run(target, prompts, mark=b'"stage"', clients=1, seconds=pace.seconds))
    for mode, found in samples.items():
        section.rows.append(_route_row(mode, found))
        section.errors += [error for sample in found for error in sample.errors]
    p50_ms = {str(row[0]): float(row[3]) for row in section.rows}
    section.verdicts.append(Verdict("one routed prompt with the encoder, p50", p50_ms.get("encoder"), 4, "ms",
                                    note="" if has_encoder() else NO_ENCODER))
    return section


def _route_row(mode: Mode, samples: Sequence[Sample]) -> tuple[str | float, ...]:
    times = [time for sample in samples for time in sample.total_ms]
    cpu_ms = sum(sample.cpu_s for sample in samples) / max(len(times), 1) * 1000
    return (mode, median(sample.per_s for sample in samples), cpu_ms, percentile(times, 50), percentile(times, 99))


def unique_prompts() -> Iterator[bytes]:
    for number in itertools.count(1):
        for way, thing, verb in itertools.product(_WAYS, _THINGS, _VERBS):
            yield write_post("/v1/route", {"text": f"How do I {verb} {thing} {way}, part {number}?"})
