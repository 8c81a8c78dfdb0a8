"""The worker that slept last is woken first, and nobody is forgotten."""

from __future__ import annotations

import threading
import time

from moe.web.workers import WarmFirst


def _sleepers(condition: WarmFirst, lock: threading.Lock, count: int) -> tuple[list[int], list[threading.Thread]]:
    """`count` threads that wait one after the other, and the order in which they woke."""
    woken: list[int] = []

    def sleep(number: int) -> None:
        with lock:
            condition.wait()
            woken.append(number)

    threads = []
    for number in range(count):
        thread = threading.Thread(target=sleep, args=(number,), daemon=True)
        thread.start()
        threads.append(thread)
        while len(condition._bells) <= number:
            time.sleep(0.001)
    return woken, threads


def _wait_for(woken: list[int], count: int) -> None:
    deadline = time.monotonic() + 10
    while len(woken) < count and time.monotonic() < deadline:
        time.sleep(0.001)


def test_the_one_who_slept_last_wakes_first() -> None:
    lock = threading.Lock()
    condition = WarmFirst(lock)
    woken, threads = _sleepers(condition, lock, 3)
    for expected in range(1, 4):
        with lock:
            condition.notify()
        _wait_for(woken, expected)
    for thread in threads:
        thread.join(10)
    assert woken == [2, 1, 0]


def test_all_can_be_woken_and_a_call_for_nobody_is_harmless() -> None:
    lock = threading.Lock()
    condition = WarmFirst(lock)
    with lock:
        condition.notify()
    woken, threads = _sleepers(condition, lock, 5)
    with lock:
        condition.notify_all()
    for thread in threads:
        thread.join(10)
    assert sorted(woken) == [0, 1, 2, 3, 4]
