"""What a case found: a table, and what it means beside the targets."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

Cell = str | float | int


@dataclass(frozen=True)
class Verdict:
    """A figure beside its target; `value` is None where it could not be measured, and `note` says why."""

    what: str
    value: float | None
    target: float
    unit: str
    at_least: bool = False
    note: str = ""

    @property
    def is_met(self) -> bool:
        return self.value is not None and (self.value >= self.target if self.at_least else self.value <= self.target)

    def __str__(self) -> str:
        word = "not measured" if self.value is None else "met" if self.is_met else "MISSED"
        figure = "–" if self.value is None else f"{self.value:.3g} {self.unit}"
        sign = "≥" if self.at_least else "≤"
        note = f" ({self.note})" if self.note else ""
        return f"- **{word}** {self.what}: {figure}, target {sign} {self.target:g} {self.unit}{note}"


@dataclass
class Section:
    """One case's table and verdicts.

    `notes` say what a reader has to know, `errors` are requests that were answered wrongly or not at all.
    """

    title: str
    columns: Sequence[str]
    rows: list[Sequence[Cell]] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        lines = [f"### {self.title}", ""]
        if self.rows:
            lines += [_row(self.columns), _row(["---"] * len(self.columns)), *map(_row, self.rows), ""]
        lines += [*map(str, self.verdicts), *(f"- {note}" for note in self.notes)]
        lines += [f"- **error** {' '.join(error.split())}" for error in self.errors[:5]]
        return "\n".join(lines) + "\n"

    def tell(self) -> dict[str, Any]:
        """The section as plain values for JSON."""
        return {
            "title": self.title,
            "rows": [dict(zip(self.columns, row, strict=True)) for row in self.rows],
            "verdicts": [{"what": v.what, "value": v.value, "target": v.target, "unit": v.unit, "met": v.is_met,
                          "note": v.note} for v in self.verdicts],
            "notes": self.notes,
            "errors": self.errors,
        }


def say(line: str) -> None:
    """What goes on, beside the report itself."""
    print(line, file=sys.stderr, flush=True)


def _row(cells: Iterable[Cell]) -> str:
    return f"| {' | '.join(cell if isinstance(cell, str) else _figure(cell) for cell in cells)} |"


def _figure(value: float) -> str:
    if math.isnan(value):
        return "–"
    return f"{value:.0f}" if value >= 1000 else f"{value:.3g}"
