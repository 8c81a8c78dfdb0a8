"""Vectors over a live server: from the encoder in this process, and from the Ollamas behind it."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import ollama
import openai
import pytest

from moe.embed import OnnxEmbedder
from tests.adversarial.kit import ask, assert_refused, becomes_true, call, connect, post, write_request
from tests.embed.kit import axes, make_encoder, make_pair, make_pieces
from tests.embed.test_openai_tokens import write_table
from tests.fakes import FakeModel, FakeOllama, Request, fake_ollama, hang, http_error
from tests.fakes.speech import embed
from tests.live import Live, live_server

NOMIC = "nomic-embed-text:latest"
EXPERTS = (
    {"id": 0, "label": "fallback", "model_name": "gemma3:4b"},
    {"id": 1, "label": "finder", "model_name": "nomic-embed-text", "aliases": ["text-embedding-3-small"],
     "description": "finds", "keywords": ["find"]},
    {"id": 2, "label": "far", "model_name": "gemma3:4b", "keywords": ["far"]},
)
MODELS = ("gemma3:4b", FakeModel("nomic-embed-text", capabilities=("embedding",)),
          FakeModel("all-minilm", capabilities=("embedding",)))


@pytest.fixture
def near() -> Iterator[FakeOllama]:
    with fake_ollama(MODELS) as fake:
        yield fake


@pytest.fixture
def far() -> Iterator[FakeOllama]:
    with fake_ollama(MODELS[:2]) as fake:
        yield fake


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """Where set-up made a pair, whose MiniLM knows seven words."""
    folder = tmp_path / "models"
    encoders = folder / "encoder"
    make_pair(encoders / "pair", make_pieces(encoders / "pieces"), make_encoder(encoders / "all-MiniLM-L6-v2"))
    (encoders / "current").write_text("pair")
    return write_table(folder)


@pytest.fixture
def server(tmp_path: Path, models: Path, near: FakeOllama, far: FakeOllama) -> Iterator[Live]:
    experts = [*EXPERTS[:2], {**EXPERTS[2], "url": far.url}]
    config = {"expert_runner": {"ollama_url": near.url}}
    with live_server(tmp_path, config=config, experts=experts, models_folder=models) as live:
        assert becomes_true(lambda: len(live.gateway.catalog.holders("nomic-embed-text")) == 2)
        yield live


@pytest.fixture
def gpt(server: Live) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="x", max_retries=0) as client:
        yield client


def sent(*nodes: FakeOllama, path: str = "/api/embed") -> list[Request]:
    return [request for node in nodes for request in node.requests_to(path)]


# The encoder in this process


def test_openais_client_gets_the_same_vectors_packed_and_plain(gpt: openai.OpenAI) -> None:
    packed = gpt.embeddings.create(model="all-minilm", input=["soup salt", "fever"])
    plain = gpt.embeddings.create(model="ALL-MINILM:latest", input=["soup salt", "fever"], encoding_format="float")
    for made in (packed, plain):
        assert made.model == "all-minilm"
        assert [entry.index for entry in made.data] == [0, 1]
        assert np.allclose(made.data[0].embedding, axes("soup", "salt"), atol=1e-6)
        assert np.allclose(made.data[1].embedding, axes("fever"), atol=1e-6)
        assert (made.usage.prompt_tokens, made.usage.total_tokens) == (3, 3)


def test_ollamas_client_gets_them_in_both_forms(server: Live) -> None:
    with ollama.Client(host=server.url) as client:
        made = client.embed("all-minilm", ["soup", "salt soup"])
        assert np.allclose(made.embeddings, [axes("soup"), axes("soup", "salt")], atol=1e-6)
        assert (made.model, made.prompt_eval_count) == ("all-minilm", 3)
        assert (made.total_duration or 0) > (made.load_duration or 0) > 0
        assert np.allclose(client.embeddings("all-minilm", "fever").embedding, axes("fever"), atol=1e-6)
        assert client.embeddings("all-minilm", "").embedding == []
    assert post(server, "/api/embed", {"model": "all-minilm"}).json["embeddings"] == []


def test_tokens_of_openais_are_read_as_the_text_they_were(gpt: openai.OpenAI) -> None:
    made = gpt.embeddings.create(model="all-minilm", input=[[0, 1, 2], [0]])  # "soup and salt", "soup"
    assert np.allclose(made.data[1].embedding, axes("soup"), atol=1e-6)
    assert made.usage.prompt_tokens == 4


def test_fewer_dimensions_are_the_first_ones_at_unit_length(gpt: openai.OpenAI) -> None:
    made = gpt.embeddings.create(model="all-minilm", input="query soup salt", dimensions=5).data[0].embedding
    assert np.allclose(made, axes("query", "soup")[:5], atol=1e-6)
    with pytest.raises(openai.BadRequestError) as refused:
        gpt.embeddings.create(model="all-minilm", input="soup", dimensions=8)
    assert refused.value.param == "dimensions"


def test_a_long_text_is_cut_at_its_end_or_refused_as_the_client_says(server: Live) -> None:
    text = "soup " * 10 + "fever " * 40
    made = post(server, "/api/embed", {"model": "all-minilm", "input": text}).json
    assert made["prompt_eval_count"] == 16
    assert np.argmax(made["embeddings"][0]) == np.argmax(axes("soup"))
    refused = post(server, "/api/embed", {"model": "all-minilm", "input": ["soup", text], "truncate": False})
    assert_refused(refused, "/api", 400)
    assert refused.message == "the input length exceeds the context length: 50 tokens, at most 16"


def test_what_has_no_token_is_a_vector_of_zeros_and_half_a_character_is_read(server: Live) -> None:
    body = b'{"model": "all-minilm", "input": ["", "\\ud83d soup"]}'
    empty, broken = post(server, "/api/embed", body).json["embeddings"]
    assert empty == [0.0] * 7
    assert np.isclose(np.linalg.norm(broken), 1)


def test_the_routers_own_names_mean_its_encoder(gpt: openai.OpenAI) -> None:
    for name in ("lemoe", "auto", "moe:latest", "all-MiniLM-L6-v2"):
        assert gpt.embeddings.create(model=name, input="soup").model == "all-minilm"


def test_it_is_listed_and_shown_but_does_not_chat(server: Live, near: FakeOllama) -> None:
    assert server.gateway.router.mode == "keyword"
    listed = [entry["id"] for entry in call(server, "GET", "/v1/models").json["data"]]
    assert [name for name in listed if "minilm" in name] == ["all-minilm"]  # the node has one too
    shown = post(server, "/api/show", {"model": "all-minilm"}).json
    assert shown["capabilities"] == ["embedding"]
    assert shown["details"]["format"] == "onnx"
    assert (shown["model_info"]["bert.context_length"], shown["model_info"]["bert.embedding_length"]) == (16, 7)
    for path, verb in (("/v1/chat/completions", "chat"), ("/api/chat", "chat"), ("/api/generate", "generate")):
        reply = ask(server, path=path, model="all-minilm")
        assert_refused(reply, path, 400)
        assert reply.message == f'"all-minilm" does not support {verb}'
    post(server, "/api/embed", {"model": "all-minilm", "input": "soup"})
    assert not near.requests_to("/api/embed")  # whichever node is up, the vectors are the same


def test_a_name_made_for_it_makes_its_vectors(server: Live, gpt: openai.OpenAI) -> None:
    made = post(server, "/api/create", {"model": "ada", "from": "all-minilm", "stream": False})
    assert made.json == {"status": "success"}
    assert np.allclose(gpt.embeddings.create(model="ada", input="soup").data[0].embedding, axes("soup"), atol=1e-6)
    assert post(server, "/api/show", {"model": "ada"}).json["capabilities"] == ["embedding"]
    assert ask(server, model="ada").message == '"ada" does not support chat'
    assert post(server, "/api/pull", {"model": "all-minilm", "stream": False}).json == {"status": "success"}


def test_without_an_encoder_the_nodes_model_of_its_name_serves(tmp_path: Path, near: FakeOllama) -> None:
    config = {"expert_runner": {"ollama_url": near.url}}
    with live_server(tmp_path, config=config, experts=EXPERTS) as live:
        assert becomes_true(lambda: live.gateway.catalog.find("all-minilm") is not None)
        made = post(live, "/api/embed", {"model": "all-minilm", "input": "soup"}).json
        assert made["embeddings"] == [pytest.approx(embed("soup", 16))]
        assert_refused(post(live, "/api/embed", {"model": "lemoe", "input": "soup"}), "/api", 503)


def test_an_encoder_that_cannot_be_opened_is_a_503_that_says_what_to_do(server: Live, models: Path) -> None:
    (models / "encoder" / "all-MiniLM-L6-v2" / "tokenizer.json").write_text("{")
    reply = post(server, "/v1/embeddings", {"model": "all-minilm", "input": "soup"})
    assert_refused(reply, "/v1", 503)
    assert "./setup.sh" in reply.message and str(models) not in reply.message


def test_a_long_batch_lets_others_in_between_and_ends_when_its_client_leaves(
    server: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs: list[float] = []
    run = OnnxEmbedder.run_tokens

    def slow(encoder: OnnxEmbedder, tokens: Any) -> Any:
        runs.append(time.monotonic())
        time.sleep(0.01)
        return run(encoder, tokens)

    monkeypatch.setattr(OnnxEmbedder, "run_tokens", slow)
    body = json.dumps({"model": "all-minilm", "input": ["soup"] * 2000}).encode()
    with connect(server) as sock:
        sock.sendall(write_request("POST", "/v1/embeddings", body, host="localhost"))
        assert becomes_true(lambda: len(runs) > 3)
        began = time.monotonic()
        assert post(server, "/api/embed", {"model": "all-minilm", "input": "salt"}).status == 200
        assert time.monotonic() - began < 5  # alone the batch takes 20 s
        sock.shutdown(socket.SHUT_RDWR)
    assert becomes_true(lambda: time.monotonic() - runs[-1] > 1, within_s=10)
    assert len(runs) < 2000


def test_a_batch_may_be_larger_than_a_prompt(server: Live) -> None:
    texts = ["soup " * 800] * 300
    reply = post(server, "/v1/embeddings", {"model": "all-minilm", "input": texts})
    assert len(reply.json["data"]) == 300
    too_large = post(server, "/v1/embeddings", {"model": "all-minilm", "input": "soup " * 5_000_000})
    assert_refused(too_large, "/v1", 413)


# The nodes' models


@pytest.mark.parametrize("name", ["nomic-embed-text", "NOMIC-embed-text:latest", "finder", "text-embedding-3-small"])
def test_a_nodes_model_is_asked_by_its_name_or_its_experts(gpt: openai.OpenAI, name: str) -> None:
    made = gpt.embeddings.create(model=name, input=["one", "two words"])
    assert [entry.embedding for entry in made.data] == [pytest.approx(embed(text, 16), abs=1e-6)
                                                        for text in ("one", "two words")]
    assert made.model == NOMIC
    assert made.usage.prompt_tokens > 0


def test_what_an_ollama_client_says_beside_the_text_reaches_the_node(
    server: Live, near: FakeOllama, far: FakeOllama
) -> None:
    asked = {"model": "nomic-embed-text", "input": ["a"], "truncate": False, "dimensions": 5, "keep_alive": "7m",
             "options": {"num_ctx": 512, "seed": None}}
    made = post(server, "/api/embed", asked).json
    assert (len(made["embeddings"][0]), made["model"]) == (5, "nomic-embed-text")
    (request,) = sent(near, far)
    assert request.json == {**asked, "model": NOMIC, "options": {"num_ctx": 512}}
    single = post(server, "/api/embeddings", {"model": "nomic-embed-text", "prompt": "a"}).json
    assert single == {"embedding": pytest.approx(embed("a", 16))}
    assert post(server, "/api/embed", {"model": "nomic-embed-text", "input": []}).json["embeddings"] == []
    assert len(sent(near, far, path="/api/embeddings")) == 1


def test_a_large_batch_goes_out_in_parts_and_comes_back_in_order(server: Live, near: FakeOllama,
                                                                 far: FakeOllama) -> None:
    texts = [f"text {number}" for number in range(150)]
    made = post(server, "/api/embed", {"model": "nomic-embed-text", "input": texts}).json
    assert made["embeddings"] == [pytest.approx(embed(text, 16)) for text in texts]
    assert made["prompt_eval_count"] >= 150
    assert len(sent(near, far)) == 3


@pytest.mark.parametrize("step", [http_error(500), http_error(503), http_error(404)])
def test_another_node_that_has_the_model_stands_in(server: Live, near: FakeOllama, far: FakeOllama, step: Any) -> None:
    near.script(NOMIC, [step])
    for _ in range(3):
        reply = post(server, "/api/embed", {"model": "nomic-embed-text", "input": "a"})
        assert reply.json["embeddings"] == [pytest.approx(embed("a", 16))]
    far.close()
    assert post(server, "/api/embed", {"model": "nomic-embed-text", "input": "a"}).status in (404, 500, 503)


def test_a_nodes_refusal_is_passed_on_and_no_other_node_is_asked(
    server: Live, near: FakeOllama, far: FakeOllama
) -> None:
    told = {"error": "the input length exceeds the context length"}
    for node in (near, far):
        node.script(NOMIC, [http_error(400, told)])
    assert post(server, "/api/embed", {"model": "nomic-embed-text", "input": "a"}).json == told
    assert len(sent(near, far)) == 1


def test_a_chat_model_that_cannot_is_told_in_the_nodes_words(server: Live, near: FakeOllama, far: FakeOllama) -> None:
    for node in (near, far):
        node.script("/api/embed", [http_error(501, {"error": "this model does not support embeddings"})])
    reply = post(server, "/v1/embeddings", {"model": "gemma3:4b", "input": "a"})
    assert_refused(reply, "/v1", 501)
    assert reply.message == "this model does not support embeddings"


def test_a_client_that_leaves_ends_the_nodes_work(server: Live, near: FakeOllama, far: FakeOllama) -> None:
    for node in (near, far):
        node.script("/api/embed", [hang()])
    body = json.dumps({"model": "nomic-embed-text", "input": "a"}).encode()
    with connect(server) as sock:
        sock.sendall(write_request("POST", "/api/embed", body, host="localhost"))
        assert becomes_true(lambda: bool(sent(near, far)))
    (request,) = sent(near, far)
    assert becomes_true(lambda: request.closed_early_at is not None, within_s=5)


# What makes none


@pytest.mark.parametrize(("name", "status"), [("fallback", 400), ("nobody", 404), ("gpt-4o", 404), ("", 400)])
def test_a_name_without_vectors_is_refused_in_the_words_of_the_dialect(server: Live, name: str, status: int) -> None:
    for path in ("/v1/embeddings", "/api/embed"):
        reply = post(server, path, {"model": name, "input": "a"})
        assert_refused(reply, path, status)
        if status == 404:
            assert reply.message == (f"model '{name}' not found" if path.startswith("/v1")
                                     else f'model "{name}" not found, try pulling it first')
        elif name:
            assert reply.message == f'"{name}" does not support embeddings'


def test_only_post_is_served(server: Live) -> None:
    for path in ("/v1/embeddings", "/api/embed", "/api/embeddings"):
        assert_refused(call(server, "GET", path), path, 405)
