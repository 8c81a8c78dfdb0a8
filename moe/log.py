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
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")


def clean(text: object, *, limit: int = MAX_TEXT) -> str:
    """`text` of a user or an upstream, fit for a log line: controls shown as escapes, cut at `limit`."""
    written = str(text)
    cut = written[:limit] + ("…" if len(written) > limit else "")
    return _UNSAFE.sub(lambda found: found.group().encode("unicode_escape").decode("ascii"), cut)


class OneLine(logging.Formatter):
    """Escapes what would break a line or a terminal, in every record, whoever made it."""

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        if record.exc_info:
            return "\n".join(clean(line, limit=2000) for line in text.split("\n"))
        return clean(text, limit=4000)


class SizedFile(logging.handlers.RotatingFileHandler):
    """Rotates by what was written: the standard handler formats each record twice and asks the file system."""

    def shouldRollover(self, record: logging.LogRecord) -> int:
        return int(self.stream is not None and self.stream.tell() >= self.maxBytes)


def set_up(folder: Path, *, level: str) -> logging.Logger:
    """The project's logger, writing to `folder`/moe.log and standard error; a folder that cannot be
    written leaves only the latter."""
    logger = logging.getLogger(LOGGER)
    for old in list(logger.handlers):
        logger.removeHandler(old)
        old.close()
    logger.setLevel(level if level in LEVELS else "INFO")
    logger.propagate = False
    form = OneLine("%(asctime)s %(levelname)s %(name)s %(message)s")
    handlers: list[logging.Handler] = [logging.StreamHandler()]
    failure = ""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handlers.append(SizedFile(
            folder / "moe.log", maxBytes=MAX_BYTES, backupCount=BACKUPS, encoding="utf-8", errors="backslashreplace",
        ))
    except OSError as error:
        failure = f"no log file: {error}"
    for handler in handlers:
        handler.setFormatter(form)
        logger.addHandler(handler)
    if failure:
        logger.warning(failure)
    return logger
