"""Clients that send slowly, read slowly, or do neither: none of them holds a thread, memory or the door."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest

from moe.web.adjusting import UNSENT_BYTES
from moe.web.intake import Limits
from moe.web.server import Server
from tests.web.tinyapp import (
    GUARD_S,
    TinyApp,
    becomes_true,
    connect,
    is_healthy,
    parse,
    read_all,
    read_reply,
    serving,
)

HALF_A_POST = b"POST /v1/chat HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{"


@pytest.fixture
def app() -> TinyApp:
    return TinyApp()


@contextlib.contextmanager
def many(server: Server, count: int, opening: bytes) -> Iterator[list[socket.socket]]:
    with contextlib.ExitStack() as stack:
        socks = [stack.enter_context(connect(server)) for _ in range(count)]
        for sock in socks:
            sock.sendall(opening)
        yield socks


def is_closed(sock: socket.socket) -> bool:
    sock.settimeout(0)
    try:
        return sock.recv(1) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def told(reply: bytes) -> tuple[int, str]:
    status, headers, body = parse(reply)
    assert headers["content-type"] == "application/json"
    return status, json.loads(body)["path"]


def test_three_hundred_unfinished_posts_hold_no_thread(app: TinyApp) -> None:
    with serving(app, threads=2) as server, many(server, 300, HALF_A_POST) as socks:
        assert becomes_true(lambda: len(server._channels) == 300)
        assert server.busy() == 0
        assert is_healthy(server)
        socks[0].sendall(bytes(999))  # and each of them may still finish
        assert read_reply(socks[0])[0] == 200


def test_descriptors_may_be_more_than_select_can_watch(app: TinyApp) -> None:
    with serving(app) as server:
        taken = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]
        try:
            assert is_healthy(server)
        finally:
            for descriptor in taken:
                os.close(descriptor)


@pytest.mark.parametrize("opening", [HALF_A_POST, b"GET /half HTTP/1.1\r\nHos", b""])
def test_beyond_the_limit_the_connection_that_waited_longest_gives_way(app: TinyApp, opening: bytes) -> None:
    limits = Limits(connections=20, sweep_s=0.05)
    with serving(app, limits=limits) as server, many(server, 10, opening) as old:
        assert becomes_true(lambda: len(server._channels) == 10)
        time.sleep(0.2)  # sweeps have seen them
        with many(server, 10, opening) as young:
            assert becomes_true(lambda: len(server._channels) == 20)
            time.sleep(0.2)
            for _ in range(5):
                assert is_healthy(server)
            assert becomes_true(lambda: any(is_closed(sock) for sock in old))
            assert not any(is_closed(sock) for sock in young)


def test_a_running_request_never_gives_way(app: TinyApp) -> None:
    with (
        serving(app, limits=Limits(connections=4)) as server,
        many(server, 4, b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n") as running,
    ):
        assert becomes_true(lambda: app.begun.get("/wait") == 4)
        assert is_healthy(server)
        with many(server, 30, HALF_A_POST):
            app.let_go.set()
            assert [read_reply(sock)[0] for sock in running] == [200] * 4


@pytest.mark.parametrize(
    ("opening", "path"), [(b"GET /half HTTP/1.1\r\nHos", "/half"), (HALF_A_POST, "/v1/chat"), (b"GE", "/")]
)
def test_a_request_that_stops_half_way_gets_a_408(app: TinyApp, opening: bytes, path: str) -> None:
    limits = Limits(head_s=0.3, body_s=0.3, sweep_s=0.05)
    with serving(app, limits=limits) as server, connect(server) as sock:
        sock.sendall(opening)
        assert told(read_all(sock)) == (408, path)


def test_a_request_that_never_stops_half_way_gets_a_408_too(app: TinyApp) -> None:
    limits = Limits(head_s=0.5, body_s=0.5, body_bytes_per_s=100, sweep_s=0.05)
    for opening in (b"GET /drip HTTP/1.1\r\nA: ", b"POST /drip HTTP/1.1\r\nContent-Length: 900000\r\n\r\n"):
        with serving(app, limits=limits) as server, connect(server) as sock:
            sock.sendall(opening)
            for _ in range(int(GUARD_S / 0.02)):  # a byte each 20 ms: always active, and too slow
                sock.sendall(b"x")
                time.sleep(0.02)
                if server._channels and next(iter(server._channels.values())).refused:
                    break
            assert told(read_all(sock)) == (408, "/drip")


def test_a_body_that_keeps_the_pace_may_take_longer(app: TinyApp) -> None:
    limits = Limits(body_s=0.3, body_bytes_per_s=1000, sweep_s=0.05)
    with serving(app, limits=limits) as server, connect(server) as sock:
        sock.sendall(b"POST /echo HTTP/1.1\r\nContent-Length: 20000\r\nConnection: close\r\n\r\n")
        for _ in range(20):
            sock.sendall(bytes(1000))
            time.sleep(0.05)
        assert parse(read_all(sock))[0] == 200


def test_a_connection_that_says_nothing_is_closed_without_a_word(app: TinyApp) -> None:
    limits = Limits(idle_s=0.3, sweep_s=0.05)
    with serving(app, limits=limits) as server, connect(server) as silent, connect(server) as served:
        served.sendall(b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n")
        assert read_reply(served)[0] == 200
        assert read_all(silent) == b""
        assert read_all(served) == b""


def test_a_request_may_run_longer_than_any_client_may_take(app: TinyApp) -> None:
    limits = Limits(head_s=0.2, body_s=0.2, idle_s=0.2, stall_s=0.2, sweep_s=0.05)
    with serving(app, limits=limits) as server, connect(server) as sock:
        sock.sendall(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n" + HALF_A_POST)
        time.sleep(1)
        app.let_go.set()
        assert read_reply(sock)[0] == 200
        assert told(read_all(sock)) == (408, "/v1/chat")  # only then does the clock of the next one run


def test_unfinished_bodies_share_a_budget(app: TinyApp) -> None:
    limits = Limits(unfinished_bytes=1_000_000, sweep_s=0.05)
    with serving(app, limits=limits) as server, connect(server) as first, connect(server) as second:
        opening = b"POST /echo HTTP/1.1\r\nContent-Length: 800000\r\nConnection: close\r\n\r\n"
        first.sendall(opening + bytes(700_000))
        assert becomes_true(lambda: any(channel.unfinished_bytes == 700_000 for channel in server._channels.values()))
        time.sleep(0.2)
        second.sendall(opening + bytes(700_000))
        assert becomes_true(lambda: is_closed(first))
        second.sendall(bytes(100_000))
        assert parse(read_all(second))[0] == 200


def test_an_endless_answer_that_nobody_reads_is_closed(app: TinyApp) -> None:
    limits = Limits(stall_s=0.5, sweep_s=0.05)
    with serving(app, threads=2, limits=limits) as server, connect(server) as sock:
        sock.sendall(b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n")
        assert becomes_true(lambda: app.closed.get("/endless"))
        assert becomes_true(lambda: server.busy() == 0)


def test_an_unread_answer_takes_little_memory(app: TinyApp) -> None:
    with serving(app) as server, connect(server) as sock:
        sock.sendall(b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n")
        assert becomes_true(lambda: app.begun.get("/endless"))
        pending: list[int] = []
        while len(pending) < 20 or len(set(pending[-20:])) > 1:  # until nothing moves any more
            pending += [channel.total_outbufs_len for channel in server._channels.values()]
            time.sleep(0.02)
        assert 0 < pending[-1] < 2 * UNSENT_BYTES


def test_a_slow_reader_that_goes_on_reading_is_served(app: TinyApp) -> None:
    limits = Limits(stall_s=0.5, sweep_s=0.05)
    with serving(app, limits=limits) as server, connect(server) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        sock.sendall(b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n")
        for _ in range(20):
            for _ in range(10):
                assert sock.recv(65536, socket.MSG_WAITALL)
            time.sleep(0.1)
        assert "/endless" not in app.closed


def test_slow_readers_leave_the_other_threads_alone(app: TinyApp) -> None:
    with serving(app, threads=4) as server, many(server, 3, b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n"):
        assert becomes_true(lambda: app.begun.get("/endless") == 3)
        assert is_healthy(server)
        assert becomes_true(lambda: server.busy() == 3)


def test_a_short_answer_that_nobody_reads_is_closed_too() -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return [bytes(20_000_000)]

    limits = Limits(stall_s=0.5, sweep_s=0.05)
    with serving(app, limits=limits) as server, connect(server) as sock:
        sock.sendall(b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n")
        assert becomes_true(lambda: any(channel.total_outbufs_len for channel in server._channels.values()))
        assert becomes_true(lambda: server.busy() == 0)  # the thread is free long before the client is closed
        assert becomes_true(lambda: not server._channels)
