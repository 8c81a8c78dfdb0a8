"""A plain HTTP client for tests: one request on a connection of its own, and the bytes that came back."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from contextlib import closing
from typing import Any, NamedTuple, Protocol

TIME_LIMIT_S = 20.0
HELLO = [{"role": "user", "content": "hello big world"}]
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}},
    },
}


class Place(Protocol):
    """Where to ask; every fake is one."""

    @property
    def host(self) -> str: ...

    @property
    def port(self) -> int: ...


class Address(NamedTuple):
    host: str
    port: int


class Reply(NamedTuple):
    status: int
    media_type: str
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def lines(self) -> list[Any]:
        """The objects of an NDJSON body."""
        return [json.loads(line) for line in self.body.splitlines()]

    @property
    def events(self) -> list[str]:
        """The payloads of an SSE body."""
        return [event.removeprefix("data: ") for event in self.body.decode().split("\n\n") if event]


def ask(place: Place, path: str, body: Mapping[str, Any] | bytes | None = None, *, method: str | None = None) -> Reply:
    """GET without a body, else POST; raises what http.client raises when the connection breaks."""
    with closing(http.client.HTTPConnection(place.host, place.port, timeout=TIME_LIMIT_S)) as connection:
        data = body if isinstance(body, bytes | None) else json.dumps(body)
        connection.request(method or ("GET" if body is None else "POST"), path, body=data)
        reply = connection.getresponse()
        return Reply(reply.status, reply.headers["Content-Type"], reply.read())
