"""The whole line over real sockets: what it lists, what it says of itself, and that an answer leads through it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from moe.backends.engine import Engine
from moe.backends.shelf import Shelf
from moe.build import build_gateway
from moe.config import MemoryConfig, Settings, read_config
from moe.config.rules import ORCHESTRATORS
from moe.core import ChatRequest, Chunk, Done, Heartbeat, Image, Message, Started, Text
from moe.embed import Encoders
from moe.errors import BadRequest, ModelNotFound, Unanswered
from moe.metrics import Statistics
from moe.pipeline.gateway import Gateway
from moe.pipeline.modes.known import MODES
from moe.routing import Router
from moe.routing.heads import Heads
from tests.fakes import FakeModel, FakeOllama, RefusedPort, answer, fake_ollama, hang, http_error
from tests.live import write_config

FALLBACK = {"id": 0, "label": "fallback", "model_name": "gemma3:4b"}
EXPERTS: tuple[dict[str, Any], ...] = (
    FALLBACK,
    {"id": 1, "label": "math", "description": "sums", "keywords": ["algebra", "calculus"], "aliases": ["Numbers"],
     "model_name": "phi4:14b", "system_prompt": "Reckon."},
    {"id": 2, "label": "parrot", "type": "echo", "routable": False},
)
MODELS = (
    FakeModel("gemma3:4b", capabilities=("completion", "vision"), family="gemma3", loaded=True),
    FakeModel("phi4:14b", size=9_000_000_000, family="phi3", parameter_size="14.7B", context_length=16_384),
    FakeModel("nomic-embed-text", capabilities=("embedding",), context_length=2_048),
)


@contextmanager
def gateway_of(folder: Path, url: str, *experts: dict[str, Any], **runner: Any) -> Iterator[Gateway]:
    config = {"expert_runner": {"ollama_url": url, "connect_timeout_s": 1, "retries": 0, **runner}}
    write_config(folder, config=config, experts=experts or EXPERTS)
    settings = Settings(config_folder=folder / "config", data_folder=folder / "data",
                        models_folder=folder / "models", logs_folder=folder / "logs")
    engine = Engine()
    gateway = build_gateway(
        read_config(folder / "config"), settings, engine=engine, encoders=Encoders(folder / "models"),
        heads=Heads(), shelf=Shelf(MemoryConfig()), statistics=Statistics(folder / "models.json"),
    )
    for node in gateway.catalog.all_nodes():
        node.refresh(wait=True)
    yield gateway
    engine.close()
    for node in gateway.catalog.all_nodes():
        node.close()


@pytest.fixture
def ollama() -> Iterator[FakeOllama]:
    with fake_ollama(MODELS) as fake:
        yield fake


@pytest.fixture
def gateway(tmp_path: Path, ollama: FakeOllama) -> Iterator[Gateway]:
    with gateway_of(tmp_path, ollama.url) as made:
        yield made


def ask(text: str = "hello", *, model: str = "", image: str = "") -> ChatRequest:
    parts = (Text(text), Image(image)) if image else (Text(text),)
    return ChatRequest(model=model, messages=(Message("user", parts),))


def talk(gateway: Gateway, request: ChatRequest) -> list[Chunk]:
    chunks = gateway.answer(request, request_id="r1").chunks
    return [chunk for chunk in chunks if not isinstance(chunk, Heartbeat)]


def untold(chunk: Chunk) -> Chunk:
    """Without what the model was sent."""
    return structs.replace(chunk, sent=None) if isinstance(chunk, Started) else chunk


def text_of(chunks: list[Chunk]) -> str:
    return "".join(chunk.text for chunk in chunks if isinstance(chunk, Text))


# Answers


def test_an_answer_says_who_speaks_then_speaks_then_ends(gateway: Gateway, ollama: FakeOllama) -> None:
    ollama.script("phi4:14b", [answer("It is four.")])
    chunks = talk(gateway, ask("solve this algebra and calculus problem"))
    assert untold(chunks[0]) == Started(expert="math", model="phi4:14b")
    assert text_of(chunks) == "It is four."
    assert isinstance(chunks[-1], Done)
    sent = ollama.requests_for("phi4:14b")[-1].json
    assert [turn["role"] for turn in sent["messages"]] == ["system", "user"]
    assert sent["messages"][0]["content"] == "Reckon."


def test_the_decision_is_known_before_anything_is_asked(gateway: Gateway, ollama: FakeOllama) -> None:
    given = gateway.answer(ask(model="math"), request_id="r1")
    assert (given.decision.expert.label, given.decision.stage) == ("math", "explicit")
    assert not ollama.requests_to("/api/chat")


def test_a_name_that_nothing_has_is_refused_at_once(gateway: Gateway) -> None:
    with pytest.raises(ModelNotFound):
        gateway.answer(ask(model="nobody:7b"), request_id="r1")


def test_a_model_by_its_own_name_is_called_without_any_expert(gateway: Gateway, ollama: FakeOllama) -> None:
    chunks = talk(gateway, ask(model="PHI4:14b"))
    assert untold(chunks[0]) == Started(expert="phi4:14b", model="phi4:14b")
    assert [turn["role"] for turn in ollama.requests_for("phi4:14b")[-1].json["messages"]] == ["user"]


def test_a_failed_expert_is_named_by_whoever_speaks_instead(gateway: Gateway, ollama: FakeOllama) -> None:
    ollama.script("phi4:14b", [http_error(500)])
    ollama.script("gemma3:4b", [answer("Me instead.")])
    chunks = talk(gateway, ask(model="math"))
    assert untold(chunks[0]) == Started(expert="fallback", model="gemma3:4b", failed=("math",))
    assert text_of(chunks) == "Me instead."


def test_a_raw_model_that_fails_is_not_tried_twice_under_another_name(tmp_path: Path) -> None:
    with fake_ollama([MODELS[1]]) as ollama:
        ollama.script("phi4:14b", [http_error(500)])
        alone = ({"id": 0, "label": "fallback", "model_name": "phi4:14b"},)
        with gateway_of(tmp_path, ollama.url, *alone) as gateway, pytest.raises(Unanswered):
            talk(gateway, ask(model="phi4:14b"))
        assert len(ollama.requests_to("/api/chat")) == 1


def test_leaving_stops_the_model(gateway: Gateway, ollama: FakeOllama) -> None:
    ollama.script("phi4:14b", [hang()])
    chunks: Any = gateway.answer(ask(model="math"), request_id="r1").chunks
    assert isinstance(next(chunks), Heartbeat)
    asked = ollama.wait_for_requests(1, path="/api/chat")[0]
    chunks.close()
    asked.wait_until_over()
    assert asked.closed_early_at is not None
    assert gateway.health()["nodes"][ollama.url]["in_flight"] == 0


# What a decision would be


def test_route_tells_the_decision_and_calls_no_model(gateway: Gateway, ollama: FakeOllama) -> None:
    told = gateway.route(ask("solve this algebra and calculus problem"))
    assert (told["expert"], told["model"], told["stage"]) == ("math", "phi4:14b", "keyword")
    assert set(told) == {"expert", "model", "stage", "confidence", "none_fits", "near_tie", "scores",
                         "strategy", "tier", "reason", "complexity", "elapsed_ms"}
    assert 0.0 < told["confidence"] <= 1.0
    assert told["scores"]["math"]["score"] > 0
    assert told["elapsed_ms"] >= 0
    assert not ollama.requests_to("/api/chat")


def test_route_of_a_named_model_is_that_model(gateway: Gateway) -> None:
    told = gateway.route(ChatRequest(model="phi4:14b"))
    assert (told["expert"], told["model"], told["stage"], told["scores"]) == ("phi4:14b", "phi4:14b", "raw", {})


@pytest.mark.parametrize("empty", [ChatRequest(), ask(""), ask("  \n"), ChatRequest(messages=(Message("system"),))])
def test_route_needs_something_to_route(gateway: Gateway, empty: ChatRequest) -> None:
    with pytest.raises(BadRequest) as refused:
        gateway.route(empty)
    assert refused.value.param == "text"


def test_route_takes_a_picture_alone(tmp_path: Path, ollama: FakeOllama) -> None:
    eyes = {"id": 1, "label": "eyes", "vision": True, "model_name": "auto"}
    with gateway_of(tmp_path, ollama.url, FALLBACK, eyes) as gateway:
        told = gateway.route(ask("", image="iVBORw0KGgo="))
    assert (told["expert"], told["model"], told["stage"]) == ("eyes", "gemma3:4b", "vision")


def test_route_without_any_model_says_none(tmp_path: Path) -> None:
    with RefusedPort() as port, gateway_of(tmp_path, port.url, {**FALLBACK, "model_name": "auto"}) as gateway:
        assert gateway.route(ask("hello"))["model"] is None


# What it lists


def test_cards_are_the_router_then_the_experts_then_the_models(gateway: Gateway) -> None:
    cards = gateway.cards()
    assert [(card.kind, card.name) for card in cards] == [
        ("virtual", "lemoe"), *(("virtual", name) for name in ORCHESTRATORS),
        ("expert", "fallback"), ("expert", "math"), ("expert", "parrot"),
        ("model", "gemma3:4b"), ("model", "phi4:14b"), ("model", "nomic-embed-text:latest")]
    assert cards[0].context_length == 131_072
    assert {"completion", "tools", "vision"} <= set(cards[0].capabilities)


def test_each_mode_is_listed_as_the_router_is_in_words_of_its_own(gateway: Gateway) -> None:
    router, *modes = gateway.cards()[:8]
    assert [card.name for card in modes] == list(ORCHESTRATORS)
    assert len({card.description for card in (router, *modes)}) == 8
    for card in modes:
        assert structs.replace(card, name=router.name, description=router.description) == router
        assert card.description == MODES[card.name].description.strip()
        assert "\n" not in card.description


def test_an_experts_card_describes_the_model_behind_it(gateway: Gateway) -> None:
    card = gateway.find_card("math")
    assert card is not None
    assert (card.description, card.system, card.routes_to) == ("sums", "Reckon.", "phi4:14b")
    assert (card.size, card.family, card.parameter_size, card.context_length) == (
        9_000_000_000, "phi3", "14.7B", 16_384)
    assert card.capabilities == ("completion", "tools")


def test_an_expert_without_a_known_model_still_has_a_card(gateway: Gateway) -> None:
    card = gateway.find_card("parrot")
    assert card is not None
    assert (card.size, card.digest, card.capabilities) == (0, "", ("completion",))


@pytest.mark.parametrize(("name", "found"), [
    ("lemoe", "lemoe"), ("LeMoE:latest", "lemoe"), ("moe", "lemoe"), ("auto", "lemoe"), ("", "lemoe"),
    ("moe-orchestrator", "moe-orchestrator"), (" MoE-Orchestrator-Code:latest ", "moe-orchestrator-code"),
    ("library/moe-orchestrator-plan", "moe-orchestrator-plan"),
    ("math", "math"), ("MATH:latest", "math"), (" math ", "math"), ("numbers", "math"), ("Numbers:latest", "math"),
    ("gemma3:4b", "gemma3:4b"), ("GEMMA3:4B", "gemma3:4b"), ("nomic-embed-text", "nomic-embed-text:latest"),
    (" gemma3:4b ", "gemma3:4b"),
])
def test_a_card_is_found_by_every_name_that_may_be_asked_for(gateway: Gateway, name: str, found: str) -> None:
    card = gateway.find_card(name)
    assert card is not None
    assert card.name == found


@pytest.mark.parametrize("name", ["nobody", "gemma3", "gemma3:latest", "mathematics", "math:7b", "moe-orchestrator:7b",
                                  "moe-orchestrator-", "moe-orchestrator-poem"])
def test_a_name_that_nothing_has_has_no_card(gateway: Gateway, name: str) -> None:
    assert gateway.find_card(name) is None


def test_what_can_be_asked_for_and_what_has_a_card_are_the_same(gateway: Gateway) -> None:
    for card in gateway.cards():
        found = gateway.find_card(card.name)
        assert found is not None
        # Of the router itself the card says more than the list: whom it leads to.
        assert found == card or (found.kind, found.name) == ("virtual", card.name)
        assert gateway.router.decide(ask(model=card.name)) is not None


def test_a_list_without_any_node_holds_the_router_and_the_experts(tmp_path: Path) -> None:
    with RefusedPort() as port, gateway_of(tmp_path, port.url) as gateway:
        assert [card.name for card in gateway.cards()] == [
            "lemoe", *ORCHESTRATORS, "fallback", "math", "parrot"]
        assert gateway.cards()[0].context_length == 0


# Health


def test_all_is_well_when_every_expert_has_its_model(gateway: Gateway, ollama: FakeOllama) -> None:
    health = gateway.health()
    assert health["status"] == "ok"
    assert health["router"]["mode"] == "keyword"
    assert health["experts"]["math"] == {
        "type": "ollama", "tier": 1, "keywords": 2, "model": "phi4:14b", "available": True, "breaker": "closed"}
    assert health["nodes"] == {
        ollama.url: {"up": True, "models": 3, "loaded": ["gemma3:4b"], "in_flight": 0}}


def test_an_expert_without_its_model_degrades_and_says_why(tmp_path: Path, ollama: FakeOllama) -> None:
    with gateway_of(tmp_path, ollama.url, FALLBACK, {"id": 1, "label": "gone", "model_name": "gone:7b"}) as gateway:
        health = gateway.health()
    assert health["status"] == "degraded"
    assert health["experts"]["gone"]["available"] is False
    assert health["experts"]["gone"]["reason"] == "the model is not installed"
    assert health["experts"]["fallback"]["available"] is True


def test_a_router_that_is_not_as_it_should_be_degrades_and_says_why(gateway: Gateway) -> None:
    assert isinstance(gateway.router, Router)
    gateway.router.tell("no scorer could be fitted", is_faulty=True)
    health = gateway.health()
    assert health["status"] == "degraded" and "no scorer could be fitted" in health["router"]["note"]
    gateway.router.tell("the scorer is being fitted")
    assert gateway.health()["status"] == "ok"


def test_an_unreachable_node_is_down_with_its_reason(tmp_path: Path) -> None:
    with RefusedPort() as port, gateway_of(tmp_path, port.url) as gateway:
        health = gateway.health()
        assert health["nodes"][port.url]["up"] is False
        assert health["nodes"][port.url]["error"] == "unreachable"
    assert health["status"] == "degraded"
    assert health["experts"]["math"]["reason"] == "unreachable"
    assert health["experts"]["parrot"]["available"] is True


def test_health_asks_nobody(gateway: Gateway, ollama: FakeOllama) -> None:
    ollama.forget_requests()
    for _ in range(20):
        gateway.health()
    assert not ollama.requests


def test_an_open_breaker_shows_and_spares_the_expert(tmp_path: Path, ollama: FakeOllama) -> None:
    ollama.script("phi4:14b", [http_error(500)])
    with gateway_of(tmp_path, ollama.url, breaker_failures=2, breaker_cooldown_s=60) as gateway:
        firsts = [talk(gateway, ask(model="math"))[0] for _ in range(4)]
        health = gateway.health()
    assert [first.expert for first in firsts if isinstance(first, Started)] == ["fallback"] * 4
    assert (health["status"], health["experts"]["math"]["breaker"]) == ("degraded", "open")
    assert len(ollama.requests_for("phi4:14b")) == 1 + 2  # /api/show, and until it opened


def test_a_breaker_closes_again_once_the_expert_is_back(tmp_path: Path, ollama: FakeOllama) -> None:
    ollama.script("phi4:14b", [http_error(500), answer("Back.")])
    with gateway_of(tmp_path, ollama.url, breaker_failures=1, breaker_cooldown_s=0.3) as gateway:
        talk(gateway, ask(model="math"))
        assert gateway.health()["experts"]["math"]["breaker"] == "open"
        until = time.monotonic() + 10
        while gateway.health()["experts"]["math"]["breaker"] == "open" and time.monotonic() < until:
            time.sleep(0.02)
        assert gateway.health()["experts"]["math"]["breaker"] == "half-open"
        assert text_of(talk(gateway, ask(model="math"))) == "Back."
        assert gateway.health()["experts"]["math"]["breaker"] == "closed"


@pytest.mark.parametrize("model", ["", "fallback", "math"])
def test_a_model_that_rests_is_not_waited_for_under_another_name(
    tmp_path: Path, ollama: FakeOllama, model: str
) -> None:
    ollama.script("gemma3:4b", [hang()])
    experts = ({**FALLBACK}, {"id": 1, "label": "math", "model_name": "gemma3:4b"})
    with gateway_of(tmp_path, ollama.url, *experts, breaker_failures=1, breaker_cooldown_s=60,
                    first_token_timeout_s=0.3) as gateway:
        talk(gateway, ask(model="fallback"))
        ollama.forget_requests()
        started = talk(gateway, ask(model=model))[0]
        assert {name: row["breaker"] for name, row in gateway.health()["experts"].items()} == {
            "fallback": "open", "math": "open"}
    assert isinstance(started, Started) and started.model == "phi4:14b"
    assert not ollama.requests_for("gemma3:4b")


def test_the_same_model_on_another_node_does_not_rest(tmp_path: Path, ollama: FakeOllama) -> None:
    with fake_ollama([FakeModel("gemma3:4b", loaded=True)]) as other:
        ollama.script("gemma3:4b", [http_error(500)])
        experts = (FALLBACK, {"id": 1, "label": "far", "model_name": "gemma3:4b", "url": other.url})
        with gateway_of(tmp_path, ollama.url, *experts, breaker_failures=1, breaker_cooldown_s=60) as gateway:
            talk(gateway, ask(model="fallback"))
            assert gateway.health()["experts"]["far"]["breaker"] == "closed"
            assert untold(talk(gateway, ask(model="far"))[0]) == Started(expert="far", model="gemma3:4b")


def test_who_names_an_expert_that_cannot_is_told_so_though_it_rests(tmp_path: Path, ollama: FakeOllama) -> None:
    ollama.script("phi4:14b", [http_error(500)])
    with gateway_of(tmp_path, ollama.url, breaker_failures=1, breaker_cooldown_s=60) as gateway:
        for is_open in (False, True):
            with pytest.raises(BadRequest, match='"phi4:14b" does not support images'):
                talk(gateway, ask(model="math", image="QUJD"))
            assert (gateway.health()["experts"]["math"]["breaker"] == "open") is is_open
            talk(gateway, ask(model="math"))


def test_the_only_model_is_not_waited_for_while_it_rests(tmp_path: Path) -> None:
    with fake_ollama([FakeModel("only:4b", loaded=True)]) as lone:
        lone.script("only:4b", [hang()])
        experts = ({"id": 0, "label": "fallback", "model_name": "only:4b"},)
        with gateway_of(tmp_path, lone.url, *experts, breaker_failures=1, breaker_cooldown_s=60,
                        first_token_timeout_s=0.3) as gateway:
            with pytest.raises(Unanswered):
                talk(gateway, ask(model="fallback"))
            lone.forget_requests()
            with pytest.raises(Unanswered, match="fallback: was silent"):
                talk(gateway, ask(model="fallback"))
            first = untold(talk(gateway, ask())[0])
            assert first == Started(expert="builtin", model="builtin", failed=("fallback", "only:4b"))
            assert not lone.requests_for("only:4b")
