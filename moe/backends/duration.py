"""Durations as Ollama's clients write them: seconds, or Go's form."""

from __future__ import annotations

import math
import re

from ..errors import UpstreamRefusal
from ..options import KeepAlive

_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(h|ms|us|µs|ns|m|s)")
_UNIT_S = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}


def read_keep_alive(asked: KeepAlive | None, *, default_s: float) -> float:
    """Seconds: numbers are seconds, texts may be "5m" or "1h30m"; negative means for ever.

    Raises UpstreamRefusal for anything else.
    """
    if asked is None or asked == "":
        return default_s
    seconds = _seconds(asked)
    if math.isnan(seconds):
        raise UpstreamRefusal(f"invalid keep_alive: {str(asked)[:40]!r} is no duration like '5m'")
    return math.inf if seconds < 0 else seconds


def unloads(asked: KeepAlive | None) -> bool:
    """Whether a model is not kept at all, in whichever words."""
    return asked is not None and _seconds(asked) == 0


def _seconds(asked: KeepAlive) -> float:
    try:
        return float(asked)
    except OverflowError:  # an integer beyond all floats, which is for ever either way
        return math.inf
    except ValueError:
        text = str(asked).strip()
    bare = text.lstrip("+-")
    parts = list(_PART.finditer(bare))
    if not parts or "".join(part[0] for part in parts) != bare:
        return math.nan
    total = sum(float(part[1]) * _UNIT_S[part[2]] for part in parts)
    return -total if text.startswith("-") else total
