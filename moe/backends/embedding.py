"""Vectors made by Ollama nodes: some texts at a time, each time by a node that has the model and answers."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from contextlib import closing
from typing import Any

import msgspec
from msgspec import Struct

from ..config import RunnerConfig
from ..core import Embedded, EmbedRequest, Heartbeat
from ..errors import BackendError, BadAnswer, Crowded, TimedOut, Unreachable, UpstreamFailure, UpstreamRefusal
from .base import BEAT
from .duration import unloads
from .nodes import Node
from .ollama_wire import write_keep_alive
from .preference import rank

SLICE_TEXTS = 64
REPLY_BYTES = 64 << 20
BYTES_PER_TOKEN = 2.5
TOKENS_PER_S = 50
_BUSY = (408, 429)

Steps = Generator[Heartbeat, None, Embedded]


class _Reply(Struct):
    embeddings: list[list[float]] | None = None
    embedding: list[float] | None = None
    prompt_eval_count: int | None = None
    load_duration: int | None = None
    error: str | None = None


_decoder = msgspec.json.Decoder(_Reply)


def embed(nodes: Sequence[Node], request: EmbedRequest, texts: Sequence[str], runner: RunnerConfig) -> Steps:
    """`texts` by the model `request.model`, which is a node's own name for it; where there are none it is only loaded.

    Heartbeats while it works; closing it stops the node. Raises BackendError when none of the nodes could.
    """
    made = Embedded(model=request.model, rows=[])
    for start in range(0, max(1, len(texts)), SLICE_TEXTS):
        part = texts[start:start + SLICE_TEXTS]
        reply = yield from _ask_any(nodes, request, part, runner)
        rows = reply.embeddings or ([reply.embedding] if reply.embedding else [])
        if len(rows) != len(part):
            raise BadAnswer(f"{len(rows)} vectors for {len(part)} texts")
        made = Embedded(model=made.model, rows=made.rows + rows, tokens=made.tokens + (reply.prompt_eval_count or 0),
                        load_ns=made.load_ns + (reply.load_duration or 0))
    return made


def _ask_any(
    nodes: Sequence[Node], request: EmbedRequest, texts: Sequence[str], runner: RunnerConfig
) -> Generator[Heartbeat, None, _Reply]:
    """The best node's answer, or the next one's; the error is the first node's, which knew the model best."""
    first: BackendError | None = None
    for node in rank(nodes, request.model):
        try:
            return (yield from _ask(node, request, texts, runner))
        except BackendError as error:
            first = first or error
            if not _may_go_on(error):
                break
            if not isinstance(error, Crowded):
                node.doubt(runner.breaker_cooldown_s)
    raise first or Unreachable("no node has the model")


def _ask(
    node: Node, request: EmbedRequest, texts: Sequence[str], runner: RunnerConfig
) -> Generator[Heartbeat, None, _Reply]:
    path, body = _write(request, texts)
    is_loaded = request.model in node.last_state.loaded
    patience_s = runner.first_token_timeout_s if is_loaded else runner.cold_load_timeout_s
    limit_s = patience_s + len(body) / BYTES_PER_TOKEN / TOKENS_PER_S
    node.enter(request.model)
    try:
        yield from node.lane.enter(request.client)
        try:
            page = yield from _fetch(node, path, body, limit_s=limit_s)
        finally:
            node.lane.leave()
    except Unreachable as error:
        node.mark_down(error)
        raise
    finally:
        node.leave(request.model)
    is_leaving = unloads(request.keep_alive)
    if is_leaving:
        node.forget(request.model)
    else:
        node.hear(request.model)
    if is_leaving or not is_loaded:
        node.expect_change()
    node.doubt(0)
    return _read(page)


def _fetch(node: Node, path: str, body: bytes, *, limit_s: float) -> Generator[Heartbeat, None, bytes]:
    page = bytearray()
    deadline = time.monotonic() + limit_s
    with closing(node.transport.stream(path, body, idle_s=limit_s)) as pieces:
        for piece in pieces:
            page += piece
            if len(page) > REPLY_BYTES:
                raise BadAnswer("the reply is too large")
            if time.monotonic() > deadline:
                raise TimedOut(f"no vectors within {limit_s:.0f} s")
            yield BEAT
    return bytes(page)


def _write(request: EmbedRequest, texts: Sequence[str]) -> tuple[str, bytes]:
    body: dict[str, Any] = {"model": request.model}
    if request.options:
        body["options"] = request.options
    if request.keep_alive is not None:
        body["keep_alive"] = write_keep_alive(request.keep_alive)
    if request.is_single:
        return "/api/embeddings", _encode(body | {"prompt": next(iter(texts), "")})
    body |= {"input": list(texts), "truncate": request.truncate}
    if request.dimensions is not None:
        body["dimensions"] = request.dimensions
    return "/api/embed", _encode(body)


def _encode(body: dict[str, Any]) -> bytes:
    return msgspec.json.encode(body)


def _read(page: bytes) -> _Reply:
    try:
        reply = _decoder.decode(page)
    except (ValueError, RecursionError) as error:
        raise BadAnswer(f"no vectors: {error}") from error
    if reply.error:
        raise UpstreamFailure(reply.error[:2000], upstream_status=500)
    return reply


def _may_go_on(error: BackendError) -> bool:
    """Whether another node may do better: this one is away, busy or broken, or has lost the model."""
    if isinstance(error, UpstreamFailure):
        return error.upstream_status >= 500 or error.upstream_status in (*_BUSY, 404)
    return not isinstance(error, UpstreamRefusal)
