"""Bare completions of an OpenAI-compatible server: one request, and its events -> chunks."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Any

from ..core import Chunk
from ..errors import BadAnswer
from .api_reader import TextReader
from .refusal import read_error, tell_failure

LONGEST_PAGE = 16 * 1024 * 1024
_MARK = b"[DONE]"


async def read_on(
    hire: Callable[[], Any], url: str, body: dict[str, Any], *, key: str, limit: Any
) -> AsyncGenerator[Chunk, None]:
    """Pieces of text, then Done. `hire` gives the client that carries the request, which raises BackendError in its
    own words; beside those come BadAnswer and BrokenStream."""
    reader, is_marked = TextReader(), False
    head = {"Authorization": f"Bearer {key}"} if key else {}
    async with hire().stream("POST", url, json=body, headers=head, timeout=limit) as response:
        async for data in _find_data(response):
            if data == _MARK:
                is_marked = True
                continue
            for chunk in reader.read(_read_event(data)):
                yield chunk
    yield reader.finish(is_marked=is_marked)


async def _find_data(response: Any) -> AsyncIterator[bytes]:
    """What the events say, or the whole body where the server does not stream."""
    is_streamed = response.headers.get("Content-Type", "").startswith("text/event-stream")
    pending = b""
    async for piece in response.aiter_bytes():
        pending += piece
        if is_streamed:
            *lines, pending = pending.split(b"\n")
            for line in lines:
                if line.startswith(b"data:") and (data := line[5:].strip()):
                    yield data
        elif len(pending) > LONGEST_PAGE:
            raise BadAnswer("the answer is too large")
    if not is_streamed:
        yield pending


def _read_event(data: bytes) -> dict[str, Any]:
    try:
        event = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise BadAnswer(f"not JSON: {error}") from error
    if not isinstance(event, dict):
        raise BadAnswer("the answer is no object")
    if event.get("error"):
        raise tell_failure(read_error(data)[0])
    return event
