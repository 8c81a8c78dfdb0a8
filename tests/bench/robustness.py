"""How often the router's decision changes when a prompt is disturbed in a way that changes nothing of what it asks."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from random import Random

import numpy as np

from moe.config import Settings
from moe.errors import MoeError
from tests.bench.asking import HYBRID, Job, open_system
from tests.bench.disturbances import DISTURBANCES, LONG_CHARS, Disturb
from tests.bench.process import ROOT, end_like_interrupt
from tests.bench.prompts import Row, read_rows
from tests.bench.report import Section, Verdict, say
from tests.bench.rivals import Ask

PROMPTS = ROOT / "tests" / "data" / "prompts.jsonl"
MOST_CHANGED = 3.0
ONE_WORD = ("hi", "why?", "SQL", "Kopfschmerzen", "gracias", "?", "🙂")


def main(arguments: Sequence[str]) -> int:
    """Returns 0 when all was measured, 2 for prompts or experts that cannot be used, 130 after Ctrl-C."""
    asked = _parse(arguments)
    end_like_interrupt()
    settings = Settings.gather()
    own = settings.config_folder / "experts.json"
    experts = asked.experts or (own if own.is_file() else ROOT / "config" / "experts.example.json")
    try:
        rows = read_rows(asked.file)[::asked.every]
        ask = open_system(Job(system=HYBRID, experts=str(Path(experts).absolute()), settings=settings, texts=(),
                              is_timed=False))
        section = measure(rows, ask)
    except KeyboardInterrupt:
        return 130
    except (MoeError, OSError, RuntimeError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    print(section)
    if asked.json:
        asked.json.write_text(json.dumps(section.tell(), indent=1) + "\n", "utf-8")
    return 0


def measure(rows: Sequence[Row], ask: Ask) -> Section:
    """One line for each kind of disturbance, and at last how long the shortest and the longest prompts take."""
    section = Section(f"{len(rows)} prompts, disturbed", ("disturbance", "changed", "right before", "right after"))
    before = [ask(row.text).label for row in rows]
    right = _rate(rows, before)
    changed = []
    for name, disturb in DISTURBANCES.items():
        say(name)
        after = disturb_all(rows, disturb, ask)
        changed.append(100 * np.mean([a != b for a, b in zip(before, after, strict=True)]))
        section.rows.append((name, f"{changed[-1]:.1f} %", f"{right:.3f}", f"{_rate(rows, after):.3f}"))
    overall = float(np.mean(changed))
    section.rows.append(("all", f"{overall:.1f} %", f"{right:.3f}", ""))
    section.verdicts.append(Verdict("decisions that change", overall, MOST_CHANGED, "%"))
    section.notes += [f"{name}: {_time(texts, ask):.1f} ms at most" for name, texts in list_extremes(rows).items()]
    return section


def disturb_all(rows: Sequence[Row], disturb: Disturb, ask: Ask) -> list[str]:
    """The label of each row's disturbed text; the same slips in each run."""
    return [ask(disturb(row.text, row.lang, Random(place))).label for place, row in enumerate(rows)]


def list_extremes(rows: Sequence[Row]) -> dict[str, list[str]]:
    longest = "\n".join(row.text for row in rows)
    repeated = (longest * (LONG_CHARS // max(1, len(longest)) + 1))[:LONG_CHARS]
    return {
        "prompts of one word": list(ONE_WORD),
        f"prompts of {LONG_CHARS} characters": [repeated, "x" * LONG_CHARS, "*`[(" * (LONG_CHARS // 4),
                                                "> | 1 " * (LONG_CHARS // 6)],
    }


def _rate(rows: Sequence[Row], labels: Sequence[str]) -> float:
    return float(np.mean([label == row.label or label in row.alt for row, label in zip(rows, labels, strict=True)]))


def _time(texts: Sequence[str], ask: Ask) -> float:
    """Milliseconds of the slowest."""
    took = []
    for text in texts:
        began = time.perf_counter()
        ask(text)
        took.append(1000 * (time.perf_counter() - began))
    return max(took)


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.robustness", description=__doc__)
    parser.add_argument("file", metavar="FILE.jsonl", type=Path, nargs="?", default=PROMPTS,
                        help='{"text", "label", "lang": "en" | "de" | "es"} a line')
    parser.add_argument("--experts", metavar="FILE", type=Path, help="the experts, in place of the config's own")
    parser.add_argument("--every", metavar="N", type=int, default=1, help="only every Nth prompt")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the figures there too")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
