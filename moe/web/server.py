"""Serves a WSGI app with waitress to clients that may be slow, broken or hostile."""

from __future__ import annotations

import contextlib
import errno
import logging
import resource
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

from waitress import wasyncore
from waitress.server import TcpWSGIServer
from waitress.task import ThreadedTaskDispatcher

from moe.web.adjusting import BACKLOG, adjust, limit_body
from moe.web.intake import Channel, Limits, Uploads
from moe.web.workers import WarmFirst

Refuse = Callable[[int, str, str, str], tuple[bytes, str]]

# Deep but sane recursion fits, and below 2 MiB no kernel backs an idle thread's stack with a huge page
# (128 threads of 2 MiB would be 256 MiB); the guard page makes this one just smaller.
STACK_BYTES = 2 << 20
# Connections beyond the limit that are accepted when each one has a request running; then the backlog fills.
HEADROOM = 64
LAST_WORDS_S = 1.0  # after the drain time, for answers to say that they are cut
GRACE_S = 2.0  # after the last deadline, for the answers' generators to close


class CannotListen(OSError):
    """The address cannot be served; the text is fit for the user."""


class PortTaken(CannotListen):
    """Another program listens there."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(f"port {port} on {host} is in use; choose another with --port")
        self.errno = errno.EADDRINUSE


class Server:
    """`bind()`, then `serve()` until some thread or signal handler calls `close()`.

    `refuse(status, path, message, request_id)` gives the body and content type of an answer the app never gets to see;
    it is called in a worker thread and must not raise. `on_cut()` is called in the serving thread when the drain
    time is up: what runs then may still say so. Proxy headers reach the app as the client sent them.
    """

    def __init__(
        self,
        app: Callable[..., Any],
        *,
        host: str,
        port: int,
        refuse: Refuse,
        on_cut: Callable[[], None] | None = None,
        threads: int = 128,
        max_body_bytes: int = 20 << 20,
        limits: Limits | None = None,
        uploads: Uploads | None = None,
    ) -> None:
        self.host = host
        self.threads = threads
        self.limits = limits or Limits()
        self._app, self._refuse, self._on_cut, self._asked_port = app, refuse, on_cut, port
        self._adjustments = adjust(host, self.limits, uploads)
        self.max_body_bytes = max_body_bytes
        self._workers = ThreadedTaskDispatcher()
        self._workers.queue_cv = WarmFirst(self._workers.lock)
        self._map: dict[int, Any] = {}
        self._channels: dict[int, Channel] = {}
        self._listeners: list[_Listener] = []
        self._connections = self.limits.connections
        self._drain_until: float | None = None
        self._grace_s = GRACE_S
        self._thread: int | None = None
        self._ended = threading.Event()

    @property
    def port(self) -> int:
        """The port listened on, which differs from the one asked for if that was 0."""
        return int(self._listeners[0].effective_port) if self._listeners else self._asked_port

    @property
    def max_body_bytes(self) -> int:
        """The largest request body taken; may be changed while serving."""
        return int(self._adjustments.max_body_bytes)

    @max_body_bytes.setter
    def max_body_bytes(self, limit: int) -> None:
        limit_body(self._adjustments, limit)

    def busy(self) -> int:
        """Requests that run or wait for a thread, the caller's own included. Cheap."""
        return int(self._workers.active_count) + len(self._workers.queue)

    def bind(self) -> None:
        """Takes the port, so that clients wait rather than fail; raises CannotListen (PortTaken) if it cannot."""
        sockets = _listen(self.host, self._asked_port)
        self._connections = _secure_descriptors(self.limits.connections)
        self._adjustments.connection_limit = self._connections + HEADROOM
        self._listeners = [
            _Listener(self, sock, application=self._app, map=self._map, adj=self._adjustments) for sock in sockets
        ]

    def serve(self) -> None:
        """Blocks until `close()`; binds if that was not done. The app's threads start and end here."""
        if not self._listeners:
            self.bind()
        self._thread = threading.get_ident()
        self._start_workers()
        try:
            self._loop()
        finally:
            self._end()

    def close(self, drain_s: float = 10.0) -> None:
        """Stops listening, gives running answers `drain_s` seconds, cuts the rest; called again, cuts at once.

        Waits for the end, unless called in the serving thread, as by a signal handler: then `serve()` returns.
        """
        now = time.monotonic()
        if self._drain_until is None:
            self._drain_until = now + drain_s
        else:
            self._drain_until, self._grace_s, self._on_cut = now, 0.2, None
        if self._thread is None:
            self._stop_listening()
            wasyncore.close_all(self._map)
        elif not self._ended.is_set():
            with contextlib.suppress(OSError):  # the loop has ended in this very moment
                self._listeners[0].pull_trigger()
            if self._thread != threading.get_ident():
                self._ended.wait()

    def make_room(self) -> None:
        """Closes the connection that has kept us waiting longest, if there are as many as there may be."""
        if len(self._channels) >= self._connections:
            idle = [channel for channel in self._channels.values() if not channel.requests]
            if idle:
                # One that still has an answer to read goes last.
                min(idle, key=lambda channel: (not channel.is_waiting, channel.awaited_since)).handle_close()

    def _start_workers(self) -> None:
        logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # it warns of each request that waits for a thread
        before = threading.stack_size(STACK_BYTES)
        try:
            self._workers.set_thread_count(self.threads)
        finally:
            threading.stack_size(before)
        while self._workers.active_count:  # a thread counts as busy until it first waits
            time.sleep(0.001)

    def _loop(self) -> None:
        sweep_at = 0.0
        while True:
            now = time.monotonic()
            if now >= sweep_at:
                self._sweep(now)
                sweep_at = now + self.limits.sweep_s
            if self._drain_until is not None and self._drain(now, self._drain_until):
                return
            wait_s = self.limits.sweep_s if self._drain_until is None else 0.05
            # poll rather than select, which cannot take a descriptor above 1023
            wasyncore.loop(timeout=wait_s, use_poll=True, map=self._map, count=1)

    def _sweep(self, now: float) -> None:
        for channel in list(self._channels.values()):
            channel.watch(now)
        for _ in range(len(self._channels) - self._connections):
            self.make_room()
        arriving = [channel for channel in self._channels.values() if not channel.is_uploading]
        unfinished = [channel for channel in arriving if channel.unfinished_bytes]
        held = sum(channel.unfinished_bytes for channel in unfinished)
        for channel in sorted(unfinished, key=lambda channel: channel.awaited_since):
            if held <= self.limits.unfinished_bytes:
                break
            held -= channel.unfinished_bytes
            channel.handle_close()

    def _drain(self, now: float, deadline: float) -> bool:
        """Ends what need not be waited for; true once nothing else runs or the time is up."""
        self._stop_listening()
        for channel in list(self._channels.values()):
            if channel.is_waiting:
                channel.handle_close()
        if not (self._channels or self.busy()):
            return True
        on_cut = self._on_cut
        if now < deadline or on_cut is None:
            return now >= deadline
        self._on_cut, self._drain_until = None, now + LAST_WORDS_S
        on_cut()
        return False

    def _stop_listening(self) -> None:
        for listener in self._listeners:
            if listener.accepting:
                wasyncore.dispatcher.close(listener)  # the listener's own close() also ends its trigger

    def _end(self) -> None:
        self._stop_listening()
        for channel in list(self._channels.values()):
            channel.handle_close()  # the worker's next write fails, which closes the app's generator
        self._workers.shutdown(cancel_pending=True, timeout=self._grace_s)
        wasyncore.close_all(self._map)
        self._ended.set()


