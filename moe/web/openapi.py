"""The server described in OpenAPI: every route there is, and the bodies as they are really read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Literal

import msgspec
from flask import Flask, Response
from werkzeug.routing import Rule

from .. import __version__
from ..dialects.bodies import Page, pages
from .errors import MESSAGES
from .models import send
from .ops import RouteBody

SCHEMAS = "#/components/schemas/"
TEXT = {"text/plain": {"schema": {"type": "string"}}}


class ToolArguments(msgspec.Struct):
    """What a tool takes: `GET /v1/tools` has each one's schema."""


class RpcMessage(msgspec.Struct):
    jsonrpc: Literal["2.0"]
    method: str
    id: int | str | None = None
    params: dict[str, Any] | None = None


OWN_PAGES = {
    "GET /": Page("Whether it runs", told_as="text/plain"),
    "GET /health": Page("How each expert fares", tells=("status", "version")),
    "GET /v1/route": Page("Who would answer the prompt `text`", query=("text", "model")),
    "POST /v1/route": Page("Who would answer", RouteBody),
    "GET /v1/tools": Page("The exact tools, with the schema of what each takes", tells=("object", "data")),
    "POST /v1/tools/{name}": Page("Call an exact tool; the body is its arguments", ToolArguments,
                                  tells=("tool", "result", "text")),
    "GET /v1/requests": Page("The last requests, the newest first", tells=("object", "data"), query=("limit",)),
    "GET /v1/requests/{name}": Page("What became of one request, step by step", tells=("id", "status", "spans")),
    "POST /mcp": Page("The tools over the Model Context Protocol", RpcMessage, ("jsonrpc", "method"),
                      told_as=""),
    "GET /openapi.json": Page("This description", tells=("openapi", "paths")),
}
_PARAMETER = re.compile(r"<(?:\w+:)?(\w+)>")


def add_openapi(app: Flask) -> None:
    """Must come after all other routes have been added: it describes those that are there when it is asked."""
    @app.get("/openapi.json")
    def describe_server() -> Response:
        return send(describe(app))


def describe(app: Flask) -> dict[str, Any]:
    known = {**pages(), **OWN_PAGES}
    bodies = list(dict.fromkeys(page.body for page in known.values() if page.body is not None))
    refs, components = msgspec.json.schema_components(bodies, ref_template=SCHEMAS + "{name}")
    schemas = dict(zip(bodies, refs, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for method, path, rule in _routes(app):
        page = known.get(f"{method} {path}") or Page(rule.endpoint.replace("_", " "))
        paths.setdefault(path, {})[method.lower()] = _operation(page, path, schemas)
    return _tidied({
        "openapi": "3.1.0",
        "info": {"title": "moe", "version": __version__, "description": "One private endpoint in front of your models"},
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {"schemas": {**components, **_errors()}},
    })


def _routes(app: Flask) -> Iterator[tuple[str, str, Rule]]:
    """Method, path and rule of each; HEAD only where there is no GET, OPTIONS never."""
    for rule in sorted(app.url_map.iter_rules(), key=lambda rule: rule.rule):
        methods = (rule.methods or set()) - {"OPTIONS"}
        for method in sorted(methods - {"HEAD"} if "GET" in methods else methods):
            yield method, _PARAMETER.sub(r"{\1}", rule.rule), rule


def _operation(page: Page, path: str, schemas: dict[type, dict[str, Any]]) -> dict[str, Any]:
    operation: dict[str, Any] = {"summary": page.summary, "responses": _responses(page, path)}
    inside = [_parameter(name, "path") for name in re.findall(r"{(\w+)}", path)]
    if inside or page.query:
        operation["parameters"] = [*inside, *(_parameter(name, "query") for name in page.query)]
    if page.takes_file:
        operation["requestBody"] = {"required": True, "content": {"application/octet-stream": {"schema": {}}}}
    if page.body is not None:
        body = {"allOf": [schemas[page.body], {"required": list(page.required)}]} if page.required else (
            schemas[page.body])
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": body}}}
    return operation


def _parameter(name: str, place: str) -> dict[str, Any]:
    return {"name": name, "in": place, "required": place == "path", "schema": {"type": "string"}}


def _responses(page: Page, path: str) -> dict[str, Any]:
    content: dict[str, Any] = {}
    if page.told_as:
        content[page.told_as] = {"schema": {"type": "object", "required": list(page.tells)}}
    if page.streams:
        content[page.streams] = {"schema": {"type": "string"}}
    error = {"application/json": {"schema": {"$ref": SCHEMAS + _dialect(path) + "Error"}}}
    refused = error if path.startswith("/v1") else {**error, **TEXT}
    good: dict[str, Any] = {"description": "Answered"}
    return {
        "2XX": {**good, "content": content} if content else good,
        "4XX": {"description": "Refused", "content": refused},
        "5XX": {"description": "Failed", "content": error},
    }


def _dialect(path: str) -> str:
    if path.startswith(MESSAGES):
        return "Anthropic"
    if path == "/mcp":
        return "Rpc"
    return "OpenAI" if path.startswith("/v1") else "Ollama"


def _errors() -> dict[str, Any]:
    text = {"type": "string"}
    maybe = {"type": ["string", "null"]}
    told = {"message": text, "type": text, "param": maybe, "code": maybe}
    rpc = _object({"error": {"type": ["object", "string"]}}, "error")
    return {
        "OpenAIError": _object({"error": _object(told, "message", "type")}, "error"),
        "AnthropicError": _object({"type": {"const": "error"}, "error": _object(told, "message", "type"),
                                   "request_id": maybe}, "type", "error"),
        "OllamaError": _object({"error": text}, "error"),
        "RpcError": {"anyOf": [rpc, {"type": "array", "items": rpc}]},
    }


def _object(properties: dict[str, Any], *required: str) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(required)}


def _tidied(description: dict[str, Any]) -> dict[str, Any]:
    """The schemas under names without the modules' and the underscores of the types."""
    written = msgspec.json.encode(description).decode()
    for name in sorted(description["components"]["schemas"], key=len, reverse=True):
        plain = name.removeprefix("moe.dialects.").replace("._", ".").lstrip("_")
        written = written.replace(f'"{SCHEMAS}{name}"', f'"{SCHEMAS}{plain}"').replace(f'"{name}":', f'"{plain}":')
    read: dict[str, Any] = msgspec.json.decode(written)
    return read
