"""One SQLite file: opened when it is first needed, its tables made by numbered migrations."""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import MoeError

log = logging.getLogger("moe.store")

MIGRATIONS = Path(__file__).with_name("migrations")
WAIT_S = 5.0
RETRY_S = 0.01
# So many numbers tell one file from another.
_SAME = 2


class NotStored(MoeError):
    """The file cannot be read or written; the log says why."""

    code = "not_kept"

    def __init__(self) -> None:
        super().__init__("nothing can be kept now: the server's data folder cannot be used")


class Database:
    """Thread-safe; one transaction at a time. Whatever goes wrong with the file is NotStored.

    `migrations` is the folder of the scripts that make its tables. `is_shared`: other processes write to it while this
    one reads, and neither waits for the other.
    """

    def __init__(self, file: Path, *, migrations: Path = MIGRATIONS, is_shared: bool = False) -> None:
        self.file = file
        self._migrations = migrations
        self._is_shared = is_shared
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._opened: tuple[int, ...] = ()

    @property
    def exists(self) -> bool:
        return self.file.exists()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """What is done in the block is done as a whole, or not at all. Raises NotStored."""
        with self._lock:
            try:
                connection = self._open()
                with connection:
                    yield connection
            except (sqlite3.Error, OSError) as error:
                log.error("%s cannot be used: %s", self.file, error)
                raise NotStored from error

    def compact(self) -> None:
        """Gives the room of what was deleted back to the disk. Raises NotStored."""
        with self._lock:
            try:
                self._open().execute("VACUUM")
            except (sqlite3.Error, OSError) as error:
                log.error("%s cannot be used: %s", self.file, error)
                raise NotStored from error

    def close(self) -> None:
        with self._lock:
            connection, self._connection = self._connection, None
            if connection is not None:
                connection.close()

    def _open(self) -> sqlite3.Connection:
        """The connection, a new one where the file is not the one that was opened."""
        if self._connection is not None and self._opened != _identify(self.file, is_frozen=len(self._opened) > _SAME):
            self._connection.close()
            self._connection = None
        if self._connection is None:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            is_frozen = self._is_shared and self.file.exists() and not _is_writable(self.file)
            self._connection = _read_only(self.file) if is_frozen else self._open_to_write()
            self._opened = _identify(self.file, is_frozen=is_frozen)
        return self._connection

    def _open_to_write(self) -> sqlite3.Connection:
        os.close(os.open(self.file, os.O_CREAT | os.O_RDWR, 0o600))  # it holds what people said
        connection = sqlite3.connect(self.file, timeout=WAIT_S, check_same_thread=False)
        try:
            connection.execute("PRAGMA secure_delete = ON")
            if self._is_shared:
                _share(connection)
            _migrate(connection, self._migrations)
        except sqlite3.Error:
            connection.close()
            raise
        return connection


def _is_writable(file: Path) -> bool:
    """The file and its folder, in which the write-ahead log stands."""
    return os.access(file, os.W_OK) and os.access(file.parent, os.W_OK)


def _read_only(file: Path) -> sqlite3.Connection:
    """Without its log where there is none: that could not be made either. Another process may still write to it."""
    quoted = file.absolute().as_uri()
    has_log = file.with_name(f"{file.name}-wal").exists() and file.with_name(f"{file.name}-shm").exists()
    return sqlite3.connect(f"{quoted}?mode=ro{'' if has_log else '&immutable=1'}", uri=True, timeout=WAIT_S,
                           check_same_thread=False)


def _identify(file: Path, *, is_frozen: bool) -> tuple[int, ...]:
    """Which file it is, and for one that is taken to stay as it is, its state; nothing where there is none."""
    try:
        state = file.stat()
    except FileNotFoundError:
        return ()
    same = (state.st_dev, state.st_ino)
    return (*same, state.st_mtime_ns, state.st_size) if is_frozen else same


def _share(connection: sqlite3.Connection) -> None:
    """Turns the write-ahead log on; SQLite does not wait by itself while another process does the same."""
    deadline = time.monotonic() + WAIT_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError:
            if time.monotonic() >= deadline:
                raise
            time.sleep(RETRY_S)


def _migrate(connection: sqlite3.Connection, scripts: Path) -> None:
    """Brings the tables from the number that the file has to the newest; another process may be doing the same."""
    done = _read_number(connection)
    for script in sorted(scripts.glob("*.sql")):
        number = int(script.name.partition("_")[0])
        if number > done:
            text = script.read_text(encoding="utf-8")
            try:
                connection.executescript(f"BEGIN IMMEDIATE;\n{text}\nPRAGMA user_version = {number};\nCOMMIT;")
            except sqlite3.OperationalError:
                connection.rollback()
                if _read_number(connection) < number:
                    raise


def _read_number(connection: sqlite3.Connection) -> int:
    (number,) = connection.execute("PRAGMA user_version").fetchone()
    return int(number)
