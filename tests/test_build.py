"""What build.py makes of a config: a way to each expert, what one without a way says, and the next step."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from moe.backends.api import Engine
from moe.backends.shelf import Shelf
from moe.build import build_gateway
from moe.config import MemoryConfig, Settings, read_config
from moe.core import ChatRequest, Message, Text
from moe.embed import Encoders
from moe.metrics import Statistics
from moe.pipeline.gateway import Gateway
from moe.routing.heads import Heads
from tests.fakes import RefusedPort, fake_ollama
from tests.live import FALLBACK, live_server, write_config


def test_an_absent_local_expert_says_what_to_do_and_does_not_stop_the_others(tmp_path: Path) -> None:
    local = {"id": 1, "label": "tiny", "type": "local", "format": "gguf", "model_path": "models/tiny.gguf"}
    with live_server(tmp_path, experts=[{**FALLBACK, "type": "echo"}, local]) as server:
        health = requests.get(f"{server.url}/health", timeout=10).json()
        assert health["status"] == "degraded"
        assert health["experts"]["tiny"]["available"] is False
        assert "tiny.gguf" in health["experts"]["tiny"]["reason"]
        assert "put it there" in health["experts"]["tiny"]["reason"]
        body = {"model": "tiny", "stream": False, "messages": [{"role": "user", "content": "hello there"}]}
        reply = requests.post(f"{server.url}/api/chat", json=body, timeout=10)
        assert reply.status_code == 200
        assert reply.json()["message"]["content"] == "hello there"
        assert reply.headers["X-MoE-Fallback"] == "tiny"


def test_every_type_of_expert_gets_its_way(tmp_path: Path) -> None:
    with fake_ollama(["gemma3:4b"]) as ollama:
        experts = [
            {**FALLBACK, "model_name": "gemma3:4b"},
            {"id": 1, "label": "parrot", "type": "echo"},
            {"id": 2, "label": "silent", "type": "builtin"},
            {"id": 3, "label": "cloud", "type": "api", "model_name": "m", "api_key_env": "MOE_TEST_NO_SUCH_KEY"},
        ]
        with live_server(tmp_path, config={"expert_runner": {"ollama_url": ollama.url}}, experts=experts) as server:
            said = {label: ask(server.gateway, label) for label in ("fallback", "parrot", "silent")}
            health = server.gateway.health()["experts"]
    assert said["parrot"] == "hello there"
    assert "No language model" in said["silent"]
    assert len(ollama.requests_for("gemma3:4b")) >= 1
    assert health["cloud"]["reason"] == "the environment variable MOE_TEST_NO_SUCH_KEY is not set"


def ask(gateway: Gateway, label: str) -> str:
    request = ChatRequest(model=label, messages=(Message("user", (Text("hello there"),)),))
    chunks = gateway.answer(request, request_id="1").chunks
    return "".join(chunk.text for chunk in chunks if isinstance(chunk, Text))


@pytest.mark.parametrize(
    ("config", "step"),
    [({}, "ollama serve"), ({"ollama_url": "{url}"}, "ollama pull gemma3:4b")],
)
def test_the_advice_is_the_next_step_from_here(tmp_path: Path, config: Mapping[str, str], step: str) -> None:
    with fake_ollama([]) as ollama, RefusedPort() as closed:
        url = config.get("ollama_url", closed.url).format(url=ollama.url)
        with live_server(tmp_path, config={"expert_runner": {"ollama_url": url}}) as server:
            body = {"stream": False, "messages": [{"role": "user", "content": "hello"}]}
            reply = requests.post(f"{server.url}/api/chat", json=body, timeout=10)
    assert reply.status_code == 200
    assert reply.headers["X-MoE-Expert"] == "builtin"
    assert step in reply.json()["message"]["content"]


def test_a_config_encoder_that_is_not_here_is_told_and_keywords_route(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "models" / "mine"
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(b"no model at all")
    write_config(tmp_path, config={"router": {"model_path": str(folder)}}, experts=[FALLBACK])
    with logged(caplog):
        gateway = build(tmp_path)
    health = gateway.health()
    assert health["router"]["mode"] == "keyword"
    assert "mine" in health["router"]["note"]
    assert "mine" in caplog.text


def build(folder: Path) -> Gateway:
    """The gateway of the config in `folder`, whose default Ollama is nobody."""
    settings = Settings(config_folder=folder / "config", data_folder=folder / "data", logs_folder=folder / "logs",
                        models_folder=folder / "models", ollama_url="http://127.0.0.1:1")
    return build_gateway(
        read_config(folder / "config"), settings, engine=Engine(), encoders=Encoders(folder / "models"),
        heads=Heads(), shelf=Shelf(MemoryConfig()), statistics=Statistics(folder / "models.json"),
        own=("127.0.0.1", 11435),
    )


@contextmanager
def logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """While it lasts, `caplog` hears the logger of build.py whatever another test set up."""
    logger = logging.getLogger("moe.build")
    logger.addHandler(caplog.handler)
    try:
        yield
    finally:
        logger.removeHandler(caplog.handler)
