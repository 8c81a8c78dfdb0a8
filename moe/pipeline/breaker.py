"""The circuit breaker: after some failures in a row nobody waits for a model until a single probe succeeds."""

from __future__ import annotations

import threading
from typing import Literal

from ..core import Clock

State = Literal["closed", "open", "half-open"]


class Breaker:
    """That of one model in one place; thread-safe. `failures` in a row open it for `cooldown_s`, then one probe may
    pass. `was_silent`: the last of them was a wait for nothing."""

    def __init__(self, *, failures: int, cooldown_s: float, clock: Clock) -> None:
        self._limit = failures
        self._cooldown_s = cooldown_s
        self._clock = clock
        self._lock = threading.Lock()
        self._failed = 0
        self._open_until = 0.0
        self._is_probing = False
        self.was_silent = False

    @property
    def state(self) -> State:
        if self._failed < self._limit and self._clock() >= self._open_until:
            return "closed"
        return "open" if self._clock() < self._open_until else "half-open"

    def admit(self) -> bool:
        """Whether a request may go through now; who is admitted must report `succeed`, `fail` or `release`."""
        if not self._failed and not self._open_until:
            return True
        with self._lock:
            if self._clock() < self._open_until:
                return False
            if self._failed < self._limit:
                return True
            if self._is_probing:
                return False
            self._is_probing = True
            return True

    def succeed(self) -> None:
        if not self._failed and not self._open_until:
            return
        with self._lock:
            self._failed, self._open_until, self._is_probing = 0, 0.0, False

    def fail(self, *, wait_s: float | None = None, was_silent: bool = False) -> None:
        """One failed request; `wait_s` = how long the upstream itself asked to be left alone."""
        with self._lock:
            self._failed += 1
            self._is_probing = False
            self.was_silent = was_silent
            now = self._clock()
            if self._failed >= self._limit:
                self._open_until = max(self._open_until, now + self._cooldown_s)
            if wait_s:
                self._open_until = max(self._open_until, now + wait_s)

    def release(self) -> None:
        """The request ended without telling anything, as when the client left."""
        with self._lock:
            self._is_probing = False
