"""Requests that are refused before the application sees them: they carry what its own errors carry."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from moe.errors import BadRequest, HeadersTooLarge, MoeError, RequestTimeout, TooLarge
from moe.web.errors import error_body, refuse
from tests.adversarial.kit import ECHO, assert_refused, send
from tests.live import Live, live_server

TOO_LARGE = b"POST /v1/chat/completions HTTP/1.1\r\nContent-Length: 99999999999\r\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with live_server(tmp_path_factory.mktemp("live"), experts=[ECHO]) as live:
        yield live


@pytest.mark.parametrize(("raw", "status", "code"), [
    (TOO_LARGE + b"\r\n", 413, "request_too_large"),
    (b"GET /v1/models HTTP/1.1\r\nA: " + b"x" * 70_000 + b"\r\n\r\n", 431, "headers_too_large"),
    (b"GET /v1/models HTTP/1.1\r\nno colon\r\n\r\n", 400, "bad_request"),
    (b"POST /v1/models HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n", 501, "internal_error"),
])
def test_a_refused_request_has_a_code_and_an_id(server: Live, raw: bytes, status: int, code: str) -> None:
    reply = send(server, raw)
    assert_refused(reply, "/v1", status)
    assert reply.json["error"]["code"] == code
    assert len(reply.headers["x-request-id"]) == 24


def test_a_refused_request_keeps_the_id_its_client_gave_unless_it_is_insane(server: Live) -> None:
    given = [send(server, TOO_LARGE + b"X-Request-Id: %s\r\n\r\n" % name).headers["x-request-id"]
             for name in (b"my-own_id-1", b"a b")]
    assert given[0] == "my-own_id-1"
    assert len(given[1]) == 24


@pytest.mark.parametrize("kind", [BadRequest, RequestTimeout, TooLarge, HeadersTooLarge, MoeError])
def test_a_refusal_reads_like_the_application_s_own_error_of_that_status(kind: type[MoeError]) -> None:
    for path in ("/v1/x", "/api/x"):
        assert refuse(kind.status, path, "no") == (error_body(kind("no"), path), "application/json")
    assert json.loads(refuse(kind.status, "/v1/x", "no")[0])["error"]["code"] == kind.code


def test_a_status_without_a_kind_of_its_own_is_a_bad_request() -> None:
    assert json.loads(refuse(417, "/v1/x", "no")[0])["error"]["code"] == "bad_request"
