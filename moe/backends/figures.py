"""Figures that a server tells beside an answer, of whatever type: what cannot be read is not known."""

from __future__ import annotations

from typing import Any

MOST = 2**53 - 1  # exact in every JSON reader


def read_figure(told: Any) -> float | None:
    return told if isinstance(told, (int, float)) and not isinstance(told, bool) else None


def read_count(told: Any) -> int:
    """What resembles Ollama may write 5.0 for 5."""
    return int(min(max(read_figure(told) or 0, 0), MOST))


def read_context(told: Any) -> tuple[int, ...]:
    """Ollama's tokens, none where it is no list of them: half a context would be another conversation."""
    tokens = told if isinstance(told, list) else ()
    return tuple(tokens) if all(type(token) is int for token in tokens) else ()
