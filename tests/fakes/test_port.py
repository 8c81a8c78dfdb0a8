"""Ports that flap, refuse, swallow or say nothing."""

from __future__ import annotations

import http.client
import json
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.fakes import Blackhole, FakeOllama, RefusedPort, SilentPort, fake_ollama, hang
from tests.fakes.probe import HELLO, ask


@pytest.fixture
def fake() -> Iterator[FakeOllama]:
    with fake_ollama() as running:
        yield running


def test_a_stopped_fake_refuses_and_comes_back_on_the_same_port(fake: FakeOllama) -> None:
    port = fake.port
    for _ in range(3):
        assert ask(fake, "/").status == 200
        fake.stop()
        with pytest.raises(ConnectionRefusedError):
            ask(fake, "/")
        fake.restart()
    assert ask(fake, "/").status == 200 and fake.port == port


def test_closing_ends_every_thread_and_frees_the_port() -> None:
    before = set(threading.enumerate())
    fake = FakeOllama()
    fake.script("gemma3:4b", [hang()])
    body = json.dumps({"model": "gemma3:4b", "messages": HELLO}).encode()
    head = f"POST /api/chat HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    with socket.create_connection((fake.host, fake.port)) as waiting:
        waiting.sendall(head + body)
        (request,) = fake.wait_for_requests(1)
        fake.close()
        assert waiting.recv(1) == b""
    assert set(threading.enumerate()) <= before
    assert not request.finished and request.closed_early_at is None
    with FakeOllama(port=fake.port) as again:
        assert again.port == fake.port


def test_dropped_connections_do_not_stop_the_fake(fake: FakeOllama) -> None:
    with closing(http.client.HTTPConnection(fake.host, fake.port, timeout=10)) as connection:
        connection.request("GET", "/api/version")
        connection.getresponse().read()
        fake.drop_connections()
        with pytest.raises((http.client.RemoteDisconnected, ConnectionError)):
            connection.request("GET", "/api/version")
            connection.getresponse()
    assert ask(fake, "/").status == 200


def test_a_refused_port_refuses() -> None:
    with RefusedPort() as port, pytest.raises(ConnectionRefusedError):
        socket.create_connection((port.host, port.port), timeout=5)


def test_a_blackhole_takes_the_connection_and_blocks_the_sender() -> None:
    with Blackhole() as hole, socket.create_connection((hole.host, hole.port), timeout=0.3) as sock:
        with pytest.raises(TimeoutError):
            sock.sendall(bytes(64_000_000))
        assert hole.connections == 1


@pytest.mark.skipif(sys.platform != "linux", reason="a full backlog is silent on Linux only")
def test_a_silent_port_lets_a_connect_time_out() -> None:
    with SilentPort() as port, pytest.raises(TimeoutError):
        socket.create_connection((port.host, port.port), timeout=0.3)
