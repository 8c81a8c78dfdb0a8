"""How long a prompt is, asked of models in this process: exact where the model is in memory, and nothing is loaded."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from moe.backends.base import Counting
from moe.backends.echo import Echo
from moe.backends.onnx.backend import Onnx
from moe.backends.shelf import Shelf
from moe.config import MemoryConfig

from .onnx_kit import ask, reach, say

QUESTION = "What is a cat?"


@pytest.fixture
def shelf() -> Iterator[Shelf]:
    shelf = Shelf(MemoryConfig())
    yield shelf
    shelf.close()


@pytest.fixture
def model(shelf: Shelf) -> Onnx:
    return reach("general-onnx", shelf)


def test_a_model_that_is_not_in_memory_counts_nothing_and_is_not_loaded(model: Onnx, shelf: Shelf) -> None:
    assert isinstance(model, Counting)
    assert model.count_tokens(say(QUESTION)) is None
    assert shelf.loaded() == []


def test_a_model_in_memory_counts_what_it_would_read(model: Onnx) -> None:
    _, done = ask(model, QUESTION)
    assert done.usage is not None
    assert model.count_tokens(say(QUESTION)) == done.usage.prompt_tokens
    longer = model.count_tokens(say(QUESTION, system="Be brief."))
    assert longer is not None
    assert longer > done.usage.prompt_tokens


def test_a_prompt_it_could_not_be_asked_is_not_counted(model: Onnx) -> None:
    ask(model, QUESTION)
    assert model.count_tokens(say("cat " * 100_000)) is None


def test_a_file_that_is_not_there_counts_nothing(shelf: Shelf) -> None:
    assert reach("no-such-folder", shelf).count_tokens(say(QUESTION)) is None


def test_not_every_backend_can_count() -> None:
    assert not isinstance(Echo(), Counting)


def test_a_model_that_is_lent_stays_until_it_is_given_back(model: Onnx, shelf: Shelf) -> None:
    ask(model, QUESTION, keep_alive=-1)
    (loaded,) = shelf.loaded()
    loan = shelf.lend(loaded.source.key)
    assert loan is not None
    with loan:
        shelf.drop(loaded.source.key)
        assert [each.users for each in shelf.loaded()] == [1]
    assert shelf.loaded() == []
    assert shelf.lend(loaded.source.key) is None


def test_to_count_does_not_change_how_long_a_model_stays(model: Onnx, shelf: Shelf) -> None:
    ask(model, QUESTION, keep_alive=-1)
    model.count_tokens(say(QUESTION))
    assert [(each.expires, each.users) for each in shelf.loaded()] == [(0.0, 0)]
