"""The model lists and descriptions, in both dialects."""

from __future__ import annotations

from typing import Any

import msgspec
from flask import Flask, Response, request

from ..dialects import ollama, openai
from ..errors import ModelNotFound
from .edge import Edge


def add_models(app: Flask, edge: Edge) -> None:
    @app.get("/v1/models")
    def list_models() -> Response:
        return send(openai.list_models(edge.gateway().cards()))

    @app.get("/v1/models/<path:name>")
    def show_model(name: str) -> Response:
        card = edge.gateway().find_card(name)
        if card is None:
            raise ModelNotFound(name)
        return send(openai.model(card))

    @app.get("/api/tags")
    def list_tags() -> Response:
        return send(ollama.tags(edge.gateway().cards()))

    @app.get("/api/ps")
    def list_loaded() -> Response:
        return send(ollama.ps(edge.gateway().loaded_cards()))

    @app.post("/api/show")
    def show_tag() -> Response:
        name = ollama.parse_show(edge.read_body())
        card = edge.gateway().find_card(name)
        if card is None:
            raise ModelNotFound(name)
        is_copilot = request.headers.get("User-Agent", "").startswith("GitHubCopilotChat/")
        return send(ollama.show(card, basename=name if is_copilot else ""))


def send(value: dict[str, Any]) -> Response:
    return Response(msgspec.json.encode(value), content_type="application/json; charset=utf-8")
