"""What a fake keeps of the requests that arrive, and how it answers many at once."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.fakes import FakeOllama, Step, answer, endless, fake_ollama, hang, headers_then_hang
from tests.fakes.probe import HELLO, ask

CHAT = {"model": "gemma3:4b", "messages": HELLO}


@pytest.fixture
def fake() -> Iterator[FakeOllama]:
    with fake_ollama() as running:
        yield running


def connect(fake: FakeOllama) -> closing[http.client.HTTPConnection]:
    return closing(http.client.HTTPConnection(fake.host, fake.port, timeout=20))


def test_a_request_is_kept_as_it_came(fake: FakeOllama) -> None:
    before = time.monotonic()
    ask(fake, "/api/chat?x=1", CHAT)
    (request,) = fake.requests
    request.wait_until_over()
    assert (request.method, request.path, request.query) == ("POST", "/api/chat", "x=1")
    assert request.json == CHAT and request.headers["host"].endswith(str(fake.port))
    assert before <= request.arrived_at <= time.monotonic()
    assert request.finished and request.closed_early_at is None


@pytest.mark.parametrize(
    "step",
    [hang(), headers_then_hang(), endless(interval_s=0.02), answer("a b c", chunk_delay_s=30), answer(delay_s=30)],
)
@pytest.mark.parametrize("is_streamed", [True, False])
def test_a_client_that_leaves_is_noticed_at_once(fake: FakeOllama, step: Step, is_streamed: bool) -> None:
    fake.script("gemma3:4b", [step])
    with connect(fake) as connection:
        connection.request("POST", "/api/chat", body=json.dumps({**CHAT, "stream": is_streamed}))
        (request,) = fake.wait_for_requests(1)
        assert not request.is_over
        left_at = time.monotonic()
    request.wait_until_over()
    assert not request.finished
    assert request.closed_early_at is not None and request.closed_early_at - left_at < 2


def test_a_reader_that_stops_reading_blocks_the_stream_until_it_leaves(fake: FakeOllama) -> None:
    fake.script("gemma3:4b", [endless(interval_s=0, text="x" * 100_000)])
    with connect(fake) as connection:
        connection.request("POST", "/api/chat", body=json.dumps(CHAT))
        (request,) = fake.wait_for_requests(1)
        with pytest.raises(TimeoutError):
            request.wait_until_over(0.3)
    request.wait_until_over()
    assert request.closed_early_at is not None


def test_connections_are_counted_not_requests(fake: FakeOllama) -> None:
    with connect(fake) as connection:
        for _ in range(3):
            connection.request("GET", "/api/version")
            connection.getresponse().read()
    ask(fake, "/api/version")
    assert (fake.connections, len(fake.requests)) == (2, 4)
    assert [request.connection for request in fake.requests] == [1, 1, 1, 2]


def test_bodies_in_chunks_and_100_continue_are_understood(fake: FakeOllama) -> None:
    body = json.dumps(CHAT).encode()
    with connect(fake) as connection:
        connection.request("POST", "/api/chat", body=iter([body[:9], body[9:]]), headers={"Expect": "100-continue"})
        assert connection.getresponse().read().endswith(b"}\n")
    assert fake.requests[0].json == CHAT


def test_what_is_not_http_gets_a_400(fake: FakeOllama) -> None:
    with socket.create_connection((fake.host, fake.port), timeout=20) as sock:
        sock.sendall(b"hello\r\n\r\n")
        assert sock.recv(100).startswith(b"HTTP/1.1 400 ")
    assert fake.requests == ()


def test_many_clients_at_once_are_each_recorded(fake: FakeOllama) -> None:
    threads = [threading.Thread(target=ask, args=(fake, "/api/chat", CHAT)) for _ in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(fake.requests_for("gemma3:4b")) == len(fake.requests_to("/api/chat")) == 32


def test_requests_can_be_forgotten(fake: FakeOllama) -> None:
    ask(fake, "/")
    fake.forget_requests()
    assert fake.requests == ()


def test_waiting_for_requests_gives_up_in_the_end(fake: FakeOllama) -> None:
    with pytest.raises(TimeoutError, match="0 of 1"):
        fake.wait_for_requests(1, timeout_s=0.05)
