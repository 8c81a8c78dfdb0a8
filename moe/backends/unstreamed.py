"""A chat's answer in one piece, as the events in which it would have been streamed."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx


def wants_events(request: httpx.Request) -> bool:
    """Whether a chat was to be streamed; of a bare completion the whole is read where its events are."""
    if not request.url.path.endswith("/chat/completions") or not isinstance(request.stream, httpx.ByteStream):
        return False
    try:
        body = json.loads(request.content)
    except (ValueError, RecursionError):
        return False
    return isinstance(body, dict) and body.get("stream") is True


def spread(whole: dict[str, Any]) -> bytes:
    """`whole`, whose choices are objects."""
    head = {key: value for key, value in whole.items() if key not in ("choices", "usage", "object")}
    head["object"] = "chat.completion.chunk"
    choices = [_open(choice) for choice in whole["choices"]]
    ends = [{"index": choice.get("index", 0), "delta": {}, "finish_reason": reason or "stop"}
            for choice in choices for reason in [choice.pop("finish_reason", None)]]
    events = [head | {"choices": choices}, head | {"choices": ends}]
    if whole.get("usage"):
        events.append(head | {"choices": [], "usage": whole["usage"]})
    return b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events) + b"data: [DONE]\n\n"


def _open(choice: dict[str, Any]) -> dict[str, Any]:
    message = choice.get("message")
    delta = dict(message) if isinstance(message, dict) else {}
    calls = delta.get("tool_calls")
    if isinstance(calls, list):
        delta["tool_calls"] = [{**call, "index": place} for place, call in enumerate(calls) if isinstance(call, dict)]
    return {key: value for key, value in choice.items() if key != "message"} | {"delta": delta}


class Body(httpx.AsyncByteStream):
    """Bytes that are there already."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._data
