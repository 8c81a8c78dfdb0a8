"""Values set in a JSON text that a person wrote: all else in it stays as it is, to the last space."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from json.decoder import scanstring  # type: ignore[attr-defined]
from typing import Any, NamedTuple

_SPACE = re.compile(r"[ \t\r\n]*")
_decoder = json.JSONDecoder()


class Member(NamedTuple):
    """Where a member's key, its value and the value's end are."""

    key: int
    value: int
    end: int


def set_values(text: str, changes: Mapping[tuple[str, ...], Any]) -> str:
    """`text`, a JSON object, with the value at each path set; objects on the way are made where they are missing.

    Raises ValueError where the text, or what is on the way, is no object.
    """
    due = json.loads(text)
    for path, value in changes.items():
        text = _set(text, _skip(text, 0), path, json.dumps(value))
        _set_in(due, path, value)
    if json.loads(text) != due:
        raise ValueError("the text could not be edited")
    return text


def _set(text: str, at: int, path: tuple[str, ...], value: str) -> str:
    members = _read_members(text, at)
    key, *rest = path
    found = members.get(key)
    if found is None:
        for name in reversed(rest):
            value = f"{{{json.dumps(name)}: {value}}}"
        return _insert(text, at, members, f"{json.dumps(key)}: {value}")
    if rest:
        return _set(text, found.value, tuple(rest), value)
    return text[:found.value] + value + text[found.end:]


def _insert(text: str, at: int, members: Mapping[str, Member], member: str) -> str:
    """After the last one, with the white space that stands before it."""
    if not members:
        return f"{text[:at]}{{{member}{text[_skip(text, at + 1):]}"
    last = max(members.values(), key=lambda each: each.end)
    start = last.key
    while text[start - 1] in " \t\r\n":
        start -= 1
    return f"{text[:last.end]},{text[start:last.key] or ' '}{member}{text[last.end:]}"


def _read_members(text: str, at: int) -> dict[str, Member]:
    """The members of the object that begins at `at`; of two with one key the last counts, as it does for JSON."""
    if text[at:at + 1] != "{":
        raise ValueError("expected an object")
    members: dict[str, Member] = {}
    at = _skip(text, at + 1)
    while text[at] != "}":
        start = at
        key, at = scanstring(text, at + 1, True)
        value = _skip(text, _skip(text, at) + 1)
        end = _decoder.raw_decode(text, value)[1]
        members[key] = Member(start, value, end)
        at = _skip(text, end)
        if text[at] == ",":
            at = _skip(text, at + 1)
    return members


def _skip(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


def _set_in(table: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    for key in path[:-1]:
        table = table.setdefault(key, {})
    table[path[-1]] = value
