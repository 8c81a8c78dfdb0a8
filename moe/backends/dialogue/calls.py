"""Tool calls as models write them: the forms of Hermes and Qwen, Llama 3.1, Mistral and Qwen-Coder."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Collection, Iterator
from typing import Any

from ...core import ToolCall

_DECODER = json.JSONDecoder()
_NAMED = re.compile(r"\s*([\w.-]+)(?:\[CALL_ID\]\w+)?(?:\[ARGS\])?\s*(?=\{)")
_XML_CALL = re.compile(r"<function=([^>\n]+)>(.*?)(?:</function>|$)", re.DOTALL)
_XML_ARGUMENT = re.compile(r"<parameter=([^>\n]+)>\n?(.*?)\n?</parameter>", re.DOTALL)
_GAP = re.compile(r"(?:[\s;,]|\[TOOL_CALLS\])*")


def read_calls(text: str, names: Collection[str] = ()) -> list[ToolCall]:
    """The calls in `text`, all of it; none when any of it is something else.

    `names`: the tools there are; given where nothing but the JSON itself says that it is a call.
    """
    values = _read_xml(text) or _read_named(text) or _read_json(text)
    calls = [call for value in values for call in _make(value)]
    if len(calls) < len(values) or (names and any(call.name not in names for call in calls)):
        return []
    return calls


def _read_json(text: str) -> list[Any]:
    """JSON values one after the other, lists taken apart; empty when any of it is no JSON."""
    found: list[Any] = []
    at = _end_of_gap(text, 0)
    while at < len(text):
        try:
            value, at = _DECODER.raw_decode(text, at)
        except (ValueError, RecursionError):
            return []
        found += value if isinstance(value, list) else [value]
        at = _end_of_gap(text, at)
    return found


def _read_named(text: str) -> list[Any]:
    """Mistral's later form: a name, then its arguments as JSON."""
    found: list[Any] = []
    at = 0
    while at < len(text):
        named = _NAMED.match(text, at)
        if named is None:
            return []
        try:
            arguments, at = _DECODER.raw_decode(text, named.end())
        except (ValueError, RecursionError):
            return []
        found.append({"name": named[1], "arguments": arguments})
        at = _end_of_gap(text, at)
    return found


def _read_xml(text: str) -> list[Any]:
    """Qwen-Coder's form: <function=name><parameter=key>value</parameter></function>."""
    return [
        {"name": call[1], "arguments": {key: _loosely(value) for key, value in _XML_ARGUMENT.findall(call[2])}}
        for call in _XML_CALL.finditer(text)
    ]


def _loosely(text: str) -> Any:
    """A value that may be JSON and may be bare text; numbers and the like are meant where they can be read so."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _make(value: Any) -> Iterator[ToolCall]:
    if not isinstance(value, dict):
        return
    inner = value.get("function")
    if isinstance(inner, dict):
        value = inner
    name = value.get("name", inner)
    arguments = value.get("arguments", value.get("parameters", {}))
    if not isinstance(name, str) or not name:
        return
    if isinstance(arguments, str):
        arguments = _loosely(arguments)
    written = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
    yield ToolCall(f"call_{secrets.token_hex(4)}", name, written)


def _end_of_gap(text: str, at: int) -> int:
    gap = _GAP.match(text, at)
    return gap.end() if gap else at
