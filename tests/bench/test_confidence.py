"""The benchmark of the confidence counts what it says it counts."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from moe.pipeline.confidence import Signals
from tests.bench.confidence import main, measure_marks, rate, read


def test_a_text_is_read_into_its_signals() -> None:
    assert read("So 3 + 4 = 7 and 7 * 2 = 15. I am not sure.") == Signals(sums=0.5, hedges=1.0)


def test_the_log_odds_are_those_of_the_counts() -> None:
    right = np.array([True] * 9 + [False] * 9)
    marked = np.array([True] * 4 + [False] * 5 + [True] + [False] * 8)
    assert rate(marked, right) == pytest.approx(math.log((4.5 / 10) / (1.5 / 10)))
    section = measure_marks([Signals(sums=1.0 if each else 0.5) for each in marked], right)
    assert section.rows[0][:3] == ("a sum that does not hold", 13, "38 %")
    assert section.rows[1][:3] == ("all sums hold", 5, "80 %")


def test_only_lines_with_an_answer_count(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "rows.jsonl"
    rows = [{"small": True, "small_answer": "3 + 4 = 7"}] * 7 + [{"small": False, "small_answer": "3 + 4 = 7"}] * 3
    file.write_text("".join(json.dumps(row) + "\n" for row in [*rows, {"small": True, "text": "?"}]), "utf-8")
    assert main([str(file)]) in (0, 1)
    assert "10 answers, 70 % right" in capsys.readouterr().out
    assert main([str(tmp_path / "none.jsonl")]) == 2
