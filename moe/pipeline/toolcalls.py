"""The calls that a model makes of this server's own tools for one answer, and what they may take."""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from ..config.schema import ToolsConfig
from ..core import ToolCall
from ..errors import BadArguments, ToolError, UnknownTool
from ..tools.base import Outcome
from ..tools.toolbox import Toolbox

MOST_A_ROUND = 8
# The very same call, made in so many rounds, shows that another one would only bring it again.
MOST_ALIKE = 3
# All results of an answer together are as long as so many of the longest.
MOST_FULL_RESULTS = 4
LEAST_CHARS = 200
LONGEST_SHOWN = 200
MOST_NESTED = 32
# What a terminal may take for an order, and what turns the direction of writing.
_ORDERS = re.compile(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


class Found(Struct, frozen=True):
    """What came of a call: `content` is what the model is told, `shown` is enough for who follows its progress."""

    content: str
    shown: str
    is_good: bool = True


class Made(Struct, frozen=True):
    """A call that was made, as the history may show it, with its result and a line about it. `is_good`: the result is
    one, and not word of what went wrong."""

    call: ToolCall
    content: str
    line: str
    is_good: bool = True


class Calls:
    """Those of one answer; not thread-safe."""

    def __init__(self, toolbox: Toolbox, config: ToolsConfig, offered: Collection[str]) -> None:
        self._toolbox = toolbox
        self._config = config
        self._offered = frozenset(offered)
        self._known: dict[str, Found] = {}
        self._counts: Counter[str] = Counter()
        self._names: dict[str, None] = {}
        self._facts: dict[str, None] = {}
        self._counted: set[str] = set()
        self._rounds = 0
        self._left_chars = config.max_result_chars * MOST_FULL_RESULTS
        self._until_s = 0.0

    @property
    def names(self) -> tuple[str, ...]:
        """The tools that were called, each once."""
        return tuple(self._names)

    @property
    def are_over(self) -> bool:
        """Whether no more may be made, so that the model has to answer with what it knows now."""
        is_stuck = any(count >= MOST_ALIKE for count in self._counts.values())
        is_late = bool(self._until_s) and time.monotonic() >= self._until_s
        return is_stuck or is_late or self._rounds >= self._config.max_rounds or self._left_chars < LEAST_CHARS

    def begin_round(self) -> None:
        """The time runs from the first one on: what the model took before is not the tools'."""
        self._rounds += 1
        self._counted = set()
        self._until_s = self._until_s or time.monotonic() + self._config.deadline_s

    def make(self, call: ToolCall, place: int) -> Made:
        """The `place` is that within the round. What a tool cannot do is told the model; nothing is raised."""
        written, arguments = _read(call.arguments)
        if call.name in self._offered:
            self._names[call.name] = None
        found = self._find(call.name, arguments, place)
        content = _cut(found.content, max(LEAST_CHARS, min(self._config.max_result_chars, self._left_chars)))
        self._left_chars -= len(content)
        spelled = _spell(call.name, arguments)
        if found.is_good:
            self._facts[f"{spelled}: {content}"] = None
        whole = ToolCall(call.id, call.name, "{}" if arguments is None else written)
        return Made(whole, content, f"{spelled} → {found.shown}", is_good=found.is_good)

    def tell(self) -> str:
        """What was found, for a model that is not to see that it was called for; "" for nothing."""
        return "\n".join(self._facts)

    def _find(self, name: str, arguments: dict[str, Any] | None, place: int) -> Found:
        if place >= MOST_A_ROUND:
            return _fail(f"only {MOST_A_ROUND} calls are made at once; call again for the others")
        if time.monotonic() >= self._until_s:
            return _fail("there is no time left for more calls; answer with what you have")
        if self._left_chars < LEAST_CHARS:
            return _fail("there is no room left for more results; answer with what you have")
        if arguments is None:
            return _fail("the arguments are no JSON object that can be read")
        key = name + _encode(arguments, is_sorted=True)
        self._counts[key] += key not in self._counted
        self._counted.add(key)
        if key not in self._known:
            self._known[key] = self._call(name, arguments)
        return self._known[key]

    def _call(self, name: str, arguments: dict[str, Any]) -> Found:
        try:
            if name not in self._offered:
                raise UnknownTool(name)
            outcome = self._toolbox.call(name, arguments)
        except BadArguments as error:
            return _fail("the arguments do not fit", faults=[f"{path}: {fault}" for path, fault in error.faults])
        except ToolError as error:
            return _fail(error.message)
        is_plain = isinstance(outcome.result, str | int) and bool(str(outcome.result).strip())
        return Found(_encode(_tell(outcome)), _shorten(str(outcome.result) if is_plain else outcome.text))


def _tell(outcome: Outcome) -> dict[str, Any]:
    beside = {"steps": outcome.steps, "source": outcome.source, "body": outcome.body}
    return {"result": outcome.result, "text": outcome.text} | {name: value for name, value in beside.items() if value}


def _fail(message: str, *, faults: Sequence[str] = ()) -> Found:
    told = {"error": message} | ({"faults": faults} if faults else {})
    return Found(_encode(told), _shorten(f"error: {'; '.join((message, *faults))}"), is_good=False)


def _encode(value: Any, *, is_sorted: bool = False) -> str:
    """Compact JSON; half of a pair of surrogates, which JSON can carry and UTF-8 cannot, becomes a question mark."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=is_sorted,
                      default=msgspec.to_builtins)
    return text.encode("utf-8", "replace").decode()


def _cut(content: str, room: int) -> str:
    if len(content) <= room:
        return content
    note = f" … (cut here: the whole result has {len(content)} characters)"
    return content[:room - len(note)] + note


def _read(arguments: str) -> tuple[str, dict[str, Any] | None]:
    """With the text that they stand in, since some write the object once more as a string; None for what is no object,
    or nested as no tool's arguments are."""
    written = arguments or "{}"
    try:
        value = msgspec.json.decode(written)
        if isinstance(value, str):
            written, value = value, msgspec.json.decode(value)
    except (ValueError, RecursionError):
        return written, None
    return written, value if isinstance(value, dict) and _is_shallow(value, MOST_NESTED) else None


def _is_shallow(value: Any, left: int) -> bool:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return left > 0 and all(_is_shallow(each, left - 1) for each in inner)


def _spell(name: str, arguments: dict[str, Any] | None) -> str:
    told = ", ".join(f"{key}={_encode(value)}" for key, value in (arguments or {}).items())
    return f"{_shorten(name)}({_shorten(told)})"


def _shorten(text: str) -> str:
    line = _ORDERS.sub("", " ".join(text[:2 * LONGEST_SHOWN].split()))
    return line if len(line) <= LONGEST_SHOWN and len(text) <= 2 * LONGEST_SHOWN else f"{line[:LONGEST_SHOWN]}…"
