"""What a model says: parts of an answer, and a deterministic default built from what was asked."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple


class Text(NamedTuple):
    text: str


class Thinking(NamedTuple):
    text: str


class ToolCall(NamedTuple):
    name: str
    arguments: Mapping[str, Any]


Part = Text | Thinking | ToolCall
Usage = Mapping[str, Any] | Literal["counted"] | None


@dataclass(frozen=True)
class Ask:
    """One request in neutral words; `tool` is set when the model may call it now."""

    text: str
    prompt_tokens: int
    model: str = ""
    image_count: int = 0
    tool: Mapping[str, Any] | None = None
    tool_said: str | None = None
    schema: Mapping[str, Any] | None = None
    thinks: bool = False
    token_limit: int | None = None


def weigh(text: str, most: int) -> list[dict[str, Any]]:
    """Log probabilities of a piece of text as one token, with so many in its place."""
    token, *others = [{"token": each, "logprob": -0.25 * (place + 1), "bytes": list(each.encode())}
                      for place, each in enumerate((text, *(f"other{place}" for place in range(most - 1))))]
    return [{**token, "top_logprobs": [token, *others][:most]}]


class Speech:
    """An answer being spoken: iterate over its parts once, then read `count` and `finish`."""

    def __init__(self, parts: Iterable[Part], *, limit: int | None, finish: str | None, usage: Usage) -> None:
        self.count = 0
        self.finish = finish or "stop"
        self.usage = usage
        self._parts = parts
        self._limit = limit
        self._finish_is_given = finish is not None

    def __iter__(self) -> Iterator[Part]:
        for part in self._parts:
            if self.count == self._limit:
                self._end("length")
                return
            if isinstance(part, ToolCall):
                self._end("tool_calls")
            self.count += 1
            yield part

    def _end(self, finish: str) -> None:
        if not self._finish_is_given:
            self.finish = finish


def answer_by_default(ask: Ask) -> list[Part]:
    """Says who answers and what arrived; calls the first tool on offer; fits the schema if one is asked for."""
    parts: list[Part] = [Thinking(word) for word in split_words(f"{ask.model} thinks.")] if ask.thinks else []
    if ask.tool is not None:
        arguments = make_sample(ask.tool.get("parameters") or {}, ask.text)
        return [*parts, ToolCall(ask.tool["name"], arguments if isinstance(arguments, dict) else {})]
    return [*parts, *(Text(word) for word in split_words(_default_text(ask)))]


def _default_text(ask: Ask) -> str:
    said = f"you said: {ask.text}" if ask.tool_said is None else f"the tool said: {ask.tool_said}"
    images = f" ({ask.image_count} images)" if ask.image_count else ""
    text = f"[{ask.model}] {said}{images}"
    return text if ask.schema is None else json.dumps(make_sample(ask.schema, text), ensure_ascii=False)


def make_sample(schema: Mapping[str, Any], text: str) -> Any:
    """A smallest value that fits a JSON schema; its strings are `text`."""
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return schema["enum"][0]
    if schema.get("anyOf"):
        return make_sample(schema["anyOf"][0], text)
    kind = schema.get("type", "object" if "properties" in schema else "string")
    if kind == "object":
        return {name: make_sample(inner, text) for name, inner in schema.get("properties", {}).items()}
    if kind == "array":
        return [make_sample(schema.get("items", {}), text)]
    return {"integer": 1, "number": 1.5, "boolean": True, "null": None}.get(str(kind), text)


def split_words(text: str) -> list[str]:
    """Words with the blanks that follow them; joined they give the text back."""
    return re.findall(r"\S+\s*|\s+", text)


def count_tokens(*texts: str) -> int:
    return sum(len(text.split()) for text in texts)


def embed(text: str, size: int) -> list[float]:
    """A unit vector that depends on nothing but the text; an empty text has one too."""
    seed = hashlib.shake_128(text.encode()).digest(2 * size)
    raw = [int.from_bytes(seed[i : i + 2], "big") - 32767.5 for i in range(0, 2 * size, 2)]
    length = math.sqrt(sum(x * x for x in raw))
    return [x / length for x in raw]


def read_content(content: object) -> str:
    """The text of a message's content, which is a string or a list of typed parts."""
    if isinstance(content, list):
        return "".join(part.get("text") or "" for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else ""
