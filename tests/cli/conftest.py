from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.house import EXPERTS, House
from tests.fakes import FakeOllama, RefusedPort, fake_ollama
from tests.live import live_server


@pytest.fixture
def ollama() -> Iterator[FakeOllama]:
    with fake_ollama(["gemma3:4b", "phi4:14b", "devstral:24b"]) as fake:
        yield fake


@pytest.fixture
def inside(tmp_path: Path, ollama: FakeOllama) -> Iterator[House]:
    """No server runs: the command line does the work itself."""
    with RefusedPort() as port:
        house = House(tmp_path, ollama, port.port)
        house.write()
        yield house


@pytest.fixture
def served(tmp_path: Path, ollama: FakeOllama) -> Iterator[House]:
    """A server runs on the port that the environment names."""
    runner = {"ollama_url": ollama.url, "backoff_s": 0.01}
    with live_server(tmp_path, config={"expert_runner": runner}, experts=EXPERTS) as live:
        yield House(tmp_path, ollama, live.port)


@pytest.fixture(params=["inside", "served"])
def house(request: pytest.FixtureRequest) -> House:
    """Both: what a user sees must be the same."""
    chosen: House = request.getfixturevalue(request.param)
    return chosen
