"""How sure a model was of an answer, from the log probabilities of its tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def weigh(logprobs: Sequence[float]) -> dict[str, Any]:
    """Their mean and the least of them, under the names of Done; empty where there are none."""
    return {"mean_logprob": sum(logprobs) / len(logprobs), "min_logprob": min(logprobs)} if logprobs else {}
