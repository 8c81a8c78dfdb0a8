"""The box lets only a few calls that bring much along run at the same time."""

from __future__ import annotations

import threading
import time

from moe.tools.base import Outcome, Setting, tool
from moe.tools.toolbox import LONG, LONG_AT_ONCE, Toolbox

running, most = [0], [0]
lock = threading.Lock()


@tool("test")
def dwell(text: str, *, setting: Setting) -> Outcome:
    """Takes its time.

    text: anything
    """
    with lock:
        running[0] += 1
        most[0] = max(most[0], running[0])
    time.sleep(0.02)
    with lock:
        running[0] -= 1
    return Outcome(result=len(text), text="done")


def call_at_once(text: str) -> int:
    """How many of sixteen calls ran at the same time."""
    box = Toolbox([dwell], Setting())
    most[0] = 0
    threads = [threading.Thread(target=box.call, args=("dwell", {"text": text})) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert running[0] == 0
    return most[0]


def test_of_the_long_calls_only_a_few_run_at_once() -> None:
    assert call_at_once("x" * (LONG + 1)) == LONG_AT_ONCE


def test_short_ones_do_not_wait() -> None:
    assert call_at_once("x") > LONG_AT_ONCE
