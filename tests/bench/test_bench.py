"""The benchmark itself runs; how fast anything is, is not asked here."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench.load import Sample
from tests.bench.process import ROOT, rss_mb, running
from tests.bench.report import Verdict


def test_a_quick_look_at_chat_fills_every_row_without_an_error(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    command = [sys.executable, "-m", "tests.bench", "--quick", "--only", "chat", "--json", str(file)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    chat = json.loads(file.read_text("utf-8"))["sections"]["chat"]
    seen = {(row["request"], row["clients"], row["server"]) for row in chat["rows"]}
    assert seen == set(itertools.product(("/v1/chat/completions", "/api/chat"), (1, 8, 32), ("floor", "ours")))
    assert all(row["req/s"] > 0 for row in chat["rows"])
    assert chat["errors"] == []
    assert "| /api/chat | 32 | ours |" in done.stdout and "target ≥ 55 %" in done.stdout


def test_a_process_is_ended_even_when_the_block_is_left_by_an_interrupt(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import time; time.sleep(60)"]
    with pytest.raises(KeyboardInterrupt), running(command, log=tmp_path / "log") as process:
        assert rss_mb(process.pid) > 0
        raise KeyboardInterrupt
    assert process.returncode is not None


def test_a_verdict_shows_the_figure_beside_its_target() -> None:
    missed = Verdict("throughput", 41.26, 55, "%", at_least=True)
    assert str(missed) == "- **MISSED** throughput: 41.3 %, target ≥ 55 %"
    assert Verdict("memory", 99, 100, "MB").is_met
    assert "not measured" in str(Verdict("memory", None, 260, "MB", note="no encoder"))


def test_a_rate_counts_only_good_answers() -> None:
    assert Sample(2.0, 0.0, [1.0] * 10, [1.0] * 10, ["status 500"]).per_s == 5
