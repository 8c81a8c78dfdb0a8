"""What may still be spent on the parts of one request."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from ..asking import Asking, Spent


class Purse:
    """The calls that the tasks of one request may still make: each task's first comes before anybody's second, and so
    do those that follow all of them. Thread-safe."""

    def __init__(self, asking: Asking, *, tasks: int, to_follow: int) -> None:
        self._asking = asking
        self._due = tasks
        self._to_follow = to_follow
        self._drawn = 0
        self._lock = threading.Lock()

    @contextmanager
    def draw(self, *, is_extra: bool = False) -> Iterator[None]:
        """One call, until it has been made. Raises Spent."""
        with self._lock:
            self._due -= not is_extra
            keep = self._due + self._to_follow if is_extra else 0
            most = self._asking.limits.max_calls
            is_over = self._asking.trace.calls + self._drawn + 1 + keep > most
            refusal = f"{most} calls are the most for one request" if is_over else self._asking.refusal()
            if refusal:
                raise Spent(refusal, reason=refusal)
            self._drawn += 1
        try:
            yield
        finally:
            with self._lock:
                self._drawn -= 1

    def settle(self) -> None:
        """A task needs no call."""
        with self._lock:
            self._due -= 1
