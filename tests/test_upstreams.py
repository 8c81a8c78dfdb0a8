"""Which Ollama serves, and which addresses none may have."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from moe.config import Config, MemoryConfig, Settings
from moe.config.schema import EngineConfig, NodeConfig, RateLimitConfig, RouterConfig, RunnerConfig, ServerConfig
from moe.errors import ConfigError
from moe.experts import Expert
from moe.upstreams import check_addresses, default_group, default_ollama, is_self

HERE = Path("nowhere")
OWN = ("127.0.0.1", 11435)
STANDARD = "http://127.0.0.1:11434"


def config_of(*experts: Expert, nodes: tuple[NodeConfig, ...] = (), **runner: Any) -> Config:
    return Config(
        router=RouterConfig(model_path=""), ai_engine=EngineConfig(), memory=MemoryConfig(),
        expert_runner=RunnerConfig(**runner), nodes=nodes,
        server=ServerConfig(), rate_limit=RateLimitConfig(), log_prompts=False,
        experts=experts or (Expert(id=0, label="fallback"),), folder=Path("config"), files=(),
    )


def choose(*, url: str = "", named: str = "", host: str = "", in_container: bool = False) -> str:
    """`url` = MOE_OLLAMA_URL, `named` = the config's ollama_url, `host` = OLLAMA_HOST."""
    settings = Settings(config_folder=HERE, data_folder=HERE, models_folder=HERE, logs_folder=HERE, ollama_url=url,
                        ollama_host=host, in_container=in_container)
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


@contextmanager
def logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """While it lasts, `caplog` hears the logger of upstreams.py whatever another test set up."""
    logger = logging.getLogger("moe.upstreams")
    logger.addHandler(caplog.handler)
    try:
        yield
    finally:
        logger.removeHandler(caplog.handler)


# Which addresses


def test_an_expert_that_leads_back_here_is_refused_by_its_name() -> None:
    experts = (
        Expert(id=0, label="fallback"),
        Expert(id=1, label="loop", url="http://localhost:11435"),
        Expert(id=2, label="many", urls=("http://gpu:11434", "http://127.0.0.1:11435")),
        Expert(id=3, label="cloud", type="api", model_name="m", api_base="http://0.0.0.0:11435/v1"),
    )
    with pytest.raises(ConfigError) as refused:
        check_addresses(config_of(*experts), OWN)
    assert [problem.partition(":")[0] for problem in refused.value.problems] == [
        'expert "loop"', 'expert "many"', 'expert "cloud"']


def test_with_allowed_hosts_a_public_address_must_be_among_them() -> None:
    urls = {"gone": "http://ollama.example.com", "listed": "http://gpu.example.com", "near": "http://192.0.2.5.lan"}
    experts = [Expert(id=i, label=label, url=url) for i, (label, url) in enumerate(urls.items())]
    with pytest.raises(ConfigError) as refused:
        check_addresses(config_of(*experts, ollama_allowed_hosts=("GPU.example.com",)), OWN)
    assert refused.value.problems == ('expert "gone": ollama.example.com is not in ollama_allowed_hosts',)


# Nodes

NODES = (NodeConfig(name="old", url="http://10.0.0.1:11434"), NodeConfig(name="new", url="http://10.0.0.2:11434"))


@pytest.mark.parametrize(("named", "host", "group"), [
    ("", "", ("http://10.0.0.1:11434", "http://10.0.0.2:11434")),
    ("", "10.0.0.9", ("http://10.0.0.1:11434", "http://10.0.0.2:11434")),
    ("10.0.0.9", "", ("http://10.0.0.9:11434",)),
])
def test_the_nodes_serve_every_expert_unless_one_ollama_is_named(named: str, host: str, group: tuple[str, ...]) -> None:
    settings = Settings(config_folder=HERE, data_folder=HERE, models_folder=HERE, logs_folder=HERE, ollama_host=host)
    assert default_group(config_of(nodes=NODES, ollama_url=named), settings, own=OWN) == group


def test_a_node_that_leads_back_here_or_is_not_allowed_is_refused_by_its_name() -> None:
    nodes = (NodeConfig(name="loop", url="http://localhost:11435"), NodeConfig(name="far", url="http://gpu.example.com"))
    with pytest.raises(ConfigError) as refused:
        check_addresses(config_of(nodes=nodes, ollama_allowed_hosts=("other.example.com",)), OWN)
    assert refused.value.problems == (
        'node "loop": http://localhost:11435 is this server itself',
        'node "far": gpu.example.com is not in ollama_allowed_hosts',
    )
