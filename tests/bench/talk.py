"""Asks a model in a server's own process, over HTTP, streamed, and reads what it said."""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tests.bench.load import OPENAI, Connection, Target, write_post
from tests.bench.process import cpu_s, rss_mb
from tests.bench.servers import Servers

LIMIT_S = 300.0
CONTEXT = 4096
_WORD = re.compile(rb'"content": ?"[^"]')
_EVENT = re.compile(rb"^data: (\{.*\})", re.MULTILINE)
Message = dict[str, str]


class Said(NamedTuple):
    """One answer: its text, how many tokens it took, and when the first word came."""

    text: str
    tokens: int
    first_ms: float


class Burst(NamedTuple):
    """Answers that were asked for at the same moment; `elapsed_s` until the last one ended."""

    said: list[Said]
    elapsed_s: float
    cpu_s: float
    rss_mb: float
    errors: list[str]

    @property
    def tokens(self) -> int:
        return sum(each.tokens for each in self.said)

    @property
    def worst_first_ms(self) -> float:
        return max((each.first_ms for each in self.said), default=float("nan"))


class Listener(Connection):
    """Marks the first word; the role, which may come ahead of it, is none."""

    def _is_marked(self, data: bytes) -> bool:
        return _WORD.search(data) is not None


def start_ours(servers: Servers, file: Path, threads: int | None) -> Target:
    """Ours in keyword mode with the folder of `file` as its models; `threads` None = its own default."""
    config: dict[str, Any] = {"router": {"model_path": ""}, "ai_engine": {"n_threads": threads, "n_ctx": CONTEXT}}
    target = servers.start_ours(f"ours-{file.stem}-{threads}", config, MOE_MODELS=str(file.parent))
    return target._replace(model=file.stem)


def start_locked(servers: Servers, file: Path, threads: int) -> Target:
    name = f"locked-{file.stem}-{threads}"
    started = servers.start_own("tests.bench.locked", name, str(file), str(threads), str(CONTEXT))
    return started.target._replace(name="locked")


async def ask_all(target: Target, talks: Sequence[Sequence[Message]], *, tokens: int) -> Burst:
    """All conversations at once, each for `tokens` at most, greedily."""
    requests = [write_post(OPENAI, {
        "model": target.model, "messages": messages, "stream": True, "stream_options": {"include_usage": True},
        "max_tokens": tokens, "temperature": 0,
    }) for messages in talks]
    cpu_began, began = cpu_s(target.pid), time.perf_counter()
    told = await asyncio.gather(*(_ask(target, request) for request in requests), return_exceptions=True)
    elapsed_s = time.perf_counter() - began
    said = [each for each in told if isinstance(each, Said)]
    errors = [f"{target.name}: {each!r}" for each in told if isinstance(each, BaseException)]
    return Burst(said, elapsed_s, cpu_s(target.pid) - cpu_began, rss_mb(target.pid), errors)


async def _ask(target: Target, request: bytes) -> Said:
    _, connection = await asyncio.get_running_loop().create_connection(
        lambda: Listener(b""), "127.0.0.1", target.port)
    try:
        began = time.perf_counter()
        reply = await asyncio.wait_for(connection.ask(request), LIMIT_S)
        received = connection.received
    finally:
        connection.close()
    events = [json.loads(event) for event in _EVENT.findall(received)]
    tokens = sum(event["usage"]["completion_tokens"] for event in events if event.get("usage"))
    if reply.status != 200 or not reply.marked_s or not tokens:
        raise RuntimeError(f"status {reply.status}, {tokens} tokens, ending {connection.end!r}")
    text = "".join(choice["delta"].get("content") or "" for event in events for choice in event["choices"])
    return Said(text, tokens, (reply.marked_s - began) * 1000)


def questions() -> Iterator[list[Message]]:
    """Short prompts that never repeat, not even in how they begin, so that nobody has read one before."""
    for number in itertools.count(1000):
        yield [{"role": "user", "content": f"{number} is what?"}]
