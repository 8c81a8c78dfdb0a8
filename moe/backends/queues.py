"""Where only so many requests are served at the same time, the others wait, and clients take turns."""

from __future__ import annotations

import threading
from collections.abc import Generator

from ..core import ChatRequest, Heartbeat
from ..errors import Crowded
from .base import HEARTBEAT_S, Chunks
from .rounds import Rounds

QUEUED = Heartbeat(is_queued=True)


class Queues:
    """The lanes of one process, by the place they lead to; a reload keeps them, so that nobody gets more of any.

    `limit`: how many each lane serves at the same time, None for any number. `most_waiting`: how many may wait in all
    of them together.
    """

    def __init__(self, *, limit: int | None = None, most_waiting: int = 256) -> None:
        self.lock = threading.Lock()
        self.limit = limit
        self.most_waiting = most_waiting
        self.waiting = 0
        self._lanes: dict[str, Lane] = {}

    def adjust(self, *, limit: int | None, most_waiting: int) -> None:
        """Whoever may go now goes; nobody who is served or waits already is sent away."""
        with self.lock:
            self.limit, self.most_waiting = limit, most_waiting
            for lane in self._lanes.values():
                lane.admit()

    def lane(self, place: str) -> Lane:
        with self.lock:
            return self._lanes.setdefault(place, Lane(self))


class Lane:
    """The way to one place."""

    def __init__(self, queues: Queues) -> None:
        self._queues = queues
        self._inside = 0
        self._waiting: Rounds[threading.Event] = Rounds()

    @property
    def is_free(self) -> bool:
        """Whether nobody would have to wait now."""
        limit = self._queues.limit
        return limit is None or self._inside < limit

    def pass_through(self, chunks: Chunks, request: ChatRequest) -> Chunks:
        """`chunks`, begun when it is this request's turn; to load a model nobody waits. Raises Crowded."""
        if request.only_loads:
            yield from chunks
            return
        yield from self.enter(request.client)
        try:
            yield from chunks
        finally:
            chunks.close()
            self.leave()

    def enter(self, client: str) -> Generator[Heartbeat, None, None]:
        """Heartbeats until it is this caller's turn; then `leave` must follow. One that is closed waits no more.

        Raises Crowded where too many wait already.
        """
        queues, mine = self._queues, threading.Event()
        with queues.lock:
            if self.is_free:
                self._inside += 1
                return
            if queues.waiting >= queues.most_waiting:
                raise Crowded
            self._waiting.add(client, mine)
            queues.waiting += 1
        try:
            while not mine.wait(HEARTBEAT_S):
                yield QUEUED
        except BaseException:  # the client left
            self._give_up(client, mine)
            raise

    def leave(self) -> None:
        with self._queues.lock:
            self._inside -= 1
            self.admit()

    def admit(self) -> None:
        """Lets in as many as there is room for; the lock is held."""
        while self._waiting and self.is_free:
            self._inside += 1
            self._queues.waiting -= 1
            self._waiting.take().set()

    def _give_up(self, client: str, mine: threading.Event) -> None:
        with self._queues.lock:
            if self._waiting.remove(client, mine):
                self._queues.waiting -= 1
                return
        self.leave()  # the turn came just then
