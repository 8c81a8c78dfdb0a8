"""How often each client may ask: a sliding window of one minute."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict, deque

from ..core import Clock
from ..errors import TooManyRequests

WINDOW_S = 60.0
MAX_CLIENTS = 10_000


class Limiter:
    """Counts requests by client; thread-safe. `limit` a minute, 0 = no limit; the longest idle are forgotten."""

    def __init__(self, limit: int, *, clock: Clock) -> None:
        self.limit = limit
        self._clock = clock
        self._lock = threading.Lock()
        self._seen: OrderedDict[str, deque[float]] = OrderedDict()

    def count(self, client: str) -> None:
        """Raises TooManyRequests, with the seconds until the window has room again."""
        if not self.limit:
            return
        now = self._clock()
        with self._lock:
            times = self._seen.setdefault(client, deque())
            self._seen.move_to_end(client)
            if len(self._seen) > MAX_CLIENTS:
                self._seen.popitem(last=False)
            while times and times[0] <= now - WINDOW_S:
                times.popleft()
            if len(times) >= self.limit:
                left_s = times[len(times) - self.limit] + WINDOW_S - now
                wait_s = min(max(1, math.ceil(left_s)), int(WINDOW_S))
                raise TooManyRequests(
                    f"rate limit of {self.limit} requests a minute reached; try again in {wait_s} s",
                    retry_after_s=wait_s,
                )
            times.append(now)
