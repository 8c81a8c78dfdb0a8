"""Speaks HTTP by hand, so that nothing a client library would refuse to send stays unsent."""

from __future__ import annotations

import http.client
import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol

GUARD_S = 30.0  # far beyond anything that should happen; only there to fail rather than hang
ECHO = {"id": 0, "label": "fallback", "type": "echo"}
OMIT = "\0"  # as a header's value: the header is not sent
PLAIN = {404: b"404 page not found", 405: b"405 method not allowed"}
CHATS = ("/v1/chat/completions", "/api/chat", "/api/generate")


class Place(Protocol):
    """Whatever listens: a server in this process, or the program in one of its own."""

    @property
    def host(self) -> str: ...
    @property
    def port(self) -> int: ...


class Reply(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def message(self) -> str:
        """The text of an error in either dialect."""
        error = self.json["error"]
        return str(error["message"] if isinstance(error, dict) else error)


def connect(server: Place) -> socket.socket:
    return socket.create_connection((server.host, server.port), timeout=GUARD_S)


def send(server: Place, raw: bytes, *, method: str = "POST") -> Reply:
    """The first reply to `raw` on a connection of its own."""
    with connect(server) as sock:
        sock.sendall(raw)
        return read_reply(sock, method=method)


def read_reply(sock: socket.socket, *, method: str = "POST") -> Reply:
    with http.client.HTTPResponse(sock, method=method) as response:
        response.begin()
        headers = {name.lower(): value for name, value in response.getheaders()}
        return Reply(response.status, headers, response.read())


def read_all(sock: socket.socket) -> bytes:
    """Until the server closes; a reset is an error."""
    parts = []
    while part := sock.recv(65536):
        parts.append(part)
    return b"".join(parts)


def call(
    server: Place, method: str, target: str | bytes, body: bytes | None = None, *, headers: dict[str, str] | None = None
) -> Reply:
    """One request; `target` and header values go out byte for byte (latin-1)."""
    request = write_request(method, target, body, headers=headers, host=f"127.0.0.1:{server.port}")
    return send(server, request, method=method)


def write_request(
    method: str, target: str | bytes, body: bytes | None = None, *, headers: dict[str, str] | None = None, host: str
) -> bytes:
    fields = {"Host": host, "Connection": "close"}
    if body is not None:
        fields |= {"Content-Type": "application/json", "Content-Length": str(len(body))}
    fields |= headers or {}
    raw_target = target.encode("latin-1") if isinstance(target, str) else target
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items() if value != OMIT)
    return b"%s %s HTTP/1.1\r\n%s\r\n" % (method.encode(), raw_target, lines.encode("latin-1")) + (body or b"")


def post(server: Place, path: str, body: object, *, headers: dict[str, str] | None = None) -> Reply:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return call(server, "POST", path, data, headers=headers)


def write_prompt(path: str, text: str, **more: Any) -> dict[str, Any]:
    """A body for any chat endpoint that asks `text`, not streamed."""
    asked = {"prompt": text} if path == "/api/generate" else {"messages": [{"role": "user", "content": text}]}
    return {"stream": False, **asked, **more}


def ask(server: Place, text: str = "hello", *, path: str = "/v1/chat/completions", **more: Any) -> Reply:
    return post(server, path, write_prompt(path, text, **more))


def read_text(reply: Reply) -> str:
    """What a whole reply says."""
    body = reply.json
    message = body["choices"][0]["message"] if "choices" in body else body.get("message")
    return str(message["content"] if message else body["response"])


def assert_serves(server: Place) -> None:
    """A good request is answered as ever."""
    reply = ask(server, "still there?")
    assert reply.status == 200, reply
    assert read_text(reply)


def assert_refused(reply: Reply, path: str, *statuses: int) -> None:
    """An error of one of these statuses, in JSON and in the words of the dialect that `path` belongs to; where Ollama
    serves nothing it says so in plain text."""
    assert reply.status in statuses, reply
    if not path.startswith("/v1") and reply.body == PLAIN.get(reply.status):
        assert reply.headers["content-type"].startswith("text/plain"), reply
        return
    assert reply.headers["content-type"].startswith("application/json"), reply
    error = reply.json["error"]
    if path.startswith("/v1"):
        assert {"message", "type", "param", "code"} == set(error), reply
        error = error["message"]
    assert isinstance(error, str)
    assert error.strip(), reply
    assert "Traceback" not in error


def becomes_true(condition: Callable[[], bool], *, within_s: float = GUARD_S) -> bool:
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


@contextmanager
def open_stream(server: Place, text: str = "go on", *, path: str = "/api/chat", **more: Any) -> Iterator[socket.socket]:
    """A streaming chat whose status line has arrived; the rest is left unread."""
    body = json.dumps(write_prompt(path, text, **more) | {"stream": True}).encode()
    with connect(server) as sock:
        sock.sendall(write_request("POST", path, body, host="localhost"))
        head = sock.recv(12)
        assert head.endswith(b"200"), head
        yield sock
