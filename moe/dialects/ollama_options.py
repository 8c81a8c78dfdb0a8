"""Ollama's `options`: the ones every backend knows get typed fields, the engine's own travel as given."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..core import Sampling
from ..errors import BadRequest

_INT64 = range(-(2**63), 2**63)


def read_sampling(options: dict[str, Any] | None) -> Sampling:
    """Nulls are skipped, whole floats are taken as integers. Raises BadRequest in Ollama's words."""
    if not options:
        return Sampling()
    given = {name: _check(name, value) for name, value in options.items() if value is not None}
    if not given:
        return Sampling()
    limit = given.pop("num_predict", -1)
    return Sampling(
        **{name: given.pop(name) for name in _TYPED if name in given},
        max_tokens=limit if limit > 0 else None,  # -1 and -2 stand for "no limit"
        stop=tuple(given.pop("stop", ())),
        options=given,
    )


def _check(name: str, value: Any) -> Any:
    known = _KNOWN.get(name)
    if known is None:
        return value
    kind, take = known
    try:
        return take(value)
    except TypeError as error:
        raise BadRequest(f'option "{name}" must be of type {kind}', param=f"options.{name}") from error


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


_TYPED = (
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "seed",
    "repeat_penalty",
    "presence_penalty",
    "frequency_penalty",
)
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
