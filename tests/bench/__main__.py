"""Starts everything on loopback, measures, prints tables and verdicts in Markdown, and ends what it started."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import platform
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from tests.bench.cases import FULL, QUICK, Pace, measure_chat, measure_first_token, measure_slow, measure_stream
from tests.bench.lone import measure_health, measure_route, measure_start
from tests.bench.process import NotStarted, end_like_interrupt
from tests.bench.report import Section
from tests.bench.servers import Servers

CASES: dict[str, Callable[[Servers, Pace], Awaitable[Section]]] = {
    "chat": measure_chat,
    "stream": measure_stream,
    "first": measure_first_token,
    "slow": measure_slow,
    "health": measure_health,
    "start": measure_start,
    "route": measure_route,
}


def main(arguments: Sequence[str]) -> int:
    """Returns 0 when every request was answered well, whatever the figures; 1 otherwise, 130 after Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a look of seconds, to see that all runs")
    parser.add_argument("--only", metavar="NAME", action="append", choices=CASES, help=", ".join(CASES))
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the figures there too")
    asked = parser.parse_args(arguments)
    end_like_interrupt()
    before = machine()
    try:
        sections = asyncio.run(measure(asked.only or list(CASES), QUICK if asked.quick else FULL))
    except KeyboardInterrupt:
        return 130
    except NotStarted as error:
        print(error, file=sys.stderr)
        return 1
    about = {"before": before, "after": machine(), "sections": {name: each.tell() for name, each in sections.items()}}
    if asked.json:
        asked.json.write_text(json.dumps(about, indent=1) + "\n", "utf-8")
    print(f"Load of the machine: {before['load']} before, {about['after']['load']} after, {before['cpus']} processors, "
          f"Python {before['python']}.")
    return int(any(section.errors for section in sections.values()))


async def measure(names: Sequence[str], pace: Pace) -> dict[str, Section]:
    """Runs the cases in turn, printing each when it is done."""
    sections = {}
    with contextlib.ExitStack() as stack:
        servers = Servers(stack)
        for name in names:
            sections[name] = await CASES[name](servers, pace)
            print(sections[name], flush=True)
    return sections


def machine() -> dict[str, Any]:
    return {"load": [round(load, 1) for load in os.getloadavg()], "cpus": os.cpu_count(),
            "python": platform.python_version(), "system": f"{platform.system()} {platform.machine()}"}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
