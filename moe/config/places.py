"""Where in a JSON text a value stands, so that an error can name its line."""

from __future__ import annotations

import re
from bisect import bisect_right
from json.decoder import scanstring  # type: ignore[attr-defined]

Path = tuple[str | int, ...]
_SPACE = re.compile(r"[ \t\r\n]*")
_SCALAR = re.compile(r"[^\s,\]}]+")
_PLAIN_KEY = re.compile(r"[\w$-]+")


class Places:
    """The 1-based line of every key and array item of a valid JSON text, by its path.

    `repeated` are the keys that stand twice in one object; JSON silently keeps the last.
    """

    def __init__(self, text: str) -> None:
        self.lines: dict[Path, int] = {(): 1}
        self.repeated: list[Path] = []
        self._text = text
        self._breaks = [found.start() for found in re.finditer("\n", text)]
        self._walk(self._skip(0), ())

    def line(self, path: Path) -> int:
        """The line of the innermost part of `path` that is there."""
        while path not in self.lines:
            path = path[:-1]
        return self.lines[path]

    def _skip(self, at: int) -> int:
        found = _SPACE.match(self._text, at)
        return found.end() if found else at

    def _walk(self, at: int, path: Path) -> int:
        """Takes the value that begins at `at`; returns where it ends."""
        opening = self._text[at]
        if opening in "{[":
            return self._walk_items(at, path, close="}" if opening == "{" else "]")
        if opening == '"':
            return int(scanstring(self._text, at + 1, False)[1])
        found = _SCALAR.match(self._text, at)
        return found.end() if found else at + 1

    def _walk_items(self, at: int, path: Path, *, close: str) -> int:
        text, index = self._text, 0
        at = self._skip(at + 1)
        while text[at] != close:
            line = bisect_right(self._breaks, at) + 1
            step: str | int = index
            if close == "}":
                step, at = scanstring(text, at + 1, False)
                at = self._skip(self._skip(at) + 1)
            here = (*path, step)
            if close == "}" and here in self.lines:
                self.repeated.append(here)
            self.lines[here] = line
            at = self._skip(self._walk(at, here))
            if text[at] == ",":
                at = self._skip(at + 1)
            index += 1
        return at + 1


def spell(path: Path) -> str:
    """`$.experts[0].label` for ("experts", 0, "label")."""
    return "$" + "".join(_spell_step(step) for step in path)


def _spell_step(step: str | int) -> str:
    if isinstance(step, int):
        return f"[{step}]"
    return f".{step}" if _PLAIN_KEY.fullmatch(step) else f"[{step!r}]"
