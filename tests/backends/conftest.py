"""Each kind of backend over its fake upstream."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from moe.backends.engine import Engine
from tests.backends.rig import Rig, api_rig, ollama_rig


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    """LiteLLM takes seconds to load: once for all tests."""
    engine = Engine()
    yield engine
    engine.close()


@pytest.fixture
def executor() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as executor:
        yield executor


@pytest.fixture
def short_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a node said is out of date at once."""
    for name in ("TAGS_TTL_S", "LOADED_TTL_S", "DOWN_TTL_S"):
        monkeypatch.setattr(f"moe.backends.nodes.{name}", 0.0)


@pytest.fixture(params=["ollama", "api"])
def rig(request: pytest.FixtureRequest, engine: Engine, executor: ThreadPoolExecutor) -> Iterator[Rig]:
    """A backend that has an upstream."""
    making = ollama_rig(executor) if request.param == "ollama" else api_rig(engine)
    with making as made:
        yield made


@pytest.fixture
def ollama(executor: ThreadPoolExecutor) -> Iterator[Rig]:
    with ollama_rig(executor) as made:
        yield made


@pytest.fixture
def api(engine: Engine) -> Iterator[Rig]:
    with api_rig(engine) as made:
        yield made
