"""The loads that ours, the floor and the bare upstream take in turns, so that the machine's moods hit all alike."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from statistics import median
from typing import NamedTuple

from tests.bench.load import OLLAMA, OPENAI, Sample, Target, run, write_post
from tests.bench.mock import FIRST_TOKEN, PACED, SAID, SLOW
from tests.bench.report import Cell, Section, Verdict, say
from tests.bench.servers import Servers

CLIENTS = (1, 8, 32)
PROMPTS = (
    "Say tok sixteen times please.",
    "Why does my Python function raise a TypeError?",
    "Show me step by step how 3x + 7 = 22 is solved for x.",
    "Translate 'good morning' into Spanish.",
    "Which side effects does ibuprofen have?",
    "Write a short poem about the sea.",
    "Can my landlord keep the deposit?",
    "What is the capital of Australia?",
)
COLUMNS = ("request", "clients", "server", "req/s", "CPU ms/req", "p50 ms", "p99 ms")


class Pace(NamedTuple):
    """How long to look: `rounds` of `seconds` for each load, `watch_s` at the endless streams, `starts` of the app.

    A model in the process gets `streams` at a time, each of `tokens`, in `turns` rounds, and conversations of
    `story_chars`.
    """

    rounds: int
    seconds: float
    watch_s: float
    starts: int
    streams: tuple[int, ...]
    tokens: int
    turns: int
    story_chars: int


FULL = Pace(rounds=4, seconds=1.0, watch_s=10.0, starts=3, streams=(1, 4, 8, 16), tokens=48, turns=2,
            story_chars=600)
QUICK = Pace(rounds=1, seconds=0.25, watch_s=1.0, starts=1, streams=(1, 4), tokens=8, turns=1,
             story_chars=300)


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
                                   "stream": self.streams}, key=target.key) for prompt in PROMPTS
        ])


class Aim(NamedTuple):
    """What is asked of ours, at the most clients: `cpu_ms` a request, and `cpu_times` the floor's."""

    share: float
    cpu_ms: float
    cpu_times: float


CHAT_AIM = Aim(share=60, cpu_ms=1.6, cpu_times=1.62)
STREAM_AIM = Aim(share=55, cpu_ms=2.8, cpu_times=1.48)
Found = dict[tuple[Load, str], list[Sample]]


async def measure_chat(servers: Servers, pace: Pace) -> Section:
    loads = [Load(path, clients) for path in (OPENAI, OLLAMA) for clients in CLIENTS]
    return await _compare("Chat, not streamed, keyword mode", loads, CHAT_AIM, servers=servers, pace=pace)


async def measure_stream(servers: Servers, pace: Pace) -> Section:
    loads = [Load(path, clients, streams=True) for path in (OPENAI, OLLAMA) for clients in CLIENTS]
    return await _compare("Stream of 16 chunks, sent at once, keyword mode", loads, STREAM_AIM, servers=servers,
                          pace=pace)


async def measure_paced(servers: Servers, pace: Pace) -> Section:
    """Every chunk by itself, as a model writes them; the rate is the upstream's, so the processor's time counts."""
    loads = [Load(OPENAI, clients, streams=True, model=PACED) for clients in CLIENTS[1:]]
    return await _compare("Stream of 16 chunks 20 ms apart, keyword mode", loads, STREAM_AIM, servers=servers,
                          pace=pace._replace(seconds=max(pace.seconds, 1.0)))


async def _compare(title: str, loads: Sequence[Load], aim: Aim, *, servers: Servers, pace: Pace) -> Section:
    found = await interleave(loads, [servers.mock, servers.floor, servers.keyword, *servers.peers], pace)
    section = Section(title, COLUMNS, rows=_rows(found), notes=left_out(servers), errors=errors_of(found))
    for load in loads:
        if load.clients != max(CLIENTS):
            continue
        ours, floor = found[load, "ours"], found[load, "floor"]
        share = median(mine.per_s / its.per_s for mine, its in zip(ours, floor, strict=True)) * 100
        label, told = f"{load.path} c={load.clients}", f"{cpu_ms(ours):.2f} ms beside {cpu_ms(floor):.2f} ms"
        section.verdicts += [
            Verdict(f"{label}, throughput of the floor's", share, aim.share, "%", at_least=True),
            Verdict(f"{label}, CPU a request", cpu_ms(ours), aim.cpu_ms, "ms"),
            Verdict(f"{label}, CPU a request beside the floor's", cpu_ms(ours) / cpu_ms(floor), aim.cpu_times, "x",
                    note=told),
        ]
    return section


async def measure_first_token(servers: Servers, pace: Pace) -> Section:
    """Added time: what a server's first token takes more than the upstream's own median in the same run."""
    loads = [Load(OPENAI, clients, streams=True, model=FIRST_TOKEN) for clients in (1, 8)]
    targets = [servers.mock, servers.floor, servers.keyword, *servers.peers]
    found = await interleave(loads, targets, pace._replace(seconds=max(pace.seconds, 0.5)))
    section = Section("First token (upstream: first after 50 ms, then 20 ms apart)",
                      ("clients", "server", "first token p50 ms", "added p50 ms", "added p99 ms"))
    section.errors += errors_of(found)
    section.notes += left_out(servers)
    for load in loads:
        base = percentile(_first_ms(found[load, "direct"]), 50)
        for target in targets:
            times = _first_ms(found[load, target.name])
            added_ms = percentile(times, 50) - base
            section.rows.append((load.clients, target.name, base + added_ms, added_ms, percentile(times, 99) - base))
            if (load.clients, target.name) == (1, "ours"):
                section.verdicts.append(Verdict("added time to the first token, c=1, p50", added_ms, 4, "ms"))
    return section


async def measure_slow(servers: Servers, pace: Pace) -> Section:
    load = Load(OPENAI, 32, model=SLOW)
    targets = [servers.mock, servers.floor, servers.keyword, *servers.peers]
    found = await interleave([load], targets, pace._replace(seconds=max(pace.seconds * 2, 1.0)))
    section = Section("An upstream that takes 200 ms, 32 clients", COLUMNS, rows=_rows(found),
                      notes=left_out(servers), errors=errors_of(found))
    section.verdicts.append(Verdict("requests a second (ideal 160)", _rate(found[load, "ours"]), 140, "req/s",
                                    at_least=True))
    return section


async def interleave(loads: Sequence[Load], targets: Sequence[Target], pace: Pace) -> Found:
    """Every round visits every load and every target that speaks its dialect; each target is warmed up first."""
    visits = [(load, target) for load in loads for target in targets if load.path in target.speaks]
    found: Found = {(load, target.name): [] for load, target in visits}
    mark = SAID.encode()
    for target in targets:
        await run(target, loads[0].requests(target), mark=mark, clients=8, seconds=pace.seconds)
    for number in range(1, pace.rounds + 1):
        for load, target in visits:
            sample = await run(target, load.requests(target), mark=mark, clients=load.clients, seconds=pace.seconds)
            found[load, target.name].append(sample)
            say(f"round {number}/{pace.rounds} {load.path} c={load.clients} {target.name}: {sample.per_s:.0f} req/s")
    return found


def left_out(servers: Servers) -> list[str]:
    return [f"left out: {note}" for note in servers.notes]


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
