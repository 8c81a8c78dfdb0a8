"""The turns of the last hour, in this process and nowhere else: for clients that name what they need not send."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

from msgspec import Struct

MOST_TURNS = 4000
MOST_BYTES = 48 << 20
LONGEST_S = 3600.0
# What there is to a turn, to an item and to each further use of it, beside what was said: roughly, in bytes.
_TURN_BYTES, _ITEM_BYTES, _USE_BYTES = 800, 300, 16


class Turn(Struct, frozen=True):
    """What was asked, with all that came before it, and what was answered: each item as JSON."""

    given: tuple[bytes, ...]
    output: tuple[bytes, ...]

    @property
    def items(self) -> tuple[bytes, ...]:
        return (*self.given, *self.output)


class Recent:
    """Turns by their ids; thread-safe. Each is forgotten an hour after it was last asked for, or where there are too
    many: then the least recently used of the client whose turns take the most room."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._shelves: dict[str, _Shelf] = {}
        self._owners: dict[str, str] = {}
        self._timer: threading.Timer | None = None

    def put(self, name: str, turn: Turn, *, client: str) -> None:
        with self._lock:
            self._drop(name)
            self._shelves.setdefault(client, _Shelf()).put(name, turn, self._clock())
            self._owners[name] = client
            while len(self._owners) > MOST_TURNS or self._size_bytes() > MOST_BYTES:
                largest = max(self._shelves.values(), key=lambda shelf: shelf.size_bytes)
                self._drop(largest.oldest)
            self._watch()

    def find(self, name: str) -> Turn | None:
        with self._lock:
            self._drop_old()
            owner = self._owners.get(name)
            return None if owner is None else self._shelves[owner].touch(name, self._clock())

    def remove(self, name: str) -> bool:
        """Whether there was one of this name."""
        with self._lock:
            self._drop_old()
            return self._drop(name)

    def _size_bytes(self) -> int:
        return sum(shelf.size_bytes for shelf in self._shelves.values())

    def _drop(self, name: str) -> bool:
        owner = self._owners.pop(name, None)
        if owner is None:
            return False
        shelf = self._shelves[owner]
        shelf.drop(name)
        if not shelf:
            del self._shelves[owner]
        return True

    def _drop_old(self) -> None:
        end = self._clock() - LONGEST_S
        for name in [name for shelf in self._shelves.values() for name in shelf.unused_since(end)]:
            self._drop(name)

    def _watch(self) -> None:
        """Sees to it that nothing lies here for longer than it may, even if nobody comes any more."""
        if self._timer is None and self._owners:
            oldest = min(shelf.used_at for shelf in self._shelves.values())
            self._timer = threading.Timer(max(1.0, oldest + LONGEST_S - self._clock()), self._sweep)
            self._timer.daemon = True
            self._timer.start()

    def _sweep(self) -> None:
        with self._lock:
            self._timer = None
            self._drop_old()
            self._watch()


class _Item(Struct):
    data: bytes
    uses: int = 0


class _Shelf:
    """The turns of one client. Most of a turn was in the one before it already: that is here but once."""

    def __init__(self) -> None:
        self.size_bytes = 0
        self._turns: dict[str, tuple[Turn, float]] = {}  # with the time of the last use, the oldest first
        self._items: dict[bytes, _Item] = {}

    def __len__(self) -> int:
        return len(self._turns)

    @property
    def oldest(self) -> str:
        return next(iter(self._turns))

    @property
    def used_at(self) -> float:
        """When the oldest turn was last asked for."""
        return next(iter(self._turns.values()))[1]

    def unused_since(self, time_s: float) -> Iterator[str]:
        for name, (_, used) in self._turns.items():
            if used > time_s:
                return
            yield name

    def touch(self, name: str, now: float) -> Turn:
        turn, _ = self._turns.pop(name)
        self._turns[name] = (turn, now)
        return turn

    def put(self, name: str, turn: Turn, now: float) -> None:
        shared = Turn(tuple(map(self._take, turn.given)), tuple(map(self._take, turn.output)))
        self._turns[name] = (shared, now)
        self.size_bytes += _TURN_BYTES

    def drop(self, name: str) -> None:
        turn, _ = self._turns.pop(name)
        self.size_bytes -= _TURN_BYTES
        for data in turn.items:
            self._leave(data)

    def _take(self, data: bytes) -> bytes:
        item = self._items.get(data)
        if item is None:
            item = self._items[data] = _Item(data)
            self.size_bytes += len(data) + _ITEM_BYTES
        item.uses += 1
        self.size_bytes += _USE_BYTES
        return item.data

    def _leave(self, data: bytes) -> None:
        item = self._items[data]
        item.uses -= 1
        self.size_bytes -= _USE_BYTES
        if not item.uses:
            del self._items[data]
            self.size_bytes -= len(data) + _ITEM_BYTES
