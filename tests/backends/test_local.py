"""Models in this process through the whole server: files found in models/, experts of type local, the classifier."""

from __future__ import annotations

import json
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests

from moe.backends.local import LocalModels
from moe.backends.probe import probe
from moe.backends.shelf import Shelf
from moe.config import EngineConfig, MemoryConfig, RunnerConfig
from tests.backends.tiny import write_parts, write_random
from tests.fakes import SilentPort
from tests.live import Live, live_server

pytest.importorskip("llama_cpp", reason="the set `local` is not installed")

MODELS = Path(__file__).parents[1] / "models"
FRANCE = "What is the capital of France?"
FALLBACK = {"id": 0, "label": "fallback", "model_name": "auto"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    home = tmp_path / "models"
    home.mkdir()
    for name in ("general.gguf", "math.gguf"):
        shutil.copy(MODELS / name, home / name)
    for name in ("general-onnx", "classifier"):
        shutil.copytree(MODELS / name, home / name)
    return home


def ask(server: Live, prompt: str, *, model: str = "lemoe", **more: Any) -> requests.Response:
    body = {"model": model, "messages": [{"role": "user", "content": prompt}], "stream": False,
            "options": {"temperature": 0}, **more}
    return requests.post(f"{server.url}/api/chat", json=body, timeout=60)


def test_a_file_in_the_models_folder_answers_for_the_fallback_without_any_ollama(tmp_path: Path, folder: Path) -> None:
    with live_server(tmp_path, experts=[FALLBACK]) as server:
        reply = ask(server, FRANCE)
        assert reply.json()["message"]["content"] == "Paris."
        assert (reply.headers["X-MoE-Expert"], reply.headers["X-MoE-Model"]) == ("fallback", "general")
        health = requests.get(f"{server.url}/health", timeout=10).json()
        assert health["experts"]["fallback"]["model"] == "general"


@pytest.mark.parametrize("name", ["math", "MATH", "math.gguf", "math:latest"])
def test_a_file_is_called_by_its_name(tmp_path: Path, folder: Path, name: str) -> None:
    with live_server(tmp_path, experts=[FALLBACK]) as server:
        reply = ask(server, "What is 2 plus 3?", model=name)
        assert reply.status_code == 200
        assert (reply.headers["X-MoE-Stage"], reply.headers["X-MoE-Model"]) == ("raw", "math")
        tags = requests.get(f"{server.url}/api/tags", timeout=10).json()["models"]
        assert {"general:latest", "math:latest"} <= {entry["name"] for entry in tags}


def test_a_loaded_model_is_listed_and_unloaded_on_request(tmp_path: Path, folder: Path) -> None:
    with live_server(tmp_path, experts=[FALLBACK]) as server:
        ask(server, FRANCE, model="general")
        loaded = requests.get(f"{server.url}/api/ps", timeout=10).json()["models"]
        assert [entry["name"] for entry in loaded] == ["general:latest"]
        gone = requests.post(f"{server.url}/api/chat", json={"model": "general", "messages": [], "keep_alive": 0},
                             timeout=30)
        assert gone.json()["done_reason"] == "unload"
        assert requests.get(f"{server.url}/api/ps", timeout=10).json()["models"] == []


def test_experts_of_both_formats_answer_alike_and_at_the_same_time(tmp_path: Path, folder: Path) -> None:
    experts = [
        {"id": 0, "label": "fallback", "type": "echo"},
        {"id": 1, "label": "one", "type": "local", "format": "gguf", "model_path": "models/general.gguf"},
        {"id": 2, "label": "two", "type": "local", "format": "onnx", "model_path": "models/general-onnx"},
    ]
    with live_server(tmp_path, experts=experts) as server, ThreadPoolExecutor(16) as many:
        replies = list(many.map(lambda i: ask(server, FRANCE, model=("one", "two")[i % 2]), range(16)))
    assert {reply.json()["message"]["content"] for reply in replies} == {"Paris."}
    assert [reply.headers["X-MoE-Expert"] for reply in replies] == ["one", "two"] * 8


def test_a_broken_file_leaves_the_server_well_and_the_fallback_answers(tmp_path: Path, folder: Path) -> None:
    (folder / "broken.gguf").write_bytes((folder / "general.gguf").read_bytes()[:5000])
    experts = [
        {"id": 0, "label": "fallback", "type": "echo"},
        {"id": 1, "label": "bad", "type": "local", "format": "gguf", "model_path": "broken.gguf"},
        {"id": 2, "label": "out", "type": "local", "format": "gguf", "model_path": "../../etc/passwd"},
    ]
    with live_server(tmp_path, experts=experts) as server:
        for label in ("bad", "out"):
            reply = ask(server, "hello there", model=label)
            assert reply.json()["message"]["content"] == "hello there"
            assert reply.headers["X-MoE-Fallback"] == label
        health = requests.get(f"{server.url}/health", timeout=10).json()["experts"]
        assert "leads out of" in health["out"]["reason"]
        assert not health["bad"]["available"]


def test_a_classifier_chooses_by_its_labels(tmp_path: Path, folder: Path) -> None:
    experts = [{"id": 0, "label": "fallback", "type": "echo"},
               *({"id": i, "label": name, "type": "echo"} for i, name in enumerate(("general", "code", "math"), 1))]
    router = {"router_type": "classification", "model_path": "models/classifier"}
    with live_server(tmp_path, experts=experts, config={"router": router, "tools": {"inline": False}}) as server:
        told = requests.get(f"{server.url}/v1/route", params={"text": "What is 2 plus 3?"}, timeout=10).json()
        assert (told["expert"], told["stage"]) == ("math", "classifier")
        assert requests.get(f"{server.url}/health", timeout=10).json()["router"]["mode"] == "classification"


# -- what lies in the folder


def local(folder: Path) -> LocalModels:
    return LocalModels(folder, Shelf(MemoryConfig()), EngineConfig(), runner=RunnerConfig())


def test_all_who_look_at_the_same_time_find_the_models(tmp_path: Path) -> None:
    """The first prompts after a start, which came together, were told that the model is not there."""
    for place in range(300):
        (tmp_path / f"{place}.gguf").touch()
    models, start = local(tmp_path), threading.Barrier(16)

    def look(_: int) -> int:
        start.wait(10)
        return len(models.ways())

    with ThreadPoolExecutor(16) as many:
        assert set(many.map(look, range(16))) == {300}


def test_files_are_found_in_any_case_and_parts_are_one_model(tmp_path: Path) -> None:
    write_random(tmp_path / "Loud.GGUF")
    write_parts(tmp_path, "big")
    (tmp_path / "dir.gguf").mkdir()
    (tmp_path / "notes.txt").touch()
    models = local(tmp_path)
    assert list(models.ways()) == ["Loud", "big"]
    assert models.find("loud.gguf") == "Loud"
    assert {card.name for card in models.cards()} == {"Loud", "big"}


def test_the_standard_model_is_the_first_that_can_write(tmp_path: Path) -> None:
    (tmp_path / "a-broken.gguf").write_bytes(b"GGUF")
    write_random(tmp_path / "b-adapter.gguf", general__type="adapter")
    write_random(tmp_path / "c-embedding.gguf", llama__pooling_type=3)
    write_random(tmp_path / "d-encoder.gguf", llama__attention__causal=False)
    write_random(tmp_path / "e-projector.gguf", general__architecture="clip", tokenizer__ggml__model=None)
    (tmp_path / "f-outside.gguf").symlink_to(MODELS / "general.gguf")
    assert local(tmp_path).standard() == "a-broken", "somebody has to tell what is amiss"
    write_random(tmp_path / "x-good.gguf")
    assert local(tmp_path).standard() == "x-good"
    (tmp_path / "empty").mkdir()
    assert local(tmp_path / "empty").standard() == ""


def test_a_model_whose_file_is_gone_is_unloaded_though_nobody_can_ask_for_it_any_more(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("moe.backends.local.LOOK_EVERY_S", 0.0)
    with live_server(tmp_path, experts=[FALLBACK]) as server:
        ask(server, "What is 2 plus 3?", model="math", keep_alive=-1)
        (folder / "math.gguf").unlink()
        assert ask(server, "What is 2 plus 3?", model="math").status_code == 404
        assert get(server, "/api/ps")["models"] == []


def test_what_keeps_the_local_model_from_answering_is_the_advice(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "m.gguf").write_bytes(b"hello")
    with live_server(tmp_path, experts=[FALLBACK]) as server:
        told = ask(server, FRANCE).json()["message"]["content"]
    assert "m.gguf is not a usable GGUF file" in told


# -- without an Ollama


ROUTED = [
    {"id": 0, "label": "fallback", "model_name": "auto"},
    {"id": 1, "label": "chemist", "model_name": "auto", "keywords": ["molecule"], "options": {"num_predict": 2}},
    {"id": 2, "label": "eyes", "model_name": "auto", "vision": True},
    {"id": 3, "label": "named", "model_name": "llama3"},
]


@pytest.mark.parametrize("stream", [False, True])
def test_every_routed_expert_answers_itself_with_the_local_model(tmp_path: Path, folder: Path, stream: bool) -> None:
    with live_server(tmp_path, experts=ROUTED) as server:
        reply = ask(server, "Tell me a long story about a molecule", stream=stream)
        lines = [json.loads(line) for line in reply.text.splitlines()]
        assert (lines[-1]["done_reason"], lines[-1]["eval_count"]) == ("length", 2), "its own options count"
        assert (reply.headers["X-MoE-Expert"], reply.headers["X-MoE-Model"]) == ("chemist", "general")
        assert "X-MoE-Fallback" not in reply.headers
        reply = ask(server, FRANCE, model="named", stream=stream)
        assert (reply.headers["X-MoE-Fallback"], reply.headers["X-MoE-Model"]) == ("named", "general")


def test_everywhere_the_same_is_told_of_who_serves_whom(tmp_path: Path, folder: Path) -> None:
    own = {"id": 4, "label": "own", "type": "local", "model_path": "general-onnx"}
    with live_server(tmp_path, experts=[*ROUTED, own]) as server:
        ask(server, FRANCE)
        health = get(server, "/health")["experts"]
        assert {label: row["model"] for label, row in health.items()} == {
            "fallback": "general", "chemist": "general", "eyes": None, "named": "llama3", "own": "general-onnx"}
        assert {label for label, row in health.items() if row["available"]} == {"fallback", "chemist", "own"}
        rows = [(row["id"], row["x_moe"]) for row in get(server, "/v1/models")["data"]]
        told = {name: row for name, row in rows if row["kind"] == "expert"}
        assert told["chemist"]["routes_to"] == "general" and "tools" in told["chemist"]["capabilities"]
        assert (told["eyes"]["routes_to"], told["own"]["routes_to"]) == ("", "general-onnx")
        tags = {row["name"]: row for row in get(server, "/api/tags")["models"]}
        assert tags["chemist:latest"]["size"] == tags["general:latest"]["size"] > 0
        assert tags["own:latest"]["details"]["family"] == "llama"
        shown = requests.post(f"{server.url}/api/show", json={"model": "own"}, timeout=10).json()
        assert 1024 in shown["model_info"].values()
        assert get(server, "/v1/route?text=a+molecule")["model"] == "general"


def test_an_ollama_that_is_silent_costs_the_first_prompts_and_no_others(tmp_path: Path, folder: Path) -> None:
    with SilentPort() as port:
        config = {"expert_runner": {"ollama_url": port.url, "connect_timeout_s": 1}}
        with live_server(tmp_path, experts=ROUTED, config=config) as server:
            for _ in range(2):
                ask(server, "a molecule")
            began = time.monotonic()
            for _ in range(20):
                assert ask(server, "a molecule").headers["X-MoE-Model"] == "general"
            assert time.monotonic() - began < 3.0


# -- experts


@pytest.mark.parametrize("path, format_", [
    ("models/general.gguf", "gguf"), ("GENERAL.GGUF", "gguf"), ("models/general-onnx", "onnx"),
    ("general-onnx", "onnx"),
])
def test_a_path_tells_the_format_where_nothing_else_does(
    tmp_path: Path, folder: Path, path: str, format_: str
) -> None:
    if path == "GENERAL.GGUF":
        (folder / "general.gguf").rename(folder / path)
    experts = [{"id": 0, "label": "fallback", "type": "echo"},
               {"id": 1, "label": "one", "type": "local", "model_path": path}]
    with live_server(tmp_path, experts=experts) as server:
        reply = ask(server, FRANCE, model="one")
        assert (reply.json()["message"]["content"], reply.headers["X-MoE-Expert"]) == ("Paris.", "one")
        assert reply.json()["eval_count"] == (3 if format_ == "gguf" else 2), "only the one counts the end"


def test_what_is_no_model_says_what_it_lacks(tmp_path: Path, folder: Path) -> None:
    (folder / "weights").mkdir()
    (folder / "weights" / "tokenizer.json").touch()
    experts = [{"id": 0, "label": "fallback", "type": "echo"},
               *({"id": place, "label": f"e{place}", "type": "local", "model_path": path}
                 for place, path in enumerate(("weights", "models/none.gguf"), 1))]
    with live_server(tmp_path, experts=experts) as server:
        health = get(server, "/health")["experts"]
    assert "weights has none of model.onnx" in health["e1"]["reason"]
    assert health["e2"]["reason"] == f"none.gguf is not in {folder}: put it there"


def test_an_image_is_refused_in_words(tmp_path: Path, folder: Path) -> None:
    with live_server(tmp_path, experts=[FALLBACK]) as server:
        body = {"model": "general", "prompt": "What is this?", "images": ["iVBORw0KGgo="], "stream": False}
        reply = requests.post(f"{server.url}/api/generate", json=body, timeout=30)
    assert (reply.status_code, reply.json()["error"]) == (400, '"general" does not support images')


@pytest.mark.parametrize("model", ["math", "two"])
def test_a_raw_prompt_reaches_the_model_as_it_is(tmp_path: Path, folder: Path, model: str) -> None:
    experts = [FALLBACK, {"id": 2, "label": "two", "type": "local", "model_path": "general-onnx"}]
    body = {"model": model, "raw": True, "stream": False, "options": {"temperature": 0},
            "prompt": "<|im_start|>user\nWho are you?<|im_end|>\n<|im_start|>assistant\n"}
    with live_server(tmp_path, experts=experts) as server:
        told = requests.post(f"{server.url}/api/generate", json=body, timeout=60).json()
    assert told["response"] == f"I am the {'math' if model == 'math' else 'general'} expert."


@pytest.mark.parametrize("model", ["general", "two"])
def test_an_answer_that_begins_with_its_stop_string_is_empty_and_no_failure(
    tmp_path: Path, folder: Path, model: str
) -> None:
    experts = [FALLBACK, {"id": 2, "label": "two", "type": "local", "model_path": "general-onnx"}]
    with live_server(tmp_path, experts=experts) as server:
        reply = ask(server, "Tell me a long story.", model=model, options={"temperature": 0, "stop": ["Once"]})
    assert (reply.status_code, reply.json()["message"]["content"], reply.json()["done_reason"]) == (200, "", "stop")


def test_whoever_waits_for_a_model_to_load_is_kept_company(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(*given: Any, **named: Any) -> None:
        time.sleep(1.5)
        probe(*given, **named)

    monkeypatch.setattr("moe.backends.gguf.probe", slow)
    monkeypatch.setattr("moe.web.chat.COMMIT_AFTER_S", 0.3)
    body = {"model": "general", "stream": True, "messages": [{"role": "user", "content": FRANCE}], "temperature": 0}
    with live_server(tmp_path, experts=[FALLBACK]) as server:
        reply = requests.post(f"{server.url}/v1/chat/completions", json=body, stream=True, timeout=60)
        lines = [line for line in reply.iter_lines() if line]
    first = next(place for place, line in enumerate(lines) if b"Paris" in line)
    assert [line for line in lines[:first] if line.startswith(b":")], "comments keep the line open"
    assert lines[-1] == b"data: [DONE]"


def get(server: Live, path: str) -> Any:
    return requests.get(server.url + path, timeout=10).json()
