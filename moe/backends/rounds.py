"""A waiting list that is fair to clients, however much each of them asks."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Rounds(Generic[T]):
    """Clients take turns: each one's first, in the order of their coming, then each one's second. Not locked."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[str, deque[T]] = OrderedDict()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[T]:
        return (item for items in self._waiting.values() for item in items)

    def add(self, client: str, item: T) -> None:
        self._waiting.setdefault(client, deque()).append(item)
        self._count += 1

    def counts(self) -> dict[str, int]:
        """How many each client has waiting."""
        return {client: len(items) for client, items in self._waiting.items()}

    @property
    def next(self) -> T:
        """Whoever `take` would take. Raises IndexError when nobody waits."""
        for items in self._waiting.values():
            return items[0]
        raise IndexError("nobody waits")

    def take(self) -> T:
        """Raises IndexError when nobody waits."""
        item = self.next
        client, items = self._waiting.popitem(last=False)
        items.popleft()
        self._count -= 1
        if items:
            self._waiting[client] = items
        return item

    def take_last(self, client: str) -> T:
        """The one of this client that came last. Raises KeyError when it has none."""
        item = self._waiting[client][-1]
        self.remove(client, item)
        return item

    def remove(self, client: str, item: T) -> bool:
        """Whether it was there."""
        items = self._waiting.get(client)
        if items is None or item not in items:
            return False
        items.remove(item)
        self._count -= 1
        if not items:
            del self._waiting[client]
        return True

    def clear(self) -> None:
        self._waiting.clear()
        self._count = 0