class _Listener(TcpWSGIServer):  # type: ignore[misc]
    """One listening socket; with waitress 3.0.2 it also is what a channel knows as its server."""

    channel_class = Channel

    def __init__(self, server: Server, sock: socket.socket, **waitress: Any) -> None:
        sockinfo = (sock.family, sock.type, sock.proto, sock.getsockname())
        super().__init__(
            _sock=sock, _start=False, bind_socket=False, sockinfo=sockinfo, dispatcher=server._workers, **waitress
        )
        self.limits, self.refuse = server.limits, server._refuse
        self.active_channels = server._channels  # keyed by descriptor, so all listeners can share one
        self._make_room = server.make_room
        self.accept_connections()

    def handle_accept(self) -> None:
        self._make_room()
        super().handle_accept()

    def maintenance(self, now: float) -> None:
        """waitress's own idle check, in the place of which the server sweeps."""


def _listen(host: str, port: int) -> list[socket.socket]:
    """One socket for each address of the host, all on one port; those the machine cannot use are left out."""
    sockets: list[socket.socket] = []
    failure: OSError | None = None
    try:
        for family, address in _addresses(host, port):
            taken_port = sockets[0].getsockname()[1] if sockets else address[1]
            try:
                sockets.append(
                    socket.create_server((address[0], taken_port, *address[2:]), family=family, backlog=BACKLOG)
                )
            except OSError as reason:
                if reason.errno == errno.EADDRINUSE:
                    raise PortTaken(host, port) from reason
                failure = reason
    except OSError:
        for sock in sockets:
            sock.close()
        raise
    if not sockets:
        raise CannotListen(f"cannot listen on {host}, port {port}: {failure}") from failure
    return sockets


def _addresses(host: str, port: int) -> list[tuple[int, Any]]:
    try:
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as reason:
        raise CannotListen(f"cannot listen on {host}, port {port}: {reason}") from reason
    return list(dict.fromkeys((family, address) for family, _, _, _, address in found))


def _secure_descriptors(connections: int) -> int:
    """Raises the limit on open files where needed and possible; returns how many connections it lets us hold.

    A connection may need four: itself, a temporary file each way, the upstream's.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 4 * connections + 128
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return connections
    soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return max(16, min(connections, (soft - 128) // 4))
