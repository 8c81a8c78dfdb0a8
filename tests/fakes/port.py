"""TCP ports that live in a test: one that listens and can flap, and ones that refuse or swallow."""

from __future__ import annotations

import select
import socket
import threading
from typing import Any, TypeVar

JOIN_LIMIT_S = 5.0
Self = TypeVar("Self", bound="Port")


class Port:
    """A bound port; nothing listens yet, so a connection to it is refused."""

    def __init__(self, *, host: str = "127.0.0.1", port: int = 0) -> None:
        self._socket = _bind(host, port)
        self.host, self.port = self._socket.getsockname()[:2]

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    def close(self) -> None:
        """Frees the port; a second call does nothing."""
        self._socket.close()

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()


class RefusedPort(Port):
    """Refuses every connection, and nobody else can take the port meanwhile."""


class SilentPort(Port):
    """Completes no handshake: its backlog is full, so a connect gets no answer at all (Linux)."""

    def __init__(self, *, host: str = "127.0.0.1", port: int = 0) -> None:
        super().__init__(host=host, port=port)
        self._socket.listen(0)
        self._fillers: list[socket.socket] = []
        while self._takes_another():
            pass

    def close(self) -> None:
        for filler in self._fillers:
            filler.close()
        super().close()

    def _takes_another(self) -> bool:
        filler = socket.socket()
        filler.settimeout(0.2)
        self._fillers.append(filler)
        try:
            filler.connect((self.host, self.port))
        except TimeoutError:
            return False
        return True


class Listener(Port):
    """Serves each connection in a daemon thread; listens as soon as it is made."""

    def __init__(self, *, host: str = "127.0.0.1", port: int = 0) -> None:
        super().__init__(host=host, port=port)
        self._lock = threading.Condition()
        self._live: dict[socket.socket, threading.Thread] = {}
        self._accepted = 0
        self._waker: socket.socket | None = None
        self._acceptor = threading.Thread()
        self.restart()

    def serve(self, sock: socket.socket, number: int) -> None:
        """Owns the connection until it returns; the listener closes the socket."""
        raise NotImplementedError

    @property
    def connections(self) -> int:
        """How many connections were ever accepted."""
        with self._lock:
            return self._accepted

    @property
    def open_connections(self) -> int:
        with self._lock:
            return len(self._live)

    def restart(self) -> None:
        """Listens again on the same port after `stop`."""
        if self._waker is not None:
            return
        self._socket.listen(1024)
        self._socket.setblocking(False)
        self._waker, woken = socket.socketpair()
        self._acceptor = threading.Thread(target=self._accept, args=(self._socket, woken), daemon=True)
        self._acceptor.start()

    def stop(self) -> None:
        """Drops every connection and refuses new ones, but keeps the port."""
        if self._waker is None:
            return
        self._halt()
        self._socket = _bind(self.host, self.port)

    def close(self) -> None:
        self._halt()
        super().close()

    def drop_connections(self) -> None:
        """Closes what is open (FIN), idle or in the middle of an answer; new connections are welcome."""
        with self._lock:
            dropped, self._live = self._live, {}
        for sock in dropped:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:  # its thread has closed it already
                continue
        for thread in dropped.values():
            if thread is not threading.current_thread():
                thread.join(JOIN_LIMIT_S)
                if thread.is_alive():
                    raise RuntimeError("a connection's thread does not end")

    def is_live(self, sock: socket.socket) -> bool:
        """Whether this side still wants the connection: False once it was dropped here."""
        with self._lock:
            return sock in self._live

    def _halt(self) -> None:
        if self._waker is None:
            return
        self._waker.close()
        self._waker = None
        self._acceptor.join(JOIN_LIMIT_S)
        self._socket.close()
        self.drop_connections()

    def _accept(self, listening: socket.socket, woken: socket.socket) -> None:
        poller = select.poll()
        poller.register(listening, select.POLLIN)
        poller.register(woken, select.POLLIN)
        with woken:
            while not any(fd == woken.fileno() for fd, _ in poller.poll()):
                try:
                    sock, _ = listening.accept()
                except (BlockingIOError, ConnectionAbortedError):  # the client gave up while it queued
                    continue
                sock.setblocking(True)
                self._take(sock)

    def _take(self, sock: socket.socket) -> None:
        with self._lock:
            self._accepted += 1
            thread = threading.Thread(target=self._run, args=(sock, self._accepted), daemon=True)
            self._live[sock] = thread
        thread.start()

    def _run(self, sock: socket.socket, number: int) -> None:
        try:
            self.serve(sock, number)
        finally:
            with self._lock:
                self._live.pop(sock, None)
            sock.close()


class Blackhole(Listener):
    """Accepts, never reads and never answers; a large request fills the buffers and blocks its sender."""

    def serve(self, sock: socket.socket, number: int) -> None:
        """Waits for the end of the connection without looking at what was sent."""
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        poller = select.poll()
        poller.register(sock, 0)
        poller.poll()


def _bind(host: str, port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
    except OSError:
        sock.close()
        raise
    return sock
