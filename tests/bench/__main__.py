"""Starts everything on loopback, measures, prints tables and verdicts in Markdown, and ends what it started."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import shlex
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

from tests.bench.cases import (
    FULL,
    QUICK,
    Pace,
    measure_chat,
    measure_first_token,
    measure_paced,
    measure_slow,
    measure_stream,
)
from tests.bench.costs import measure_costs
from tests.bench.local import measure_local
from tests.bench.lone import measure_health, measure_route, measure_start
from tests.bench.machine import Stopwatch, describe
from tests.bench.process import end_like_interrupt
from tests.bench.report import Section
from tests.bench.results import MACHINE, NoMarkers, show_machine, write
from tests.bench.servers import Servers
from tests.bench.turns import measure_turns

CASES: dict[str, Callable[[Servers, Pace], Awaitable[Section]]] = {
    "chat": measure_chat,
    "stream": measure_stream,
    "paced": measure_paced,
    "first": measure_first_token,
    "slow": measure_slow,
    "health": measure_health,
    "start": measure_start,
    "route": measure_route,
    "local": measure_local,
    "turns": measure_turns,
    "costs": measure_costs,
}
# What needs a download, or a model that takes its time.
LEFT_TO_FULL = ("local", "turns", "costs")


def main(arguments: Sequence[str]) -> int:
    """Returns 0 when every request was answered well, whatever the figures; 1 otherwise, 130 after Ctrl-C."""
    asked = _parse(arguments)
    end_like_interrupt()
    watch = Stopwatch()
    try:
        sections = asyncio.run(measure(asked))
        named = shlex.join(Path(argument).name for argument in arguments)  # where a file lies is nobody's business
        about = {**describe(), "command": f"venv/bin/python -m tests.bench {named}".rstrip(), "run": str(watch)}
        if asked.json:
            told = {"about": about, "sections": {name: section.tell() for name, section in sections.items()}}
            asked.json.write_text(json.dumps(told, indent=1) + "\n", "utf-8")
        if asked.report:
            write(asked.report, {MACHINE: show_machine(about), **{name: str(each) for name, each in sections.items()}})
    except KeyboardInterrupt:
        return 130
    except NoMarkers as error:
        print(error, file=sys.stderr)
        return 1
    print(show_machine(about))
    return int(any(section.errors for section in sections.values()))


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a look of seconds, to see that all runs")
    parser.add_argument("--only", metavar="NAME", action="append", choices=CASES, help=", ".join(CASES))
    parser.add_argument("--peers", action=argparse.BooleanOptionalAction, default=None,
                        help="LiteLLM's proxy too, installed into .bench/ (default: unless --quick)")
    parser.add_argument("--gguf", metavar="FILE", type=Path, help="for local and turns, in place of a random model")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the figures there too")
    parser.add_argument("--report", metavar="FILE", type=Path, help="renew the tables there: RESULTS.md")
    asked = parser.parse_args(arguments)
    if asked.peers is None:
        asked.peers = not asked.quick
    if not asked.only:
        asked.only = [name for name in CASES if not (asked.quick and name in LEFT_TO_FULL)]
    return asked


async def measure(asked: argparse.Namespace) -> Mapping[str, Section]:
    """Runs the cases in turn, printing each when it is done."""
    sections = {}
    pace = QUICK if asked.quick else FULL
    with contextlib.ExitStack() as stack:
        servers = Servers(stack, with_peers=asked.peers, gguf=asked.gguf and asked.gguf.resolve())
        for name in asked.only:
            watch = Stopwatch()
            try:
                sections[name] = await CASES[name](servers, pace)
            except RuntimeError as error:  # a server that did not start: the other cases may do without it
                sections[name] = Section(name, (), errors=[str(error)])
            sections[name].notes.append(str(watch))
            print(sections[name], flush=True)
    return sections


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
