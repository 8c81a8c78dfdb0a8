"""The last requests and what became of them: there as soon as they are over, written to disk by a thread of its own."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path

import msgspec

from ..trace import Record, decode, encode
from .database import Database, NotStored

log = logging.getLogger("moe.store")

MOST_REQUESTS = 1000
WRITE_EVERY_S = 0.5
# A disk that failed is left alone for so long.
REST_S = 30.0


class Requests:
    """Thread-safe. `put` never waits for the disk and never fails; what the disk does not take stays in memory as long
    as it is one of the last. Each other method raises NotStored when the file cannot be used.

    Several with one id are kept side by side, for clients may choose their ids.
    """

    def __init__(self, file: Path) -> None:
        self._database = Database(file)
        self._keeps_text = False
        self._waiting: deque[tuple[int, Record]] = deque(maxlen=MOST_REQUESTS)
        self._count = 0
        self._lock = threading.Lock()
        self._writing = threading.Lock()  # taken first where both are
        self._has_news = threading.Event()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """From now on what is put is written soon."""
        self._thread = threading.Thread(target=self._write_now_and_then, name="requests", daemon=True)
        self._thread.start()

    def put(self, record: Record) -> None:
        with self._lock:
            self._count += 1
            self._waiting.append((self._count, record if self._keeps_text else record.without_text()))
        if not self._has_news.is_set():
            self._has_news.set()

    def find(self, name: str) -> Record | None:
        """The newest of this id."""
        with self._lock:
            found = next((record for _, record in reversed(self._waiting) if record.id == name), None)
        if found is not None or not self._database.exists:
            return found
        with self._database.transaction() as connection:
            rows = connection.execute(
                "SELECT record FROM requests WHERE id = ? ORDER BY number DESC LIMIT 1", (name,)).fetchall()
        return next(_read(rows), None)

    def newest(self, most: int) -> list[Record]:
        """So many, the last that ended first; those in memory alone where the file cannot be used."""
        with self._writing:
            with self._lock:
                found = [record for _, record in islice(reversed(self._waiting), most)]
            if len(found) < most and self._database.exists:
                with suppress(NotStored), self._database.transaction() as connection:  # the log says why
                    rows = connection.execute("SELECT record FROM requests ORDER BY number DESC LIMIT ?",
                                              (min(most, MOST_REQUESTS) - len(found),)).fetchall()
                    found += _read(rows)
        return found

    def keep_text(self, is_allowed: bool) -> int:
        """Whether what was said may be kept from now on. Where it may not, it is taken out of what is here already;
        returns of how many."""
        with self._writing:
            with self._lock:
                self._keeps_text = is_allowed
                if is_allowed:
                    return 0
                count = sum(record.has_text for _, record in self._waiting)
                bare = [(number, record.without_text()) for number, record in self._waiting]
                self._waiting = deque(bare, maxlen=MOST_REQUESTS)
            return count + self._clear_text()

    def write(self) -> None:
        """What waits goes to the file now. Raises NotStored; then it goes on waiting."""
        with self._writing:
            with self._lock:
                waiting = list(self._waiting)
            if not waiting:
                return
            rows = [(record.id, record.has_text, encode(record)) for _, record in waiting]
            with self._database.transaction() as connection:
                connection.executemany("INSERT INTO requests (id, has_text, record) VALUES (?, ?, ?)", rows)
                connection.execute("DELETE FROM requests WHERE number <= (SELECT max(number) - ? FROM requests)",
                                   (MOST_REQUESTS,))
            with self._lock:
                while self._waiting and self._waiting[0][0] <= waiting[-1][0]:
                    self._waiting.popleft()

    def close(self) -> None:
        """Writes what waits, and ends the thread."""
        self._ended.set()
        self._has_news.set()
        if self._thread is not None:
            self._thread.join(5)
        with suppress(NotStored):  # the log says why
            self.write()
        self._database.close()

    def _clear_text(self) -> int:
        if not self._database.exists:
            return 0
        with self._database.transaction() as connection:
            rows = connection.execute("SELECT number, record FROM requests WHERE has_text").fetchall()
            connection.executemany("UPDATE requests SET has_text = 0, record = ? WHERE number = ?", _strip(rows))
            connection.execute("DELETE FROM requests WHERE has_text")
        if rows:
            self._database.compact()
        return len(rows)

    def _write_now_and_then(self) -> None:
        while not self._ended.is_set():
            self._has_news.wait()
            self._ended.wait(WRITE_EVERY_S)
            self._has_news.clear()
            try:
                self.write()
            except NotStored:
                self._ended.wait(REST_S)
                self._has_news.set()


def _strip(rows: Iterable[tuple[int, bytes]]) -> Iterator[tuple[bytes, int]]:
    """Each without its text; what cannot be read is left out."""
    for number, data in rows:
        for record in _read([(data,)]):
            yield encode(record.without_text()), number


def _read(rows: Iterable[tuple[bytes]]) -> Iterator[Record]:
    """What another version of this program wrote, and this one cannot read, is passed over."""
    for (data,) in rows:
        try:
            yield decode(data)
        except msgspec.DecodeError as error:
            log.warning("a kept request cannot be read: %s", error)
