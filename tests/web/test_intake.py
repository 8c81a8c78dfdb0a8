"""Requests that are refused, each seen from the client: the answer arrives, in JSON, and never a reset."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from moe.web.intake import Limits
from moe.web.server import Server
from tests.web.tinyapp import (
    GUARD_S,
    TinyApp,
    ask,
    becomes_true,
    connect,
    is_healthy,
    parse,
    read_all,
    read_reply,
    serving,
)

CAP = 1 << 20


@pytest.fixture
def app() -> TinyApp:
    return TinyApp()


@pytest.fixture
def server(app: TinyApp) -> Iterator[Server]:
    with serving(app, max_body_bytes=CAP) as server:
        yield server


def refused(reply: bytes) -> tuple[int, dict[str, Any]]:
    status, headers, body = parse(reply)
    assert headers["content-type"] == "application/json"
    assert headers["connection"] == "close"
    assert len(body) == int(headers["content-length"])
    said = json.loads(body)
    assert said["refused"] == status
    return status, said


def chunked(body: bytes, piece: int) -> Iterator[bytes]:
    for start in range(0, len(body), piece):
        part = body[start : start + piece]
        yield b"%x\r\n%s\r\n" % (len(part), part)
    yield b"0\r\n\r\n"


@pytest.mark.parametrize("length", [CAP + 1, 30_000_000])
def test_a_body_over_the_cap_gets_its_413_after_the_client_sent_it_all(server: Server, length: int) -> None:
    head = b"POST /v1/chat HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % length
    status, said = refused(ask(server, head + bytes(length)))
    assert (status, said["path"]) == (413, "/v1/chat")
    assert said["message"] == f"the request body is larger than {CAP} bytes"


def test_a_chunked_body_over_the_cap_gets_its_413(server: Server) -> None:
    with connect(server) as sock:
        sock.sendall(b"POST /api/chat HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        for piece in chunked(bytes(30_000_000), 50_000):
            sock.sendall(piece)
        status, said = refused(read_all(sock))
    assert (status, said["path"]) == (413, "/api/chat")
    assert is_healthy(server)


@pytest.mark.parametrize("as_chunks", [False, True])
def test_an_ordinary_client_library_sees_the_413(server: Server, as_chunks: bool) -> None:
    body = bytes(30_000_000)
    data = (body[start : start + 65536] for start in range(0, len(body), 65536)) if as_chunks else body
    reply = requests.post(f"http://127.0.0.1:{server.port}/v1/x", data=data, timeout=GUARD_S)
    assert (reply.status_code, reply.json()["path"]) == (413, "/v1/x")


def test_a_huge_chunk_is_refused_as_soon_as_it_is_announced(server: Server) -> None:
    with connect(server) as sock:
        sock.sendall(b"POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffffff\r\n")
        assert read_reply(sock)[0] == 413


@pytest.mark.parametrize("as_chunks", [False, True])
def test_a_body_of_exactly_the_cap_is_taken(server: Server, as_chunks: bool) -> None:
    body = random.Random(1).randbytes(CAP)
    if as_chunks:  # small chunks: their framing must not count
        request = b"POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        request += b"".join(chunked(body, 64))
    else:
        request = b"POST /echo HTTP/1.1\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (CAP, body)
    status, _, answer = parse(ask(server, request))
    assert (status, json.loads(answer)) == (200, {"bytes": CAP, "sum": sum(body)})


def test_the_cap_can_change_while_serving(server: Server) -> None:
    request = b"POST /echo HTTP/1.1\r\nContent-Length: 2000\r\nConnection: close\r\n\r\n" + bytes(2000)
    assert parse(ask(server, request))[0] == 200
    server.max_body_bytes = 1999
    assert refused(ask(server, request))[0] == 413


def test_what_follows_a_refused_head_is_never_run_as_a_request(server: Server, app: TinyApp) -> None:
    smuggled = b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n"
    reply = ask(server, b"POST /x HTTP/1.1\r\nContent-Length: 9999999\r\n\r\n" + smuggled * 100)
    assert refused(reply)[0] == 413
    assert reply.count(b"HTTP/1.1") == 1
    assert is_healthy(server)
    assert "/wait" not in app.begun


def test_an_endless_body_is_cut_off(app: TinyApp) -> None:
    with (
        serving(app, max_body_bytes=1000, limits=Limits(linger_bytes=1 << 20)) as server,
        connect(server) as sock,
        pytest.raises(OSError),
    ):
        sock.sendall(b"POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(10_000):  # 640 MB, were it let
            sock.sendall(b"10000\r\n" + bytes(65536) + b"\r\n")


def test_a_refused_client_that_stays_is_closed(app: TinyApp) -> None:
    limits = Limits(linger_s=0.3, sweep_s=0.05)
    with serving(app, max_body_bytes=1000, limits=limits) as server, connect(server) as sock:
        sock.sendall(b"POST /x HTTP/1.1\r\nContent-Length: 5000\r\n\r\n")
        assert refused(read_all(sock))[0] == 413
        assert becomes_true(lambda: not server._channels)


def test_a_client_that_expects_100_continue_gets_it_and_then_its_answer(server: Server) -> None:
    with connect(server) as sock:
        sock.sendall(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        assert read_reply(sock)[0] == 100
        sock.sendall(b"hello")
        status, _, body = read_reply(sock)
        assert (status, json.loads(body)["bytes"]) == (200, 5)


@pytest.mark.parametrize("framing", [b"Content-Length: 99999999", b"Transfer-Encoding: nonsense"])
def test_a_refused_request_gets_no_100_continue(server: Server, framing: bytes) -> None:
    with connect(server) as sock:
        sock.sendall(b"POST /x HTTP/1.1\r\n%s\r\nExpect: 100-continue\r\n\r\n" % framing)
        assert refused(read_all(sock))[0] in (413, 501)


@pytest.mark.parametrize("framing", [b"", b"Content-Length: 0\r\n"])
def test_a_request_without_a_body_does_not_wait_for_one_it_expects_to_send(server: Server, framing: bytes) -> None:
    reply = ask(server, b"GET /x HTTP/1.1\r\n%sExpect: 100-continue\r\nConnection: close\r\n\r\n" % framing)
    assert parse(reply)[0] == 200


@pytest.mark.parametrize(
    ("request_bytes", "status", "path"),
    [
        (b"nonsense\r\n\r\n", 400, "/"),
        (b"get /lower HTTP/1.1\r\n\r\n", 400, "/lower"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400, "/"),
        (b"GET /api/tags?x=1 HTTP/1.1\r\nno colon\r\n\r\n", 400, "/api/tags"),
        (b"GET /bare HTTP/1.1\r\nA: b\nC: d\r\n\r\n", 400, "/bare"),
        (b"GET /space HTTP/1.1\r\nA : b\r\n\r\n", 400, "/space"),
        (b"POST /x HTTP/1.1\r\nContent-Length: -5\r\n\r\n", 400, "/x"),
        (b"POST /x HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", 400, "/x"),
        (b"POST /x HTTP/1.1\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n", 400, "/x"),
        (b"GET http://[broken/x HTTP/1.1\r\n\r\n", 400, "http://[broken/x"),
        (b"POST /x HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n", 501, "/x"),
        (b"POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", 400, "/x"),
        (b"POST /x HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, "/x"),
        (b"POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", 400, "/x"),
        (b"POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloworld\r\n", 400, "/x"),
        (b"POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + b"0" * 9000, 400, "/x"),
        (b"POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: " + b"b" * 9000, 400, "/x"),
        (b"GET /long HTTP/1.1\r\nA: " + b"x" * 70_000 + b"\r\n\r\n", 431, "/long"),
        (b"GET /" + b"x" * 70_000, 431, "/" + "x" * 2043),
    ],
)
def test_a_malformed_request_is_told_so_in_json(server: Server, request_bytes: bytes, status: int, path: str) -> None:
    said_status, said = refused(ask(server, request_bytes))
    assert (said_status, said["path"]) == (status, path)
    assert is_healthy(server)


def test_an_exception_in_the_app_is_a_500_in_json(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    status, said = refused(ask(server, b"GET /boom HTTP/1.1\r\nHost: x\r\n\r\n"))
    assert (status, said["path"]) == (500, "/boom")
    assert "ZeroDivisionError" in caplog.text
    assert "ZeroDivision" not in said["message"]


def test_a_refused_head_request_gets_no_body(server: Server) -> None:
    status, headers, body = parse(ask(server, b"HEAD /x HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n"))
    assert (status, body) == (413, b"")
    assert int(headers["content-length"]) > 0


def test_a_malformed_request_behind_a_good_one_spoils_only_itself(server: Server) -> None:
    with connect(server) as sock:
        sock.sendall(b"GET /first HTTP/1.1\r\nHost: x\r\n\r\nGET /second HTTP/1.1\r\nbad header\r\n\r\n")
        status, _, body = read_reply(sock)
        assert (status, json.loads(body)["path"]) == (200, "/first")
        assert refused(read_all(sock)) == (400, {"refused": 400, "path": "/second", "message": "Invalid header"})
