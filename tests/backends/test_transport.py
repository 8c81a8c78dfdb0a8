"""HTTP to an upstream as it really can be: stale, slow, redirecting, encrypted, nonsensical."""

from __future__ import annotations

import hashlib
import os
import select
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from moe.backends.refusal import read_error, refuse
from moe.backends.transport import Transport, Upload
from moe.errors import BadAnswer, BrokenStream, TimedOut, Unreachable, UpstreamFailure, UpstreamRefusal
from tests.fakes import Blackhole, FakeModel, RefusedPort, answer, fake_ollama, hang, hang_up, http_error, slow_drip
from tests.fakes.port import Listener

BODY = b'{"model":"m","messages":[{"role":"user","content":"hi"}]}'
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\n"


class RawServer(Listener):
    """Reads one request at a time and hands the socket over; `wrap` may put TLS around it."""

    def __init__(self, reply: Callable[[socket.socket], None], *, wrap: ssl.SSLContext | None = None) -> None:
        self._reply = reply
        self._wrap = wrap
        self.heads: list[bytes] = []
        super().__init__()

    def serve(self, sock: socket.socket, number: int) -> None:
        try:
            conn = self._wrap.wrap_socket(sock, server_side=True) if self._wrap else sock
            with conn:
                while head := self._read(conn):
                    self.heads.append(head)
                    self._reply(conn)
        except OSError:  # the client left, or would not trust us
            return

    def _read(self, conn: socket.socket) -> bytes:
        data = b""
        while b"\r\n\r\n" not in data:
            piece = conn.recv(65536)
            if not piece:
                return b""
            data += piece
        head, _, rest = data.partition(b"\r\n\r\n")
        lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        length = int(lengths[0].split(b":")[1]) if lengths else 0
        while len(rest) < length:
            rest += conn.recv(65536)
        return head


def sends(*pieces: bytes | float) -> Callable[[socket.socket], None]:
    """Bytes are sent, numbers are seconds to wait, or less if the client leaves."""

    def reply(sock: socket.socket) -> None:
        for piece in pieces:
            if isinstance(piece, bytes):
                sock.sendall(piece)
            else:
                select.select([sock], [], [], piece)

    return reply


def transport(url: str, **how: Any) -> Transport:
    return Transport(url, **{"connect_timeout_s": 2.0, **how})


def read(url: str, *, idle_s: float = 5.0, **how: Any) -> bytes:
    made = transport(url, **how)
    try:
        return b"".join(made.stream("/api/chat", BODY, idle_s=idle_s))
    finally:
        made.close()


# Framing


