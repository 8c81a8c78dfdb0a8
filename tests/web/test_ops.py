"""The root, health, version, and the router's own endpoint, over a live server."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.adversarial.kit import CHATS, ECHO, OMIT, ask, assert_refused, becomes_true, call, post, write_prompt
from tests.fakes import FakeModel, FakeOllama, fake_ollama
from tests.fakes.port import RefusedPort
from tests.live import Live, live_server

EXPERTS = (
    {"id": 0, "label": "fallback", "model_name": "general:4b"},
    {"id": 1, "label": "math", "model_name": "math:4b", "keywords": ["integral", "matrix"], "aliases": ["adder"]},
    {"id": 2, "label": "eyes", "model_name": "eyes:4b", "vision": True, "keywords": ["photo"]},
)
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


@pytest.fixture(scope="module")
def ollama() -> Iterator[FakeOllama]:
    seeing = FakeModel("eyes:4b", capabilities=("completion", "vision"))
    with fake_ollama(["general:4b", "math:4b", seeing]) as fake:
        yield fake


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, ollama: FakeOllama) -> Iterator[Live]:
    config = {"expert_runner": {"ollama_url": ollama.url}}
    with live_server(tmp_path_factory.mktemp("live"), config=config, experts=EXPERTS) as live:
        assert becomes_true(lambda: live.gateway.catalog.find("math:4b") is not None)
        yield live


# The root

@pytest.mark.parametrize("accept", ["*/*", OMIT, "text/plain", "image/png", "*/*;q=0.1",
                                    "text/plain, application/json"])
def test_a_client_that_takes_anything_is_greeted_as_ollama_greets(server: Live, accept: str) -> None:
    reply = call(server, "GET", "/", headers={"Accept": accept})
    assert (reply.status, reply.body) == (200, b"Ollama is running")
    assert reply.headers["content-type"] == "text/plain; charset=utf-8"


def test_who_asks_for_json_gets_json_and_a_browser_gets_a_page(server: Live) -> None:
    told = call(server, "GET", "/", headers={"Accept": "application/json"}).json
    assert (told["name"], told["status"]) == ("moe", "Ollama is running")
    browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
    page = call(server, "GET", "/", headers={"Accept": browser})
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert f"http://127.0.0.1:{server.port}/v1".encode() in page.body
    for link in re.findall(rb'href="([^"]+)"', page.body):
        assert call(server, "GET", link).status == 200


def test_head_on_the_root_is_claude_codes_way_of_asking(server: Live) -> None:
    reply = call(server, "HEAD", "/")
    assert (reply.status, reply.body) == (200, b"")


def test_the_version_is_a_bare_one_that_editors_can_compare(server: Live) -> None:
    version = call(server, "GET", "/api/version").json["version"]
    assert re.fullmatch(r"\d+\.\d+\.\d+", version)
    assert [int(part) for part in version.split(".")] >= [0, 6, 4]


# Health

def test_health_tells_of_experts_models_and_nodes_and_calls_no_model(server: Live, ollama: FakeOllama) -> None:
    before = len(ollama.requests_to("/api/chat"))
    told = call(server, "GET", "/health").json
    assert told["status"] == "ok"
    assert re.fullmatch(r"\d+\.\d+\.\d+\S*", told["version"])
    assert told["router"]["mode"] == "keyword"
    assert told["experts"]["math"]["model"] == "math:4b"
    assert told["experts"]["math"]["available"] is True
    assert told["experts"]["math"]["breaker"] == "closed"
    assert told["nodes"][ollama.url]["up"] is True
    assert len(ollama.requests_to("/api/chat")) == before


def test_health_is_a_200_that_says_degraded_when_nobody_can_answer(tmp_path: Path) -> None:
    with RefusedPort() as nobody, live_server(
        tmp_path, config={"expert_runner": {"ollama_url": nobody.url}}, experts=EXPERTS
    ) as live:
        assert becomes_true(lambda: "error" in call(live, "GET", "/health").json["nodes"][nobody.url])
        reply = call(live, "GET", "/health")
        assert (reply.status, reply.json["status"]) == (200, "degraded")
        math = reply.json["experts"]["math"]
        assert (math["available"], math["reason"]) == (False, "unreachable")


def test_health_shows_an_open_breaker(tmp_path: Path, ollama: FakeOllama) -> None:
    runner = {"ollama_url": ollama.url, "breaker_failures": 1, "retries": 0}
    experts = [ECHO, {"id": 1, "label": "gone", "model_name": "gone:1b"}]
    with live_server(tmp_path, config={"expert_runner": runner}, experts=experts) as live:
        assert ask(live, model="gone").headers["x-moe-fallback"] == "gone"
        assert becomes_true(lambda: call(live, "GET", "/health").json["experts"]["gone"]["breaker"] == "open")
        assert call(live, "GET", "/health").json["status"] == "degraded"


# The router's own endpoint

@pytest.mark.parametrize(("asked", "expert", "stage"), [
    ({"text": "the integral of a matrix"}, "math", "keyword"),
    ({"text": "good morning"}, "fallback", "fallback"),
    ({"text": "x", "model": "adder"}, "math", "explicit"),
    ({"text": "x", "model": "math:4b"}, "math:4b", "raw"),
    ({"messages": [{"role": "user", "content": "an integral"}]}, "math", "keyword"),
    ({"messages": [{"role": "user", "content": "an integral"}], "model": "eyes"}, "eyes", "explicit"),
    ({"messages": [{"role": "user", "content": "a matrix"}, {"role": "assistant", "content": "yes?"},
                   {"role": "user", "content": "make it shorter"}]}, "math", "keyword"),
    ({"messages": [{"role": "user", "content": [
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}}]}]}, "eyes", "vision"),
])
def test_it_decides_as_chat_would_and_calls_no_model(
    server: Live, ollama: FakeOllama, asked: dict[str, Any], expert: str, stage: str
) -> None:
    before = len(ollama.requests_to("/api/chat"))
    told = post(server, "/v1/route", asked).json
    assert len(ollama.requests_to("/api/chat")) == before
    assert (told["expert"], told["stage"]) == (expert, stage)
    messages = asked.get("messages") or [{"role": "user", "content": asked["text"]}]
    chat = post(server, "/v1/chat/completions", {"messages": messages, "model": asked.get("model")})
    assert chat.headers["x-moe-expert"] == expert
    assert chat.headers["x-moe-stage"] == stage
    assert float(chat.headers["x-moe-confidence"]) == told["confidence"]
    assert chat.headers["x-moe-model"] == told["model"]


def test_it_tells_each_experts_score_and_how_long_it_took(server: Live) -> None:
    told = call(server, "GET", "/v1/route?text=an%20integral").json
    assert set(told) == {"expert", "model", "stage", "confidence", "none_fits", "near_tie", "scores",
                         "strategy", "tier", "reason", "complexity", "elapsed_ms"}
    assert set(told["scores"]) == {"math", "eyes"}
    assert told["scores"]["math"]["score"] > told["scores"]["eyes"]["score"] == 0
    assert told["elapsed_ms"] >= 0


def test_the_query_and_the_body_lead_to_the_same_decision(server: Live) -> None:
    by_query = call(server, "GET", "/v1/route?text=a%20photo%20of%20an%20integral&model=auto").json
    by_body = post(server, "/v1/route", {"text": "a photo of an integral", "model": "auto"}).json
    for told in (by_query, by_body):
        del told["elapsed_ms"]
    assert by_query == by_body


@pytest.mark.parametrize("body", [{}, {"text": ""}, {"text": " \n"}, {"text": None}, {"messages": []}, {"text": 5},
                                  {"messages": "x"}, {"messages": [{"role": "user"}]}, {"text": ["x"]}], ids=json.dumps)
def test_nothing_to_route_is_a_400(server: Live, body: dict[str, Any]) -> None:
    assert_refused(post(server, "/v1/route", body), "/v1", 400)


def test_an_unknown_model_is_a_404_there_too(server: Live) -> None:
    assert_refused(call(server, "GET", "/v1/route?text=x&model=nobody"), "/v1", 404)
    assert_refused(post(server, "/v1/route", {"text": "x", "model": "nobody"}), "/v1", 404)


def test_routing_needs_no_upstream(tmp_path: Path) -> None:
    with live_server(tmp_path, experts=EXPERTS) as live:
        assert call(live, "GET", "/v1/route?text=an%20integral").json["expert"] == "math"


@pytest.mark.parametrize("path", CHATS)
def test_every_answer_and_every_error_names_its_request(server: Live, path: str) -> None:
    replies = [post(server, path, write_prompt(path, "x")), post(server, path, b"{"), call(server, "GET", path),
               call(server, "GET", "/nowhere"), call(server, "OPTIONS", path), call(server, "GET", "/health")]
    ids = [reply.headers["x-request-id"] for reply in replies]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[0-9a-f]{24}", each) for each in ids)
