"""What build.py makes of a config: which Ollama serves, what is refused, and what an expert without a way says."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from moe.backends.api import Engine
from moe.backends.shelf import Shelf
from moe.build import build_gateway, default_ollama, is_self
from moe.config import Config, MemoryConfig, Settings, read_config
from moe.config.schema import EngineConfig, RateLimitConfig, RouterConfig, RunnerConfig, ServerConfig
from moe.core import ChatRequest, Expert, Message, Text
from moe.embed import Encoders
from moe.errors import ConfigError
from moe.metrics import Statistics
from moe.pipeline.gateway import Gateway
from moe.routing.heads import Heads
from tests.fakes import RefusedPort, fake_ollama
from tests.live import FALLBACK, live_server, write_config

OWN = ("127.0.0.1", 11435)
STANDARD = "http://127.0.0.1:11434"


def config_of(*experts: Expert, **runner: Any) -> Config:
    return Config(
        router=RouterConfig(model_path=""), ai_engine=EngineConfig(), memory=MemoryConfig(),
        expert_runner=RunnerConfig(**runner),
        server=ServerConfig(), rate_limit=RateLimitConfig(), log_prompts=False,
        experts=experts or (Expert(id=0, label="fallback"),), folder=Path("config"), files=(),
    )


def settings_of(folder: Path = Path("nowhere"), **values: Any) -> Settings:
    return Settings(config_folder=folder / "config", data_folder=folder / "data", models_folder=folder / "models",
                    logs_folder=folder / "logs", **values)


def choose(*, url: str = "", named: str = "", host: str = "", in_container: bool = False) -> str:
    """`url` = MOE_OLLAMA_URL, `named` = the config's ollama_url, `host` = OLLAMA_HOST."""
    settings = settings_of(ollama_url=url, ollama_host=host, in_container=in_container)
    return default_ollama(config_of(ollama_url=named), settings, own=OWN)


# Which Ollama


def test_the_variable_wins_over_the_config_and_the_config_over_ollama_host() -> None:
    assert choose(url="one", named="http://two", host="three") == "http://one:11434"
    assert choose(named="http://two:2", host="three") == "http://two:2"
    assert choose(host="three") == "http://three:11434"
    assert choose() == STANDARD


@pytest.mark.parametrize("spelling", [
    "127.0.0.1:11435", ":11435", "0.0.0.0:11435", "http://localhost:11435/", "[::1]:11435", "0x7f.1:11435",
    "LOCALHOST:11435", "web.localhost:11435",
])
def test_this_server_itself_is_refused_where_it_is_named_and_passed_over_in_ollama_host(
    spelling: str, caplog: pytest.LogCaptureFixture
) -> None:
    for named in ({"url": spelling}, {"named": spelling}):
        with pytest.raises(ConfigError, match="is this server itself"):
            choose(**named)
    with logged(caplog):
        assert choose(host=spelling) == STANDARD
    assert "OLLAMA_HOST is this server itself" in caplog.text


@pytest.mark.parametrize("unusable", ["169.254.169.254", "http://0xa9fea9fe/", "gpu:port", "ftp://gpu", "gpu:99999"])
def test_an_address_that_may_not_be_used_is_refused_where_it_is_named_and_passed_over_in_ollama_host(
    unusable: str, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(ConfigError, match="ollama_url"):
        choose(url=unusable)
    with logged(caplog):
        assert choose(host=unusable) == STANDARD
    assert "not a usable address" in caplog.text


def test_a_container_without_a_host_to_ask_uses_its_own_address() -> None:
    try:
        socket.getaddrinfo("host.docker.internal", 80)
    except OSError:
        assert choose(in_container=True) == STANDARD
    else:
        pytest.skip("host.docker.internal exists here")


@pytest.mark.parametrize(
    ("url", "own", "is_ours"),
    [
        ("http://127.0.0.1:11435", ("127.0.0.1", 11435), True),
        ("http://127.0.0.1:11434", ("127.0.0.1", 11435), False),
        ("http://localhost:11435/v1", ("0.0.0.0", 11435), True),
        ("http://localhost", ("0.0.0.0", 80), True),
        ("https://localhost", ("0.0.0.0", 443), True),
        (f"http://{socket.gethostname()}:11435", ("0.0.0.0", 11435), True),
        ("http://203.0.113.7:11435", ("0.0.0.0", 11435), False),
        ("http://203.0.113.7:11435", ("203.0.113.7", 11435), True),
        ("http://203.0.113.7:11435", ("127.0.0.1", 11435), False),
        ("http://127.0.0.1:11435", ("203.0.113.7", 11435), False),
        ("http://Gpu.lan:11435", ("gpu.lan", 11435), True),
        ("http://127.0.0.1:11435", None, False),
    ],
)
def test_a_url_leads_back_here_or_does_not(url: str, own: tuple[str, int] | None, *, is_ours: bool) -> None:
    assert is_self(url, own) is is_ours


def test_on_every_interface_each_of_this_machine_s_addresses_is_its_own() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("203.0.113.7", 9))  # nothing is sent
        except OSError:
            pytest.skip("this machine has no address but loopback")
        own_address = probe.getsockname()[0]
    assert is_self(f"http://{own_address}:11435", ("0.0.0.0", 11435))
    assert not is_self(f"http://{own_address}:11435", ("127.0.0.1", 11435))


# Which experts


def test_an_expert_that_leads_back_here_is_refused_by_its_name(tmp_path: Path) -> None:
    experts = (
        Expert(id=0, label="fallback"),
        Expert(id=1, label="loop", url="http://localhost:11435"),
        Expert(id=2, label="many", urls=("http://gpu:11434", "http://127.0.0.1:11435")),
        Expert(id=3, label="cloud", type="api", model_name="m", api_base="http://0.0.0.0:11435/v1"),
    )
    with pytest.raises(ConfigError) as refused:
        build(config_of(*experts), tmp_path)
    assert [problem.partition(":")[0] for problem in refused.value.problems] == [
        'expert "loop"', 'expert "many"', 'expert "cloud"']


def test_with_allowed_hosts_a_public_address_must_be_among_them(tmp_path: Path) -> None:
    urls = {"gone": "http://ollama.example.com", "listed": "http://gpu.example.com", "near": "http://192.0.2.5.lan"}
    experts = [Expert(id=i, label=label, url=url) for i, (label, url) in enumerate(urls.items())]
    with pytest.raises(ConfigError) as refused:
        build(config_of(*experts, ollama_allowed_hosts=("GPU.example.com",)), tmp_path)
    assert refused.value.problems == ('expert "gone": ollama.example.com is not in ollama_allowed_hosts',)


def build(config: Config, folder: Path, *, settings: Settings | None = None) -> Gateway:
    """A gateway whose default Ollama is nobody, unless the config says otherwise."""
    return build_gateway(
        config, settings or settings_of(folder, ollama_url="http://127.0.0.1:1"), engine=Engine(),
        encoders=Encoders(folder / "models"), heads=Heads(), shelf=Shelf(MemoryConfig()),
        statistics=Statistics(folder / "models.json"), own=OWN,
    )


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
        gateway = build(read_config(tmp_path / "config"), tmp_path)
    health = gateway.health()
    assert health["router"]["mode"] == "keyword"
    assert "mine" in health["router"]["note"]
    assert "mine" in caplog.text


@contextmanager
def logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """While it lasts, `caplog` hears the logger of build.py whatever another test set up."""
    logger = logging.getLogger("moe.build")
    logger.addHandler(caplog.handler)
    try:
        yield
    finally:
        logger.removeHandler(caplog.handler)
