"""What /v1/messages has beside the chat itself: how long a prompt is, asked before it is sent."""

from __future__ import annotations

from flask import Flask, Response, request
from msgspec import structs

from ..dialects import anthropic
from .edge import Edge
from .models import send


def add_messages(app: Flask, edge: Edge) -> None:
    @app.post("/v1/messages/count_tokens")
    def count_tokens() -> Response:
        guard = edge.guard()
        guard.count(request.remote_addr or "", request.headers.get("X-Forwarded-For", ""))
        body = edge.read_body(may_carry_media=True)
        asked = anthropic.parse_count(body)
        guard.check_text(body, asked)
        prepared, exact = edge.gateway().measure(structs.replace(asked, client=edge.client()))
        return send({"input_tokens": anthropic.estimate(prepared) if exact is None else exact})
