"""Wakes the worker that fell asleep last: a few warm threads do the work of a calm hour, the others stay asleep."""

from __future__ import annotations

import threading


class WarmFirst:
    """A condition over `lock` whose `notify` wakes the newest waiter, where threading's wakes the oldest.

    For waitress's dispatcher, which holds the lock around each of these calls.
    """

    def __init__(self, lock: threading.Lock) -> None:
        self._lock = lock
        self._bells: list[threading.Lock] = []

    def wait(self) -> None:
        bell = threading.Lock()
        bell.acquire()
        self._bells.append(bell)
        self._lock.release()
        try:
            bell.acquire()
        finally:
            self._lock.acquire()

    def notify(self) -> None:
        if self._bells:
            self._bells.pop().release()

    def notify_all(self) -> None:
        while self._bells:
            self.notify()
