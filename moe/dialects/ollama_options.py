"""Ollama's `options`: the ones every backend knows get typed fields, the engine's own travel as given."""

from __future__ import annotations

from typing import Any

from ..core import Sampling
from ..errors import BadRequest
from ..options import read_option

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


def read_sampling(options: dict[str, Any] | None) -> Sampling:
    """Nulls are skipped, whole floats are taken as integers. Raises BadRequest in Ollama's words.

    A `num_predict` that stands for "no limit" (0 and below) stays among the options: it is an answer too.
    """
    if not options:
        return Sampling()
    given = {name: _check(name, value) for name, value in options.items() if value is not None}
    if not given:
        return Sampling()
    is_limited = given.get("num_predict", 0) > 0
    return Sampling(
        **{name: given.pop(name) for name in _TYPED if name in given},
        max_tokens=given.pop("num_predict") if is_limited else None,
        stop=tuple(given.pop("stop", ())),
        options=given,
    )


def _check(name: str, value: Any) -> Any:
    try:
        return read_option(name, value)
    except TypeError as error:
        raise BadRequest(f'option "{name}" {error}', param=f"options.{name}") from error
