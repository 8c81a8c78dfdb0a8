"""The outcomes as a page of JSON, and as the table that stands in the README."""

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
PAGE = Path(__file__).with_name("matrix.json")
BEGIN, END = "<!-- clients: python -m tests.clients --slow --write -->", "<!-- end of clients -->"
LONGEST_REASON = 160
# What is of this machine, and what a table cannot hold.
_FOREIGN = re.compile(r"[`|<>]|(?:https?://)?127\.0\.0\.1:\d+|/(?:tmp|root|home|Users)/\S*")

Row = dict[str, Any]


def as_rows(outcomes: Sequence[Outcome]) -> list[Row]:
    """A client's verdict on each of its features: "pass", or why not."""
    return [
        {
            "client": outcome.client.name, "title": outcome.client.title,
            "version": outcome.client.environment.version, "not_run": _plain(outcome.not_run),
            "verdicts": {name: _plain(outcome.verdicts.get(name) or f"not run: {outcome.not_run}")
                         for name in outcome.client.features},
        }
        for outcome in outcomes
    ]


def as_table(rows: Sequence[Row]) -> str:
    """`✓`: passed. A number: the reason below. Empty: the client has no such thing."""
    reasons: list[str] = []
    lines = [f"| client | version | {' | '.join(FEATURES)} |", f"|---|---|{'---|' * len(FEATURES)}"]
    for row in rows:
        cells = [_cell(row["verdicts"].get(feature, ""), reasons) for feature in FEATURES]
        lines.append(f"| {row['title']} | {row['version']} | {' | '.join(cells)} |")
    notes = [f"{number}. {reason}" for number, reason in enumerate(reasons, 1)]
    return "\n".join([*lines, *(["", *notes] if notes else [])])


def write(outcomes: Sequence[Outcome], readme: Path = README, page: Path = PAGE) -> None:
    """Renews the table between the marks of the README. Raises ValueError where there are none."""
    rows = as_rows(outcomes)
    text = readme.read_text(encoding="utf-8")
    before, mark, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (mark and end):
        raise ValueError(f"{readme.name} has no {BEGIN} … {END}")
    readme.write_text(f"{before}{BEGIN}\n\n{as_table(rows)}\n\n{END}{after}", encoding="utf-8")
    page.write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def save(outcomes: Sequence[Outcome], file: Path) -> None:
    """All there is, with what went over the wire where something failed."""
    rows = [{**row, "verdicts": outcome.verdicts, "exchanges": outcome.exchanges, "said": outcome.said,
             "seconds": round(outcome.seconds, 1)} for row, outcome in zip(as_rows(outcomes), outcomes, strict=True)]
    file.write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _cell(verdict: str, reasons: list[str]) -> str:
    if verdict in ("", PASS):
        return "✓" if verdict else ""
    if verdict not in reasons:
        reasons.append(verdict)
    return f"({reasons.index(verdict) + 1})"


def _plain(reason: str) -> str:
    return _FOREIGN.sub("", reason)[:LONGEST_REASON]
