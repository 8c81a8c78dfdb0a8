"""The experts, and what serves each of them now."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from contextlib import closing
from typing import Any

from .line import open_line
from .terminal import Terminal, table


def run(options: argparse.Namespace, terminal: Terminal) -> int:
    with closing(open_line(options)) as line:
        health = line.health()
    if options.json:
        terminal.print_json(health["experts"], indent=1)
        return 0
    head = ["expert", "type", "model", "tier", "keywords", "available"]
    for row in table([head, *(_row(label, expert) for label, expert in health["experts"].items())]):
        terminal.print(row)
    return 0


def _row(label: str, expert: Mapping[str, Any]) -> list[str]:
    is_open = expert.get("breaker", "closed") != "closed"
    state = "yes" if expert["available"] else f"no: {expert.get('reason') or 'unknown'}"
    return [label, str(expert["type"]), str(expert["model"] or "-"), str(expert.get("tier", "")),
            str(expert.get("keywords", "")), f"{state}, after failures on trial" if is_open else state]
