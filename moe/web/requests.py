"""What became of the last requests: a list of them, and each with its steps."""

from __future__ import annotations

from typing import Any

from flask import Flask, Response, request

from ..dialects.wire import encode
from ..errors import BadRequest, NotFound
from ..store import Requests
from ..store.requests import MOST_REQUESTS
from ..trace import summarise, tell

PATH = "/v1/requests"


def add_requests(app: Flask, store: Requests) -> None:
    @app.get(PATH)
    def list_requests() -> Response:
        return _send({"object": "list", "data": [summarise(record) for record in store.newest(_read_limit())]})

    @app.get(f"{PATH}/<name>")
    def show_request(name: str) -> Response:
        record = store.find(name)
        if record is None:
            raise NotFound(f"no request '{name[:80]}' is known: only the last {MOST_REQUESTS} that are over are kept",
                           param="request_id")
        return _send(tell(record))


def _read_limit() -> int:
    limit = request.args.get("limit", "20")
    if not (limit.isascii() and limit.isdecimal() and 1 <= int(limit[:9]) <= MOST_REQUESTS):
        raise BadRequest(f"limit: expected a number from 1 to {MOST_REQUESTS}", param="limit")
    return int(limit)


def _send(value: dict[str, Any]) -> Response:
    return Response(encode(value), content_type="application/json; charset=utf-8")