@pytest.mark.parametrize("reply", [
    [OK + b"Content-Length: 5\r\n\r\nhello"],
    [OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"],
    [OK + b"Transfer-Encoding: chunked\r\n\r\n2;x=y\r\nhe\r\n3\r\nllo\r\n0\r\nX-Trailer: 1\r\n\r\n"],
    [b"HTTP/1.1 100 Continue\r\n\r\n", OK + b"Content-Length: 5\r\n\r\nhello"],
    [b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n", 0.01, OK + b"Content-Length: 5\r\n\r\nhello"],
    [OK[:9], 0.01, OK[9:], 0.01, b"Content-", b"Length: 5\r\n\r\nhe", 0.01, b"llo"],
], ids=["length", "chunked", "trailer", "continue", "early hints", "in pieces"])
def test_every_framing_gives_the_body(reply: list[Any]) -> None:
    with RawServer(sends(*reply)) as server:
        assert read(server.url) == b"hello"


def test_a_body_without_a_length_ends_with_the_connection() -> None:
    def reply(sock: socket.socket) -> None:
        sock.sendall(b"HTTP/1.0 200 OK\r\n\r\nhello")
        sock.shutdown(socket.SHUT_RDWR)

    with RawServer(reply) as server:
        assert read(server.url) == b"hello"


@pytest.mark.parametrize("cut", [
    OK + b"Content-Length: 9\r\n\r\nhello", OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhel",
    OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
])
def test_a_body_that_is_cut_is_broken(cut: bytes) -> None:
    def reply(sock: socket.socket) -> None:
        sock.sendall(cut)
        sock.shutdown(socket.SHUT_RDWR)

    with RawServer(reply) as server, pytest.raises(BrokenStream):
        read(server.url)


@pytest.mark.parametrize("nonsense", [
    b"SSH-2.0-OpenSSH_9.6\r\n", b"\x00" * 64, b"HTTP/1.1 abc OK\r\n\r\n",
    OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", OK + b"X-Much: " + b"a" * 300_000 + b"\r\n\r\n",
], ids=["ssh", "zeros", "status", "chunk size", "head"])
def test_what_is_no_http_is_no_answer(nonsense: bytes) -> None:
    with RawServer(sends(nonsense, 5.0)) as server, pytest.raises(BadAnswer):
        read(server.url)


def test_a_slow_upstream_is_waited_for_with_heartbeats() -> None:
    with fake_ollama(["m"]) as fake:
        fake.script("m", [slow_drip(interval_s=0.002, text="hi")])
        made = transport(fake.url)
        pieces = list(made.stream("/api/chat", BODY, idle_s=5))
        assert b'"done":true' in b"".join(pieces)
        made.close()


def test_an_upgrade_nobody_asked_for_is_no_answer() -> None:
    reply = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n\x81\x01"
    with RawServer(sends(reply, 5.0)) as server, pytest.raises(BadAnswer):
        read(server.url)


# Connections


def test_a_connection_is_used_again_only_if_the_server_keeps_it() -> None:
    keep, close = OK + b"Content-Length: 2\r\n\r\nok", OK + b"Connection: close\r\nContent-Length: 2\r\n\r\nok"
    for reply, connections in ((keep, 1), (close, 3)):
        with RawServer(sends(reply)) as server:
            made = transport(server.url)
            for _ in range(3):
                assert b"".join(made.stream("/api/chat", BODY, idle_s=5)) == b"ok"
            assert server.connections == connections
            made.close()


def test_an_answer_that_was_left_is_not_mixed_into_the_next() -> None:
    with fake_ollama(["m"]) as fake:
        fake.script("m", [answer("first " * 50, chunk_delay_s=0.01), answer("second")])
        made = transport(fake.url)
        left = made.stream("/api/chat", BODY, idle_s=5)
        while not next(left):
            pass
        left.close()
        assert b"first" not in b"".join(made.stream("/api/chat", BODY, idle_s=5))
        made.close()


def test_connections_that_died_in_the_pool_cost_no_error() -> None:
    with fake_ollama(["m"]) as fake:
        made = transport(fake.url)
        open_streams = [made.stream("/api/chat", BODY, idle_s=5) for _ in range(5)]
        for stream in open_streams:
            assert next(stream) is not None
        for stream in open_streams:
            list(stream)
        fake.drop_connections()
        for _ in range(5):
            assert b'"done":true' in b"".join(made.stream("/api/chat", BODY, idle_s=5))
        made.close()


def test_a_short_question_survives_a_connection_that_died() -> None:
    with fake_ollama(["m"]) as fake:
        fake.script("/api/tags", [answer(), hang_up(), answer()])
        made = transport(fake.url)
        made.fetch("GET", "/api/tags", timeout_s=2)
        assert "models" in made.fetch("GET", "/api/tags", timeout_s=2)
        made.close()


def test_a_large_request_to_one_that_does_not_read_is_given_up() -> None:
    with Blackhole() as hole:
        made = transport(hole.url)
        with pytest.raises(TimedOut):
            list(made.stream("/api/chat", b"x" * (32 << 20), idle_s=0.5))
        made.close()


def test_a_refused_port_is_unreachable_for_both_kinds_of_question() -> None:
    with RefusedPort() as port:
        made = transport(port.url)
        with pytest.raises(Unreachable):
            list(made.stream("/api/chat", BODY, idle_s=5))
        with pytest.raises(Unreachable):
            made.fetch("GET", "/api/tags", timeout_s=2)


@pytest.mark.parametrize("url", ["http://169.254.169.254", "http://2852039166", "http://[::ffff:a9fe:a9fe]",
                                 "http://metadata.google.internal"])
def test_an_address_that_is_refused_is_never_connected_to(url: str) -> None:
    with pytest.raises(Unreachable) as failure:
        read(url)
    assert failure.value.reason == "address refused"


def test_a_path_in_the_address_stays_in_front() -> None:
    with RawServer(sends(OK + b"Content-Length: 2\r\n\r\nok")) as server:
        read(f"{server.url}/behind/a/proxy/")
        assert server.heads[0].startswith(b"POST /behind/a/proxy/api/chat HTTP/1.1\r\n")
        assert f"Host: 127.0.0.1:{server.port}".encode() in server.heads[0]


# Statuses


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_an_error_and_not_followed(status: int) -> None:
    with fake_ollama(["m"]) as elsewhere, fake_ollama(["m"]) as fake:
        for path in ("/api/chat", "/api/tags"):
            fake.script(path, [http_error(status, headers={"Location": elsewhere.url + path})])
        made = transport(fake.url)
        with pytest.raises(UpstreamFailure) as failure:
            list(made.stream("/api/chat", BODY, idle_s=5))
        assert failure.value.upstream_status == status
        with pytest.raises(UpstreamFailure):
            made.fetch("GET", "/api/tags", timeout_s=2)
        assert not elsewhere.requests
        made.close()


def test_an_endless_error_page_is_not_read_to_its_end() -> None:
    page = b"HTTP/1.1 500 Oops\r\nContent-Length: 99999999\r\n\r\n" + b"x" * 200_000
    with RawServer(sends(page, 5.0)) as server, pytest.raises(UpstreamFailure) as failure:
        read(server.url)
    assert len(failure.value.message) <= 2000


@pytest.mark.parametrize(("body", "told"), [
    (b'{"error":"flat"}', ("flat", "")),
    (b'{"error":{"message":"deep","code":"some_code"}}', ("deep", "some_code")),
    (b'{"error":{"message":"deep","code":5}}', ("deep", "")),
    (b'{"detail":"FastAPI"}', ("FastAPI", "")),
    (b'{"message":"top"}', ("top", "")),
    (b"plain words", ("plain words", "")),
    (b"", ("", "")),
    (b"[]", ("[]", "")),
])
def test_the_words_of_an_error_are_found_in_any_dialect(body: bytes, told: tuple[str, str]) -> None:
    assert read_error(body) == told


def test_an_error_without_words_says_its_status() -> None:
    assert refuse(502, b"", None).message == "status 502"
    refused = refuse(400, b"{}", None)
    assert isinstance(refused, UpstreamRefusal)
    assert (refused.message, refused.code) == ("status 400", "bad_request")


def test_a_question_without_json_for_an_answer_has_no_answer() -> None:
    with fake_ollama([FakeModel("m")]) as fake:
        fake.script("/api/tags", [http_error(200, "<html>")])
        made = transport(fake.url)
        with pytest.raises(BadAnswer):
            made.fetch("GET", "/api/tags", timeout_s=2)
        fake.script("/api/tags", [hang()])
        with pytest.raises(TimedOut):
            made.fetch("GET", "/api/tags", timeout_s=0.3)
        made.close()


# TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and a self-signed certificate for localhost, in one file."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is needed to make a certificate")
    file = tmp_path_factory.mktemp("tls") / "both.pem"
    key, cert = file.with_name("key.pem"), file.with_name("cert.pem")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(cert)],
        check=True, capture_output=True,
    )
    file.write_bytes(key.read_bytes() + cert.read_bytes())
    return file


