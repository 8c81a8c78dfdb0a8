"""Ollama's pages that change which models there are: pull, push, create, copy, delete and blobs."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
from flask import Flask, Response, request

from ..backends.relay import Lines
from ..dialects import ollama, ollama_manage
from ..errors import MoeError, Unavailable
from .chat import ClientLeft
from .edge import Edge, request_id
from .models import send

log = logging.getLogger("moe.web")

NO_ACCOUNTS = "there are no accounts here: this server never signs in to ollama.com"


def add_manage(app: Flask, edge: Edge) -> None:
    @app.post("/api/pull")
    def pull() -> Response:
        order = ollama_manage.parse_order(edge.read_body())
        return answer(edge, edge.gateway().manager.pull(order.model, order.body), streams=order.streams)

    @app.post("/api/push")
    def push() -> Response:
        order = ollama_manage.parse_order(edge.read_body())
        return answer(edge, edge.gateway().manager.push(order.model, order.body), streams=order.streams)

    @app.post("/api/create")
    def create() -> Response:
        body = edge.read_body()
        draft, order = ollama_manage.parse_draft(body), ollama_manage.parse_order(body)
        return answer(edge, edge.gateway().manager.create(draft, order.body), streams=order.streams)

    @app.post("/api/copy")
    def copy() -> Response:
        source, destination = ollama_manage.parse_copy(edge.read_body())
        return finish(edge, edge.gateway().manager.copy(source, destination))

    @app.delete("/api/delete")
    def delete() -> Response:
        order = ollama_manage.parse_order(edge.read_body())
        return finish(edge, edge.gateway().manager.delete(order.model, order.body))

    _add_blobs(app, edge)
    _add_accounts(app, edge)


def _add_blobs(app: Flask, edge: Edge) -> None:
    @app.route("/api/blobs/<digest>", methods=["HEAD"], provide_automatic_options=False)
    def look_for_blob(digest: str) -> Response:
        return _say_nothing(200 if edge.gateway().manager.has_blob(digest) else 404)

    @app.post("/api/blobs/<digest>")
    def take_blob(digest: str) -> Response:
        manager = edge.gateway().manager
        if manager.has_blob(digest):
            return _say_nothing(200)
        content, size_bytes = request.environ["wsgi.input"], request.content_length or 0
        return finish(edge, manager.take_blob(digest, content, size_bytes), status=201)


def _add_accounts(app: Flask, edge: Edge) -> None:
    @app.get("/api/status")
    def tell_status() -> Response:
        may_leave = any(expert.allow_cloud for expert in edge.config.experts)
        return send({"cloud": {"disabled": not may_leave, "source": "config"}})

    @app.post("/api/me")
    def me() -> Response:
        raise NoAccounts(NO_ACCOUNTS)

    @app.post("/api/signout")
    def sign_out() -> Response:
        raise NoAccounts(NO_ACCOUNTS)


class NoAccounts(MoeError):
    """What only ollama.com has."""

    status = 501
    code = "not_implemented"


class _Work:
    """Something long that is being done for one client, who may leave or see the server end meanwhile."""

    def __init__(self, edge: Edge, lines: Lines) -> None:
        self._lines = lines
        self._id = request_id()
        self._has_left: Callable[[], bool] = request.environ.get("waitress.client_disconnected", lambda: False)
        self._is_ending = edge.ending.is_set
        self._slot = edge.guard().take_slot(edge.client())

    def step(self) -> bytes | None:
        """The next line, None at the end."""
        for line in self._lines:
            if line:
                return line
            if self._has_left():
                raise ClientLeft
            if self._is_ending():
                raise Unavailable("the server is shutting down")
        return None

    def stream(self, first: bytes | None) -> Iterator[bytes]:
        try:
            line = first
            while line is not None:
                yield line + b"\n"
                line = self.step()
        except MoeError as error:
            yield ollama.error_body(error) + b"\n"
        except Exception:  # the last resort: a fault of ours must not look like a good end
            log.exception("request=%s failed", self._id)
            yield ollama.error_body(MoeError()) + b"\n"
        finally:
            self.close()

    def close(self) -> None:
        self._lines.close()
        self._slot.release()


def answer(edge: Edge, lines: Lines, *, streams: bool) -> Response:
    """How it goes line by line, or the last line alone. A failure before the first is a real error status."""
    work = _Work(edge, lines)
    try:
        first = work.step()
        if streams:
            response = Response(work.stream(first), content_type=ollama.CHAT.stream_type)
            response.call_on_close(work.close)
            return response
        last = first
        while (line := work.step()) is not None:
            last = line
    except BaseException:
        work.close()
        raise
    work.close()
    told = _read(last or b"{}")
    failed = "error" in told
    return Response(last, status=int(told.get("status", 500)) if failed else 200,
                    content_type="application/json; charset=utf-8")


def finish(edge: Edge, lines: Lines, *, status: int = 200) -> Response:
    """An empty answer, once all is done."""
    work = _Work(edge, lines)
    try:
        while work.step() is not None:
            continue
    finally:
        work.close()
    return _say_nothing(status)


def _say_nothing(status: int) -> Response:
    response = Response(status=status)
    del response.headers["Content-Type"]
    return response


def _read(line: bytes) -> dict[str, Any]:
    try:
        told = msgspec.json.decode(line)
    except (msgspec.DecodeError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}
