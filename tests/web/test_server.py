"""The shell around the WSGI app, seen from its clients: addresses, refusals, pipelining, the end."""

from __future__ import annotations

import json
import os
import random
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from moe.web.intake import Limits
from moe.web.server import CannotListen, PortTaken, Server
from tests.web.tinyapp import (
    GUARD_S,
    TinyApp,
    ask,
    becomes_true,
    connect,
    is_healthy,
    parse,
    parse_head,
    read_all,
    read_reply,
    refuse,
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


# Addresses


def test_a_taken_port_is_named_before_anything_starts() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        server = Server(TinyApp(), host="127.0.0.1", port=port, refuse=refuse)
        with pytest.raises(PortTaken) as taken:
            server.bind()
    assert str(taken.value) == f"port {port} on 127.0.0.1 is in use; choose another with --port"
    assert isinstance(taken.value, OSError)


def test_an_address_that_is_not_ours_is_refused_in_one_line() -> None:
    server = Server(TinyApp(), host="203.0.113.7", port=0, refuse=refuse)
    with pytest.raises(CannotListen, match="cannot listen on 203.0.113.7") as refusal:
        server.bind()
    assert not isinstance(refusal.value, PortTaken)


def test_a_host_name_that_does_not_exist_is_refused_in_one_line() -> None:
    with pytest.raises(CannotListen, match="cannot listen on no.such.host.invalid"):
        Server(TinyApp(), host="no.such.host.invalid", port=0, refuse=refuse).bind()


def test_it_serves_an_ipv6_address(app: TinyApp) -> None:
    with serving(app, host="::1") as server:
        assert is_healthy(server)


def test_one_port_serves_every_address_of_a_name(app: TinyApp) -> None:
    addresses = {info[4][0] for info in socket.getaddrinfo("localhost", 0, type=socket.SOCK_STREAM)}
    if len(addresses) < 2:
        pytest.skip("localhost has only one address here")
    with serving(app, host="localhost") as server:
        for address in addresses:
            with socket.create_connection((address, server.port), timeout=GUARD_S) as sock:
                sock.sendall(b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n")
                assert read_reply(sock)[0] == 200


def test_clients_that_come_between_bind_and_serve_only_wait(app: TinyApp) -> None:
    with serving(app) as running:
        pass
    server = Server(app, host="127.0.0.1", port=running.port, refuse=refuse)
    server.bind()  # the port just given up can be taken again
    with connect(server) as early:
        early.sendall(b"GET /early HTTP/1.1\r\nHost: x\r\n\r\n")
        server.close()
    with pytest.raises(OSError):
        connect(server)


# Bodies that are too large


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


# Expect: 100-continue


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


# Requests that are not well formed


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


# Ordinary traffic


def test_answers_name_the_server_and_nothing_more(server: Server) -> None:
    _, headers, _ = parse(ask(server, b"GET /x HTTP/1.1\r\nConnection: close\r\n\r\n"))
    assert headers["server"] == "moe"
    assert "via" not in headers


def test_proxy_headers_reach_the_app(server: Server) -> None:
    reply = ask(server, b"GET /x HTTP/1.1\r\nX-Forwarded-For: 10.0.0.9\r\nConnection: close\r\n\r\n")
    assert json.loads(parse(reply)[2])["forwarded"] == "10.0.0.9"


def test_pipelined_requests_are_answered_in_order(server: Server) -> None:
    with connect(server) as sock:
        sock.sendall(
            b"".join(
                b"POST /echo HTTP/1.1\r\nContent-Length: %d\r\n\r\n%s" % (length, bytes(length)) for length in range(50)
            )
        )
        assert [json.loads(read_reply(sock)[2])["bytes"] for _ in range(50)] == list(range(50))


def test_a_malformed_request_behind_a_good_one_spoils_only_itself(server: Server) -> None:
    with connect(server) as sock:
        sock.sendall(b"GET /first HTTP/1.1\r\nHost: x\r\n\r\nGET /second HTTP/1.1\r\nbad header\r\n\r\n")
        status, _, body = read_reply(sock)
        assert (status, json.loads(body)["path"]) == (200, "/first")
        assert refused(read_all(sock)) == (400, {"refused": 400, "path": "/second", "message": "Invalid header"})


def test_a_chunk_of_a_stream_leaves_at_once(server: Server) -> None:
    with connect(server) as sock:
        sock.sendall(b"GET /finite HTTP/1.1\r\nHost: x\r\n\r\n")
        seen = b""
        while b"chunk 2\n" not in seen:
            seen += sock.recv(65536)
        assert b"chunk 40\n" not in seen
        assert parse_head(seen.partition(b"\r\n\r\n")[0])[1]["transfer-encoding"] == "chunked"


def test_the_app_notices_that_its_client_left(server: Server, app: TinyApp) -> None:
    with connect(server) as sock:
        sock.sendall(b"GET /until-left HTTP/1.1\r\nHost: x\r\n\r\n")
        assert becomes_true(lambda: app.begun)
        assert not app.saw_leave.is_set()
    assert app.saw_leave.wait(GUARD_S)


def test_a_client_that_leaves_mid_stream_closes_the_generator(server: Server, app: TinyApp) -> None:
    with connect(server) as sock:
        sock.sendall(b"GET /drip HTTP/1.1\r\nHost: x\r\n\r\n")
        sock.recv(65536)
    assert becomes_true(lambda: app.closed.get("/drip"))


def test_busy_counts_what_runs_and_what_waits_for_a_thread(app: TinyApp) -> None:
    with serving(app, threads=2) as server:
        assert becomes_true(lambda: server.busy() == 0)
        waiting = [connect(server) for _ in range(5)]
        for sock in waiting:
            sock.sendall(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
        assert becomes_true(lambda: server.busy() == 5)
        app.let_go.set()
        for sock in waiting:
            assert read_reply(sock)[0] == 200
            sock.close()
        assert becomes_true(lambda: server.busy() == 0)


def test_threads_that_have_just_started_do_not_count_as_busy() -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return [b"%d" % server.busy()]

    server = Server(app, host="127.0.0.1", port=0, refuse=refuse)
    server.bind()
    with connect(server) as early:
        early.sendall(b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n")
        thread = threading.Thread(target=server.serve)
        thread.start()
        assert read_reply(early)[2] == b"1"
        server.close()
        thread.join(GUARD_S)


def test_requests_that_wait_for_a_thread_are_not_warned_of(app: TinyApp, caplog: pytest.LogCaptureFixture) -> None:
    with serving(app, threads=1) as server:
        socks = [connect(server) for _ in range(4)]
        for sock in socks:
            sock.sendall(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
        assert becomes_true(lambda: server.busy() == 4)
        app.let_go.set()
        for sock in socks:
            read_reply(sock)
            sock.close()
    assert not caplog.records


# The end


def test_closing_waits_for_a_running_stream_and_not_for_idle_connections(app: TinyApp) -> None:
    with serving(app) as server, connect(server) as idle, connect(server) as half, connect(server) as stream:
        idle.sendall(b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n")
        assert read_reply(idle)[0] == 200
        half.sendall(b"POST /x HTTP/1.1\r\nContent-Length: 50\r\n\r\nhalf")
        stream.sendall(b"GET /finite HTTP/1.1\r\nHost: x\r\n\r\n")
        assert becomes_true(lambda: app.begun.get("/finite"))
        app.let_go.set()
        server.close(drain_s=10 * GUARD_S)
        assert read_all(stream).endswith(b"0\r\n\r\n")
        assert read_all(idle) == b""
        with pytest.raises(OSError):
            connect(server)


def test_closing_wakes_a_server_that_has_nothing_to_do(app: TinyApp) -> None:
    with serving(app, limits=Limits(sweep_s=2 * GUARD_S)) as server:  # which is how long it would sleep
        assert is_healthy(server)
        closing = threading.Thread(target=server.close)
        closing.start()
        closing.join(GUARD_S)
        assert not closing.is_alive()


def test_closing_twice_cuts_what_still_runs(app: TinyApp) -> None:
    with serving(app) as server, connect(server) as sock:
        sock.sendall(b"GET /drip HTTP/1.1\r\nHost: x\r\n\r\n")
        assert becomes_true(lambda: app.begun.get("/drip"))
        server._drain_until = time.monotonic() + 10 * GUARD_S  # as a first close() in another thread would
        server.close()
        assert app.closed["/drip"] == 1
        assert not read_all(sock).endswith(b"0\r\n\r\n")


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


@pytest.fixture
def start() -> Iterator[Any]:
    programs: list[Program] = []

    def begin(drain_s: float) -> Program:
        programs.append(Program(drain_s))
        return programs[-1]

    yield begin
    for program in programs:
        program.process.kill()
        program.process.wait()
        program.out.close()


def test_sigterm_lets_a_stream_finish_and_cuts_an_endless_one_after_the_drain_time(start: Any) -> None:
    program = start(2.0)
    with program.get("/finite") as finite, program.get("/drip") as endless, program.get("/idle"):
        program.process.send_signal(signal.SIGTERM)
        assert becomes_true(program.refuses_connections)
        os.kill(program.process.pid, signal.SIGUSR1)  # lets /finite come to its end
        assert read_all(finite).endswith(b"0\r\n\r\n")
        assert select.select([endless], [], [], GUARD_S)[0]  # still fed after the signal
        assert not read_all(endless).endswith(b"0\r\n\r\n")
        assert program.end() == {"/finite": 1, "/drip": 1}


def test_sigterm_ends_an_idle_server_at_once(start: Any) -> None:
    program = start(10 * GUARD_S)
    with program.get("/x"):
        program.process.send_signal(signal.SIGTERM)
        assert program.end() == {}


def test_a_second_signal_ends_at_once(start: Any) -> None:
    program = start(10 * GUARD_S)
    with program.get("/drip"):
        program.process.send_signal(signal.SIGINT)
        assert becomes_true(program.refuses_connections)
        program.process.send_signal(signal.SIGINT)
        assert program.end() == {"/drip": 1}
