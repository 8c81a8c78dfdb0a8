"""What clients of Ollama's own count on, over a live server in front of fake Ollamas."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from ollama import Client

from tests.adversarial.kit import Reply, ask, becomes_true, call, post
from tests.embed.kit import make_encoder, make_pair, make_pieces
from tests.fakes import FakeModel, FakeOllama, answer, fake_ollama, hang
from tests.live import Live, live_server

BIG = FakeModel("big", capabilities=("completion", "tools"))
THINKER = FakeModel("qwen3:8b", capabilities=("completion", "thinking"))
NOMIC = FakeModel("nomic-embed-text", capabilities=("embedding",))
EXPERTS = (
    {"id": 0, "label": "fallback", "model_name": "big"},
    {"id": 1, "label": "math", "model_name": "big", "system_prompt": "Reckon.", "description": "sums\nand more",
     "keywords": ["integral"]},
)


@pytest.fixture
def ollama() -> Iterator[FakeOllama]:
    with fake_ollama((BIG, THINKER, NOMIC)) as fake:
        yield fake


@pytest.fixture
def server(tmp_path: Path, ollama: FakeOllama) -> Iterator[Live]:
    with serve(tmp_path, ollama) as live:
        yield live


def serve(folder: Path, ollama: FakeOllama, **more: Any) -> Any:
    return live_server(folder, config={"expert_runner": {"ollama_url": ollama.url}, **more}, experts=EXPERTS,
                       models_folder=folder / "models")


def generate(server: Live, **fields: Any) -> Reply:
    return post(server, "/api/generate", {"stream": False, **fields})


# A conversation by /api/generate


@pytest.mark.parametrize("streams", [False, True])
def test_a_context_carries_a_conversation_on_and_is_routed_by_all_of_it(
    server: Live, ollama: FakeOllama, streams: bool
) -> None:
    ollama.script("/api/chat", [answer("It is x²/2."), answer("Yes.")])
    first = generate(server, model="lemoe", prompt="what is the integral of x", system="Be brief.", stream=streams)
    context = json.loads(first.body.splitlines()[-1])["context"]
    second = generate(server, model="lemoe", prompt="are you sure?", context=context)
    assert [reply.headers["x-moe-expert"] for reply in (first, second)] == ["math", "math"]
    assert [(turn["role"], turn["content"]) for turn in ollama.requests_to("/api/chat")[-1].json["messages"]] == [
        ("system", "Be brief."), ("user", "what is the integral of x"), ("assistant", "It is x²/2."),
        ("user", "are you sure?")]
    assert len(second.json["context"]) > len(context)


def test_ollama_s_own_client_can_carry_it_on(server: Live, ollama: FakeOllama) -> None:
    with Client(host=server.url) as client:
        first = client.generate("big", "hello")
        assert first.context
        client.generate("big", "again", context=first.context)
    assert [turn["content"] for turn in ollama.requests_to("/api/chat")[-1].json["messages"]][::2] == ["hello", "again"]


def test_a_node_s_own_context_goes_back_to_it(server: Live, ollama: FakeOllama) -> None:
    reply = generate(server, model="big", prompt="hi", context=[7, 8, 9])
    assert ollama.requests_to("/api/generate")[-1].json["context"] == [7, 8, 9]
    assert reply.json["context"][:3] == [7, 8, 9]


def test_a_context_that_was_changed_is_refused_in_words(server: Live) -> None:
    context = generate(server, model="big", prompt="hi").json["context"]
    reply = generate(server, model="big", prompt="hi", context=[*context, 1])
    assert reply.status == 400
    assert reply.message.startswith("context: ")


# Who answered


@pytest.mark.parametrize("path", ["/api/chat", "/api/generate", "/v1/chat/completions"])
def test_a_model_or_alias_that_was_named_is_named_so_in_the_reply(server: Live, path: str) -> None:
    post(server, "/api/create", {"model": "tutor", "from": "math", "stream": False})
    for name in ("big", "BIG:latest", "library/big", "tutor", "Tutor:latest"):
        assert ask(server, path=path, model=name).json["model"] == name
        streamed = ask(server, path=path, model=name, stream=True).body.splitlines()[0].removeprefix(b"data: ")
        assert json.loads(streamed)["model"] == name
    for name, label in (("lemoe", "fallback"), ("math:latest", "math"), ("gpt-4o", "fallback"), ("", "fallback")):
        assert ask(server, path=path, model=name).json["model"] == label


def test_a_chore_that_is_routed_to_a_loaded_model_names_that_model(server: Live, ollama: FakeOllama) -> None:
    assert ask(server, model="big").status == 200
    assert becomes_true(lambda: bool(call(server, "GET", "/api/ps").json["models"]))
    title = "### Task:\nGenerate a concise, 3-5 word title with an emoji.\n<chat_history>\nhi\n</chat_history>"
    assert ask(server, title, path="/api/chat", model="lemoe").json["model"] == "big:latest"


# What a model cannot do


def test_who_names_a_model_is_told_what_it_cannot_in_ollama_s_words(server: Live, ollama: FakeOllama) -> None:
    for path, verb in (("/api/chat", "chat"), ("/api/generate", "generate"), ("/v1/chat/completions", "chat")):
        reply = ask(server, path=path, model="nomic-embed-text:latest")
        assert (reply.status, reply.message) == (400, f'"nomic-embed-text:latest" does not support {verb}')
    for path in ("/api/chat", "/api/generate"):
        for asked in (True, "high"):
            reply = ask(server, path=path, model="big", think=asked)
            assert (reply.status, reply.message) == (400, '"big" does not support thinking')
        assert ask(server, path=path, model="big", think=False).status == 200
        assert ask(server, path=path, model="qwen3:8b", think=True).status == 200
    assert not [request for request in ollama.requests if "nomic" in request.body.decode() and "prompt" in request.json]


def test_who_is_routed_is_told_under_the_name_it_used(server: Live) -> None:
    routed = ask(server, path="/api/chat", model="math", think=True)
    assert (routed.status, routed.headers["x-moe-ignored"]) == (200, "think")
    foreign = ask(server, model="big", reasoning_effort="high")
    assert (foreign.status, foreign.headers["x-moe-ignored"]) == (200, "reasoning_effort")


def test_an_embedder_can_be_sent_away_as_any_model(server: Live, ollama: FakeOllama) -> None:
    for path in ("/api/generate", "/api/chat"):
        reply = post(server, path, {"model": "nomic-embed-text", "keep_alive": 0})
        assert (reply.status, reply.json["done_reason"]) == (200, "unload")
        assert post(server, path, {"model": "nomic-embed-text"}).status == 400


def test_the_encoder_of_this_process_is_not_in_the_way_of_who_sends_it_away(
    tmp_path: Path, ollama: FakeOllama
) -> None:
    encoders = tmp_path / "models" / "encoder"
    make_pair(encoders / "pair", make_pieces(encoders / "pieces"), make_encoder(encoders / "all-MiniLM-L6-v2"))
    (encoders / "current").write_text("pair")
    with serve(tmp_path, ollama) as live:
        post(live, "/api/create", {"model": "ada", "from": "all-minilm", "stream": False})
        for name in ("all-minilm", "ada"):
            for asked in (0, "0s"):
                gone = post(live, "/api/generate", {"model": name, "keep_alive": asked})
                told = {"model": name, "response": "", "done": True, "done_reason": "unload"}
                assert (gone.status, {**gone.json, **told}) == (200, gone.json)
            assert post(live, "/api/chat", {"model": name, "keep_alive": 0}).json["message"]["content"] == ""
            for path, verb in (("/api/generate", "generate"), ("/api/chat", "chat")):
                for fields in ({}, {"prompt": "hi", "messages": [{"role": "user", "content": "hi"}]}):
                    refused = post(live, path, {"model": name, **fields})
                    assert (refused.status, refused.message) == (400, f'"{name}" does not support {verb}')
        assert post(live, "/api/embed", {"model": "all-minilm", "input": "soup"}).status == 200


def test_a_switch_of_a_model_s_own_template_reaches_it(server: Live, ollama: FakeOllama) -> None:
    messages = [{"role": "control", "content": "thinking"}, {"role": "user", "content": "hi"}]
    assert post(server, "/api/chat", {"model": "big", "messages": messages, "stream": False}).status == 200
    assert ollama.requests_to("/api/chat")[-1].json["messages"] == messages


# What others do on the node


@pytest.mark.parametrize("way", ["chat", "generate", "show", "v1", "embed"])
def test_a_model_pulled_on_the_node_itself_can_be_asked_at_once(server: Live, ollama: FakeOllama, way: str) -> None:
    assert ask(server, model="big").status == 200
    ollama.models.add(FakeModel("gpt-oss:20b", capabilities=("completion", "embedding")))
    if way in ("chat", "generate"):
        reply = ask(server, path=f"/api/{way}", model="gpt-oss:20b")
        assert reply.headers["x-moe-model"] == "gpt-oss:20b"  # no name of somebody's cloud, since it is there
    elif way == "v1":
        reply = call(server, "GET", "/v1/models/gpt-oss:20b")
        assert reply.json["id"] == "gpt-oss:20b"
    else:
        reply = post(server, f"/api/{way}", {"model": "gpt-oss:20b", "input": "x"})
    assert reply.status == 200


def test_unknown_names_make_no_storm(server: Live, ollama: FakeOllama) -> None:
    assert ask(server, model="big").status == 200
    ollama.forget_requests()
    began = time.monotonic()
    for number in range(30):
        assert ask(server, model=f"nobody{number}").status == 404
        assert post(server, "/api/show", {"model": "nobody"}).status == 404
    assert len(ollama.requests_to("/api/tags")) <= 1 + (time.monotonic() - began) / 3


def test_a_node_that_hangs_keeps_no_unknown_name_waiting_for_long(server: Live, ollama: FakeOllama) -> None:
    assert ask(server, model="big").status == 200
    ollama.script("/api/ps", [hang()])
    ollama.script("/api/tags", [hang()])
    began = time.monotonic()
    for _ in range(10):
        assert ask(server, model="nobody").status == 404
    assert time.monotonic() - began < 9


def test_ps_shows_at_once_what_was_loaded_or_sent_away_here(server: Live) -> None:
    for _ in range(3):
        for name in ("big", "qwen3:8b"):
            assert generate(server, model=name).json["done_reason"] == "load"
            assert name in [model["name"].removesuffix(":latest") for model in loaded(server)]
            assert generate(server, model=name, keep_alive=0).json["done_reason"] == "unload"
            assert loaded(server) == []
        assert post(server, "/api/embed", {"model": "nomic-embed-text", "input": "x", "keep_alive": 0}).status == 200


def loaded(server: Live) -> list[dict[str, Any]]:
    models: list[dict[str, Any]] = call(server, "GET", "/api/ps").json["models"]
    return models


# Lists and pages


def test_what_is_made_up_here_is_described_and_not_of_1970(server: Live) -> None:
    by_name = {model["name"]: model for model in call(server, "GET", "/api/tags").json["models"]}
    assert by_name["lemoe:latest"]["description"] == "routes each prompt to the fitting expert"
    assert by_name["math:latest"]["description"] == "sums and more"
    assert "description" not in by_name["big:latest"]
    for model in by_name.values():
        assert datetime.fromisoformat(model["modified_at"].replace("Z", "+00:00")).year > 2025
    for name in ("lemoe", "math"):
        shown = post(server, "/api/show", {"model": name}).json["modified_at"]
        age = datetime.now(timezone.utc) - datetime.fromisoformat(shown.replace("Z", "+00:00"))
        assert -5 < age.total_seconds() < 300
        assert call(server, "GET", f"/v1/models/{name}").json["created"] > 1_700_000_000


def test_a_page_tells_no_parameter_that_nobody_set(server: Live) -> None:
    assert post(server, "/api/show", {"model": "math"}).json["parameters"] == ""
    assert post(server, "/api/show", {"model": "lemoe"}).json["parameters"] == ""


@pytest.mark.parametrize("name", ["gpt-4o", "claude-sonnet-4", "o3"])
def test_a_name_that_the_router_answers_to_is_shown_as_the_router(server: Live, name: str) -> None:
    assert ask(server, model=name).status == 200
    shown = post(server, "/api/show", {"model": name})
    assert (shown.status, shown.json["details"]["format"]) == (200, "moe")
    assert "routes each prompt" in shown.json["modelfile"]
    assert call(server, "GET", f"/v1/models/{name}").json["id"] == "lemoe"
    assert post(server, "/api/show", {"model": f"x{name}"}).status == 404
