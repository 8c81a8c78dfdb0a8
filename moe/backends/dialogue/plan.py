"""How a local model samples: what the request asks, else what the model's file recommends, else Ollama's defaults."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from ...core import Sampling
from ...errors import UpstreamRefusal

_TYPED = ("temperature", "top_p", "top_k", "min_p", "presence_penalty", "frequency_penalty", "repeat_penalty")
_OPTIONS = ("typical_p", "repeat_last_n", "mirostat", "mirostat_tau", "mirostat_eta")
_WHOLE = frozenset({"top_k", "repeat_last_n", "mirostat"})
MOST_BIAS = 100.0
# Each is looked for at every token, while other answers wait.
MOST_STOPS = 256
LARGEST = 1e9


class Plan(Struct, frozen=True, kw_only=True):
    """Every knob, settled; the defaults are Ollama's. `repeat_last_n` -1 means the whole context, 0 none."""

    temperature: float = 0.8
    top_k: int = 40
    top_p: float = 0.9
    min_p: float = 0.0
    typical_p: float = 1.0
    repeat_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    repeat_last_n: int = 64
    mirostat: int = 0
    mirostat_tau: float = 5.0
    mirostat_eta: float = 0.1
    seed: int = 0
    logit_bias: tuple[tuple[int, float], ...] = ()

    @property
    def is_greedy(self) -> bool:
        return self.temperature <= 0

    @property
    def penalizes(self) -> bool:
        is_neutral = self.repeat_penalty == 1 and not self.presence_penalty and not self.frequency_penalty
        return not is_neutral and self.repeat_last_n != 0


def settle(sampling: Sampling, recommended: Mapping[str, Any]) -> Plan:
    """`recommended` holds a model's own defaults under Ollama's names. Raises UpstreamRefusal for what is no number."""
    found: dict[str, Any] = {}
    for name in (*_TYPED, *_OPTIONS):
        asked = getattr(sampling, name) if name in _TYPED else sampling.options.get(name)
        value = recommended.get(name) if asked is None else asked
        if value is not None:
            found[name] = _number(name, value)
    if len(sampling.stop) > MOST_STOPS:
        raise UpstreamRefusal(f"there may be {MOST_STOPS} stop strings at most, not {len(sampling.stop)}")
    if found.get("repeat_penalty", 1) <= 0:
        raise UpstreamRefusal("repeat_penalty must be more than 0")
    seed = sampling.seed
    if seed is None or seed < 0:
        seed = random.randrange(2**32)  # noqa: S311 - which answer, not a secret
    biases = _biases(sampling.logit_bias or sampling.options.get("logit_bias"))
    return Plan(**found, seed=seed % 2**32, logit_bias=biases)


def _number(name: str, value: object) -> float | int:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not -LARGEST <= value <= LARGEST:
        raise UpstreamRefusal(f"{name} must be a number, not {str(value)[:40]!r}")
    return int(value) if name in _WHOLE else float(value)


def _biases(asked: object) -> tuple[tuple[int, float], ...]:
    """OpenAI's form: token numbers (as texts) to a bias from -100 (never) to 100."""
    if asked is None:
        return ()
    try:
        pairs = [(int(token), float(bias)) for token, bias in asked.items()]  # type: ignore[attr-defined]
    except (AttributeError, TypeError, ValueError) as error:
        raise UpstreamRefusal("logit_bias must map token numbers to numbers") from error
    if any(math.isnan(bias) for _, bias in pairs):
        raise UpstreamRefusal("logit_bias must map token numbers to numbers")
    return tuple((token, max(-MOST_BIAS, min(MOST_BIAS, bias))) for token, bias in pairs)
