"""The fake whose memory is small: what loads slowly, what leaves, and who waits."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.fakes import FakeModel, answer
from tests.fakes.probe import Address, ask
from tests.fakes.tight import TightOllama


@pytest.fixture
def fake() -> Iterator[TightOllama]:
    models = [FakeModel("a", size=60), FakeModel("b", size=30), FakeModel("c", size=30), FakeModel("huge", size=200)]
    with TightOllama(models, memory=100, disk=600) as fake:
        yield fake


def chat(fake: TightOllama, model: str) -> float:
    """How long it took."""
    began = time.monotonic()
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "hello"}]}).encode()
    assert ask(Address(fake.host, fake.port), "/api/chat", body).status == 200
    return time.monotonic() - began


def running(fake: TightOllama) -> set[str]:
    return {entry["name"].removesuffix(":latest") for entry in fake.models.running()}


def test_a_model_takes_its_time_to_load_and_stays(fake: TightOllama) -> None:
    assert chat(fake, "a") >= 0.1
    assert chat(fake, "a") < 0.1
    assert (running(fake), fake.swaps, fake.cold_loads.total()) == ({"a"}, 0, 1)


def test_the_longest_idle_leaves_for_what_finds_no_room(fake: TightOllama) -> None:
    for model in ("b", "a", "b", "c"):
        chat(fake, model)
        fake.wait_until_idle()
    assert running(fake) == {"b", "c"}
    assert (fake.swaps, fake.cold_loads.total()) == (1, 3)


def test_what_is_larger_than_the_memory_is_alone_in_it(fake: TightOllama) -> None:
    for model in ("a", "b", "huge"):
        chat(fake, model)
        fake.wait_until_idle()
    assert (running(fake), fake.swaps) == ({"huge"}, 1)
    chat(fake, "b")
    assert (running(fake), fake.swaps) == ({"b"}, 2)


def test_who_answers_is_waited_for(fake: TightOllama) -> None:
    fake.script("a", [answer("slowly", delay_s=0.5)])
    with ThreadPoolExecutor(3) as pool:
        slow = pool.submit(chat, fake, "a")
        fake.wait_for_requests(1, path="/api/chat")
        time.sleep(0.05)
        huge = pool.submit(chat, fake, "huge")
        fake.wait_for_requests(2, path="/api/chat")
        time.sleep(0.05)
        after = pool.submit(chat, fake, "a")
        assert slow.result() >= 0.6
        assert huge.result() >= slow.result()
        assert after.result() >= 0.5
    assert list(fake.cold_loads.elements()) == ["a:latest", "a:latest", "huge:latest"]
