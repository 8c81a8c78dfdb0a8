"""A WSGI app that misbehaves on request, the server around it, and raw sockets to talk to both.

Run as a program it serves on a free port of 127.0.0.1, prints the port, and ends on SIGTERM.
"""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from typing import Any

from moe.web.server import Server

GUARD_S = 20.0  # far beyond anything that should happen; only there to fail rather than hang


def refuse(status: int, path: str, message: str, request_id: str) -> tuple[bytes, str]:
    return json.dumps({"refused": status, "path": path, "message": message}).encode(), "application/json"


class TinyApp:
    """`begun` and `closed` count the streams by path; `let_go` ends /wait and /finite."""

    def __init__(self) -> None:
        self.begun: dict[str, int] = {}
        self.closed: dict[str, int] = {}
        self.let_go = threading.Event()
        self.saw_leave = threading.Event()
        self.environ: dict[str, Any] = {}

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if path == "/boom":
            raise ZeroDivisionError
        if path in ("/endless", "/drip", "/finite"):
            start_response("200 OK", [("Content-Type", "text/plain")])
            return self._stream(path)
        start_response("200 OK", [("Content-Type", "application/json")])
        return [json.dumps(self._plain(path, environ)).encode()]

    def _plain(self, path: str, environ: dict[str, Any]) -> object:
        if path == "/echo":
            body = environ["wsgi.input"].read()
            return {"bytes": len(body), "sum": sum(body)}
        if path == "/wait":
            self.begun[path] = self.begun.get(path, 0) + 1
            self.let_go.wait(GUARD_S)
        if path == "/until-left":
            self.begun[path] = self.begun.get(path, 0) + 1
            if becomes_true(environ["waitress.client_disconnected"]):
                self.saw_leave.set()
        return {"path": path, "query": environ["QUERY_STRING"], "forwarded": environ.get("HTTP_X_FORWARDED_FOR")}

    def _stream(self, path: str) -> Iterator[bytes]:
        self.begun[path] = self.begun.get(path, 0) + 1
        try:
            for number in range(10**9):
                if path == "/endless":
                    yield b"x" * 65536
                    continue
                yield b"chunk %d\n" % number
                if path == "/finite" and self.let_go.wait(0.02):
                    return
                time.sleep(0.02)
        finally:
            self.closed[path] = self.closed.get(path, 0) + 1


@contextlib.contextmanager
def serving(app: Any, *, host: str = "127.0.0.1", **options: Any) -> Iterator[Server]:
    server = Server(app, host=host, port=0, refuse=refuse, **{"threads": 8, **options})
    server.bind()
    thread = threading.Thread(target=server.serve)
    thread.start()
    try:
        yield server
    finally:
        server.close(drain_s=0)
        thread.join(GUARD_S)
        assert not thread.is_alive()


def becomes_true(condition: Any, within_s: float = GUARD_S) -> bool:
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def connect(server: Server) -> socket.socket:
    return socket.create_connection((server.host, server.port), timeout=GUARD_S)


def read_all(sock: socket.socket) -> bytes:
    """Until the server closes; a reset is an error."""
    parts = []
    while part := sock.recv(65536):
        parts.append(part)
    return b"".join(parts)


def ask(server: Server, request: bytes) -> bytes:
    with connect(server) as sock:
        sock.sendall(request)
        return read_all(sock)


def read_reply(sock: socket.socket) -> tuple[int, dict[str, str], bytes]:
    """One reply with a Content-Length (or none), leaving the connection open."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = sock.recv(1)
        assert byte, f"closed after {head!r}"
        head += byte
    status, headers = parse_head(head)
    body = b""
    while len(body) < int(headers.get("content-length", 0)):
        body += sock.recv(int(headers["content-length"]) - len(body))
    return status, headers, body


def parse_head(head: bytes) -> tuple[int, dict[str, str]]:
    first, *lines = head.decode("latin-1").rstrip().split("\r\n")
    pairs = (line.split(": ", 1) for line in lines)
    return int(first.split(" ")[1]), {name.lower(): value for name, value in pairs}


def parse(reply: bytes) -> tuple[int, dict[str, str], bytes]:
    head, _, body = reply.partition(b"\r\n\r\n")
    return *parse_head(head), body


def is_healthy(server: Server) -> bool:
    reply = ask(server, b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    return parse(reply)[0] == 200


class Program:
    """The tiny app in a process of its own, to be sent signals."""

    def __init__(self, drain_s: float) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.web.tinyapp", str(drain_s)], stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        self.out = self.process.stdout
        self.port = int(self.out.readline())

    def get(self, path: str) -> socket.socket:
        sock = socket.create_connection(("127.0.0.1", self.port), timeout=GUARD_S)
        sock.sendall(b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n" % path.encode())
        assert sock.recv(1)
        return sock

    def refuses_connections(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return True
        return False

    def end(self) -> Any:
        """What it said last: how many streams of each kind were closed."""
        try:
            said, _ = self.process.communicate(timeout=GUARD_S)
        finally:
            self.process.kill()
        assert self.process.returncode == 0
        return json.loads(said)


def main() -> None:
    app = TinyApp()
    server = Server(app, host="127.0.0.1", port=0, refuse=refuse, threads=8)
    drain_s = float(sys.argv[1])
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: server.close(drain_s))
    signal.signal(signal.SIGUSR1, lambda *_: app.let_go.set())
    server.bind()
    print(server.port, flush=True)
    server.serve()
    print(json.dumps(app.closed), flush=True)


if __name__ == "__main__":
    main()
