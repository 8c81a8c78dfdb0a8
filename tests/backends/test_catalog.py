"""What all nodes have together: names, models for experts, and who stands in."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from moe.backends.catalog import Catalog
from moe.backends.nodes import Node
from moe.experts import Expert
from tests.fakes import FakeModel, FakeOllama, RefusedPort, fake_ollama

GENERAL = Expert(id=1, label="general", model_name="auto")
MATH = Expert(id=2, label="math", model_name="auto")


@contextmanager
def catalog_of(executor: ThreadPoolExecutor, *experts: Expert, default: str, others: tuple[str, ...] = ()
               ) -> Iterator[Catalog]:
    nodes = {url: Node(url, connect_timeout_s=0.5, executor=executor) for url in (default, *others)}
    yield Catalog(nodes, experts, default=(default,))
    for node in nodes.values():
        node.close()


@pytest.fixture
def fake() -> Iterator[FakeOllama]:
    general, math = FakeModel("gemma3:27b", size=17 * 10**6), FakeModel("phi4:14b", size=9 * 10**6, loaded=True)
    models = [general, math, "nomic-embed-text", FakeModel("huge:cloud", remote_host="https://ollama.com", loaded=True)]
    with fake_ollama(models) as fake:
        yield fake


@pytest.mark.usefixtures("short_lives")
def test_an_auto_expert_gets_a_model_and_a_new_one_when_the_node_changes(
    fake: FakeOllama, executor: ThreadPoolExecutor
) -> None:
    with catalog_of(executor, GENERAL, MATH, default=fake.url) as catalog:
        assert catalog.model_for(GENERAL) == "phi4:14b"
        fake.models.unload("phi4:14b")
        catalog.all_nodes()[0].refresh(wait=True)
        assert catalog.model_for(GENERAL) == "gemma3:27b"
        assert catalog.model_for(MATH) == "phi4:14b"


def test_without_asking_nothing_is_chosen_yet(fake: FakeOllama) -> None:
    executor = ThreadPoolExecutor(1)
    executor.shutdown()
    with catalog_of(executor, GENERAL, default=fake.url) as catalog:
        assert catalog.model_for(GENERAL, fresh=False) == ""
        assert not fake.requests
        assert catalog.model_for(GENERAL) == "phi4:14b"
        assert catalog.model_for(GENERAL, fresh=False) == "phi4:14b"


@pytest.mark.parametrize(("configured", "sent"), [
    ("gemma3:27b", "gemma3:27b"), ("GEMMA3:27B", "gemma3:27b"), ("nomic-embed-text", "nomic-embed-text:latest"),
    ("not-pulled-yet", "not-pulled-yet"),
])
def test_a_named_model_is_spelled_as_the_node_does(
    fake: FakeOllama, executor: ThreadPoolExecutor, configured: str, sent: str
) -> None:
    named = Expert(id=3, label="named", model_name=configured)
    with catalog_of(executor, named, default=fake.url) as catalog:
        assert catalog.model_for(named) == sent


def test_an_expert_with_its_own_machine_gets_a_model_of_that(fake: FakeOllama, executor: ThreadPoolExecutor) -> None:
    with fake_ollama(["llama3.1:8b"]) as other:
        own = Expert(id=4, label="own", model_name="auto", url=other.url)
        with catalog_of(executor, GENERAL, own, default=fake.url, others=(other.url,)) as catalog:
            assert catalog.model_for(own) == "llama3.1:8b"
            assert catalog.model_for(GENERAL) == "phi4:14b"
            assert catalog.group_of(own) == (other.url,)
            assert catalog.find("llama3.1:8b") == "llama3.1:8b"


@pytest.mark.usefixtures("short_lives")
def test_a_model_that_only_a_dead_machine_has_is_not_chosen(fake: FakeOllama, executor: ThreadPoolExecutor) -> None:
    with fake_ollama([FakeModel("devstral:24b", loaded=True)]) as other:
        coder = Expert(id=5, label="code_reviewer", model_name="auto", urls=(fake.url, other.url))
        with catalog_of(executor, coder, default=fake.url, others=(other.url,)) as catalog:
            assert catalog.model_for(coder) == "devstral:24b"
            other.stop()
            next(node for node in catalog.all_nodes() if node.url == other.url).refresh(wait=True)
            assert catalog.model_for(coder) == "phi4:14b"


def test_a_name_is_found_whatever_its_case(fake: FakeOllama, executor: ThreadPoolExecutor) -> None:
    with catalog_of(executor, default=fake.url) as catalog:
        assert catalog.find("Gemma3:27B") == "gemma3:27b"
        assert catalog.find("gemma3") is None


def test_the_loaded_model_is_one_that_can_chat_here(fake: FakeOllama, executor: ThreadPoolExecutor) -> None:
    with catalog_of(executor, default=fake.url) as catalog:
        assert catalog.loaded() == "phi4:14b"
        assert [card.name for card in catalog.cards(only_loaded=True)] == ["phi4:14b", "huge:cloud"]


def test_stand_ins_are_local_can_chat_and_are_loaded_first(fake: FakeOllama, executor: ThreadPoolExecutor) -> None:
    with catalog_of(executor, default=fake.url) as catalog:
        assert catalog.stand_ins() == ["phi4:14b", "gemma3:27b"]


def test_the_memory_of_all_nodes_counts_together(executor: ThreadPoolExecutor) -> None:
    """So that neither of two models that fill a node each is left out for the other's sake."""
    two = Expert(id=2, label="math", models={"1": "auto", "2": "auto"})
    with fake_ollama(["phi4:14b", "gemma3:27b"]) as first, fake_ollama(["phi4:14b", "gemma3:27b"]) as second:
        for urls, tier in (((first.url,), ()), ((first.url, second.url), ("phi4:14b",))):
            nodes = {url: Node(url, connect_timeout_s=0.5, executor=executor, vram=20 * 10**9) for url in urls}
            for node in nodes.values():
                node.refresh(wait=True)
            catalog = Catalog(nodes, (GENERAL, two), default=urls)
            assert catalog.models_for(two, 1) == tier
            assert catalog.models_for(two, 2) == ("gemma3:27b",)
            for node in nodes.values():
                node.close()


def test_nothing_is_there_when_nobody_answers(executor: ThreadPoolExecutor) -> None:
    with RefusedPort() as port, catalog_of(executor, GENERAL, default=port.url) as catalog:
        assert catalog.model_for(GENERAL) == ""
        assert catalog.find("x") is None
        assert catalog.loaded() is None
        assert catalog.stand_ins() == []
        assert catalog.cards() == []
        assert catalog.describe("x") is None


def test_a_model_is_where_the_nodes_are_that_have_it(fake: FakeOllama, executor: ThreadPoolExecutor) -> None:
    near = Expert(id=3, label="near", model_name="phi4:14b")
    with fake_ollama(["other:1b"]) as second, catalog_of(
        executor, near, default=fake.url, others=(second.url,)
    ) as catalog:
        raw = Expert(id=-1, label="phi4:14b", model_name="phi4:14b")
        assert catalog.place_of(raw, "phi4:14b") == (fake.url, second.url)  # nobody is known to have it yet
        for node in catalog.all_nodes():
            node.refresh(wait=True)
        assert catalog.place_of(near, "phi4:14b") == catalog.place_of(raw, "phi4:14b") == (fake.url,)
        assert catalog.place_of(raw, "other:1b") == (second.url,)
