"""Nodes of config.json: listed once, named by experts, and chosen by what is known of their memory."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.fakes import FakeModel, FakeOllama, answer, fake_ollama
from tests.live import live_server, write_config
from tests.talk import talk

GB = 10**9
MODELS = [FakeModel("main:4b", size=20 * GB), FakeModel("other:4b", size=30 * GB)]
EXPERTS = [{"id": 0, "label": "fallback", "model_name": "main:4b"},
           {"id": 1, "label": "second", "model_name": "main:4b", "url": "second"}]


@pytest.fixture
def pair() -> Iterator[tuple[FakeOllama, FakeOllama]]:
    with fake_ollama(MODELS) as first, fake_ollama(MODELS) as second:
        yield first, second


Pair = tuple[FakeOllama, FakeOllama]


def settings(first: FakeOllama, second: FakeOllama, **limits: Any) -> dict[str, Any]:
    nodes = [{"name": "first", "url": first.url, "vram_gb": 48, **limits},
             {"name": "second", "url": second.url, "vram_gb": 48, **limits}]
    return {"nodes": nodes, "expert_runner": {"ollama_url": "", "retries": 0}}


def chats(fake: FakeOllama) -> int:
    return len(fake.requests_to("/api/chat"))


def test_an_expert_without_a_url_is_served_by_all_nodes_and_one_with_a_name_by_that(
    tmp_path: Path, pair: Pair
) -> None:
    first, second = pair
    second.models.add(FakeModel("main:4b", size=20 * GB, loaded=True))
    with live_server(tmp_path, config=settings(*pair), experts=EXPERTS) as server:
        assert set(server.gateway.health()["nodes"]) == {first.url, second.url}
        assert talk(server.url, model="fallback").is_good
        assert talk(server.url, model="second").is_good
        assert (chats(first), chats(second)) == (0, 2)
        second.stop()
        assert talk(server.url, model="fallback").is_good
        assert chats(first) == 1


def test_a_model_goes_where_there_is_room_for_it(tmp_path: Path, pair: Pair) -> None:
    first, second = pair
    first.models.add(FakeModel("other:4b", size=30 * GB, loaded=True))
    with live_server(tmp_path, config=settings(*pair), experts=EXPERTS) as server:
        for number in range(3):
            assert talk(server.url, f"conversation {number}", model="fallback").is_good
        assert (chats(first), chats(second)) == (0, 3)


def test_each_node_serves_as_many_at_once_as_it_says_and_a_reload_changes_that(tmp_path: Path, pair: Pair) -> None:
    first, second = pair
    for fake in pair:
        fake.models.add(FakeModel("main:4b", size=20 * GB, loaded=True))
        fake.script("main:4b", [answer("Yes.", delay_s=0.3)])
    with live_server(tmp_path, config=settings(*pair, max_parallel=2), experts=EXPERTS) as server, \
            ThreadPoolExecutor(12) as pool:
        def ask(count: int) -> list[bool]:
            return [told.is_good for told in pool.map(
                lambda number: talk(server.url, f"conversation {number}", model="fallback"), range(count))]

        assert all(ask(10))
        assert (most_at_once(first), most_at_once(second)) == (2, 2)
        for fake in pair:
            fake.forget_requests()
        write_config(tmp_path, config=settings(*pair, max_parallel=1), experts=EXPERTS)
        assert server.service.reload()
        assert all(ask(4))
        assert (most_at_once(first), most_at_once(second)) == (1, 1)


def most_at_once(fake: FakeOllama) -> int:
    spans = [(r.arrived_at, r.finished_at or time.monotonic()) for r in fake.requests if r.path == "/api/chat"]
    return max(sum(start <= at < end for start, end in spans) for at, _ in spans)


def test_models_are_managed_on_the_node_with_that_name(tmp_path: Path, pair: Pair) -> None:
    config = settings(*pair) | {"server": {"manage_node": "second"}}
    with live_server(tmp_path, config=config, experts=EXPERTS) as server:
        found = server.gateway.catalog.node("second")
        assert found is not None and found.url == pair[1].url
