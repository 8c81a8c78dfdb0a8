"""Where a request's processor time goes: py-spy beside a load, its samples put together by the parts of the program."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.bench.cases import Load, Pace, cpu_ms
from tests.bench.load import OPENAI, Sample, Target, run
from tests.bench.mock import PACED, SAID
from tests.bench.process import kernel_share
from tests.bench.report import Section, Verdict
from tests.bench.servers import Servers
from tests.bench.store import TOOLS, Unavailable

CLIENTS = 32
LOADS = {
    "chat": Load(OPENAI, CLIENTS),
    "stream": Load(OPENAI, CLIENTS, streams=True),
    "stream, 20 ms apart": Load(OPENAI, CLIENTS, streams=True, model=PACED),
}
SAMPLES_PER_S = 400
LARGEST = 3
KERNEL = "the kernel: sockets, locks, waking threads"
WAITRESS = "waitress's threads: queue, headers, writing"
LOOP = "waitress's loop: polling, accepting, reading requests"
# The first prefix that fits the innermost frame that any fits; what a library does for a part is the part's.
PARTS = (
    (("moe/web/server.py", "moe/web/intake.py", "moe/web/workers.py", "waitress/"), WAITRESS),
    (("moe/web/", "app.py", "flask/", "werkzeug/"), "Flask and the views"),
    (("moe/pipeline/", "moe/metrics.py"), "dispatch, failover, counting"),
    (("moe/routing/",), "routing"),
    (("moe/backends/transport.py", "urllib3/"), "HTTP to the upstream"),
    (("moe/backends/",), "the upstream's dialect and nodes"),
    (("moe/dialects/",), "the client's dialect"),
    (("moe/log.py", "logging/"), "the log"),
)
OTHER = "other"
_FRAME = re.compile(r"(.+) \((.+?)(?::\d+)?\)$")


class Profile(NamedTuple):
    """Samples by part, and within each by function."""

    parts: Counter[str]
    functions: dict[str, Counter[str]]


async def measure_costs(servers: Servers, pace: Pace) -> Section:
    section = Section(f"Where the time goes, {CLIENTS} clients, keyword mode",
                      ("request", "part", "share %", "CPU ms/req", "heaviest function there, share %"))
    for name, load in LOADS.items():
        try:
            sample, kernel, profile = await _watch(servers, load, min(pace.watch_s, 8.0))
        except Unavailable as error:
            section.verdicts.append(Verdict(f"{name}, the three largest costs", None, 0, "%", note=str(error)))
            continue
        section.errors += sample.errors
        rows = share_out(profile, kernel)
        each_ms = cpu_ms([sample])
        section.rows += [(name, part, share, share / 100 * each_ms, told) for part, share, told in rows]
        largest = ", ".join(f"{part} {share:.0f} %" for part, share, _ in rows[:LARGEST])
        section.notes.append(f"{name}, the three largest of {each_ms:.2f} ms: {largest}")
    section.notes.append("sampled while Python ran; the kernel's part is what the system counts; watching costs some")
    return section


async def _watch(servers: Servers, load: Load, seconds: float) -> tuple[Sample, float, Profile]:
    """The load for some seconds with py-spy beside it. Raises Unavailable."""
    program = servers.store.environment(*TOOLS) / "py-spy"
    target, file = servers.keyword, servers.folder / "samples.txt"
    await _load(target, load, 0.5)
    watcher = await asyncio.create_subprocess_exec(
        str(program), "record", "--pid", str(target.pid), "--duration", str(max(1, int(seconds))), "--format", "raw",
        "--rate", str(SAMPLES_PER_S), "--gil", "--nonblocking", "--output", str(file),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )
    with kernel_share(target.pid) as kernel:
        sample = await _load(target, load, seconds)
    told, _ = await watcher.communicate()
    if watcher.returncode or not file.is_file():
        raise Unavailable(f"py-spy: {told.decode(errors='replace').strip().splitlines()[-1:]}")
    return sample, kernel(), read_profile(file.read_text("utf-8").splitlines())


async def _load(target: Target, load: Load, seconds: float) -> Sample:
    return await run(target, load.requests(target), mark=SAID.encode(), clients=load.clients, seconds=seconds)


def read_profile(lines: Iterable[str]) -> Profile:
    """From py-spy's raw form: `outer (file:line);inner (file:line) count`."""
    profile = Profile(Counter(), {})
    for line in lines:
        stack, _, count = line.rpartition(" ")
        part, function = find_part(stack.split(";"))
        profile.parts[part] += int(count)
        profile.functions.setdefault(part, Counter())[function] += int(count)
    return profile


def find_part(frames: Sequence[str]) -> tuple[str, str]:
    """The part that the innermost known frame belongs to, and that frame's function."""
    for frame in reversed(frames):
        found = _FRAME.match(frame)
        if found is None:
            continue
        function, file = found.groups()
        for prefixes, part in PARTS:
            if file.startswith(prefixes):
                is_loop = part == WAITRESS and any(outer.startswith("Server._loop ") for outer in frames)
                return LOOP if is_loop else part, f"{function} ({Path(file).name})"
    return OTHER, frames[-1] or "–"


def share_out(profile: Profile, kernel: float) -> list[tuple[str, float, str]]:
    """Each part, its percentage of the whole, and its heaviest function; `kernel` from 0 to 1."""
    total = max(1, profile.parts.total())
    user = (1 - kernel) * 100
    rows = [(KERNEL, kernel * 100, "–")]
    for part, count in profile.parts.items():
        function, most = profile.functions[part].most_common(1)[0]
        rows.append((part, count / total * user, f"{function} {most / total * user:.1f}"))
    return sorted(rows, key=lambda row: -row[1])
