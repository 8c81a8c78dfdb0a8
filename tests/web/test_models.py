"""The model lists and pages, in both dialects, over a live server."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from moe.config.rules import ORCHESTRATORS
from moe.pipeline.modes.known import MODES
from tests.adversarial.kit import ask, assert_refused, becomes_true, call, post
from tests.backends.tiny import GENERAL
from tests.fakes import FakeModel, FakeOllama, fake_ollama, hang, http_error
from tests.live import Live, live_server

MODELS_HOME = GENERAL.parent
LARGE = FakeModel.guessed("gemma3:27b")
MODELS = (LARGE, FakeModel("library.example/team/phi4:14b", context_length=16_384), FakeModel("nomic-embed-text",
          capabilities=("embedding",)), FakeModel("cloudy:1t", remote_host="https://ollama.com"))
EXPERTS = (
    {"id": 0, "label": "fallback", "model_name": "auto"},
    {"id": 1, "label": "math", "model_name": "gemma3:27b", "aliases": ["Adder"], "description": "Sums\nand more",
     "system_prompt": 'Say """exactly""".', "keywords": ["integral"]},
    {"id": 2, "label": "lost", "model_name": "not-there:1b"},
)


@pytest.fixture(scope="module")
def ollama() -> Iterator[FakeOllama]:
    with fake_ollama(MODELS) as fake:
        yield fake


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, ollama: FakeOllama) -> Iterator[Live]:
    config = {"expert_runner": {"ollama_url": ollama.url}}
    with live_server(tmp_path_factory.mktemp("live"), config=config, experts=EXPERTS) as live:
        assert becomes_true(lambda: live.gateway.catalog.find("gemma3:27b") is not None)
        yield live


def names(server: Live) -> list[str]:
    return [model["id"] for model in call(server, "GET", "/v1/models").json["data"]]


def test_both_lists_name_the_router_every_expert_and_every_model(server: Live) -> None:
    models = [model.name for model in server.gateway.catalog.cards()]
    assert names(server) == ["lemoe", *ORCHESTRATORS, "fallback", "math", "lost", *models]
    tags = [model["name"] for model in call(server, "GET", "/api/tags").json["models"]]
    own = ("lemoe", *ORCHESTRATORS, "fallback", "math", "lost")
    assert tags[: len(own)] == [f"{name}:latest" for name in own]
    assert "gemma3:27b" in tags
    assert len(tags) == len(names(server))


def test_every_name_of_either_list_can_be_shown_and_asked(server: Live) -> None:
    for model in call(server, "GET", "/api/tags").json["models"]:
        assert model["name"] == model["model"]
        assert post(server, "/api/show", {"model": model["model"]}).status == 200
    for name in names(server):
        assert call(server, "GET", f"/v1/models/{name}").json["id"] == name
        reply = ask(server, model=name)
        if name.startswith("nomic"):  # nobody stands in for a model that was named and cannot chat
            assert (reply.status, reply.message) == (400, f'"{name}" does not support chat')
        else:
            assert (reply.status, "x-moe-fallback" in reply.headers) == (200, name == "lost")


def test_an_openai_entry_has_what_its_clients_read_and_says_where_it_leads(server: Live) -> None:
    by_id = {model["id"]: model for model in call(server, "GET", "/v1/models").json["data"]}
    for model in by_id.values():
        assert {"id", "object", "created", "owned_by"} <= model.keys()
        assert (model["object"], type(model["created"])) == ("model", int)
    assert by_id["math"]["x_moe"]["routes_to"] == "gemma3:27b"
    assert by_id["fallback"]["x_moe"]["routes_to"] == "gemma3:27b"  # the choice of "auto"
    assert by_id["gemma3:27b"]["owned_by"] == "library"


def test_an_ollama_entry_has_what_its_clients_read(server: Live) -> None:
    for model in call(server, "GET", "/api/tags").json["models"]:
        assert re.fullmatch(r"[0-9a-f]{64}", model["digest"])
        assert datetime.fromisoformat(model["modified_at"].replace("Z", "+00:00")).tzinfo
        assert {"size", "details"} <= model.keys()
        assert {"family", "families", "parameter_size", "quantization_level", "format"} <= model["details"].keys()


@pytest.mark.parametrize("name", ["math", "MATH", "math:latest", "adder", "Adder:latest", "lemoe", "moe", "auto",
                                  "moe-orchestrator", "MoE-Orchestrator-Code:latest",
                                  "gemma3:27b", "GEMMA3:27B", "nomic-embed-text", "library.example/team/phi4:14b"])
def test_a_name_is_found_however_it_is_spelt(server: Live, name: str) -> None:
    assert call(server, "GET", f"/v1/models/{name}").status == 200
    for key in ("model", "name"):
        assert post(server, "/api/show", {key: name}).status == 200


@pytest.mark.parametrize("name", ["nobody", "gemma3", "team/phi4", "math:7b", "math/latest", "xgpt-4o"])
def test_an_unknown_name_is_a_404_in_the_words_of_the_dialect(server: Live, name: str) -> None:
    reply = call(server, "GET", f"/v1/models/{name}")
    assert_refused(reply, "/v1", 404)
    assert reply.json["error"]["code"] == "model_not_found"
    told = post(server, "/api/show", {"model": name})
    assert_refused(told, "/api", 404)
    assert told.json == {"error": f"model '{name}' not found"}


@pytest.mark.parametrize("body", [{}, {"model": ""}, {"name": None}, {"model": None, "name": ""}])
def test_show_without_a_name_is_a_400(server: Live, body: dict[str, object]) -> None:
    assert post(server, "/api/show", body).json == {"error": "model is required"}


def test_show_tells_what_clients_plan_with(server: Live) -> None:
    shown = post(server, "/api/show", {"model": "math"}).json
    info = shown["model_info"]
    assert info[f"{info['general.architecture']}.context_length"] == LARGE.context_length
    assert set(shown["capabilities"]) == set(LARGE.capabilities)
    assert "general.basename" not in info
    assert {"license", "modelfile", "parameters", "template", "details", "modified_at"} <= shown.keys()
    assert "# Sums and more\n" in shown["modelfile"]


def test_show_passes_on_what_the_node_says_of_its_model(server: Live, ollama: FakeOllama) -> None:
    asked = len(ollama.requests_to("/api/show"))
    shown = post(server, "/api/show", {"model": "GEMMA3:27b"}).json
    assert shown["model_info"] == LARGE.card["model_info"]
    assert (shown["license"], shown["modelfile"]) == (LARGE.card["license"], LARGE.card["modelfile"])
    assert shown["capabilities"] == list(LARGE.capabilities)
    assert len(ollama.requests_to("/api/show")) == asked  # it is known
    assert post(server, "/api/show", {"model": "gemma3:27b", "verbose": True}).status == 200
    assert ollama.requests_to("/api/show")[-1].json == {"model": "gemma3:27b", "verbose": True}


def test_show_of_a_node_that_fails_tells_what_is_known(server: Live, ollama: FakeOllama) -> None:
    ollama.script("/api/show", [http_error(500)])
    try:
        shown = post(server, "/api/show", {"model": "gemma3:27b", "verbose": True})
        assert shown.json["model_info"] == LARGE.card["model_info"]
    finally:
        ollama.script("/api/show", [])


def test_every_page_has_what_clients_read_of_a_model(server: Live) -> None:
    for name in names(server):
        info = post(server, "/api/show", {"model": name}).json["model_info"]
        family = info["general.architecture"]
        assert {"general.parameter_count", f"{family}.context_length", f"{family}.embedding_length"} <= info.keys()
        assert None not in info.values()


def test_the_router_can_what_any_of_its_experts_can_and_says_whom_it_leads_to(server: Live) -> None:
    shown = post(server, "/api/show", {"model": "lemoe"}).json
    assert shown["capabilities"] == ["completion", "tools", "vision"]
    assert "math (gemma3:27b)" in shown["modelfile"]
    for name in ORCHESTRATORS:
        mode = post(server, "/api/show", {"model": f"{name.upper()}:latest"}).json
        assert mode["capabilities"] == shown["capabilities"]
        assert "math (gemma3:27b)" in mode["modelfile"]
        assert MODES[name].description in mode["modelfile"]
        assert call(server, "GET", f"/v1/models/{name.upper()}:latest").json["id"] == name
    expert = post(server, "/api/show", {"model": "math"}).json
    assert expert["details"]["parent_model"] == "gemma3:27b"


def test_a_model_in_onnx_form_is_no_gguf(tmp_path: Path) -> None:
    tiny = {"id": 1, "label": "tiny", "type": "local", "model_path": "general-onnx", "keywords": ["x"]}
    with live_server(tmp_path, experts=[{"id": 0, "label": "fallback"}, tiny], models_folder=MODELS_HOME) as live:
        assert ask(live, model="tiny").status == 200
        (loaded,) = call(live, "GET", "/api/ps").json["models"]
        assert loaded["details"]["format"] == "onnx"
        by_name = {model["name"]: model for model in call(live, "GET", "/api/tags").json["models"]}
        assert by_name["tiny:latest"]["details"]["format"] == "onnx"
        assert by_name["general:latest"]["details"]["format"] == "gguf"
        assert post(live, "/api/show", {"model": "tiny"}).json["details"]["format"] == "onnx"
        shown = post(live, "/api/show", {"model": "general"}).json
        assert shown["model_info"]["llama.block_count"] > 0
        assert shown["template"].startswith("{%")


def test_show_names_the_model_for_github_copilot(server: Live) -> None:
    headers = {"User-Agent": "GitHubCopilotChat/0.30"}
    shown = post(server, "/api/show", {"model": "Adder"}, headers=headers).json
    assert shown["model_info"]["general.basename"] == "Adder"


def test_ps_lists_what_is_in_memory(server: Live, ollama: FakeOllama) -> None:
    assert ask(server, model="gemma3:27b").status == 200
    assert becomes_true(lambda: bool(call(server, "GET", "/api/ps").json["models"]))
    loaded = call(server, "GET", "/api/ps").json["models"]
    assert "gemma3:27b" in [model["name"] for model in loaded]
    for model in loaded:
        assert datetime.fromisoformat(model["expires_at"].replace("Z", "+00:00")) > datetime.fromisoformat(
            "2026-01-01T00:00:00+00:00")
        assert model["size"] >= model["size_vram"] >= 0


def test_a_model_of_ollamas_cloud_serves_no_expert(server: Live) -> None:
    cards = {model["id"]: model for model in call(server, "GET", "/v1/models").json["data"]}
    assert "cloudy:1t" not in [card["x_moe"]["routes_to"] for card in cards.values()]


def test_the_lists_ask_the_node_nothing_while_the_client_waits(server: Live, ollama: FakeOllama) -> None:
    ollama.script("/api/tags", [hang()])
    ollama.script("/api/ps", [hang()])
    try:
        began = time.monotonic()
        for path in ("/v1/models", "/api/tags", "/api/ps", "/v1/models/math", "/health") * 20:
            assert call(server, "GET", path).status == 200
        assert time.monotonic() - began < 10
    finally:
        ollama.script("/api/tags", [])
        ollama.script("/api/ps", [])
