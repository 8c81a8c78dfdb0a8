"""Stands between a client and the server, passes on every byte as it is and remembers it."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from itertools import groupby
from typing import Literal, NamedTuple

LONGEST_SHOWN = 6000
ENDING_S = 5.0

Direction = Literal[">>>", "<<<"]


class Piece(NamedTuple):
    connection: int
    direction: Direction
    data: bytes


class Relay:
    """Listens on a free port until it is closed; `>>>` is what the client sent, `<<<` what it got."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._lock = threading.Lock()
        self._pieces: list[Piece] = []
        self._sockets: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._start(self._accept)

    def __enter__(self) -> Relay:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for open_socket in self._sockets:
                with suppress(OSError):
                    open_socket.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(ENDING_S)

    def mark(self) -> int:
        """Where the recording is now, for `since`."""
        with self._lock:
            return len(self._pieces)

    def since(self, mark: int) -> list[str]:
        """What went over the wire after `mark`: one text for each turn of each connection."""
        with self._lock:
            pieces = sorted(self._pieces[mark:], key=lambda piece: piece.connection)
        turns = groupby(pieces, key=lambda piece: piece[:2])
        return [f"{direction} {_show(b''.join(piece.data for piece in run))}" for (_, direction), run in turns]

    def _start(self, target: object, *args: object) -> None:
        thread = threading.Thread(target=target, args=args, name="relay", daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        number = 0
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            number += 1
            try:
                server = socket.create_connection(self._target)
            except OSError:
                client.close()
                continue
            with self._lock:
                self._sockets |= {client, server}
            self._start(self._pump, client, server, number, ">>>")
            self._start(self._pump, server, client, number, "<<<")

    def _pump(self, source: socket.socket, sink: socket.socket, number: int, direction: Direction) -> None:
        with suppress(OSError):  # a side that is gone ends the other one too
            while data := source.recv(65536):
                with self._lock:
                    self._pieces.append(Piece(number, direction, data))
                sink.sendall(data)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_WR)
        if direction == "<<<":
            self._forget(source, sink)

    def _forget(self, *sockets: socket.socket) -> None:
        with self._lock:
            self._sockets.difference_update(sockets)
        for over in sockets:
            over.close()


def _show(data: bytes) -> str:
    text = data.decode("utf-8", "replace")
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}… ({len(data):,} bytes)"
