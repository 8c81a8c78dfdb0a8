"""How well models have done, at hand for every request: read and written by a thread of its own."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Sequence

from msgspec import Struct

from ..store import NotStored, Score, Scores, Source

log = logging.getLogger("moe.store")

READ_EVERY_S = 30.0
MOST_WAITING = 1000
# Of so many domains and models the scores are at hand; any others stand as if they were new.
MOST_DOMAINS, MOST_MODELS = 200, 200
# A file that could not be used is left alone for so long.
REST_S = 600.0
_PATIENCE_S = 5.0
_NEW = Score()


class _Seen(Struct, frozen=True):
    """One observation that is still to be written."""

    model: str
    domain: str
    positive: bool


class _Domain(Struct):
    """The scores of the models that were asked about in it, and when they are to be read next."""

    scores: dict[str, Score] = {}
    due: float = 0.0


class Standing:
    """Thread-safe. `best`, `score` and `observe` never wait for the disk and never fail; as long as the file cannot be
    used, models stand as they last did."""

    def __init__(self, scores: Scores) -> None:
        self._scores = scores
        self._domains: dict[str, _Domain] = {}
        self._unread: set[str] = set()
        self._waiting: deque[_Seen] = deque()
        self._lock = threading.Lock()
        self._has_news = threading.Event()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._is_full = False

    def start(self) -> None:
        """From now on what is asked about is read, and what is observed is written."""
        self._thread = threading.Thread(target=self._serve, name="scores", daemon=True)
        self._thread.start()

    def best(self, models: Sequence[str], domain: str) -> str:
        """The one that did best in this domain as far as is known, the first of equals; "" where there are none."""
        scores = self._look_up(models, domain)
        return max(models, key=lambda model: scores.get(model, _NEW).value, default="")

    def score(self, model: str, domain: str) -> float | None:
        """Between 0 and 1; None where too little is known to tell."""
        score = self._look_up((model,), domain).get(model, _NEW)
        return score.value if score.is_known else None

    def observe(self, model: str, domain: str, positive: bool) -> None:
        """Of an answer that `model` gave, by what a larger model said to the same."""
        with self._lock:
            is_dropped = len(self._waiting) >= MOST_WAITING
            is_news, self._is_full = is_dropped and not self._is_full, is_dropped
            if not is_dropped:
                self._waiting.append(_Seen(model, domain, positive))
        if is_news:
            log.warning("scores: %d observations wait to be written; further ones are dropped", MOST_WAITING)
        self._has_news.set()

    def close(self) -> None:
        """Writes what waits, as far as it can be, and ends the thread."""
        self._ended.set()
        self._has_news.set()
        if self._thread is not None:
            self._thread.join(_PATIENCE_S)
        self._scores.close()

    def _look_up(self, models: Sequence[str], domain: str) -> dict[str, Score]:
        """What is at hand; whatever is missing or old is read soon."""
        with self._lock:
            known = self._domains.get(domain)
            if known is None:
                if len(self._domains) >= MOST_DOMAINS:
                    return {}
                known = self._domains[domain] = _Domain()
            self._note_asked(known, models, domain)
            return known.scores

    def _note_asked(self, known: _Domain, models: Sequence[str], domain: str) -> None:
        new = [model for model in models if model not in known.scores and model.isprintable()]
        if new and len(known.scores) < MOST_MODELS:
            known.scores = known.scores | dict.fromkeys(new, _NEW)
            known.due = 0.0
        now = time.monotonic()
        if now >= known.due:
            known.due = now + READ_EVERY_S
            self._unread.add(domain)
            self._has_news.set()

    def _serve(self) -> None:
        is_well = True
        while not self._ended.is_set():
            self._has_news.wait()
            self._has_news.clear()
            is_well = self._work(was_well=is_well)
            if not is_well and not self._ended.wait(REST_S):
                self._has_news.set()
        if is_well:
            self._work(was_well=True)

    def _work(self, *, was_well: bool) -> bool:
        """All that there is to do; whether the file could be used for it."""
        try:
            while self._waiting:
                seen = self._waiting[0]
                self._scores.add(seen.model, seen.domain, positive=seen.positive, source=Source.ESCALATION)
                self._waiting.popleft()
            while self._unread:
                self._read(next(iter(self._unread)))
        except NotStored:
            if was_well:
                log.warning("scores: models are chosen without new ones as long as their file cannot be used")
            return False
        return True

    def _read(self, domain: str) -> None:
        with self._lock:
            asked = tuple(self._domains[domain].scores)
            self._unread.discard(domain)
        found = self._scores.find_all(asked, domain)
        with self._lock:
            self._domains[domain].scores = self._domains[domain].scores | found
