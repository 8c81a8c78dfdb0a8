"""The threads that answers may take, shared so that no client takes all of them."""

from __future__ import annotations

import threading
from collections import Counter

from ..errors import Busy

# What one client may hold, as a multiple of what is then still free: seven eighths of all, or less where others ask.
SHARE = 7


class Slots:
    """So many of them, for all clients together; thread-safe."""

    def __init__(self, count: int) -> None:
        self._lock = threading.Lock()
        self._free = count
        self._held: Counter[str] = Counter()

    def take(self, client: str) -> Slot:
        """Raises Busy where none is free, or none for a client that holds so many already."""
        with self._lock:
            if self._held[client] >= SHARE * self._free:
                raise Busy
            self._free -= 1
            self._held[client] += 1
        return Slot(self, client)

    def give_back(self, client: str) -> None:
        with self._lock:
            self._free += 1
            self._held[client] -= 1
            if not self._held[client]:
                del self._held[client]


class Slot:
    """One thread that an answer has taken."""

    def __init__(self, slots: Slots, client: str) -> None:
        self._slots: Slots | None = slots
        self._client = client

    def release(self) -> None:
        """Gives it back, the first time."""
        slots, self._slots = self._slots, None
        if slots is not None:
            slots.give_back(self._client)
