"""Which Ollama serves, which addresses none may have, and which models there are for each tier."""

from __future__ import annotations

import logging
import shutil
import socket
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from moe.backends.catalog import Catalog
from moe.backends.local import LocalModels
from moe.backends.nodes import Node
from moe.backends.shelf import Shelf
from moe.config import Config, MemoryConfig, Settings
from moe.config.schema import EngineConfig, NodeConfig, RateLimitConfig, RouterConfig, RunnerConfig, ServerConfig
from moe.errors import ConfigError
from moe.experts import TIERS, Expert
from moe.upstreams import Upstreams, check_addresses, default_group, default_ollama, is_self
from tests.fakes import FakeModel, FakeOllama, RefusedPort, fake_ollama

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


# Tiers

GGUF = Path(__file__).parent / "models" / "math.gguf"
AUTO = {"1": "auto", "2": "auto"}


def expert_of(**fields: Any) -> Expert:
    return Expert(**{"id": 1, "label": "math", **fields})


@contextmanager
def upstreams_of(
    folder: Path, *urls: str, experts: Sequence[Expert] = (), is_asked: bool = True
) -> Iterator[Upstreams]:
    local = LocalModels(folder, Shelf(MemoryConfig()), EngineConfig(), runner=RunnerConfig())
    with ThreadPoolExecutor(2) as executor:
        nodes = {url: Node(url, connect_timeout_s=0.5, executor=executor, vram=900 * 10**9) for url in urls}
        for node in nodes.values() if is_asked else ():
            node.refresh(wait=True)
        yield Upstreams(Catalog(nodes, experts, default=urls), local)
        for node in nodes.values():
            node.close()


@pytest.fixture
def ollama() -> Iterator[FakeOllama]:
    with fake_ollama(["phi4:14b", "gemma3:4b", "gemma3:27b", "Llama3.3:70b"]) as fake:
        yield fake


@pytest.mark.parametrize(("fields", "first", "second"), [
    ({"models": AUTO}, ("phi4:14b", "gemma3:4b"), ("Llama3.3:70b", "gemma3:27b")),
    ({"models": {"1": "gemma3:4b", "2": "llama3.3:70b"}}, ("gemma3:4b",), ("Llama3.3:70b",)),
    ({"models": {"1": "gemma3:27b", "2": "auto"}}, ("gemma3:27b",), ("Llama3.3:70b", "gemma3:27b")),
    ({"models": {"2": "gemma3:4b"}}, (), ("gemma3:4b",)),
    ({"models": {"1": "nobody:7b", "2": "gemma3:27b"}}, (), ("gemma3:27b",)),
    ({"models": {"1": "nobody:7b"}}, (), ()),
    ({"model_name": "phi4:14b"}, ("phi4:14b",), ()),
    ({"model_name": "gemma3:27b"}, (), ("gemma3:27b",)),
    ({"model_name": "gemma3:27b", "tier": 1}, ("gemma3:27b",), ()),
    ({"model_name": "phi4:14b", "tier": 2}, (), ("phi4:14b",)),
    ({"model_name": "odd"}, ("odd",), ()),
    ({"type": "api", "models": {"1": "gpt-5-mini", "2": "gpt-5"}}, ("gpt-5-mini",), ("gpt-5",)),
    ({"type": "api", "model_name": "llama-3.3-70b"}, (), ("llama-3.3-70b",)),
    ({"type": "api", "model_name": "gpt-5", "tier": 2}, (), ("gpt-5",)),
    ({"type": "api", "model_name": "gpt-5"}, ("gpt-5",), ()),
    ({"type": "local", "model_path": "big.gguf", "tier": 2}, (), ("big.gguf",)),
    ({"type": "echo"}, ("echo",), ()),
])
def test_each_tier_has_the_models_that_are_named_for_it_or_that_there_are(
    tmp_path: Path, ollama: FakeOllama, fields: dict[str, Any], first: tuple[str, ...], second: tuple[str, ...]
) -> None:
    one = expert_of(**fields)
    with upstreams_of(tmp_path, ollama.url, experts=[one]) as upstreams:
        assert (upstreams.models_for(one, 1), upstreams.models_for(one, 2)) == (first, second)
        has = [tier for tier, models in zip(TIERS, (first, second), strict=True) if models]
        if has == [2] and one.models:
            assert upstreams.model_of(one, fresh=False) == second[0]


def test_the_model_of_an_expert_is_its_own_tier_s_else_the_other_s(tmp_path: Path, ollama: FakeOllama) -> None:
    with upstreams_of(tmp_path, ollama.url) as upstreams:
        named = {"models": {"1": "gemma3:4b", "2": "gemma3:27b"}}
        assert upstreams.model_of(expert_of(**named)) == "gemma3:4b"
        assert upstreams.model_of(expert_of(**named, tier=2)) == "gemma3:27b"
        assert upstreams.model_of(expert_of(models={"1": "nobody:7b", "2": "gemma3:27b"})) == "gemma3:27b"
        assert upstreams.model_of(expert_of(models={"1": "nobody:7b"})) == "nobody:7b"  # as with any single name


