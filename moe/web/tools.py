"""The exact tools over HTTP: which there are, and one call each."""

from __future__ import annotations

import logging
import time
from typing import Any

import msgspec
from flask import Flask, Response, request

from ..dialects import openai
from ..dialects.body import read
from ..errors import BadArguments
from ..tools.base import LANGUAGES, Language
from ..tools.telling import describe, report
from .edge import Edge, request_id
from .models import send

log = logging.getLogger("moe.web")

_arguments_decoder = msgspec.json.Decoder(dict[str, Any])


def add_tools(app: Flask, edge: Edge) -> None:
    @app.get("/v1/tools")
    def list_tools() -> Response:
        return send({"object": "list", "data": [describe(tool) for tool in edge.gateway().tools.toolbox]})

    @app.post("/v1/tools/<name>")
    def call_tool(name: str) -> Response:
        guard = edge.guard()
        guard.count(request.remote_addr or "", request.headers.get("X-Forwarded-For", ""))
        toolbox = edge.gateway().tools.toolbox
        toolbox.find(name)
        arguments = _read_arguments(edge.read_body())
        slot = guard.take_slot(edge.client())
        began = time.monotonic()
        try:
            outcome = toolbox.call(name, arguments, language=asked_language())
        except BadArguments as error:
            return _show(error)
        finally:
            slot.release()
        log.info("request=%s tool=%s ms=%d", request_id(), name, (time.monotonic() - began) * 1000)
        response = send(report(name, outcome))
        response.headers["X-MoE-Tool"] = name
        return response


def asked_language() -> Language:
    """The one that the client likes best of those that tools speak."""
    best = request.accept_languages.best_match(LANGUAGES, default="en")
    return next(language for language in LANGUAGES if language == best)


def _read_arguments(body: bytes) -> dict[str, Any]:
    """A call without arguments may do without a body."""
    return read(body, _arguments_decoder, is_literal=True) if body.strip() else {}


def _show(error: BadArguments) -> Response:
    """With each fault by itself, for programs."""
    details = [{"path": path, "message": fault} for path, fault in error.faults]
    response = send({"error": {**openai.error_of(error), "details": details}})
    response.status_code = error.status
    return response
