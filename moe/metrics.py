"""How each model has done: counts and times, kept in memory and written to data/ atomically."""

from __future__ import annotations

import json
import os
import tempfile
import threading
from pathlib import Path
from typing import Any

from msgspec import Struct, structs

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


class Statistics:
    """Tallies by "expert model". `save` and a background thread write them; `close` ends the thread."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._tallies: dict[str, Tally] = {}
        self._is_dirty = False
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def load(self) -> str:
        """Continues an earlier file. Returns what was wrong with it, "" if nothing; it is then set aside."""
        try:
            saved = json.loads(self._file.read_text(encoding="utf-8"))
            known = set(Tally.__struct_fields__)
            self._tallies = {
                str(key): Tally(**{name: value for name, value in row.items() if name in known})
                for key, row in saved["models"].items()
            }
        except FileNotFoundError:
            return ""
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            aside = self._file.with_suffix(".broken.json")
            self._file.replace(aside)
            return f"{self._file} was unreadable ({error}); kept as {aside.name}, counting starts anew"
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
        """Writes a whole new file and renames it into place: a reader or a crash never sees half of one."""
        if not self._is_dirty:
            return
        self._is_dirty = False
        self._file.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"models": self.snapshot()}, indent=1, sort_keys=True)
        handle, name = tempfile.mkstemp(dir=self._file.parent, prefix=".models-", suffix=".json")
        with os.fdopen(handle, "w", encoding="utf-8") as out:
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
        Path(name).replace(self._file)

    def _save_now_and_then(self) -> None:
        while not self._ended.wait(SAVE_EVERY_S):
            self.save()