@pytest.fixture
def secure(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


@pytest.fixture
def trusted(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    yield


@pytest.mark.usefixtures("trusted")
def test_tls_streams_piece_by_piece_with_heartbeats_while_silent(secure: ssl.SSLContext) -> None:
    head, end = OK + b"Transfer-Encoding: chunked\r\n\r\n", b"0\r\n\r\n"
    with RawServer(sends(0.4, head, 0.4, b"2\r\nhe\r\n", b"3\r\nllo\r\n", end), wrap=secure) as server:
        made = transport(f"https://localhost:{server.port}")
        for _ in range(2):
            pieces = list(made.stream("/api/chat", BODY, idle_s=5))
            assert pieces.count(b"") >= 2
            assert b"".join(pieces) == b"hello"
        assert server.connections == 1
        assert b"Host: localhost:" in server.heads[0]
        made.close()


@pytest.mark.usefixtures("trusted")
def test_tls_carries_more_than_a_record_at_once(secure: ssl.SSLContext) -> None:
    body = b"0123456789" * 30_000
    with RawServer(sends(OK + b"Content-Length: %d\r\n\r\n" % len(body) + body), wrap=secure) as server:
        assert read(f"https://localhost:{server.port}") == body


def test_a_certificate_nobody_vouches_for_is_refused(secure: ssl.SSLContext) -> None:
    with RawServer(sends(OK + b"Content-Length: 2\r\n\r\nok"), wrap=secure) as server:
        with pytest.raises(Unreachable) as failure:
            read(f"https://localhost:{server.port}")
        assert failure.value.reason == "no secure connection"
        assert not server.heads


@pytest.mark.usefixtures("trusted")
def test_a_certificate_for_another_name_is_refused(secure: ssl.SSLContext) -> None:
    with RawServer(sends(OK + b"Content-Length: 2\r\n\r\nok"), wrap=secure) as server, pytest.raises(Unreachable):
        read(f"https://127.0.0.1:{server.port}")


def test_speaking_tls_to_a_plain_server_fails_as_a_backend_error() -> None:
    with RawServer(sends(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as server, pytest.raises((BrokenStream, TimedOut)):
        read(f"https://127.0.0.1:{server.port}", connect_timeout_s=0.5)


def test_a_request_goes_out_at_most_twice_however_many_pooled_connections_died() -> None:
    with fake_ollama(["m"]) as fake:
        made = Transport(fake.url, connect_timeout_s=5)
        body = b'{"model": "m", "messages": [{"role": "user", "content": "hello"}]}'
        streams = [made.stream("/api/chat", body, idle_s=5) for _ in range(8)]
        for stream in streams:
            while not next(stream):
                pass
        for stream in streams:
            list(stream)
        fake.forget_requests()
        fake.script("m", [hang_up()])
        with pytest.raises(BrokenStream):
            list(made.stream("/api/chat", body, idle_s=5))
        assert len(fake.requests_to("/api/chat")) == 2
        made.close()


def test_a_large_body_goes_out_in_pieces_with_a_heartbeat_after_each() -> None:
    content = bytes(range(256)) * 5000
    pieces = [content[start:start + 100_000] for start in range(0, len(content), 100_000)]
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    with fake_ollama(["m"]) as fake:
        made = Transport(fake.url, connect_timeout_s=5)
        said = list(made.stream(f"/api/blobs/{digest}", Upload(len(content), lambda: iter(pieces)), idle_s=5))
        assert len(said) >= len(pieces)
        assert b"".join(said) == b""
        assert fake.shop.blobs == {digest: content}
        made.close()


def test_a_head_request_gives_its_status_whatever_length_is_told() -> None:
    with fake_ollama(["m"]) as fake:
        made = Transport(fake.url, connect_timeout_s=5)
        digest = f"sha256:{hashlib.sha256(b'x').hexdigest()}"
        assert made.look(f"/api/blobs/{digest}", timeout_s=5) == 404
        fake.shop.blobs[digest] = b"x"
        assert made.look(f"/api/blobs/{digest}", timeout_s=5) == 200
        made.close()
    with RawServer(sends(OK + b"Content-Length: 500\r\n\r\n")) as server:
        assert transport(server.url).look("/", timeout_s=5) == 200
    with RawServer(sends(5.0)) as server, pytest.raises(TimedOut):
        transport(server.url).look("/", timeout_s=0.5)


def test_idle_connections_that_the_other_side_closed_are_closed_here_too() -> None:
    with fake_ollama([FakeModel("m", loaded=True)]) as fake:
        fake.script("m", [answer("Yes.")])
        made = transport(fake.url)
        streams = [made.stream("/api/chat", BODY, idle_s=5.0) for _ in range(4)]
        for stream in streams:
            next(stream)
        for stream in streams:
            list(stream)
        before = len(os.listdir("/proc/self/fd"))
        made.reap()
        assert len(os.listdir("/proc/self/fd")) == before  # all of them are well
        fake.drop_connections()
        until = time.monotonic() + 5
        while len(os.listdir("/proc/self/fd")) > before - 8 and time.monotonic() < until:
            made.reap()
            time.sleep(0.01)
        assert len(os.listdir("/proc/self/fd")) <= before - 8  # ours and the fake's own
        assert b"".join(made.stream("/api/chat", BODY, idle_s=5.0))
        made.close()
        made.reap()
