from __future__ import annotations

import threading
from collections.abc import Iterator
from itertools import islice

import pytest

from moe.backends.onnx.answer import LONGEST_PART, SHORTEST_PART, fit
from moe.backends.onnx.backend import Onnx
from moe.backends.onnx.turns import Turns
from moe.backends.shelf import Shelf
from moe.config import MemoryConfig
from moe.core import Heartbeat, Text
from moe.errors import NotReady

from .onnx_kit import STORY, ask, reach, say, text_of

GUARD_S = 30
STORY_QUESTION = "Tell me a long story."


@pytest.fixture
def shelf() -> Iterator[Shelf]:
    shelf = Shelf(MemoryConfig())
    yield shelf
    shelf.close()


@pytest.fixture
def general(shelf: Shelf) -> Onnx:
    return reach("general-onnx", shelf)


def test_the_parts_of_a_prompt_take_about_a_heartbeat_each() -> None:
    assert fit(64, 0.25) == 64 and fit(64, 0.5) == 32
    assert fit(64, 0.0) == 128 and fit(LONGEST_PART, 0.001) == LONGEST_PART and fit(8, 60.0) == SHORTEST_PART


def test_turns_go_round_in_the_order_of_asking() -> None:
    turns, order, lock = Turns(), list[str](), threading.Lock()
    list(turns.take())
    def work(name: str) -> None:
        for _ in range(3):
            for _ in turns.take():
                pass
            with lock:
                order.append(name)
            turns.give()

    threads = []
    for name in "abc":
        thread = threading.Thread(target=work, args=(name,))
        thread.start()
        threads.append(thread)
        while len(turns._waiting) < len(threads):
            threading.Event().wait(0.001)
    turns.give()
    for thread in threads:
        thread.join(GUARD_S)
    assert order[:3] == ["a", "b", "c"] and sorted(order) == list("aaabbbccc")


def test_a_turn_that_comes_as_its_owner_leaves_goes_to_the_next() -> None:
    turns = Turns()
    list(turns.take())
    leaver, heir = turns.take(), turns.take()
    next(leaver), next(heir)
    turns.give()  # handed to the leaver, who has not looked yet
    leaver.close()
    assert list(heir) == []


def test_whoever_waits_for_a_turn_hears_heartbeats_and_may_leave(shelf: Shelf, general: Onnx) -> None:
    ask(general, "Hi")
    loan = general._shelf.borrow(general._source(general._look()))
    with pytest.raises(StopIteration) as over:
        next(loan)
    with over.value.value as model:
        list(model.turns.take())
        waiting = general.chat(say("Hi"))
        assert all(isinstance(next(waiting), Heartbeat) for _ in range(2))
        waiting.close()
        model.turns.give()
        assert ask(general, "Hi")[0] == "Hello! How can I help you?"


def test_a_client_that_leaves_frees_the_model(shelf: Shelf, general: Onnx) -> None:
    chunks = general.chat(say(STORY_QUESTION))
    next(chunk for chunk in chunks if isinstance(chunk, Text))
    assert [loaded.users for loaded in shelf.loaded() if loaded.name == "general-onnx"] == [1]
    chunks.close()
    assert [loaded.users for loaded in shelf.loaded() if loaded.name == "general-onnx"] == [0]
    assert ask(general, "Hi")[0] == "Hello! How can I help you?"


def test_a_model_unloaded_under_an_answer_is_an_error_and_no_crash(shelf: Shelf, general: Onnx) -> None:
    chunks = general.chat(say(STORY_QUESTION))
    next(chunk for chunk in chunks if isinstance(chunk, Text))
    shelf.close()
    with pytest.raises(NotReady, match="unloaded"):
        list(chunks)


def test_a_short_answer_need_not_wait_for_a_long_one(general: Onnx) -> None:
    long = general.chat(say(STORY_QUESTION))
    begun = text_of(islice((chunk for chunk in long if isinstance(chunk, Text)), 5))
    assert begun and STORY.startswith(begun)
    assert ask(general, "Who wrote Hamlet?")[0] == "William Shakespeare."
    assert begun + text_of(long) == STORY
