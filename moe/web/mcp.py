"""The Model Context Protocol on /mcp: streamable HTTP without sessions, each POST answered with JSON."""

from __future__ import annotations

import json
import re
from types import ModuleType
from typing import Any

import msgspec
from flask import Flask, Response, request

from ..dialects.body import read
from ..errors import BadRequest, NotReady
from .edge import Edge
from .tools import asked_language

PARSE_ERROR, INVALID_REQUEST = -32700, -32600

_message_decoder = msgspec.json.Decoder(Any)
_HALF_PAIR = re.compile("[\ud800-\udfff]")
_HALF_ESCAPE = re.compile(rb"\\u[dD][89a-fA-F]")


def add_mcp(app: Flask, edge: Edge) -> None:
    @app.post("/mcp")
    def answer_message() -> Response:
        body = edge.read_body()
        rpc = _load()
        try:
            message = _read(body)
        except BadRequest as error:
            return _send(rpc.refuse(PARSE_ERROR, error.message))
        if request.accept_mimetypes and not request.accept_mimetypes.quality("application/json"):
            return _send(rpc.refuse(INVALID_REQUEST, "replies are application/json only", status=406))
        guard = edge.guard()
        for _ in range(_count_calls(message)):
            guard.count(request.remote_addr or "", request.headers.get("X-Forwarded-For", ""))
        said = {name: request.headers.get(f"Mcp-{header}", "")
                for name, header in (("version", "Protocol-Version"), ("method", "Method"), ("name", "Name"))}
        slot = guard.take_slot(edge.client())
        try:
            toolbox = edge.gateway().tools.toolbox
            return _send(rpc.answer(message, rpc.Headers(**said), toolbox, language=asked_language()))
        finally:
            slot.release()


def _read(body: bytes) -> Any:
    """What a message says, to the letter: a tool that is asked for the digest of something must not be given something
    else. Raises BadRequest."""
    message = read(body, _message_decoder)
    if _HALF_ESCAPE.search(body) and _HALF_PAIR.search(json.dumps(json.loads(body), ensure_ascii=False)):
        raise BadRequest("a text in it has half of a pair of surrogates, which stands for no character")
    return message


def _load() -> ModuleType:
    """What needs the protocol's types, which a server that nobody asks for them does without."""
    try:
        from ..tools import rpc  # noqa: PLC0415 - half a second and 20 MB
    except ImportError as error:
        raise NotReady("the package mcp is not installed; ./setup.sh installs it") from error
    return rpc


def _count_calls(message: Any) -> int:
    """How many tools it asks for; the rest of the protocol costs next to nothing."""
    messages = message if isinstance(message, list) else [message]
    return sum(isinstance(each, dict) and each.get("method") == "tools/call" for each in messages)


def _send(reply: Any) -> Response:
    if reply.message is None:
        response = Response(status=reply.status)
        del response.headers["Content-Type"]
        return response
    return Response(msgspec.json.encode(reply.message), status=reply.status, content_type="application/json")
