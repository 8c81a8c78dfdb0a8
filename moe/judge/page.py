"""A report as one HTML page that needs nothing from outside: no script, its plots are inline SVG."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jinja2

from .report import Report

SIDE = 320
MARGIN = 36
TICKS = (0.0, 0.25, 0.5, 0.75, 1.0)
CELL = {True: 26, False: 9}
SMALL_MATRIX = 24
CHARACTER = 7.2


def draw_page(report: Report, title: str) -> str:
    """Whatever a user wrote stands in it as text only."""
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True,
                                     undefined=jinja2.StrictUndefined)
    template = environment.from_string(Path(__file__).with_name("page.html").read_text(encoding="utf-8"))
    return template.render(
        report=report, title=title, side=SIDE, margin=MARGIN, ticks=[(tick, x(tick), y(tick)) for tick in TICKS],
        bins=[(x(each.confidence), y(each.accuracy), each) for each in report.bins], risk=_draw_risk(report),
        matrix=_draw_matrix(report),
    )


def x(share: float) -> float:
    return round(MARGIN + share * SIDE, 1)


def y(share: float) -> float:
    return round(MARGIN / 2 + (1 - share) * SIDE, 1)


def _draw_risk(report: Report) -> dict[str, Any]:
    """The curve's points, its risk axis cut at the next tenth above the greatest risk."""
    top = max(0.1, -(-max(risk for _, risk in report.curve) * 10 // 1) / 10)
    points = " ".join(f"{x(coverage)},{y(risk / top)}" for coverage, risk in report.curve)
    return {"points": points, "ticks": [(round(top * tick, 3), x(tick), y(tick)) for tick in TICKS]}


def _draw_matrix(report: Report) -> dict[str, Any]:
    """Cells that are not empty, each as dark as its share of its row."""
    labels, counts = report.matrix_labels, report.confusion
    is_small = len(labels) <= SMALL_MATRIX
    cell = CELL[is_small]
    left = round(CHARACTER * max(map(len, labels))) + 8
    cells = [
        {"x": left + j * cell, "y": left + i * cell, "count": count, "share": round(count / sum(row), 3),
         "gold": labels[i], "said": labels[j], "wrong": i != j}
        for i, row in enumerate(counts) for j, count in enumerate(row) if count
    ]
    names = [(label, left + place * cell + cell / 2) for place, label in enumerate(labels)]
    return {"cells": cells, "cell": cell, "left": left, "size": left + cell * len(labels) + 4, "names": names,
            "is_small": is_small, "font": 11 if is_small else 8}
