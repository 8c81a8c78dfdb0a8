"""The rest of the surface: the root, health, version, and what the router would decide."""

from __future__ import annotations

from typing import Any

import msgspec
from flask import Flask, Response, request
from markupsafe import escape
from msgspec import structs
from werkzeug.datastructures import MIMEAccept

from .. import __version__
from ..core import ChatRequest, Message, Text
from ..dialects import openai
from ..dialects.body import read
from ..errors import BadRequest
from .edge import Edge
from .models import send

OLLAMA_API_LEVEL = "0.33.0"
GREETING = "Ollama is running"

_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>moe</title>
<body style="font:16px/1.5 system-ui;max-width:40em;margin:3em auto;padding:0 1em">
<h1>moe is running</h1><p>One private endpoint in front of your models. Point a client at
<code>{base}</code> (Ollama) or <code>{base}/v1</code> (OpenAI).</p>
<p><a href="/health">health</a> · <a href="/v1/models">models</a> ·
<a href="/v1/route?text=Why%20is%20the%20sky%20blue%3F">try the router</a></p></body></html>
"""


class RouteBody(msgspec.Struct):
    text: str | None = None
    messages: list[Any] | None = None
    model: str | None = None
    tools_inline: bool | None = None


_route_decoder = msgspec.json.Decoder(RouteBody)


def add_ops(app: Flask, edge: Edge) -> None:
    @app.get("/")
    def greet() -> Response:
        match _wanted(request.accept_mimetypes):
            case "application/json":
                return send({"name": "moe", "version": __version__, "status": GREETING})
            case "text/html":
                page = _PAGE.format(base=escape(request.host_url.rstrip("/")))
                return Response(page, content_type="text/html; charset=utf-8")
        return Response(GREETING, content_type="text/plain; charset=utf-8")

    @app.get("/health")
    def health() -> Response:
        told = edge.gateway().health()
        return send({"status": told.pop("status"), "version": __version__, **told})

    @app.get("/api/version")
    def version() -> Response:
        return send({"version": OLLAMA_API_LEVEL})

    @app.get("/v1/route")
    def route_query() -> Response:
        return send(edge.gateway().route(_ask(request.args.get("text", ""), request.args.get("model", ""))))

    @app.post("/v1/route")
    def route_body() -> Response:
        body = edge.read_body(may_carry_media=True)
        asked = _read_route(body)
        edge.guard().check_text(body, asked)
        return send(edge.gateway().route(asked))


def _read_route(body: bytes) -> ChatRequest:
    asked = read(body, _route_decoder)
    if asked.messages is not None:
        return openai.CHAT.parse(body)
    request = _ask(asked.text or "", asked.model or "")
    return structs.replace(request, tools_inline=asked.tools_inline is not False)


def _ask(text: str, model: str) -> ChatRequest:
    if not text.strip():
        raise BadRequest("give the prompt to route as text, or as messages", param="text")
    return ChatRequest(model=model, messages=(Message("user", (Text(text),)),))


def _wanted(accepted: MIMEAccept) -> str:
    """Text for clients that take anything, as Ollama's own probe does; else what they name."""
    best = accepted.best_match(["text/plain", "application/json", "text/html"], default="text/plain")
    return best if accepted.provided and "*/*" not in [kind for kind, _ in accepted[:1]] else "text/plain"
