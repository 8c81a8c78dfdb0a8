"""Responses that their clients asked to keep: bounded by number, age and size, the oldest forgotten first."""

from __future__ import annotations

import time
from pathlib import Path

from msgspec import Struct

from ..core import Clock
from .database import Database

MOST_RESPONSES = 2000
MOST_BYTES = 256 << 20
LONGEST_S = 30 * 24 * 3600.0


class KeptResponse(Struct, frozen=True, kw_only=True):
    """`reply` is the response object as JSON, `input` the list of the items that it answers."""

    id: str
    reply: bytes
    input: bytes


class Responses:
    """Thread-safe. Each method raises NotStored when the file cannot be used."""

    def __init__(self, file: Path, *, clock: Clock = time.time) -> None:
        self._database = Database(file)
        self._clock = clock

    def put(self, response: KeptResponse) -> None:
        size_bytes, now = len(response.reply) + len(response.input), self._clock()
        row = (response.id, now, size_bytes, response.reply, response.input)
        with self._database.transaction() as connection:
            connection.execute("INSERT INTO responses VALUES (?, ?, ?, ?, ?)", row)
            connection.execute("DELETE FROM responses WHERE created <= ?", (now - LONGEST_S,))
            connection.execute(
                "DELETE FROM responses WHERE id IN (SELECT id FROM (SELECT id, "
                "row_number() OVER newest_first AS place, sum(size_bytes) OVER newest_first AS so_far FROM responses "
                "WINDOW newest_first AS (ORDER BY created DESC, rowid DESC)) WHERE place > ? OR so_far > ?)",
                (MOST_RESPONSES, MOST_BYTES),
            )

    def find(self, name: str) -> KeptResponse | None:
        if not self._database.exists:
            return None
        with self._database.transaction() as connection:
            row = connection.execute(
                "SELECT reply, input FROM responses WHERE id = ? AND created > ?", (name, self._clock() - LONGEST_S),
            ).fetchone()
        return None if row is None else KeptResponse(id=name, reply=row[0], input=row[1])

    def remove(self, name: str) -> bool:
        """Whether there was one of this name."""
        if not self._database.exists:
            return False
        with self._database.transaction() as connection:
            return connection.execute("DELETE FROM responses WHERE id = ?", (name,)).rowcount > 0

    def clear(self) -> int:
        """Forgets all of them, and returns how many that were."""
        if not self._database.exists:
            return 0
        with self._database.transaction() as connection:
            count = connection.execute("DELETE FROM responses").rowcount
        if count:
            self._database.compact()
        return count

    def close(self) -> None:
        self._database.close()
