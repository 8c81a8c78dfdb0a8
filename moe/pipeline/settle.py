"""What happens to an answer on its way out: it is counted, and its usage estimated where nobody told it."""

from __future__ import annotations

import logging
import time
from collections.abc import Generator, Iterator
from contextlib import closing

from msgspec import structs

from ..core import ChatRequest, Chunk, Decision, Done, Started, Text, Thinking, ToolCall, Usage
from ..log import clean
from ..metrics import Statistics
from ..trace import Trace
from .progress import STEP

log = logging.getLogger("moe.answers")
CHARS_PER_TOKEN = 4


def settle(
    chunks: Generator[Chunk, None, None],
    request: ChatRequest,
    decision: Decision,
    *,
    statistics: Statistics,
    request_id: str,
    trace: Trace | None = None,
) -> Iterator[Chunk]:
    """Passes `chunks` on and closes them; at Done it fills in a missing usage, records the answer and logs a line."""
    with closing(chunks):
        yield from _count(chunks, request, decision, statistics=statistics, request_id=request_id,
                          trace=trace or Trace())


def _count(
    chunks: Iterator[Chunk], request: ChatRequest, decision: Decision, *, statistics: Statistics, request_id: str,
    trace: Trace,
) -> Iterator[Chunk]:
    began = time.monotonic()
    first_token_s = 0.0
    size, is_silent = 0, True
    who: Started | None = None
    for chunk in chunks:
        if isinstance(chunk, (Text, Thinking)):
            size += len(chunk.text)
            if is_silent and not (isinstance(chunk, Thinking) and chunk.text.startswith(STEP)):
                is_silent = False
                trace.speak()
            if trace.keeps_text and isinstance(chunk, Text):
                trace.hear(chunk.text)
        elif isinstance(chunk, Started):
            who, first_token_s = chunk, first_token_s or time.monotonic() - began
            trace.start(chunk)
        elif isinstance(chunk, ToolCall):
            size += len(chunk.name) + len(chunk.arguments)
        elif isinstance(chunk, Done):
            chunk = _account(chunk, request, size)
            if who is not None and chunk.usage is not None:
                total_s = time.monotonic() - began
                statistics.record_answer(
                    f"{who.expert} {who.model}", tokens=(chunk.usage.prompt_tokens, chunk.usage.completion_tokens),
                    times_ms=(first_token_s * 1000, total_s * 1000), now=time.time(),
                )
                log.info("request=%s stage=%s expert=%s model=%s ms=%d tokens=%d", request_id, decision.stage,
                         clean(who.expert), clean(who.model), total_s * 1000, chunk.usage.completion_tokens)
        yield chunk


def _account(done: Done, request: ChatRequest, size: int) -> Done:
    if done.usage is not None or done.finish in ("load", "unload"):
        return done
    tokens = -(-size // CHARS_PER_TOKEN)
    usage = Usage(prompt_tokens=prompt_tokens(request), completion_tokens=tokens, estimated=True)
    return structs.replace(done, usage=usage)


def prompt_tokens(request: ChatRequest) -> int:
    """About how long the prompt is."""
    size = sum(len(message.text) for message in request.messages)
    if request.completion is not None:
        size += len(request.completion.prompt) + len(request.completion.suffix)
    return -(-size // CHARS_PER_TOKEN)
