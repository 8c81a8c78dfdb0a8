"""The model lists and descriptions, in both dialects."""

from __future__ import annotations

from typing import Any

import msgspec
from flask import Flask, Response, request

from ..dialects import anthropic, ollama, openai
from ..dialects.ollama_manage import parse_viewing
from ..errors import ModelNotFound
from .edge import Edge
from .errors import speaks_anthropic


def add_models(app: Flask, edge: Edge) -> None:
    @app.get("/v1/models")
    def list_models() -> Response:
        cards = edge.gateway().cards()
        if not speaks_anthropic():
            return send(openai.list_models(cards))
        page = {name: request.args.get(f"{name}_id", "") for name in ("after", "before")}
        return send(anthropic.list_models(cards, limit=request.args.get("limit", ""), **page))

    @app.get("/v1/models/<path:name>")
    def show_model(name: str) -> Response:
        card = edge.gateway().find_card(name)
        if card is None:
            raise ModelNotFound(name)
        return send(anthropic.model(card) if speaks_anthropic() else openai.model(card))

    @app.get("/api/tags")
    def list_tags() -> Response:
        return send(ollama.tags(edge.gateway().cards()))

    @app.get("/api/ps")
    def list_loaded() -> Response:
        return send(ollama.ps(edge.gateway().loaded_cards()))

    @app.post("/api/show")
    def show_tag() -> Response:
        name, asked = parse_viewing(edge.read_body())
        gateway = edge.gateway()
        card = gateway.find_card(name)
        if card is None:
            raise ModelNotFound(name)
        is_copilot = request.headers.get("User-Agent", "").startswith("GitHubCopilotChat/")
        page = gateway.page(card, asked)
        return send(ollama.show(card, page=page, basename=name if is_copilot else ""))


def send(value: dict[str, Any]) -> Response:
    return Response(msgspec.json.encode(value), content_type="application/json; charset=utf-8")
