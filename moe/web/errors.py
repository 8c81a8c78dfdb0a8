"""Every failure becomes a JSON error in the caller's dialect, here and nowhere else."""

from __future__ import annotations

import logging

import msgspec
from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException
from werkzeug.exceptions import NotFound as NothingThere

from ..dialects import anthropic, ollama, openai
from ..errors import (
    BadAnswer,
    BadRequest,
    ConfigError,
    HeadersTooLarge,
    InvalidAnswer,
    MethodNotAllowed,
    MoeError,
    NotFound,
    NotReady,
    RequestTimeout,
    TooLarge,
    UpstreamFailure,
)
from ..store import NotStored
from .edge import request_id

log = logging.getLogger("moe.web")

MESSAGES, MCP = "/v1/messages", "/mcp"
# Nothing, though another endpoint would take it for the name of a response.
UNSERVED = "/v1/responses/compact"
# JSON-RPC's words for a request that is refused, and for one that failed here.
RPC_INVALID, RPC_FAULT = -32600, -32603
# What Ollama says, as text, where nothing is served.
PLAIN = {404: "404 page not found", 405: "405 method not allowed"}


def add_errors(app: Flask) -> None:
    app.register_error_handler(MoeError, _show)
    app.register_error_handler(HTTPException, _show_http)
    app.register_error_handler(Exception, _show_fault)


def error_body(error: MoeError, path: str, request_id: str = "") -> bytes:
    """The body in the dialect that `path` belongs to."""
    if path.startswith(MESSAGES):
        return anthropic.error_body(error, request_id)
    if path == MCP:
        return _rpc_body(error)
    return openai.error_body(error) if path.startswith("/v1") else ollama.error_body(error)


def _rpc_body(error: MoeError) -> bytes:
    """Of a message that was not read."""
    code = RPC_INVALID if error.status < 500 else RPC_FAULT
    return msgspec.json.encode({"jsonrpc": "2.0", "id": None, "error": {"code": code, "message": str(error)}})


def speaks_anthropic() -> bool:
    """Whether the client is one of Anthropic's: by the path, or by a header where two dialects share one or nothing is
    served."""
    path = request.path
    if path.startswith(MESSAGES):
        return True
    is_nobodys = path.startswith("/v1/models") or (
        path.startswith("/v1/") and isinstance(request.routing_exception, NothingThere))
    return is_nobodys and anthropic.VERSION_HEADER in request.headers


def refuse(status: int, path: str, message: str, request_id: str = "") -> tuple[bytes, str]:
    """(body, content type) for a request that never became one: too large, too slow, malformed."""
    kinds = (BadRequest, RequestTimeout, TooLarge, HeadersTooLarge)
    fallback = BadRequest if status < 500 else MoeError
    error = next((kind for kind in kinds if kind.status == status), fallback)(message)
    error.status = status  # of one that has no kind of its own
    return error_body(error, path, request_id), "application/json"


def _show(error: MoeError) -> Response:
    path = MESSAGES if speaks_anthropic() else request.path
    body = error_body(error, path, request_id())
    response = Response(body, status=error.status, content_type="application/json")
    wait_s = getattr(error, "retry_after_s", None)
    if wait_s is not None and error.status in (429, 503):
        response.headers["Retry-After"] = str(int(wait_s))
    if is_lasting(error):
        response.headers["X-Should-Retry"] = "false"
    return response


def is_lasting(error: MoeError) -> bool:
    """Whether the same request would only fail again: OpenAI's and Anthropic's clients send one anew that failed with
    such a status, unless they are told not to."""
    if isinstance(error, BadAnswer | UpstreamFailure):
        return not error.is_worth_a_retry
    return isinstance(error, ConfigError | InvalidAnswer | NotReady | NotStored)


def _show_http(error: HTTPException) -> Response:
    """Flask's and Werkzeug's own errors: unknown paths, wrong methods, unreadable requests."""
    known: MoeError
    if error.code in PLAIN and not request.path.startswith("/v1"):
        return _allow(error, Response(PLAIN[error.code], status=error.code, content_type="text/plain; charset=utf-8"))
    if request.path.rstrip("/") == UNSERVED:
        return _show(NotFound("404 page not found"))
    if error.code == 404:
        known = NotFound("404 page not found")
    elif error.code == 405:
        known = MethodNotAllowed(f"method {request.method[:20]} is not allowed here")
    elif error.code == 413:
        known = TooLarge("the body is too large")
    else:
        known = BadRequest(error.description or "bad request")
        known.status = error.code or 400
    return _allow(error, _show(known))


def _allow(error: HTTPException, response: Response) -> Response:
    allowed = getattr(error, "valid_methods", None)
    if allowed:
        response.headers["Allow"] = ", ".join(sorted(allowed))
    return response


def _show_fault(error: Exception) -> Response:
    """The last resort: a fault of ours. The log has it all, the client only the request's id."""
    log.error("request=%s failed", request_id(), exc_info=error)
    return _show(MoeError(f"internal error (request {request_id()})"))
