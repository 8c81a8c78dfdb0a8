"""Logging: one line a record whatever is in it, rotated in logs/, and on standard error."""

from __future__ import annotations

import logging
import logging.handlers
import re
from pathlib import Path

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
    """Rotates by what was written: the standard handler formats each record twice and asks the file system."""

    def shouldRollover(self, record: logging.LogRecord) -> int:
        return int(self.stream is not None and self.stream.tell() >= self.maxBytes)


def set_up(folder: Path, *, level: str, echoes: bool = True) -> logging.Logger:
    """The project's logger, writing to `folder`/moe.log and, with `echoes`, to standard error; a folder that
    cannot be written leaves only the latter."""
    logger = logging.getLogger(LOGGER)
    for old in list(logger.handlers):
        logger.removeHandler(old)
        old.close()
    logger.setLevel(level if level in LEVELS else "INFO")
    logger.propagate = False
    handlers: list[logging.Handler] = [logging.StreamHandler()] if echoes else []
    troubles = [] if level in LEVELS else [f"{clean(level)!r} is no log level ({', '.join(LEVELS)}); using INFO"]
    try:
        handlers.append(_open(folder))
    except OSError as error:
        troubles.append(f"no log file: {error}")
    form = OneLine("%(asctime)s %(levelname)s %(name)s %(message)s")
    for handler in handlers:
        handler.setFormatter(form)
        logger.addHandler(handler)
    for trouble in troubles:
        logger.warning("%s", trouble)
    return logger


def _open(folder: Path) -> SizedFile:
    folder.mkdir(parents=True, exist_ok=True)
    return SizedFile(
        folder / "moe.log", maxBytes=MAX_BYTES, backupCount=BACKUPS, encoding="utf-8", errors="backslashreplace",
    )
