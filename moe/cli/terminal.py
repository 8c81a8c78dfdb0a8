"""What the user sees: answers on standard output, everything about them on standard error."""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Sequence
from typing import Any

from ..config import wants_plain_text
from ..log import LOGGER, OneLine, clean

# A model's answer may hold anything: on a terminal nothing but line breaks and tabs may act.
_ACTING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_SHOWN = "\ufffd"
LONGEST_LINE = 4000


class Terminal:
    """The two streams of this process, either of which may be a terminal, a file or a pipe."""

    def __init__(self) -> None:
        self.is_for_people = sys.stdout.isatty()
        self.is_watched = sys.stderr.isatty()
        self._dim, self._plain = ("", "") if wants_plain_text() else ("\x1b[2m", "\x1b[0m")

    def write(self, text: str) -> None:
        """A piece of an answer, out at once."""
        sys.stdout.write(_ACTING.sub(_SHOWN, text) if self.is_for_people else text)
        sys.stdout.flush()

    def print(self, line: str) -> None:
        """A line of our own."""
        self.write(f"{line}\n")

    def print_json(self, value: Any, *, indent: int | None = None) -> None:
        """One JSON value, its letters as they are where the stream can write them."""
        is_unicode = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
        sys.stdout.write(json.dumps(value, ensure_ascii=not is_unicode, indent=indent) + "\n")

    def explain(self, text: str) -> None:
        """A piece of what stands in place of an answer."""
        sys.stderr.write(_ACTING.sub(_SHOWN, text) if self.is_watched else text)
        sys.stderr.flush()

    def whisper(self, text: str) -> None:
        """Words beside the answer, dimmed; only where somebody watches."""
        if self.is_watched:
            sys.stderr.write(f"{self._dim}{_ACTING.sub(_SHOWN, text)}{self._plain}")
            sys.stderr.flush()

    def redraw(self, text: str) -> None:
        """The one line that is written over again and again; only where somebody watches."""
        if self.is_watched:
            sys.stderr.write(f"\r\x1b[K{text}")
            sys.stderr.flush()

    def complain(self, text: str) -> None:
        """What went wrong, each line of it named as ours."""
        for line in text.splitlines() or [""]:
            print(f"moe: {clean(line, limit=LONGEST_LINE)}", file=sys.stderr)

    def tell(self, text: str) -> None:
        """Words for a person on standard error, whoever else reads along."""
        print(clean(text, limit=LONGEST_LINE), file=sys.stderr)


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines with aligned columns; the first row is the head. Columns of numbers are set to the right."""
    shown = [[clean(cell, limit=60) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    is_number = [all(_is_number(row[i]) for row in shown[1:]) for i in range(len(widths))]
    lines = []
    for row in shown:
        cells = [cell.rjust(width) if right else cell.ljust(width)
                 for cell, width, right in zip(row, widths, is_number, strict=True)]
        lines.append("  ".join(cells).rstrip())
    return lines


def _is_number(cell: str) -> bool:
    return not cell or cell.replace(".", "", 1).replace("-", "", 1).isdecimal()


def say_warnings() -> None:
    """Let the log's warnings reach the user, a line each, and nothing below them."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(OneLine("moe: %(message)s"))
    logger = logging.getLogger(LOGGER)
    logger.addHandler(handler)
    logger.setLevel(logging.WARNING)
    logger.propagate = False
