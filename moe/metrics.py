"""How each model has done: counts and times, kept in memory and written to data/ atomically."""

from __future__ import annotations

import json
import logging
import threading
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct, structs

from .files import set_aside, whole

log = logging.getLogger("moe.metrics")

SAVE_EVERY_S = 15.0


class Tally(Struct):
    """One expert's model: answers and failures counted, times in milliseconds summed over the answers."""

    answers: int = 0
    failures: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    first_token_ms: float = 0.0
    total_ms: float = 0.0
    last_used: float = 0.0


class _Saved(Struct):
    models: dict[str, Tally]


class Statistics:
    """Tallies by "expert model". `save` and a background thread write them; `close` ends the thread."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._saving = threading.Lock()
        self._tallies: dict[str, Tally] = {}
        self._is_dirty = False
        self._has_failed = False
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def load(self) -> str:
        """Continues an earlier file. Returns what was wrong with it, "" if nothing; it is then set aside."""
        try:
            self._tallies = msgspec.json.decode(self._file.read_bytes(), type=_Saved).models
        except FileNotFoundError:
            return ""
        except (OSError, ValueError, msgspec.DecodeError, RecursionError) as error:
            return f"{self._file} was unreadable ({error}); {set_aside(self._file)}, counting starts anew"
        return ""

    def start(self) -> None:
        self._thread = threading.Thread(target=self._save_now_and_then, name="statistics", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._ended.set()
        if self._thread is not None:
            self._thread.join(5)
        self.save()

    def record_answer(self, key: str, *, tokens: tuple[int, int], times_ms: tuple[float, float], now: float) -> None:
        """`tokens` = (prompt, completion), `times_ms` = (first token, total), `now` in Unix seconds."""
        with self._lock:
            tally = self._tallies.setdefault(key, Tally())
            tally.answers += 1
            tally.prompt_tokens += tokens[0]
            tally.completion_tokens += tokens[1]
            tally.first_token_ms += times_ms[0]
            tally.total_ms += times_ms[1]
            tally.last_used = now
            self._is_dirty = True

    def record_failure(self, key: str) -> None:
        with self._lock:
            self._tallies.setdefault(key, Tally()).failures += 1
            self._is_dirty = True

    def snapshot(self) -> dict[str, dict[str, Any]]:
        with self._lock:
            return {key: structs.asdict(tally) for key, tally in self._tallies.items()}

    def save(self) -> None:
        """Writes a whole new file and renames it into place: a reader or a crash never sees half of one.

        What cannot be written now is tried again by the next save; the log says so once.
        """
        with self._saving:
            if not self._is_dirty:
                return
            self._is_dirty = False
            try:
                with whole(self._file) as out:
                    out.write(json.dumps({"models": self.snapshot()}, indent=1, sort_keys=True).encode())
            except OSError as error:
                self._is_dirty = True
                if not self._has_failed:
                    log.warning("statistics cannot be kept in %s: %s", self._file, error)
                self._has_failed = True
            else:
                self._has_failed = False

    def _save_now_and_then(self) -> None:
        while not self._ended.wait(SAVE_EVERY_S):
            self.save()
