"""Who may use a model next: whoever has waited longest, so that answers under way take turns token by token."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator

from ...core import Heartbeat
from ..base import HEARTBEAT_S

_BEAT = Heartbeat()


class Turns:
    """A lock handed on in the order of asking. A plain one goes back to the thread that just gave it up."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: deque[threading.Event] = deque()
        self._is_taken = False

    def take(self) -> Iterator[Heartbeat]:
        """Heartbeats until it is this caller's turn; then `give` must follow. One that is closed waits no more."""
        mine = threading.Event()
        with self._lock:
            if not self._is_taken:
                self._is_taken = True
                return
            self._waiting.append(mine)
        try:
            while not mine.wait(HEARTBEAT_S):
                yield _BEAT
        except BaseException:  # the client left
            self._leave(mine)
            raise

    def give(self) -> None:
        with self._lock:
            if self._waiting:
                self._waiting.popleft().set()
            else:
                self._is_taken = False

    def _leave(self, mine: threading.Event) -> None:
        with self._lock:
            if mine in self._waiting:
                self._waiting.remove(mine)
                return
        self.give()  # the turn came just then
