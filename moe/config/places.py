"""Where in a JSON text a value stands, so that an error can name its line."""

from __future__ import annotations

import json
import re
from json.decoder import scanstring  # type: ignore[attr-defined]

Path = tuple[str | int, ...]
_SPACE = re.compile(r"[ \t\r\n]*")
_SCALAR = re.compile(r"[^\s,\]}]+")


def find_lines(text: str) -> dict[Path, int]:
    """The 1-based line of every key and array item of a valid JSON text, by its path."""
    lines: dict[Path, int] = {(): 1}
    _walk(text, _skip(text, 0), (), lines)
    return lines


def spell(path: Path) -> str:
    """`$.experts[0].label` for ("experts", 0, "label")."""
    return "$" + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)


def repeated_keys(text: str) -> tuple[str, ...]:
    """Keys that stand twice in one object; JSON would silently keep the last."""
    twice: list[str] = []

    def collect(pairs: list[tuple[str, object]]) -> dict[str, object]:
        seen = dict(pairs)
        if len(seen) < len(pairs):
            keys = [key for key, _ in pairs]
            twice.extend(key for key in seen if keys.count(key) > 1)
        return seen

    json.loads(text, object_pairs_hook=collect)
    return tuple(twice)


def _skip(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


def _walk(text: str, at: int, path: Path, lines: dict[Path, int]) -> int:
    if text[at] == "{":
        return _walk_items(text, at, path, lines, close="}")
    if text[at] == "[":
        return _walk_items(text, at, path, lines, close="]")
    if text[at] == '"':
        return int(scanstring(text, at + 1, False)[1])
    found = _SCALAR.match(text, at)
    return found.end() if found else at + 1


def _walk_items(text: str, at: int, path: Path, lines: dict[Path, int], *, close: str) -> int:
    at, index = _skip(text, at + 1), 0
    while text[at] != close:
        step: str | int = index
        lines_at = text.count("\n", 0, at) + 1
        if close == "}":
            step, at = scanstring(text, at + 1, False)
            at = _skip(text, _skip(text, at) + 1)
        lines[(*path, step)] = lines_at
        at = _skip(text, _walk(text, at, (*path, step), lines))
        if text[at] == ",":
            at = _skip(text, at + 1)
        index += 1
    return at + 1
