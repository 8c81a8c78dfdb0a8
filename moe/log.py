"""Logging: one line a record whatever is in it, rotated in logs/, and on standard error."""

from __future__ import annotations

import logging
import logging.handlers
import os
import re
import threading
from collections.abc import Sequence
from io import TextIOWrapper
from pathlib import Path
from queue import SimpleQueue

LOGGER = "moe"
MAX_BYTES = 5 * 1024 * 1024
BACKUPS = 3
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
MAX_TEXT = 300
# Line breaks, terminal escapes, and the Unicode controls that reorder or hide text.
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)
CONTINUED = "    "


def clean(text: object, *, limit: int = MAX_TEXT) -> str:
    """`text` of a user or an upstream, fit for a log line: controls shown as escapes, cut at `limit`."""
    written = str(text)
    cut = written[:limit] + ("…" if len(written) > limit else "")
    return _UNSAFE.sub(lambda found: found.group().encode("unicode_escape").decode("ascii"), cut)


class OneLine(logging.Formatter):
    """Escapes what would break a line or a terminal, in every record, whoever made it.

    The lines of a traceback are indented, so that none of them can pass for a record of its own.
    """

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        if record.exc_info:
            return f"\n{CONTINUED}".join(clean(line, limit=2000) for line in text.split("\n"))
        return clean(text, limit=4000)


class SizedFile(logging.handlers.RotatingFileHandler):
    """Rotates by what was written: the standard handler formats each record twice and asks the file system.

    Each file is made for its owner's eyes only, for prompts may be in it.
    """

    def _open(self) -> TextIOWrapper:
        return open(self.baseFilename, "a", encoding=self.encoding, errors=self.errors, opener=_open_private)

    def shouldRollover(self, record: logging.LogRecord) -> int:
        return int(self.stream is not None and self.stream.tell() >= self.maxBytes)


class Batch(logging.handlers.QueueHandler):
    """Writes the lines of `every_s` seconds in one go: each write makes all threads queue for their turn.

    A warning is written at once, with the lines before it; `close` writes the rest and closes `handlers`.
    """

    def __init__(self, handlers: Sequence[logging.Handler], *, every_s: float) -> None:
        self._lines: SimpleQueue[str] = SimpleQueue()
        super().__init__(self._lines)
        self._handlers = handlers
        self._every_s = every_s
        self._writing = threading.Lock()
        self._has_lines = threading.Event()
        self._ended = threading.Event()
        threading.Thread(target=self._write_now_and_then, name="log", daemon=True).start()

    def prepare(self, record: logging.LogRecord) -> str:
        return self.format(record)

    def emit(self, record: logging.LogRecord) -> None:
        super().emit(record)
        if record.levelno >= logging.WARNING:
            self.flush()
        elif not self._has_lines.is_set():
            self._has_lines.set()

    def flush(self) -> None:
        with self._writing:
            lines = [self._lines.get_nowait() for _ in range(self._lines.qsize())]
            if lines:
                batch = logging.makeLogRecord({"msg": "\n".join(lines)})
                for handler in self._handlers:
                    handler.handle(batch)

    def close(self) -> None:
        self._ended.set()
        self._has_lines.set()
        self.flush()
        for handler in self._handlers:
            handler.close()
        super().close()

    def _write_now_and_then(self) -> None:
        while not self._ended.is_set():
            self._has_lines.wait()
            self._ended.wait(self._every_s)
            self._has_lines.clear()
            self.flush()


def set_up(folder: Path, *, level: str, echoes: bool = True, every_s: float = 0.0) -> logging.Logger:
    """The project's logger, writing to `folder`/moe.log and, with `echoes`, to standard error; a folder that
    cannot be written leaves only the latter. With `every_s` what is no warning is written that often."""
    logger = logging.getLogger(LOGGER)
    for old in list(logger.handlers):
        logger.removeHandler(old)
        old.close()
    logger.setLevel(level if level in LEVELS else "INFO")
    logger.propagate = False
    handlers: list[logging.Handler] = [logging.StreamHandler() if echoes else logging.NullHandler()]
    troubles = [] if level in LEVELS else [f"{clean(level)!r} is no log level ({', '.join(LEVELS)}); using INFO"]
    try:
        handlers.append(_open(folder))
    except OSError as error:
        troubles.append(f"no log file: {error}")
    form = OneLine("%(asctime)s %(levelname)s %(name)s %(message)s")
    if every_s:
        handlers = [Batch(handlers, every_s=every_s)]
    for handler in handlers:
        handler.setFormatter(form)
        logger.addHandler(handler)
    for trouble in troubles:
        logger.warning("%s", trouble)
    return logger


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _open(folder: Path) -> SizedFile:
    folder.mkdir(parents=True, exist_ok=True)
    return SizedFile(
        folder / "moe.log", maxBytes=MAX_BYTES, backupCount=BACKUPS, encoding="utf-8", errors="backslashreplace",
    )
