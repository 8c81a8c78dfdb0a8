"""The shell around the WSGI app, seen from its clients: addresses, ordinary traffic, the end."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from moe.web.intake import Limits
from moe.web.server import CannotListen, PortTaken, Server
from tests.web.tinyapp import (
    GUARD_S,
    Program,
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


def is_open(server: Server) -> bool:
    try:
        connect(server).close()
    except OSError:
        return False
    return True


@pytest.fixture
def app() -> TinyApp:
    return TinyApp()


@pytest.fixture
def server(app: TinyApp) -> Iterator[Server]:
    with serving(app) as server:
        yield server


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
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("no IPv6 here")
    with serving(app, host="::1") as server:
        assert is_healthy(server)


def test_one_port_serves_every_address_of_a_name(app: TinyApp) -> None:
    addresses = {str(info[4][0]) for info in socket.getaddrinfo("localhost", 0, type=socket.SOCK_STREAM)}
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


def test_a_chunk_of_a_stream_leaves_at_once(server: Server) -> None:
    with connect(server) as sock:
        sock.sendall(b"GET /finite HTTP/1.1\r\nHost: x\r\n\r\n")
        seen = b""
        while b"chunk 2\n" not in seen:
            seen += sock.recv(65536)
        assert b"chunk 40\n" not in seen
        assert parse_head(seen.partition(b"\r\n\r\n")[0])[1]["transfer-encoding"] == "chunked"


def test_a_stream_leaves_its_connection_open_for_the_next_request(server: Server, app: TinyApp) -> None:
    app.let_go.set()
    with connect(server) as sock:
        for _ in range(3):
            sock.sendall(b"GET /finite HTTP/1.1\r\nHost: x\r\n\r\n")
            seen = b""
            while not seen.endswith(b"\r\n0\r\n\r\n"):
                part = sock.recv(65536)
                assert part, f"closed after {seen!r}"
                seen += part
            _, headers, body = parse(seen)
            assert "connection" not in headers and body == b"8\r\nchunk 0\n\r\n0\r\n\r\n"


@pytest.mark.parametrize("version", [b"1.0\r\n", b"1.1\r\nConnection: close\r\n"])
def test_a_stream_ends_with_the_connection_where_the_client_wants_it_so(
    server: Server, app: TinyApp, version: bytes
) -> None:
    app.let_go.set()
    _, headers, body = parse(ask(server, b"GET /finite HTTP/" + version + b"Host: x\r\n\r\n"))
    assert headers["connection"] == "close" and b"chunk 0\n" in body


def test_the_head_and_the_first_of_the_body_leave_together(server: Server) -> None:
    with connect(server) as sock:
        sock.sendall(b"GET /finite HTTP/1.1\r\nHost: x\r\n\r\n")
        assert sock.recv(65536).endswith(b"\r\n\r\n8\r\nchunk 0\n\r\n")


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
        return [b"%d" % starting.busy()]

    starting = Server(app, host="127.0.0.1", port=0, refuse=refuse)
    starting.bind()
    with connect(starting) as early:
        early.sendall(b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n")
        thread = threading.Thread(target=starting.serve)
        thread.start()
        try:
            assert read_reply(early)[2] == b"1"
        finally:
            starting.close()
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
    with serving(app, on_cut=app.let_go.set) as server, connect(server) as sock:
        sock.sendall(b"GET /drip HTTP/1.1\r\nHost: x\r\n\r\n")
        assert becomes_true(lambda: app.begun.get("/drip"))
        threading.Thread(target=server.close, args=(10 * GUARD_S,)).start()
        assert becomes_true(lambda: not is_open(server))
        server.close()
        assert app.closed["/drip"] == 1
        assert not app.let_go.is_set()
        assert not read_all(sock).endswith(b"0\r\n\r\n")


def test_what_runs_when_the_drain_time_is_up_may_say_so_and_is_cut_if_it_goes_on(app: TinyApp) -> None:
    with serving(app, on_cut=app.let_go.set) as server, connect(server) as finite, connect(server) as endless:
        for sock, path in ((finite, b"/finite"), (endless, b"/drip")):
            sock.sendall(b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n" % path)
        assert becomes_true(lambda: len(app.begun) == 2)
        server.close(drain_s=0)
        assert read_all(finite).endswith(b"0\r\n\r\n")
        assert not read_all(endless).endswith(b"0\r\n\r\n")


def test_nobody_is_told_of_a_cut_where_everything_has_ended(app: TinyApp) -> None:
    with serving(app, on_cut=app.let_go.set) as server:
        assert is_healthy(server)
        server.close()
    assert not app.let_go.is_set()


def test_closing_twice_leaves_no_time_for_last_words(app: TinyApp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("moe.web.server.LAST_WORDS_S", 10 * GUARD_S)
    with serving(app, on_cut=app.let_go.set) as server, connect(server) as sock:
        sock.sendall(b"GET /drip HTTP/1.1\r\nHost: x\r\n\r\n")
        assert becomes_true(lambda: app.begun.get("/drip"))
        first = threading.Thread(target=server.close, args=(0,))
        first.start()
        assert app.let_go.wait(GUARD_S)
        assert first.is_alive()
        server.close()
        first.join(GUARD_S)
        assert not first.is_alive()


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
