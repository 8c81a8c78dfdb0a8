"""What the drivers share: where to ask, what to expect, and telling what became of each feature.

Runs in the client's own environment, so it needs nothing but Python. Prints one JSON object a line, {feature: "pass"}
or {feature: reason}, as soon as it is known.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping
from typing import Any

PLAN: dict[str, Any] = json.loads(os.environ["CLIENT_PLAN"])
URL: str = PLAN["url"]
MODEL: str = PLAN["model"]
WAY: str = PLAN["way"]
HELLO = "hello there"
ANSWER = f"you said: {HELLO}"
PICTURE = f"data:image/png;base64,{PLAN['pixel']}"
WEATHER = "What is the weather in Rome?"
WEATHER_TOOL: dict[str, Any] = {
    "name": "get_weather", "description": "The weather in a city",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
SUNNY = "sunny, 21 degrees"
PERSON: dict[str, Any] = {
    "type": "object", "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"], "additionalProperties": False,
}
LONGEST_REASON = 300


class Wrong(Exception):
    """The client worked, but what came of it is not right."""


def same(seen: object, wanted: object) -> None:
    if seen != wanted:
        raise Wrong(f"{seen!r} is not {wanted!r}")


def has(seen: Any, part: Any) -> None:
    if seen is None or part not in seen:
        raise Wrong(f"{part!r} is not in {seen!r}")


def holds(is_so: object, otherwise: str) -> None:
    if not is_so:
        raise Wrong(otherwise)


def several(pieces: Iterable[str | None]) -> str:
    """A stream's text, which must have come in more than one piece."""
    said = [piece for piece in pieces if piece]
    if len(said) < 2:
        raise Wrong(f"came in {len(said)} pieces: {said!r}")
    return "".join(said)


def person(text: str | None) -> None:
    """The text must be JSON that fits PERSON."""
    read = json.loads(text or "")
    same({key: type(value).__name__ for key, value in read.items()}, {"name": "str", "age": "int"})


def vector(numbers: Iterable[float]) -> None:
    """The node's vector of "hello"."""
    seen, wanted = list(numbers), PLAN["vector"]
    same(len(seen), len(wanted))
    holds(all(abs(a - b) < 1e-6 for a, b in zip(seen, wanted)), f"{seen[:3]} are not {wanted[:3]}")  # noqa: B905


def raises(kinds: type[BaseException] | tuple[type[BaseException], ...], call: Callable[[], object]) -> Any:
    """The exception of one of these kinds that the call must end with."""
    try:
        got = call()
    except kinds as error:
        return error
    raise Wrong(f"no error, but {got!r}")


def run(features: Mapping[str, Callable[[], object]]) -> None:
    """Tries the wanted ones in turn; the trace of one that fails goes to stderr."""
    for name in PLAN["features"]:
        try:
            features[name]()
        except Exception as error:  # noqa: BLE001 - whatever a client raises is its verdict
            traceback.print_exc()
            tell(name, f"{type(error).__name__}: {error}")
        else:
            tell(name, "pass")


def tell(feature: str, verdict: str) -> None:
    sys.stdout.write(json.dumps({feature: " ".join(verdict.split())[:LONGEST_REASON]}) + "\n")
    sys.stdout.flush()
