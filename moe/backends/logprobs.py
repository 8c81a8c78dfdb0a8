"""Log probabilities of tokens: as upstreams tell them, and from a model's own numbers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from ..core import TokenLogprob

LEAST = -9999.0  # what OpenAI writes for a token that is as good as impossible
MOST_TOP = 20


def read_logprobs(told: Any) -> tuple[TokenLogprob, ...]:
    """A list of entries in OpenAI's form, which Ollama shares; what is no entry is left out."""
    entries = told if isinstance(told, (list, tuple)) else ()
    return tuple(read for entry in entries if (read := _read(entry)) is not None)


def _read(entry: Any) -> TokenLogprob | None:
    token, logprob = field(entry, "token"), field(entry, "logprob")
    if not isinstance(token, str) or isinstance(logprob, bool) or not isinstance(logprob, (int, float)):
        return None
    return TokenLogprob(_exact(token, field(entry, "bytes")), bound(logprob),
                        read_logprobs(field(entry, "top_logprobs"))[:MOST_TOP])


def field(entry: Any, name: str) -> Any:
    return entry.get(name) if isinstance(entry, dict) else getattr(entry, name, None)


def _exact(token: str, told: Any) -> str:
    """A token that is no whole character is known by its bytes."""
    try:
        return spell(bytes(told)) if isinstance(told, list) and told else token
    except (TypeError, ValueError):
        return token


def spell(data: bytes) -> str:
    """A token's bytes as TokenLogprob holds them."""
    return data.decode("utf-8", "surrogateescape")


def bound(logprob: float) -> float:
    return max(LEAST, float(logprob)) if math.isfinite(logprob) else LEAST


def find_likeliest(row: npt.NDArray[Any], most: int) -> list[int]:
    """The tokens with the largest logits, the largest first."""
    most = min(most, len(row))
    if most <= 0:
        return []
    ids = np.argpartition(row, len(row) - most)[len(row) - most:]
    return [int(token) for token in ids[np.argsort(-row[ids], kind="stable")]]
