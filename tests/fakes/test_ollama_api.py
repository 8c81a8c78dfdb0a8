"""The fake Ollama seen raw and by the official client."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import ollama
import pytest

from tests.fakes import FakeModel, FakeOllama, fake_ollama
from tests.fakes.probe import HELLO, WEATHER, ask

MODELS = (
    FakeModel("gemma3:4b", capabilities=("completion", "tools", "vision")),
    FakeModel("qwen3:8b", capabilities=("completion", "tools", "thinking")),
    FakeModel("codellama", capabilities=("completion", "insert")),
    FakeModel("glm:cloud", remote_host="https://ollama.com:443", remote_model="glm"),
    "nomic-embed-text",
)


@pytest.fixture
def fake() -> Iterator[FakeOllama]:
    with fake_ollama(MODELS) as running:
        yield running


@pytest.fixture
def client(fake: FakeOllama) -> Iterator[ollama.Client]:
    with ollama.Client(host=fake.url) as connected:
        yield connected


def chat(fake: FakeOllama, **body: Any) -> Any:
    reply = ask(fake, "/api/chat", {"model": "gemma3:4b", "messages": HELLO, "stream": False, **body})
    assert reply.status == 200
    return reply.json


def test_a_stream_is_ndjson_and_says_who_heard_what(fake: FakeOllama) -> None:
    reply = ask(fake, "/api/chat", {"model": "gemma3:4b", "messages": HELLO})
    last = reply.lines[-1]
    assert (reply.status, reply.media_type) == (200, "application/x-ndjson")
    assert "".join(line["message"]["content"] for line in reply.lines) == "[gemma3:4b] you said: hello big world"
    assert [line["done"] for line in reply.lines] == [False] * 6 + [True]
    assert (last["eval_count"], last["prompt_eval_count"], last["done_reason"]) == (6, 3, "stop")
    assert all(last[name] > 0 for name in last if name.endswith("duration"))


def test_the_official_client_streams_a_chat(client: ollama.Client) -> None:
    chunks = list(client.chat("gemma3:4b", HELLO, stream=True))
    assert "".join(chunk.message.content or "" for chunk in chunks) == "[gemma3:4b] you said: hello big world"
    assert chunks[-1].done and chunks[-1].eval_count == 6


def test_the_official_client_lists_and_shows_models(client: ollama.Client) -> None:
    names = [model.model for model in client.list().models]
    assert names == ["gemma3:4b", "qwen3:8b", "codellama:latest", "glm:cloud", "nomic-embed-text:latest"]
    shown = client.show("gemma3:4b")
    assert shown.capabilities == ["completion", "tools", "vision"]
    assert shown.modelinfo is not None and shown.modelinfo["llama.context_length"] == 131072
    assert client.show("nomic-embed-text").capabilities == ["embedding"]


def test_a_cloud_model_names_its_host(fake: FakeOllama) -> None:
    tags = ask(fake, "/api/tags").json["models"]
    shown = ask(fake, "/api/show", {"name": "glm:cloud"}).json
    assert [tag.get("remote_host") for tag in tags] == [None, None, None, "https://ollama.com:443", None]
    assert (shown["remote_model"], shown["remote_host"]) == ("glm", "https://ollama.com:443")


def test_tools_are_called_and_their_result_is_heard(client: ollama.Client) -> None:
    calls = client.chat("gemma3:4b", HELLO, tools=[WEATHER]).message.tool_calls
    assert calls is not None and calls[0].function.name == "get_weather"
    assert calls[0].function.arguments == {"city": "hello big world", "days": 1}
    told = [*HELLO, {"role": "assistant", "content": ""}, {"role": "tool", "content": "it rains"}]
    assert client.chat("gemma3:4b", told, tools=[WEATHER]).message.content == "[gemma3:4b] the tool said: it rains"


def test_a_thinking_model_thinks_unless_told_not_to(client: ollama.Client) -> None:
    assert client.chat("qwen3:8b", HELLO).message.thinking == "qwen3:8b thinks."
    assert client.chat("qwen3:8b", HELLO, think=False).message.thinking is None


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"model": "gemma3:4b", "think": True}, '"gemma3:4b" does not support thinking'),
        ({"model": "codellama", "tools": [WEATHER]}, "codellama:latest does not support tools"),
        ({"model": "nomic-embed-text"}, '"nomic-embed-text" does not support chat'),
        ({"model": "gemma3:4b", "options": {"num_ctx": "big"}}, 'option "num_ctx" must be of type integer'),
        ({"model": "gemma3:4b", "keep_alive": "soon"}, 'time: invalid duration "soon"'),
    ],
)
def test_what_a_model_cannot_do_is_a_400(fake: FakeOllama, body: dict[str, Any], message: str) -> None:
    reply = ask(fake, "/api/chat", {"messages": HELLO, **body})
    assert reply.status == 400
    assert message in reply.json["error"]


def test_format_shapes_the_answer(fake: FakeOllama) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}, "who": {"enum": ["a", "b"]}}}
    assert json.loads(chat(fake, format=schema)["message"]["content"]) == {"n": 1, "who": "a"}
    assert "hello" in json.loads(chat(fake, format="json")["message"]["content"])["answer"]


def test_images_are_counted(fake: FakeOllama) -> None:
    said = chat(fake, messages=[{"role": "user", "content": "what?", "images": ["aGk=", "aGk="]}])
    assert said["message"]["content"] == "[gemma3:4b] you said: what? (2 images)"


def test_num_predict_ends_the_answer(fake: FakeOllama) -> None:
    said = chat(fake, options={"num_predict": 2})
    assert (said["message"]["content"], said["done_reason"], said["eval_count"]) == ("[gemma3:4b] you ", "length", 2)


def test_a_prompt_beyond_num_ctx_is_cut_without_a_word(fake: FakeOllama) -> None:
    assert chat(fake, options={"num_ctx": 2})["prompt_eval_count"] == 2


def test_generate_gives_a_context_unless_raw(client: ollama.Client) -> None:
    first = client.generate("gemma3:4b", "hi there")
    assert (first.response, first.done_reason) == ("[gemma3:4b] you said: hi there", "stop")
    assert len(client.generate("gemma3:4b", "go on", context=first.context).context or ()) == 10
    assert client.generate("gemma3:4b", "hi", raw=True).context is None
    assert client.generate("codellama", "def f(", suffix="return x").response == "[codellama:latest] you said: def f("


def test_generate_refuses_what_ollama_refuses(fake: FakeOllama) -> None:
    raw = {"model": "gemma3:4b", "prompt": "x", "raw": True, "system": "y"}
    assert ask(fake, "/api/generate", raw).status == 400
    assert ask(fake, "/api/generate", {"model": "gemma3:4b", "prompt": "x", "suffix": "y"}).status == 400


def test_embeddings_are_unit_vectors_that_depend_on_the_text(client: ollama.Client) -> None:
    one, two, again = client.embed("nomic-embed-text", ["a", "b", "a"]).embeddings
    assert one == again != two
    assert sum(x * x for x in one) == pytest.approx(1)
    assert len(client.embed("nomic-embed-text", "a", dimensions=5).embeddings[0]) == 5
    assert client.embeddings("nomic-embed-text", "a").embedding == one


def test_an_unknown_model_is_404_in_ollamas_words(fake: FakeOllama, client: ollama.Client) -> None:
    with pytest.raises(ollama.ResponseError, match="model 'nope' not found") as caught:
        client.chat("nope", HELLO)
    assert caught.value.status_code == 404
    assert ask(fake, "/api/embed", {"model": "nope", "input": "x"}).body == (
        b'{"error":"model \\"nope\\" not found, try pulling it first"}'
    )


def test_names_ignore_case_and_imply_latest(fake: FakeOllama) -> None:
    assert chat(fake, model="CodeLlama")["model"] == "CodeLlama"
    assert len(fake.requests_for("codellama:latest")) == 1


def test_no_messages_load_and_keep_alive_0_unloads(fake: FakeOllama) -> None:
    load = {"model": "gemma3:4b", "messages": []}
    assert chat(fake, **load, stream=True)["done_reason"] == "load"
    assert [entry["name"] for entry in ask(fake, "/api/ps").json["models"]] == ["gemma3:4b"]
    assert chat(fake, **load, keep_alive=0)["done_reason"] == "unload"
    assert ask(fake, "/api/ps").json["models"] == []


def test_a_new_num_ctx_loads_the_model_again(fake: FakeOllama, client: ollama.Client) -> None:
    for num_ctx in (4096, 4096, 8192):
        client.chat("gemma3:4b", HELLO, options={"num_ctx": num_ctx}, keep_alive="1h30m")
    assert fake.models.loads == (("gemma3:4b", 4096), ("gemma3:4b", 8192))
    assert client.ps().models[0].context_length == 8192


def test_a_cold_model_is_slow_once() -> None:
    with fake_ollama([FakeModel("slow", load_s=0.3), FakeModel("warm", load_s=60, loaded=True)]) as fake:
        assert chat(fake, model="slow")["load_duration"] >= 3e8
        assert chat(fake, model="slow")["load_duration"] < 3e8
        assert chat(fake, model="warm")["done"]


def test_models_come_and_go_while_it_runs(fake: FakeOllama, client: ollama.Client) -> None:
    fake.models.add("phi4:14b")
    assert client.show("phi4:14b").details is not None
    fake.models.remove("gemma3:4b")
    with pytest.raises(ollama.ResponseError, match="not found"):
        client.show("gemma3:4b")


@pytest.mark.parametrize(
    ("method", "path", "body", "expected"),
    [
        ("GET", "/", None, (200, b"Ollama is running")),
        ("HEAD", "/", None, (200, b"")),
        ("GET", "/api/version", None, (200, b'{"version":"0.33.0"}')),
        ("GET", "/nope", None, (404, b"404 page not found")),
        ("GET", "/api/chat", None, (405, b"405 method not allowed")),
        ("POST", "/api/chat", b"", (400, b'{"error":"missing request body"}')),
        ("POST", "/api/chat", b"{}", (400, b'{"error":"model is required"}')),
    ],
)
def test_the_edges_answer_as_ollama_does(
    fake: FakeOllama, method: str, path: str, body: bytes | None, expected: tuple[int, bytes]
) -> None:
    reply = ask(fake, path, body, method=method)
    assert (reply.status, reply.body) == expected
