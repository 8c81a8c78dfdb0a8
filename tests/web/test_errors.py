"""Requests that are refused before the application sees them: they carry what its own errors carry."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest

from moe.errors import (
    BadAnswer,
    BadRequest,
    BrokenStream,
    Busy,
    ConfigError,
    HeadersTooLarge,
    InvalidAnswer,
    MoeError,
    NotReady,
    RequestTimeout,
    TimedOut,
    TooLarge,
    Unanswered,
    Unreachable,
    UpstreamFailure,
)
from moe.store import NotStored
from moe.web.errors import error_body, is_lasting, refuse
from tests.adversarial.kit import ECHO, assert_refused, post, send
from tests.fakes import answer, fake_ollama
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


@pytest.mark.parametrize(("error", "lasts"), [
    (InvalidAnswer("no", said="x", fault="y"), True), (ConfigError(("no",)), True), (NotReady(), True),
    (NotStored(), True), (UpstreamFailure("no", upstream_status=401), True),
    (UpstreamFailure("no", upstream_status=503), False), (UpstreamFailure("no", upstream_status=429), False),
    (BadAnswer(), False), (Unreachable(), False), (TimedOut(), False), (BrokenStream(), False), (Busy(), False),
    (Unanswered(()), False), (MoeError(), False), (BadRequest("no"), False),
])
def test_a_failure_lasts_that_no_second_request_would_mend(error: MoeError, lasts: bool) -> None:
    assert is_lasting(error) is lasts


def test_no_client_tries_again_what_fails_for_good(tmp_path: Path) -> None:
    """The model keeps to no schema, however often it is asked."""
    form = {"type": "json_schema", "json_schema": {"name": "a", "strict": True, "schema": {
        "type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}}}
    with fake_ollama(["m:4b"]) as fake:
        config = {"expert_runner": {"ollama_url": fake.url, "retries": 0}}
        experts = [{"id": 0, "label": "fallback", "model_name": "m:4b"}]
        with live_server(tmp_path, config=config, experts=experts) as live:
            fake.script("m:4b", [answer('{"a": "x"}')] * 9)
            body = {"messages": [{"role": "user", "content": "x"}], "response_format": form}
            reply = post(live, "/v1/chat/completions", body)
            asked = len(fake.requests_to("/api/chat"))
            with openai.OpenAI(base_url=f"{live.url}/v1", api_key="none", max_retries=2) as client, \
                    pytest.raises(openai.InternalServerError):
                client.post("/chat/completions", body=body, cast_to=object)
            assert len(fake.requests_to("/api/chat")) == 2 * asked > 0
    assert (reply.status, reply.json["error"]["code"]) == (502, "invalid_structured_output")
    assert reply.headers["x-should-retry"] == "false"