@pytest.mark.parametrize(("model", "fields", "tier"), [
    ("gemma3:27b", {"models": {"1": "gemma3:27b", "2": "llama3.3:70b"}}, 1),
    ("Llama3.3:70b", {"models": {"1": "gemma3:27b", "2": "llama3.3:70b"}}, 2),
    ("phi4:14b", {"models": AUTO}, 1),
    ("gemma3:27b", {"models": AUTO}, 2),
    ("gemma3:27b", {"model_name": "auto", "tier": 1}, 1),
    ("gemma3:27b", {"model_name": "auto"}, 2),
    ("some:8b", {"model_name": "some:8b"}, 1),
    ("odd", {"model_name": "odd"}, None),
    ("gpt-5", {"type": "api", "models": {"1": "gpt-5", "2": "gpt-5"}}, None),
])
def test_the_tier_of_a_model_is_told_by_the_config_or_its_size(
    tmp_path: Path, ollama: FakeOllama, model: str, fields: dict[str, Any], tier: int | None
) -> None:
    with upstreams_of(tmp_path, ollama.url) as upstreams:
        assert upstreams.tier_of(expert_of(**fields), model) == tier


def test_a_name_counts_as_long_as_nobody_can_say_that_it_is_nowhere(tmp_path: Path, ollama: FakeOllama) -> None:
    one = expert_of(models={"1": "nobody:7b", "2": "auto"})
    with RefusedPort() as port:
        with upstreams_of(tmp_path, ollama.url, is_asked=False) as upstreams:
            assert upstreams.models_for(one, 1) == ("nobody:7b",)
        with upstreams_of(tmp_path, port.url) as upstreams:
            assert (upstreams.models_for(one, 1), upstreams.models_for(one, 2)) == (("nobody:7b",), ())
        with upstreams_of(tmp_path, ollama.url, port.url) as upstreams:
            assert upstreams.models_for(one, 1) == ()


@pytest.mark.usefixtures("_short_lives")
def test_what_only_a_dead_machine_has_is_no_tier_while_another_is_up(tmp_path: Path, ollama: FakeOllama) -> None:
    one = expert_of(models={"1": "only:7b", "2": "gemma3:27b"})
    with fake_ollama(["only:7b"]) as other, upstreams_of(tmp_path, ollama.url, other.url) as upstreams:
        assert upstreams.models_for(one, 1) == ("only:7b",)
        other.stop()
        upstreams.catalog.all_nodes()[1].refresh(wait=True)
        assert upstreams.models_for(one, 1) == ()
        assert upstreams.model_of(one, fresh=False) == "gemma3:27b"


@pytest.fixture
def _short_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TAGS_TTL_S", "LOADED_TTL_S", "DOWN_TTL_S"):
        monkeypatch.setattr(f"moe.backends.nodes.{name}", 0.0)


@pytest.mark.usefixtures("_short_lives")
def test_a_model_that_is_pulled_later_makes_a_tier(tmp_path: Path) -> None:
    one = expert_of(models=AUTO)
    with fake_ollama(["phi4:14b"]) as ollama, upstreams_of(tmp_path, ollama.url, experts=[one]) as upstreams:
        assert (upstreams.models_for(one, 1), upstreams.models_for(one, 2)) == (("phi4:14b",), ())
        ollama.models.add("qwq:32b")
        upstreams.catalog.all_nodes()[0].refresh(wait=True)
        assert upstreams.models_for(one, 2) == ("qwq:32b",)


def test_only_models_that_see_serve_who_sees_and_none_of_a_cloud_without_permission(tmp_path: Path) -> None:
    models = [FakeModel("llava:7b", capabilities=("completion", "vision")), FakeModel.named("gemma3:4b"),
              FakeModel("gpt-oss:120b", size=72 * 10**9, parameter_size="120B", remote_host="https://ollama.com")]
    with fake_ollama(models) as ollama, upstreams_of(tmp_path, ollama.url) as upstreams:
        assert upstreams.models_for(expert_of(models=AUTO, vision=True, label="vision"), 1) == ("llava:7b",)
        assert upstreams.models_for(expert_of(models=AUTO), 2) == ()
        assert upstreams.models_for(expert_of(models=AUTO, label="other", allow_cloud=True), 2) == ("gpt-oss:120b",)


def test_files_of_the_models_folder_serve_where_no_node_has_anything(tmp_path: Path, ollama: FakeOllama) -> None:
    pytest.importorskip("llama_cpp", reason="the set `local` is not installed")
    for name in ("a", "b"):
        shutil.copy(GGUF, tmp_path / f"{name}.gguf")
    one = expert_of(models=AUTO)
    with RefusedPort() as port, upstreams_of(tmp_path, port.url, experts=[one]) as upstreams:
        assert (upstreams.models_for(one, 1), upstreams.models_for(one, 2)) == (("a", "b"), ())
        assert upstreams.models_for(structs.replace(one, vision=True), 1) == ()
        assert upstreams.models_for(expert_of(models={"1": "B.gguf"}), 1) == ("B.gguf",)  # the node may have it yet
        assert upstreams.tier_of(one, "a") == 1
    with upstreams_of(tmp_path, ollama.url, experts=[one]) as upstreams:
        assert upstreams.models_for(one, 1) == ("phi4:14b", "gemma3:4b")
        assert upstreams.models_for(expert_of(models={"1": "B.gguf"}), 1) == ("b",)


@pytest.mark.bench
def test_it_is_answered_from_memory(tmp_path: Path) -> None:
    models = [FakeModel.named(f"model{number}:{number % 60 + 1}b") for number in range(200)]
    one = expert_of(models=AUTO)
    with fake_ollama(models) as ollama, upstreams_of(tmp_path, ollama.url, experts=[one]) as upstreams:
        upstreams.models_for(one, 1)
        began = time.process_time()
        for _ in range(1000):
            upstreams.models_for(one, 1)
        assert (time.process_time() - began) / 1000 < 50e-6
