"""Models in this process through the whole server: files found in models/, experts of type local, the classifier."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.live import Live, live_server

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
    with live_server(tmp_path, experts=experts, config={"router": router}) as server:
        told = requests.get(f"{server.url}/v1/route", params={"text": "What is 2 plus 3?"}, timeout=10).json()
        assert (told["expert"], told["stage"]) == ("math", "classifier")
        assert requests.get(f"{server.url}/health", timeout=10).json()["router"]["mode"] == "classification"
