"""Who would answer a prompt, and why."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from contextlib import closing
from typing import Any

from .ask import read_text
from .line import open_line, say
from .options import Misuse
from .terminal import Terminal, table

SIGNALS = (
    "score", "probability", "dense", "grams", "nearest", "max_keyword", "description", "mean_keyword", "top3_vote",
    "keyword",
)


def run(options: argparse.Namespace, terminal: Terminal) -> int:
    if options.experts:
        raise Misuse("--experts goes with --batch")
    text = read_text(options.text)
    with closing(open_line(options)) as line:
        told = line.route([say("user", text)], model=options.model)
    if options.json:
        terminal.print_json(told)
    else:
        for row in lines(told):
            terminal.print(row)
    return 0


def lines(told: Mapping[str, Any]) -> list[str]:
    """What /v1/route gave, for people: a table of the experts, the best first and the chosen one marked."""
    scores: Mapping[str, Mapping[str, float]] = told["scores"]
    known = [name for name in SIGNALS if any(name in row for row in scores.values())]
    ranked = sorted(scores.items(), key=lambda item: _rank(item[1], told["stage"]), reverse=True)
    rows = [[" " if label != told["expert"] else "*", label, *(_figure(row, name) for name in known)]
            for label, row in ranked]
    shown = table([["", "expert", *known], *rows]) if rows else []
    model = f" ({told['model']})" if told.get("model") else ""
    summary = (f"{told['expert']}{model}: stage {told['stage']}, confidence {told['confidence']:.3f}, "
               f"{told['elapsed_ms']:.1f} ms")
    return [*shown, summary, *_strategy(told)]


def _strategy(told: Mapping[str, Any]) -> list[str]:
    """How the answer would be come by; older servers do not say."""
    if "strategy" not in told:
        return []
    tier = f", tier {told['tier']}" if told.get("tier") else ""
    kinds = ", ".join(f"{kind} {share:.2f}" for kind, share in told["complexity"].items())
    return [f"strategy {told['strategy']}{tier}: {told['reason']}", f"complexity: {kinds}"]


def _rank(row: Mapping[str, float], stage: str) -> tuple[float, float]:
    decisive = "keyword" if stage == "keyword" else "probability"
    return row.get(decisive, 0.0), row.get("score", 0.0)


def _figure(row: Mapping[str, float], name: str) -> str:
    return f"{row[name]:.3f}" if name in row else ""
