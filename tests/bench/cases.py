"""The loads that ours, the floor and the bare upstream take in turns, so that the machine's moods hit all alike."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator, Sequence
from statistics import median
from typing import NamedTuple

from tests.bench.load import Sample, Target, run, write_post
from tests.bench.mock import FIRST_TOKEN, SAID, SLOW
from tests.bench.report import Cell, Section, Verdict
from tests.bench.servers import Servers

OPENAI, OLLAMA = "/v1/chat/completions", "/api/chat"
CLIENTS = (1, 8, 32)
PROMPTS = (
    "Say tok sixteen times please.",
    "Why does my Python function raise a TypeError?",
    "Solve the equation 3x + 7 = 22 for x.",
    "Translate 'good morning' into Spanish.",
    "Which side effects does ibuprofen have?",
    "Write a short poem about the sea.",
    "Can my landlord keep the deposit?",
    "What is the capital of Australia?",
)
COLUMNS = ("request", "clients", "server", "req/s", "CPU ms/req", "p50 ms", "p99 ms")


class Pace(NamedTuple):
    """How long to look: `rounds` of `seconds` for each load, `watch_s` at the endless streams, `starts` of the app."""

    rounds: int
    seconds: float
    watch_s: float
    starts: int


FULL = Pace(rounds=5, seconds=2.0, watch_s=10.0, starts=3)
QUICK = Pace(rounds=1, seconds=0.25, watch_s=1.0, starts=1)


class Load(NamedTuple):
    """One kind of request by a number of clients; `model` "" = whatever the target's own is."""

    path: str
    clients: int
    streams: bool = False
    model: str = ""

    def requests(self, target: Target) -> Iterator[bytes]:
        """The prompts in turn, without end."""
        model = self.model or target.model
        return itertools.cycle([
            write_post(self.path, {"model": model, "messages": [{"role": "user", "content": prompt}],
                                   "stream": self.streams}) for prompt in PROMPTS
        ])


Found = dict[tuple[Load, str], list[Sample]]


async def measure_chat(servers: Servers, pace: Pace) -> Section:
    loads = [Load(path, clients) for path in (OPENAI, OLLAMA) for clients in CLIENTS]
    return await _compare("Chat, not streamed, keyword mode", loads, servers, pace)


async def measure_stream(servers: Servers, pace: Pace) -> Section:
    loads = [Load(path, clients, streams=True) for path in (OPENAI, OLLAMA) for clients in CLIENTS]
    return await _compare("Stream of 16 chunks, keyword mode", loads, servers, pace)


async def _compare(title: str, loads: Sequence[Load], servers: Servers, pace: Pace) -> Section:
    found = await interleave(loads, [servers.floor, servers.keyword], pace)
    section = Section(title, COLUMNS, rows=_rows(found), errors=errors_of(found))
    for load in loads:
        if load.clients != max(CLIENTS):
            continue
        ours, floor = found[load, "ours"], found[load, "floor"]
        share = median(mine.per_s / its.per_s for mine, its in zip(ours, floor, strict=True)) * 100
        label = f"{load.path} c={load.clients}"
        section.verdicts += [
            Verdict(f"{label}, throughput of the floor's", share, 55, "%", at_least=True),
            Verdict(f"{label}, CPU a request beside the floor's", cpu_ms(ours) / cpu_ms(floor), 1.62, "x",
                    note=f"{cpu_ms(ours):.2f} ms beside {cpu_ms(floor):.2f} ms"),
        ]
    return section


async def measure_first_token(servers: Servers, pace: Pace) -> Section:
    """Added time: what a server's first token takes more than the upstream's own median in the same run."""
    loads = [Load(OPENAI, clients, streams=True, model=FIRST_TOKEN) for clients in (1, 8)]
    targets = [servers.mock, servers.floor, servers.keyword]
    found = await interleave(loads, targets, pace._replace(seconds=max(pace.seconds, 0.5)))
    section = Section("First token (upstream: first after 50 ms, then 20 ms apart)",
                      ("clients", "server", "first token p50 ms", "added p50 ms", "added p99 ms"))
    section.errors += errors_of(found)
    for load in loads:
        base = percentile(_first_ms(found[load, "direct"]), 50)
        for target in targets:
            times = _first_ms(found[load, target.name])
            section.rows.append((load.clients, target.name, percentile(times, 50), percentile(times, 50) - base,
                                 percentile(times, 99) - base))
        if load.clients == 1:
            added = section.rows[-1][3]
            section.verdicts.append(Verdict("added time to the first token, c=1, p50", float(added), 4, "ms"))
    return section


async def measure_slow(servers: Servers, pace: Pace) -> Section:
    load = Load(OPENAI, 32, model=SLOW)
    found = await interleave([load], [servers.floor, servers.keyword], pace._replace(seconds=max(pace.seconds, 1.0)))
    section = Section("An upstream that takes 200 ms, 32 clients", COLUMNS, rows=_rows(found), errors=errors_of(found))
    section.verdicts.append(Verdict("requests a second (ideal 160)", _rate(found[load, "ours"]), 140, "req/s",
                                    at_least=True))
    return section


async def interleave(loads: Sequence[Load], targets: Sequence[Target], pace: Pace) -> Found:
    """Every round visits every load and every target; each target is warmed up first."""
    found: Found = {(load, target.name): [] for load in loads for target in targets}
    mark = SAID.encode()
    for target in targets:
        await run(target, loads[-1].requests(target), mark=mark, clients=8, seconds=pace.seconds)
    for number in range(1, pace.rounds + 1):
        for load in loads:
            for target in targets:
                sample = await run(target, load.requests(target), mark=mark, clients=load.clients,
                                   seconds=pace.seconds)
                found[load, target.name].append(sample)
                say(f"round {number}/{pace.rounds} {load.path} c={load.clients} {target.name}: "
                    f"{sample.per_s:.0f} req/s")
    return found


def _rows(found: Found) -> list[Sequence[Cell]]:
    rows: list[Sequence[Cell]] = []
    for (load, name), samples in found.items():
        times = [time for sample in samples for time in sample.total_ms]
        rows.append((load.path, load.clients, name, _rate(samples), cpu_ms(samples), percentile(times, 50),
                     percentile(times, 99)))
    return rows


def _rate(samples: Sequence[Sample]) -> float:
    return median(sample.per_s for sample in samples)


def cpu_ms(samples: Sequence[Sample]) -> float:
    """Milliseconds of processor time a request, over all rounds."""
    answered = sum(len(sample.total_ms) for sample in samples)
    return sum(sample.cpu_s for sample in samples) / max(answered, 1) * 1000


def errors_of(found: Found) -> list[str]:
    return [error for samples in found.values() for sample in samples for error in sample.errors]


def _first_ms(samples: Sequence[Sample]) -> list[float]:
    return [time for sample in samples for time in sample.first_ms]


def percentile(values: Sequence[float], percent: float) -> float:
    """The nearest rank; NaN of nothing."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(percent / 100 * len(ordered)))] if ordered else float("nan")


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
