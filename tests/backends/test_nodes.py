"""What is believed of a machine that runs Ollama, and which of several goes first."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from moe.backends.inventory import UpstreamModel, card, find_name
from moe.backends.nodes import Node
from moe.backends.preference import Conversations, rank
from moe.backends.queues import Queues
from moe.core import Usage
from moe.errors import Unreachable
from tests.fakes import FakeModel, FakeOllama, fake_ollama, garbage, hang, http_error

SOON_S = 5.0


@pytest.fixture
def fake() -> Iterator[FakeOllama]:
    with fake_ollama([FakeModel("small:1b", loaded=True), FakeModel("large:30b"), "nomic-embed-text"]) as fake:
        yield fake


def node_at(url: str, executor: ThreadPoolExecutor) -> Node:
    return Node(url, connect_timeout_s=0.5, executor=executor)


def becomes(what: Any) -> bool:
    until = time.monotonic() + SOON_S
    while time.monotonic() < until:
        if what():
            return True
        time.sleep(0.01)
    return False


# What is known


def test_the_first_look_asks_and_the_next_ones_remember(fake: FakeOllama, executor: ThreadPoolExecutor) -> None:
    node = node_at(fake.url, executor)
    assert not node.last_state.is_known or node.last_state.is_up
    state = node.state
    assert state.is_up
    assert set(state.models) == {"small:1b", "large:30b", "nomic-embed-text:latest"}
    assert set(state.loaded) == {"small:1b"}
    count = len(fake.requests)
    assert node.state is state
    assert len(fake.requests) == count


@pytest.mark.usefixtures("short_lives")
def test_capabilities_and_context_come_from_show_and_are_asked_once(
    fake: FakeOllama, executor: ThreadPoolExecutor
) -> None:
    node = node_at(fake.url, executor)
    models = node.state.models
    assert models["small:1b"].capabilities == ("completion", "tools")
    assert models["small:1b"].context_length == 131_072
    assert models["nomic-embed-text:latest"].can_chat is False
    assert not models["small:1b"].lacks("tools")
    assert models["small:1b"].lacks("vision")
    node.refresh(wait=True)
    assert len(fake.requests_to("/api/show")) == 3


@pytest.mark.usefixtures("short_lives")
def test_a_stale_state_is_used_while_it_is_renewed(fake: FakeOllama, executor: ThreadPoolExecutor) -> None:
    node = node_at(fake.url, executor)
    before = node.state
    fake.models.unload("small:1b")
    fake.script("/api/ps", [])
    assert node.state is before
    assert becomes(lambda: not node.last_state.loaded)


@pytest.mark.usefixtures("short_lives")
def test_after_a_quiet_while_the_present_state_is_asked_for(fake: FakeOllama, executor: ThreadPoolExecutor) -> None:
    node = node_at(fake.url, executor)
    assert set(node.state.loaded) == {"small:1b"}
    fake.models.unload("small:1b")
    assert not node.present_state.loaded


@pytest.mark.usefixtures("short_lives")
def test_a_dead_node_is_down_and_seen_again_when_it_is_back(fake: FakeOllama, executor: ThreadPoolExecutor) -> None:
    node = node_at(fake.url, executor)
    assert node.state.is_up
    fake.stop()
    node.refresh(wait=True)
    assert not node.state.is_up
    assert node.state.error == "unreachable"
    assert set(node.state.models) == {"small:1b", "large:30b", "nomic-embed-text:latest"}
    fake.restart()
    assert node.state.is_up
    assert node.state.error == ""


def test_a_request_that_cannot_connect_marks_the_node_down(fake: FakeOllama, executor: ThreadPoolExecutor) -> None:
    node = node_at(fake.url, executor)
    assert node.state.is_up
    node.mark_down(Unreachable("refused"))
    assert not node.last_state.is_up
    assert not node.last_state.loaded
    assert not node.last_state.is_slow_to_fail


@pytest.mark.usefixtures("short_lives")
def test_a_node_that_is_silent_now_and_then_is_not_given_up(
    fake: FakeOllama, executor: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("moe.backends.nodes.PS_TIMEOUT_S", 0.2)
    node = node_at(fake.url, executor)
    assert node.state.is_up
    fake.script("/api/ps", [hang()])
    node.refresh(wait=True)
    state = node.last_state
    assert state.is_up
    assert not state.knows_loaded
    assert "small:1b" in state.models


def test_a_node_that_never_said_anything_is_down(executor: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("moe.backends.nodes.PS_TIMEOUT_S", 0.2)
    with fake_ollama() as fake:
        fake.script("/api/ps", [hang()])
        state = node_at(fake.url, executor).state
    assert state.is_known
    assert not state.is_up
    assert state.is_slow_to_fail


@pytest.mark.parametrize("step", [http_error(500), http_error(404), garbage(), garbage(b"[1,2]"),
                                  garbage(b'{"models":{"a":1}}')])
def test_a_node_that_will_not_list_its_models_is_still_there(
    fake: FakeOllama, executor: ThreadPoolExecutor, step: Any
) -> None:
    fake.script("/api/tags", [step])
    node = node_at(fake.url, executor)
    assert node.state.is_up
    assert not node.state.models


def test_a_server_without_ps_is_up_but_its_memory_is_unknown(fake: FakeOllama, executor: ThreadPoolExecutor) -> None:
    fake.script("/api/ps", [http_error(404)])
    state = node_at(fake.url, executor).state
    assert state.is_up
    assert not state.knows_loaded
    assert state.models


def test_figures_of_a_strange_kind_do_no_harm(fake: FakeOllama, executor: ThreadPoolExecutor) -> None:
    entry = {"name": "odd", "size": "big", "details": {"context_length": [1]}, "modified_at": 5, "digest": None}
    fake.script("/api/tags", [http_error(200, {"models": [entry, 5, None, {"name": ""}]})])
    fake.script("/api/show", [http_error(200, {"capabilities": "completion", "model_info": 7})])
    fake.script("/api/ps", [http_error(200, {"models": [{"name": "odd", "size": -1, "expires_at": 5}]})])
    state = node_at(fake.url, executor).state
    assert set(state.models) == {"odd"}
    assert state.models["odd"].size == 0
    assert card(state.models["odd"], state.loaded["odd"]).modified == 0.0


def test_many_who_ask_at_once_share_one_question(fake: FakeOllama) -> None:
    with ThreadPoolExecutor(16) as many:
        node = node_at(fake.url, many)
        assert all(state.is_up for state in many.map(lambda _: node.state, range(16)))
    assert len(fake.requests_to("/api/tags")) == 1


def test_a_cloud_model_of_ollama_is_known_as_such(executor: ThreadPoolExecutor) -> None:
    with fake_ollama([FakeModel("big:cloud", remote_host="https://ollama.com"), "here"]) as fake:
        models = node_at(fake.url, executor).state.models
    assert models["big:cloud"].is_remote
    assert not models["here:latest"].is_remote


@pytest.mark.parametrize(("name", "found"), [
    ("small:1b", "small:1b"), ("SMALL:1B", "small:1b"),
    ("hf.co/me/big-gguf:q4_k_m", "hf.co/Me/Big-GGUF:Q4_K_M"), ("nomic-embed-text", "nomic-embed-text:latest"),
    ("small", None), ("", None),
])
def test_a_models_name_is_found_in_any_case_and_without_latest(name: str, found: str | None) -> None:
    known = {"hf.co/Me/Big-GGUF:Q4_K_M", "small:1b", "nomic-embed-text:latest"}
    assert find_name(name, [known]) == found


def test_a_model_of_unknown_capabilities_is_judged_by_its_name() -> None:
    assert UpstreamModel(name="llama3").can_chat
    assert not UpstreamModel(name="mxbai-embed-large").can_chat
    assert not UpstreamModel(name="llama3").lacks("tools")


# Who goes first


@pytest.fixture
def pair(executor: ThreadPoolExecutor) -> Iterator[tuple[FakeOllama, FakeOllama, Node, Node]]:
    with fake_ollama(["m"]) as first, fake_ollama(["m"]) as second:
        yield first, second, node_at(first.url, executor), node_at(second.url, executor)


Pair = tuple[FakeOllama, FakeOllama, Node, Node]
M = "m:latest"


def order(*nodes: Node, home: str = "") -> list[Node]:
    return rank(nodes, M, home=home)


def test_the_one_that_has_the_model_in_memory_goes_first(pair: Pair) -> None:
    _, second, a, b = pair
    second.models.add(FakeModel("m", loaded=True))
    a.enter()
    assert order(a, b) == [b, a]


def test_an_unreachable_one_goes_last_whatever_it_had(pair: Pair) -> None:
    first, _, a, b = pair
    first.models.add(FakeModel("m", loaded=True))
    assert order(b, a)[0] is a
    a.mark_down(Unreachable())
    assert order(a, b) == [b, a]


def test_one_without_the_model_goes_after_one_that_has_it(pair: Pair) -> None:
    first, second, a, b = pair
    first.models.remove("m")
    first.models.add("other")
    b.enter()
    assert order(a, b) == [b, a]


def test_the_least_busy_goes_first(pair: Pair) -> None:
    *_, a, b = pair
    a.enter()
    assert order(a, b) == [b, a]
    b.enter()
    b.enter()
    assert order(a, b) == [a, b]


def test_a_conversation_stays_where_it_was_unless_that_is_much_busier(pair: Pair) -> None:
    *_, a, b = pair
    b.enter()
    assert order(a, b, home=b.url) == [b, a]
    b.enter()
    b.enter()
    assert order(a, b, home=b.url) == [a, b]


def test_one_that_was_silent_goes_after_the_others_for_a_while(pair: Pair) -> None:
    first, _, a, b = pair
    first.models.add(FakeModel("m", loaded=True))
    a.doubt(60)
    assert order(a, b) == [b, a]
    a.doubt(0)
    assert order(a, b) == [a, b]


def test_the_oldest_conversations_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("moe.backends.preference.MAX_CONVERSATIONS", 2)
    known = Conversations()
    for key in (1, 2, 1, 3):
        known.remember(key, f"http://{key}")
    assert [known.node_of(key) for key in (1, 2, 3)] == ["http://1", "", "http://3"]


# What is known of its memory

GB = 10**9


def kept(url: str, executor: ThreadPoolExecutor, *, vram: int | None, limit: int | None = None) -> Node:
    queues = Queues()
    queues.adjust(limit=None, most_waiting=8, limits={} if limit is None else {url: limit})
    return Node(url, connect_timeout_s=0.5, executor=executor, vram=vram, lane=queues.lane(url))


def test_the_one_with_room_goes_before_the_one_that_must_send_another_model_away(executor: ThreadPoolExecutor) -> None:
    both = [FakeModel("m", size=20 * GB), FakeModel("other:70b", size=30 * GB)]
    with fake_ollama(both) as full, fake_ollama(both) as empty:
        full.models.add(FakeModel("other:70b", size=30 * GB, loaded=True))
        a, b = (kept(fake.url, executor, vram=48 * GB) for fake in (full, empty))
        b.enter()
        assert order(a, b) == [b, a]


def test_a_model_of_unknown_size_is_not_sent_where_only_a_little_is_free(executor: ThreadPoolExecutor) -> None:
    both = [FakeModel("m", size=0), FakeModel("other", size=40 * GB)]
    with fake_ollama(both) as full, fake_ollama(both) as empty:
        full.models.add(FakeModel("other", size=40 * GB, loaded=True))
        a, b = (kept(fake.url, executor, vram=48 * GB) for fake in (full, empty))
        assert a.state.is_up and b.state.is_up
        assert a.size_of(M) is None
        b.enter()
        assert order(a, b) == [b, a]


def test_a_model_that_a_request_is_loading_takes_its_room_already(executor: ThreadPoolExecutor) -> None:
    both = [FakeModel("m", size=20 * GB), FakeModel("other", size=30 * GB)]
    with fake_ollama(both) as first, fake_ollama(both) as second:
        a, b = (kept(fake.url, executor, vram=48 * GB) for fake in (first, second))
        assert order(a, b) == [a, b]
        a.enter("other:latest")
        held = a.held()["other:latest"]
        assert (held.is_loading, held.size, held.idle_s) == (True, int(30 * GB * 1.15), 0.0)
        assert order(a, b) == [b, a]
        a.leave("other:latest")
        assert a.held() == {}
        a.hear("other:latest")
        assert not a.held()["other:latest"].is_loading
        a.forget("other:latest")
        assert a.held() == {}


@pytest.mark.usefixtures("short_lives")
def test_the_room_a_model_takes_is_what_it_was_seen_to_take(executor: ThreadPoolExecutor) -> None:
    with fake_ollama([FakeModel("m", size=20 * GB)]) as fake:
        node = kept(fake.url, executor, vram=48 * GB)
        assert node.state.is_up
        assert node.size_of(M) == int(20 * GB * 1.15)
        fake.models.add(FakeModel("m", size=20 * GB, loaded=True))
        node.refresh(wait=True)
        assert node.size_of(M) == 20 * GB
        fake.models.unload("m")
        node.refresh(wait=True)
        assert not node.last_state.loaded
        assert node.size_of(M) == 20 * GB


def test_a_node_that_does_not_list_its_memory_has_no_room_for_sure(executor: ThreadPoolExecutor) -> None:
    both = [FakeModel("m", size=20 * GB)]
    with fake_ollama(both) as old, fake_ollama(both) as new:
        old.script("/api/ps", [http_error(404)])
        a, b = (kept(fake.url, executor, vram=48 * GB) for fake in (old, new))
        b.enter()
        assert order(a, b) == [b, a]


def test_one_whose_places_are_taken_goes_after_one_that_can_load(executor: ThreadPoolExecutor) -> None:
    with fake_ollama([FakeModel("m", loaded=True)]) as has, fake_ollama(["m"]) as empty:
        a, b = (kept(fake.url, executor, vram=48 * GB, limit=2) for fake in (has, empty))
        assert a.lane.limit == 2
        a.enter(M)
        assert order(a, b) == [a, b]
        a.enter(M)
        assert order(a, b) == [b, a]


def test_the_measured_speed_breaks_ties_and_short_answers_tell_nothing(pair: Pair) -> None:
    *_, a, b = pair
    a.measure(M, Usage(completion_tokens=2, completion_ns=1))
    a.measure(M, Usage(completion_tokens=100, completion_ns=0))
    a.measure(M, Usage(completion_tokens=100, completion_ns=10**9, estimated=True))
    assert a.tokens_per_s(M) is None
    a.measure(M, Usage(completion_tokens=100, completion_ns=10 * 10**9))
    b.measure(M, Usage(completion_tokens=100, completion_ns=2 * 10**9))
    assert (a.tokens_per_s(M), b.tokens_per_s(M)) == (10.0, 50.0)
    assert order(a, b) == [b, a]
    b.measure(M, Usage(completion_tokens=100, completion_ns=100 * 10**9))
    assert b.tokens_per_s(M) == pytest.approx(50 - 0.3 * 49)
    b.enter()
    assert order(a, b) == [a, b]
