"""The soak itself runs, and can tell a server that leaks or answers wrongly."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.bench.crowd import Tally, crowd, list_kinds
from tests.bench.load import Target
from tests.bench.process import PROC, ROOT, await_port, running
from tests.bench.soak import Course, Ended, Plan, judge, take, tell

pytestmark = pytest.mark.skipif(not PROC, reason="a soak needs /proc")
PLAN = Plan(warm_s=1, seconds=1, rest_s=0, clients=1, seed=1)
LEAKY = """
import subprocess, sys, threading
print(flush=True)
sys.stdin.readline()
files = [open("/dev/null") for _ in range(40)]
threads = [threading.Thread(target=threading.Event().wait, daemon=True) for _ in range(5)]
for thread in threads:
    thread.start()
child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
memory = b"x" * 40_000_000
print(flush=True)
sys.stdin.readline()
child.communicate()
"""


@contextmanager
def leaky() -> Iterator[subprocess.Popen[str]]:
    """Leaks of everything something, at its first line of input; ends at its second."""
    command = [sys.executable, "-c", LEAKY]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process


def poke(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write("\n")
    process.stdin.flush()
    process.stdout.readline()


def test_a_short_soak_asks_everything_and_finds_no_fault(tmp_path: Path) -> None:
    figures, page = tmp_path / "figures.json", tmp_path / "RESULTS.md"
    page.write_text("<!-- shortfalls --><!-- /shortfalls -->\n<!-- soak --><!-- /soak -->\n", "utf-8")
    command = [sys.executable, "-m", "tests.bench.soak", "--minutes", "0.1", "--warm-up", "2", "--rest", "1",
               "--clients", "8", "--json", str(figures), "--report", str(page)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(figures.read_text("utf-8"))
    total = told["rows"][-1]
    assert told["errors"] == [] and len(told["verdicts"]) == 4
    assert int(total["cut by the client"]) > 0 and int(total["read slowly"]) > 0
    assert int(total["asked"]) == int(total["answered as expected"]) + int(total["cut by the client"])
    assert "### A soak: 8 mixed clients" in page.read_text("utf-8")


def test_whatever_leaks_is_told() -> None:
    with leaky() as process:
        before = take(process.pid)
        poke(process)
        course = Course(before, [], take(process.pid))
        poke(process)
    assert [verdict.is_met for verdict in judge(course)] == [False] * 4
    assert str(tell(PLAN, course, Tally())).count("**MISSED**") == 4


def test_nothing_is_told_of_a_process_that_only_stays() -> None:
    with leaky() as process:
        course = Course(take(process.pid), [], take(process.pid))
        poke(process)
        poke(process)
    assert all(verdict.is_met for verdict in judge(course))


def test_a_process_that_ended_has_no_vitals() -> None:
    with subprocess.Popen([sys.executable, "-c", ""], stdin=subprocess.PIPE) as process:
        process.wait()
        with pytest.raises(Ended):
            take(process.pid)


def test_answers_that_are_not_the_expected_ones_are_told(tmp_path: Path) -> None:
    tally, log = Tally(), tmp_path / "log"
    with running([sys.executable, "-m", "tests.bench.mock"], log=log) as process:
        target = Target("mock", await_port(process, log)[0])
        kinds = [kind for kind in list_kinds() if kind.name in ("/api/embed", "nonsense: a list")]
        asyncio.run(crowd(target, kinds, tally, clients=2, seconds=0.5, seed="1"))
    assert any(error.startswith("/api/embed: status 200") for error in tally.errors)
    assert any(error.startswith("nonsense: a list") for error in tally.errors)
    assert not tally.good
