"""The process that solves is killed when it takes too long, limited in memory, and started again."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from moe.errors import ToolError, ToolTimeout
from moe.tools.base import Setting
from moe.tools.equations.tools import solve_equation
from moe.tools.equations.worker import LIMIT_S, Worker

SLOW = {"number": str((10**24 + 7) * (10**25 + 13))}
QUICK = {"number": "91"}


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    worker = Worker()
    worker.warm()
    yield worker
    worker.close()


def lives(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def test_nothing_runs_before_the_first_task() -> None:
    worker = Worker()
    assert worker.pid is None
    worker.close()
    with pytest.raises(ToolError, match="has ended"):
        worker.solve("factorize", QUICK)


def test_one_process_serves_task_after_task(worker: Worker) -> None:
    first = worker.pid
    assert [worker.solve("factorize", QUICK) for _ in range(3)] == [[["7", "1"], ["13", "1"]]] * 3
    assert worker.pid == first


def test_what_takes_too_long_is_killed_and_the_next_task_served(worker: Worker) -> None:
    first = worker.pid
    begun = time.monotonic()
    with pytest.raises(ToolTimeout):
        worker.solve("factorize", SLOW)
    assert time.monotonic() - begun < LIMIT_S + 1
    assert worker.solve("factorize", QUICK) == [["7", "1"], ["13", "1"]]
    assert worker.pid != first and first is not None and not lives(first)


def test_a_process_that_died_is_replaced(worker: Worker) -> None:
    worker.warm()
    first = worker.pid
    assert first is not None
    os.kill(first, 9)
    for _ in range(2):
        try:
            found = worker.solve("factorize", QUICK)
        except ToolError:
            continue
    assert found == [["7", "1"], ["13", "1"]] and worker.pid != first


def test_its_memory_is_bounded(worker: Worker) -> None:
    worker.warm()
    limits = Path(f"/proc/{worker.pid}/limits").read_text()
    assert "Max address space         1073741824" in limits


def test_many_threads_share_it(worker: Worker) -> None:
    found = []
    threads = [threading.Thread(target=lambda n=n: found.append((n, worker.solve("factorize", {"number": str(n)}))))
               for n in (15, 21, 33, 35, 39)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {n: [int(prime) for prime, _ in each] for n, each in found} == {
        15: [3, 5], 21: [3, 7], 33: [3, 11], 35: [5, 7], 39: [3, 13]}


def test_closing_ends_it_even_at_work() -> None:
    worker = Worker()
    worker.warm()
    pid = worker.pid
    failed = []

    def ask() -> None:
        try:
            worker.solve("factorize", SLOW)
        except ToolError as error:
            failed.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    time.sleep(0.2)
    worker.close()
    thread.join(5)
    assert failed and worker.pid is None and pid is not None and not lives(pid)


def test_without_a_solver_the_tool_says_so() -> None:
    with pytest.raises(ToolError, match="no solver runs"):
        solve_equation("x = 1 + 1", setting=Setting())


def test_an_equation_that_sympy_never_ends_with_is_given_up(worker: Worker) -> None:
    begun = time.monotonic()
    with pytest.raises(ToolError):
        solve_equation("(x+1)^60 + (x-2)^59*pi = sqrt(2)", setting=Setting(solver=worker))
    assert time.monotonic() - begun < 2 + 1


def test_one_that_was_ended_while_idle_is_replaced_unseen() -> None:
    worker = Worker()
    try:
        for _ in range(3):
            assert worker.solve("factorize", QUICK)
            child = worker._child
            assert child is not None
            child.kill()
            child.wait()
            child.returncode = None  # as it looks to whoever asks before the system has noticed
        assert worker.solve("factorize", QUICK)
    finally:
        worker.close()
