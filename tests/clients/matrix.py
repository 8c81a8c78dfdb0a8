"""The outcomes as JSON, and as the table that stands in the README."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from moe.config.settings import ROOT
from tests.clients.catalogue import FEATURES
from tests.clients.trial import PASS, Outcome

README = ROOT / "README.md"
BEGIN, END = "<!-- clients: python -m tests.clients --write -->", "<!-- end of clients -->"
LONGEST_REASON = 160


def as_json(outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    return [
        {
            "client": outcome.client.name, "packages": outcome.client.environment.packages,
            "seconds": round(outcome.seconds, 1), "not_run": outcome.not_run, "verdicts": outcome.verdicts,
            "exchanges": outcome.exchanges,
        }
        for outcome in outcomes
    ]


def as_table(outcomes: Sequence[Outcome]) -> str:
    """`✓` passed, a number refers to a reason below, empty: the client has no such thing or cannot be asked for it."""
    reasons: list[str] = []
    lines = [f"| client | version | {' | '.join(FEATURES)} |", f"|---|---|{'---|' * len(FEATURES)}"]
    for outcome in outcomes:
        cells = [_cell(outcome, feature, reasons) for feature in FEATURES]
        lines.append(f"| {outcome.client.title} | {outcome.client.environment.version} | {' | '.join(cells)} |")
    notes = [f"{number}. {reason}" for number, reason in enumerate(reasons, 1)]
    return "\n".join([*lines, *(["", *notes] if notes else [])])


def _cell(outcome: Outcome, feature: str, reasons: list[str]) -> str:
    if outcome.not_run:
        return _refer(f"not run: {outcome.not_run}", reasons) if feature in outcome.client.features else ""
    told = outcome.verdicts.get(feature, "")
    return "✓" if told == PASS else _refer(told, reasons) if told else ""


def _refer(reason: str, reasons: list[str]) -> str:
    plain = re.sub(r"[`|<>]|127\.0\.0\.1:\d+|/\S*/", "", reason)[:LONGEST_REASON]
    if plain not in reasons:
        reasons.append(plain)
    return f"({reasons.index(plain) + 1})"


def write(outcomes: Sequence[Outcome], page: Path = README) -> None:
    """Puts the table between the marks of the page. Raises ValueError where there are none."""
    text = page.read_text(encoding="utf-8")
    before, mark, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (mark and end):
        raise ValueError(f"{page.name} has no {BEGIN} … {END}")
    page.write_text(f"{before}{BEGIN}\n\n{as_table(outcomes)}\n\n{END}{after}", encoding="utf-8")


def save(outcomes: Sequence[Outcome], file: Path) -> None:
    file.write_text(json.dumps(as_json(outcomes), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
