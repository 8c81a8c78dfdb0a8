"""The benchmark itself runs; how fast anything is, is not asked here."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.bench.__main__ import CASES
from tests.bench.costs import LOOP, WAITRESS, read_profile, share_out
from tests.bench.load import Sample
from tests.bench.machine import Stopwatch
from tests.bench.process import ROOT, rss_mb, running
from tests.bench.report import Section, Verdict
from tests.bench.results import MACHINE, NOTHING, SHORTFALLS, NoMarkers, write
from tests.bench.store import Store, Unavailable

MODEL = ROOT / "tests" / "models" / "general.gguf"
PAGE = "before\n<!-- chat -->old<!-- /chat -->\nbetween\n<!-- shortfalls -->old<!-- /shortfalls -->\nafter\n"


def look(folder: Path, *arguments: str) -> tuple[dict[str, Any], str]:
    """What a quick run found, and what it printed."""
    file = folder / "figures.json"
    command = [sys.executable, "-m", "tests.bench", "--quick", "--json", str(file), *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(file.read_text("utf-8"))["sections"]
    assert all(section["errors"] == [] for section in found.values())
    return found, done.stdout


def test_a_quick_look_at_chat_fills_every_row_without_an_error(tmp_path: Path) -> None:
    found, told = look(tmp_path, "--only", "chat")
    rows = found["chat"]["rows"]
    seen = {(row["request"], row["clients"], row["server"]) for row in rows}
    paths = ("/v1/chat/completions", "/api/chat")
    assert seen == set(itertools.product(paths, (1, 8, 32), ("direct", "floor", "ours")))
    assert all(row["req/s"] > 0 for row in rows)
    assert "| /api/chat | 32 | ours |" in told and "target ≥ 60 %" in told
    assert "left out: LiteLLM: not asked for" in told and "| processor |" in told


@pytest.mark.skipif(find_spec("llama_cpp") is None, reason="llama-cpp-python is not installed")
def test_a_quick_look_at_a_model_in_the_process_compares_it_with_the_locked_one(tmp_path: Path) -> None:
    found, _ = look(tmp_path, "--only", "local", "--only", "turns", "--gguf", str(MODEL))
    assert {(row["streams"], row["server"]) for row in found["local"]["rows"]} == {
        (1, "ours"), (1, "locked"), (4, "ours"), (4, "locked")}
    assert all(row["tokens/s"] > 0 and row["worst first token ms"] > 0 for row in found["local"]["rows"])
    assert {(row["conversations in turn"], row["server"]) for row in found["turns"]["rows"]} == {
        (1, "ours"), (1, "locked"), (4, "ours"), (4, "locked")}
    assert all(row["times faster"] > 0 for row in found["turns"]["rows"])


@pytest.mark.skipif(find_spec("llama_cpp") is None, reason="llama-cpp-python is not installed")
def test_a_server_that_does_not_start_leaves_the_other_cases_alone(tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF")
    asked = ("--quick", "--gguf", str(broken), "--only", "local", "--only", "route")
    command = [sys.executable, "-m", "tests.bench", *asked]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1 and "- **error**" in done.stdout
    assert "| keyword |" in done.stdout


def test_a_report_renews_its_tables_and_keeps_its_text(tmp_path: Path) -> None:
    file = tmp_path / "RESULTS.md"
    file.write_text(PAGE, "utf-8")
    section = Section("Chat", ("server",), rows=[("ours",)], verdicts=[Verdict("rate", 41, 60, "%", at_least=True)])
    write(file, {"chat": str(section)})
    text = file.read_text("utf-8")
    assert "old" not in text and "| ours |" in text
    assert "<!-- shortfalls -->\n- Chat: **MISSED** rate: 41 %, target ≥ 60 %\n<!-- /shortfalls -->" in text
    assert text.startswith("before\n") and "\nbetween\n" in text and text.endswith("\nafter\n")
    section.verdicts[:] = [Verdict("rate", 61, 60, "%", at_least=True)]
    write(file, {"chat": str(section)})
    assert NOTHING in file.read_text("utf-8")


def test_a_report_without_a_place_for_a_table_is_left_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "RESULTS.md"
    file.write_text(PAGE, "utf-8")
    with pytest.raises(NoMarkers, match="stream"):
        write(file, {"chat": "new", "stream": "new"})
    assert file.read_text("utf-8") == PAGE


def test_the_projects_report_has_a_place_for_every_case() -> None:
    text = (ROOT / "RESULTS.md").read_text("utf-8")
    for name in (*CASES, MACHINE, SHORTFALLS):
        assert text.count(f"<!-- {name} -->") == text.count(f"<!-- /{name} -->") == 1, name


def test_a_profile_is_put_together_by_the_parts_of_the_program() -> None:
    thread = "_bootstrap (threading.py:1);service (waitress/task.py:5)"
    profile = read_profile([
        "main (app.py:9);Server._loop (moe/web/server.py:2);poll2 (waitress/wasyncore.py:3) 3",
        f"{thread} 2",
        f"{thread};get (moe/backends/transport.py:4);do_poll (urllib3/util/wait.py:6);wait (threading.py:7) 5",
        "spin (somewhere.py:1) 10",
    ])
    assert profile.parts == {LOOP: 3, WAITRESS: 2, "HTTP to the upstream": 5, "other": 10}
    rows = {part: (share, told) for part, share, told in share_out(profile, kernel=0.5)}
    assert rows["HTTP to the upstream"] == (12.5, "do_poll (wait.py) 12.5")
    assert sum(share for share, _ in rows.values()) == pytest.approx(100)


def test_packages_that_cannot_be_had_are_told_in_a_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(Unavailable, match="no-such-package"):
        Store(tmp_path / "store").environment("peer", ("no-such-package==0",))
    assert (tmp_path / "store" / ".gitignore").read_text("utf-8") == "*\n"


@pytest.mark.skipif(not Path("/proc/stat").exists(), reason="the system does not tell")
def test_what_other_programs_take_is_told_beside_the_figures() -> None:
    watch = Stopwatch()
    with subprocess.Popen([sys.executable, "-c", "sum(range(10**7))"]) as own:
        own.wait()
    assert 0 <= watch.others_cores() < 64
    assert "of" in str(watch) and "cores" in str(watch)


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
