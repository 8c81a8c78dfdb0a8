"""How OpenAI's requests ask for sampling and effort, in chats and completions alike."""

from __future__ import annotations

from ..errors import BadRequest

MOST_STOPS = 16
MOST_BIAS = 100

EFFORTS: dict[str, bool | str] = {
    "none": False,
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "high",
    "ultra": "high",
    "max": "high",
}


def read_stops(stop: str | list[str] | None) -> tuple[str, ...]:
    """Raises BadRequest for too many, and for one that stands everywhere."""
    stops = (stop,) if isinstance(stop, str) else tuple(stop or ())
    if len(stops) > MOST_STOPS:
        raise BadRequest(f"stop: at most {MOST_STOPS} sequences, got {len(stops)}", param="stop")
    if "" in stops:
        raise BadRequest("stop: an empty string cannot be a stop sequence", param="stop")
    return stops


def read_biases(biases: dict[str, float] | None) -> dict[str, float]:
    """Raises BadRequest for a key that is no token's number and a bias out of range."""
    for token, bias in (biases or {}).items():
        if not (token.isascii() and token.isdigit()):
            raise BadRequest(f"logit_bias: '{token[:40]}' is not the number of a token", param="logit_bias")
        if abs(bias) > MOST_BIAS:
            raise BadRequest(f"logit_bias: a bias lies between -{MOST_BIAS} and {MOST_BIAS}", param="logit_bias")
    return biases or {}


def read_effort(effort: str | None) -> str:
    """The client's word for how much to think, "" for none. Raises BadRequest for an unknown one."""
    if not effort:
        return ""
    if effort not in EFFORTS:
        known = ", ".join(EFFORTS)
        raise BadRequest(f"reasoning_effort: '{effort[:40]}' is not one of {known}", param="reasoning_effort")
    return effort
