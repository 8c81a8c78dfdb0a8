"""Where only so many requests are served at the same time, the others wait, and clients take turns."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Generator, Mapping

from ..core import ChatRequest, Heartbeat
from ..errors import Crowded
from .base import HEARTBEAT_S, Chunks
from .rounds import Rounds

QUEUED = Heartbeat(is_queued=True)


class Queues:
    """The lanes of one process, by the place they lead to; a reload keeps them, so that nobody gets more of any.

    `limit`: how many each lane serves at the same time, None for any number; `limits` has those of places with one of
    their own. `most_waiting`: how many may wait in all of them together; once they do, whoever has few waiting takes
    the place of one who has many.
    """

    def __init__(self, *, limit: int | None = None, most_waiting: int = 256) -> None:
        self.lock = threading.Lock()
        self.limit = limit
        self.limits: dict[str, int] = {}
        self.most_waiting = most_waiting
        self.waiting = 0
        self._lanes: dict[str, Lane] = {}

    def adjust(self, *, limit: int | None, most_waiting: int, limits: Mapping[str, int] | None = None) -> None:
        """Whoever may go now goes; nobody who is served or waits already is sent away."""
        with self.lock:
            self.limit, self.most_waiting, self.limits = limit, most_waiting, dict(limits or {})
            for lane in self._lanes.values():
                lane.admit()

    def lane(self, place: str) -> Lane:
        with self.lock:
            return self._lanes.setdefault(place, Lane(self, place))

    def make_room(self, client: str) -> bool:
        """Whether one more of `client` may wait; the lock is held. Where all places are taken, the newest request of
        the greediest is sent away for it, unless they would only change parts: then it would be done again and again.
        """
        if self.waiting < self.most_waiting:
            return True
        counts = Counter[str]()
        for lane in self._lanes.values():
            counts.update(lane.waiting.counts())
        greediest, most = next(iter(counts.most_common(1)), ("", 0))
        if self.waiting > self.most_waiting or most < counts[client] + 2:
            return False
        max(self._lanes.values(), key=lambda lane: lane.waiting.counts().get(greediest, 0)).send_away(greediest)
        return True


class _Turn:
    """What one request waits for: to be let in, or to be sent away for another's sake."""

    def __init__(self) -> None:
        self.is_settled = threading.Event()
        self.is_lost = False


class Lane:
    """The way to one place."""

    def __init__(self, queues: Queues, place: str) -> None:
        self._queues = queues
        self._place = place
        self._inside = 0
        self.waiting: Rounds[_Turn] = Rounds()

    @property
    def limit(self) -> int | None:
        """How many it serves at the same time, None for any number."""
        return self._queues.limits.get(self._place, self._queues.limit)

    @property
    def is_free(self) -> bool:
        """Whether nobody would have to wait now."""
        limit = self.limit
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

        Raises Crowded where too many wait already, or once its place goes to a client that has fewer waiting.
        """
        queues, mine = self._queues, _Turn()
        with queues.lock:
            if self.is_free:
                self._inside += 1
                return
            if not queues.make_room(client):
                raise Crowded
            self.waiting.add(client, mine)
            queues.waiting += 1
        try:
            while not mine.is_settled.wait(HEARTBEAT_S):
                yield QUEUED
        except BaseException:  # the client left
            self._give_up(client, mine)
            raise
        if mine.is_lost:
            raise Crowded

    def leave(self) -> None:
        with self._queues.lock:
            self._inside -= 1
            self.admit()

    def admit(self) -> None:
        """Lets in as many as there is room for; the lock is held."""
        while self.waiting and self.is_free:
            self._inside += 1
            self._queues.waiting -= 1
            self.waiting.take().is_settled.set()

    def send_away(self, client: str) -> None:
        """The newest of its requests; the lock is held."""
        turn = self.waiting.take_last(client)
        turn.is_lost = True
        self._queues.waiting -= 1
        turn.is_settled.set()

    def _give_up(self, client: str, mine: _Turn) -> None:
        with self._queues.lock:
            if self.waiting.remove(client, mine):
                self._queues.waiting -= 1
                return
            if mine.is_lost:
                return
        self.leave()  # the turn came just then
