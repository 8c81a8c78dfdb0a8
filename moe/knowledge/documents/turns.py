"""Places for a few files at once, shared among clients by the time that each one's files take."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from msgspec import Struct, field

from ...core import Clock
from ...errors import Busy

LOOK_EVERY_S = 0.25


class _Account(Struct):
    """One client's: what its files took, since when others are being read, and who waits."""

    spent_s: float
    running: dict[threading.Event, float] = field(default_factory=dict)
    waiting: deque[threading.Event] = field(default_factory=deque)

    def cost(self, now: float) -> float:
        return self.spent_s + sum(now - since for since in self.running.values())


class Turns:
    """Next comes whose files have taken the least time, so that nobody waits for more of another's than those that are
    being read already. Thread-safe."""

    def __init__(self, places: int, *, clock: Clock = time.monotonic) -> None:
        self._free = places
        self._clock = clock
        self._lock = threading.Lock()
        self._accounts: dict[str, _Account] = {}

    @contextmanager
    def take(self, client: str, *, watch: Callable[[], None], patience_s: float) -> Iterator[None]:
        """A place, once it is free. `watch` is called while it is not; what that raises ends the waiting.

        Raises Busy after `patience_s`.
        """
        turn = threading.Event()
        with self._lock:
            self._account(client).waiting.append(turn)
            self._admit()
        try:
            deadline = time.monotonic() + patience_s
            while not turn.wait(LOOK_EVERY_S):
                watch()
                if time.monotonic() > deadline:
                    raise Busy
            yield
        finally:
            with self._lock:
                self._leave(client, turn)
                self._admit()

    def _account(self, client: str) -> _Account:
        """Who comes anew begins with as much as who has used least: nobody saves up."""
        if client not in self._accounts:
            now = self._clock()
            least = min((account.cost(now) for account in self._accounts.values()), default=0.0)
            self._accounts[client] = _Account(least)
        return self._accounts[client]

    def _admit(self) -> None:
        now = self._clock()
        while self._free:
            waiting = [account for account in self._accounts.values() if account.waiting]
            if not waiting:
                return
            account = min(waiting, key=lambda account: account.cost(now))
            turn = account.waiting.popleft()
            account.running[turn] = now
            self._free -= 1
            turn.set()

    def _leave(self, client: str, turn: threading.Event) -> None:
        account = self._accounts[client]
        since = account.running.pop(turn, None)
        if since is None:
            account.waiting.remove(turn)
        else:
            account.spent_s += self._clock() - since
            self._free += 1
        if not (account.running or account.waiting):
            del self._accounts[client]
