"""The tools that Anthropic's clients run themselves and name by a version only: what any other model must be told."""

from __future__ import annotations

from typing import Any

_TEXT = {"type": "string"}
_LINE = {"type": "integer", "minimum": 0}
_PATH = {"type": "string", "description": "Absolute path of a file or folder"}
_RANGE = {"type": "array", "items": {"type": "integer"}, "description": "First and last line, from 1; -1 is the end"}
_EDITS: dict[str, Any] = {
    "path": _PATH, "file_text": _TEXT, "old_str": _TEXT, "new_str": _TEXT, "insert_line": _LINE, "insert_text": _TEXT,
    "view_range": _RANGE,
}
_VIEW_AND_EDIT = ["view", "create", "str_replace", "insert"]


def _schema(properties: dict[str, Any], *required: str) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(required)}


def _commands(*words: str) -> dict[str, Any]:
    return {"type": "string", "enum": list(words)}


# By the beginning of the type: (description, schema of the input)
_KNOWN: dict[str, tuple[str, dict[str, Any]]] = {
    "bash_": (
        "Runs a command in a shell that stays open from call to call. restart opens a new shell.",
        _schema({"command": _TEXT, "restart": {"type": "boolean"}}),
    ),
    "text_editor_": (
        "Views and edits files. view: path, view_range. create: path, file_text. str_replace: path, old_str (occurs "
        "exactly once), new_str. insert: path, insert_line (0 is the beginning), insert_text.",
        _schema({"command": _commands(*_VIEW_AND_EDIT), **_EDITS}, "command", "path"),
    ),
    "memory_": (
        "Keeps notes in files under /memories, which outlast the conversation. As an editor of files: view, create, "
        "str_replace, insert; moreover delete: path, and rename: old_path, new_path.",
        _schema({"command": _commands(*_VIEW_AND_EDIT, "delete", "rename"), **_EDITS, "old_path": _PATH,
                 "new_path": _PATH}, "command"),
    ),
}


def describe(kind: str) -> tuple[str, dict[str, Any]] | None:
    """Description and input schema of a tool of this type; None for one that only Anthropic's own servers run."""
    return next((known for prefix, known in _KNOWN.items() if kind.startswith(prefix)), None)
