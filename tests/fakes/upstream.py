"""A scripted HTTP upstream: keeps what arrived, and plays the next step of the fitting script."""

from __future__ import annotations

import signal
import socket
import sys
import threading
import time
from abc import abstractmethod
from collections.abc import Callable, Sequence

from tests.fakes.port import Listener
from tests.fakes.reply import Complaint, Step, Voice
from tests.fakes.script import Scripted, answer, http_error
from tests.fakes.speech import Speech
from tests.fakes.wire import BadRequest, ClientGone, Connection, Exchange, HungUp, Request, to_json


class Refusal(Exception):
    """The request is answered with this step instead."""

    def __init__(self, status: int, message: str = "", *, code: str | None = None, body: str | None = None) -> None:
        super().__init__(message)
        self.step = http_error(status, body, message=message, code=code)


class Upstream(Listener):
    """Subclasses give `voice_for` and `complain`; all of it runs on a thread per connection."""

    def __init__(self, *, host: str = "127.0.0.1", port: int = 0) -> None:
        self._requests: list[Request] = []
        self._scripts: dict[str, list[Scripted]] = {}
        self._observers: list[Callable[[Request], None]] = []
        super().__init__(host=host, port=port)

    @abstractmethod
    def voice_for(self, request: Request) -> Voice:
        """How this request would be answered; raises Refusal."""

    @abstractmethod
    def complain(self, status: int, message: str, code: str | None) -> object:
        """The body of an error in this protocol."""

    def canonical(self, name: str) -> str:
        """The one spelling of a model's name."""
        return name

    def script(self, name: str, steps: Sequence[Scripted]) -> None:
        """The n-th request for this model (or path, "/api/tags") takes the n-th step, the last one repeats.

        A step may be a function of the request that gives the step. A script replaces the former one; an empty one
        ends it. A model that has a script answers even if it is not in the list of models.
        """
        with self._lock:
            self._scripts[self._key(name)] = list(steps)

    def is_scripted(self, name: str) -> bool:
        with self._lock:
            return bool(self._scripts.get(self._key(name)))

    @property
    def requests(self) -> tuple[Request, ...]:
        """What arrived so far, in order."""
        with self._lock:
            return tuple(self._requests)

    def requests_to(self, path: str) -> tuple[Request, ...]:
        return tuple(request for request in self.requests if request.path == path)

    def requests_for(self, model: str) -> tuple[Request, ...]:
        wanted = self.canonical(model)
        return tuple(r for r in self.requests if r.model is not None and self.canonical(r.model) == wanted)

    def wait_for_requests(self, count: int, *, path: str | None = None, timeout_s: float = 5.0) -> tuple[Request, ...]:
        """All requests (to `path`) once there are at least `count` of them; raises TimeoutError."""

        def found() -> tuple[Request, ...]:
            return tuple(request for request in self._requests if path in (None, request.path))

        with self._lock:
            if not self._lock.wait_for(lambda: len(found()) >= count, timeout_s):
                raise TimeoutError(f"{len(found())} of {count} requests after {timeout_s} s")
            return found()

    def forget_requests(self) -> None:
        with self._lock:
            self._requests.clear()

    def observe(self, observer: Callable[[Request], None]) -> None:
        """Calls `observer` with each request as it arrives, on that connection's thread."""
        self._observers.append(observer)

    def serve(self, sock: socket.socket, number: int) -> None:
        connection = Connection(sock, number)
        try:
            while (request := connection.read_request()) is not None:
                self._record(request)
                exchange = Exchange(connection, request)
                self._watch(exchange, sock)
                if exchange.closes_connection:
                    return
        except BadRequest:
            connection.send(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
        except (ClientGone, HungUp):  # how it ended is written on the request
            return

    def _record(self, request: Request) -> None:
        with self._lock:
            self._requests.append(request)
            self._lock.notify_all()
        for observer in self._observers:
            observer(request)

    def _watch(self, exchange: Exchange, sock: socket.socket) -> None:
        request = exchange.request
        try:
            self._answer(exchange)
            request.finished_at = time.monotonic()
        except HungUp:
            request.finished_at = time.monotonic()
            raise
        except ClientGone:
            if self.is_live(sock):
                request.closed_early_at = time.monotonic()
            raise
        finally:
            request.end()

    def _answer(self, exchange: Exchange) -> None:
        try:
            voice = self.voice_for(exchange.request)
        except Refusal as refusal:
            refusal.step.play(exchange, Document(self.complain, b""))
            return
        step = self._next_step(exchange.request, voice.key)
        exchange.wait(voice.load_s)
        step.play(exchange, voice)

    def _next_step(self, request: Request, key: str | None) -> Step:
        with self._lock:
            script = self._scripts.get(request.path) or (self._scripts.get(self._key(key)) if key else None)
            if not script:
                return answer()
            scripted = script[0] if len(script) == 1 else script.pop(0)
        return scripted if isinstance(scripted, Step) else scripted(request)

    def _key(self, name: str) -> str:
        return name if name.startswith("/") else self.canonical(name)


class Document(Voice):
    """An answer that is known beforehand: a JSON document, or bytes as plain text."""

    def __init__(self, complain: Complaint, payload: object, *, key: str | None = None) -> None:
        super().__init__(complain)
        self.key = key
        self._body = payload if isinstance(payload, bytes) else to_json(payload)
        self.media_type = "text/plain; charset=utf-8" if isinstance(payload, bytes) else "application/json"

    def tell(self, speech: Speech) -> bytes:
        return self._body


def serve_until_interrupted(upstream: Upstream) -> None:
    """Runs until SIGINT or SIGTERM, with a line on stdout for each request."""
    over = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: over.set())
    upstream.observe(lambda request: print(request.method, request.path, request.model or "", flush=True))
    print(f"{type(upstream).__name__} listens on {upstream.url}", file=sys.stderr, flush=True)
    over.wait()
    upstream.close()
