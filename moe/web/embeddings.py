"""Vectors for texts, in OpenAI's form and in both of Ollama's."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing

from flask import Flask, Response, request
from msgspec import structs

from ..core import Embedded, EmbedRequest
from ..dialects.embedding import EmbeddingDialect, Ollama, OllamaSingle, OpenAi
from ..errors import ModelNotFound, NotFound, Unavailable
from .chat import ClientLeft
from .edge import Edge


def add_embeddings(app: Flask, edge: Edge) -> None:
    dialects: dict[str, EmbeddingDialect] = {
        "/v1/embeddings": OpenAi(), "/api/embed": Ollama(), "/api/embeddings": OllamaSingle(),
    }
    for path, dialect in dialects.items():
        app.add_url_rule(path, path, _view(edge, dialect), methods=["POST"])


def _view(edge: Edge, dialect: EmbeddingDialect) -> Callable[[], Response]:
    def embed() -> Response:
        guard = edge.guard()
        guard.count(request.remote_addr or "", request.headers.get("X-Forwarded-For", ""))
        body = edge.read_body(may_be_long=True)
        asked = structs.replace(dialect.parse(body), client=edge.client())
        slot = guard.take_slot(asked.client)
        try:
            began = time.monotonic_ns()
            made = _gather(edge, asked)
            if edge.config.server.reply_model == "requested":
                made = structs.replace(made, model=asked.model)
            reply = dialect.reply(asked, made, time.monotonic_ns() - began)
        finally:
            slot.release()
        return Response(reply, content_type="application/json; charset=utf-8")

    return embed


def _gather(edge: Edge, asked: EmbedRequest) -> Embedded:
    """The vectors, unless the client leaves before they are made, or the server ends."""
    has_left: Callable[[], bool] = request.environ.get("waitress.client_disconnected", lambda: False)
    with closing(edge.gateway().vectors.make(asked)) as steps:
        while True:
            try:
                next(steps)
            except StopIteration as made:
                embedded: Embedded = made.value
                return embedded
            except ModelNotFound as error:
                if request.path.startswith("/v1"):
                    raise
                raise NotFound(f'model "{asked.model}" not found, try pulling it first', param="model") from error
            if has_left():
                raise ClientLeft
            if edge.ending.is_set():
                raise Unavailable("the server is shutting down")
