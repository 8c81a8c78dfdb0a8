"""Ollama's options and durations by their types: one table for what clients ask and what the config sets."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

KeepAlive = str | int | float

_INT64 = range(-(2**63), 2**63)
_DURATION = re.compile(r"[-+]?(?:[0-9]+|(?:(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:ns|us|µs|μs|ms|s|m|h))+)")


def read_option(name: str, value: Any) -> Any:
    """`value` as Ollama takes it, whole floats as integers; an unknown option passes as given.

    Raises TypeError that says which type it must be.
    """
    known = _KNOWN.get(name)
    if known is None:
        return value
    kind, take = known
    try:
        return take(value)
    except TypeError as error:
        raise TypeError(f"must be of type {kind}") from error


def is_duration(text: str) -> bool:
    """Whether Ollama takes it for a time: seconds ("300", "-1") or Go's way ("1h30m")."""
    return _DURATION.fullmatch(text) is not None


def _integer(value: Any) -> int:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if type(value) is not int or value not in _INT64:
        raise TypeError
    return value


def _float(value: Any) -> float:
    if type(value) not in (int, float):
        raise TypeError
    try:
        return float(value)
    except OverflowError as error:
        raise TypeError from error


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value


def _strings(value: Any) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise TypeError
    return [text for text in value if text]  # an empty one would stop every answer at once


_FLOATS = ("temperature", "top_p", "min_p", "typical_p", "repeat_penalty", "presence_penalty", "frequency_penalty")
_INTEGERS = (
    "num_keep",
    "seed",
    "num_predict",
    "top_k",
    "repeat_last_n",
    "num_ctx",
    "num_batch",
    "num_gpu",
    "main_gpu",
    "num_thread",
    "draft_num_predict",
)
_KNOWN: dict[str, tuple[str, Callable[[Any], Any]]] = {
    **dict.fromkeys(_FLOATS, ("float32", _float)),
    **dict.fromkeys(_INTEGERS, ("integer", _integer)),
    "use_mmap": ("boolean", _boolean),
    "stop": ("array of strings", _strings),
}
