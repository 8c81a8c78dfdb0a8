from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.house import EXPERTS, LEARNERS, House, clean_environment, command
from tests.fakes import FakeOllama, RefusedPort, fake_ollama
from tests.live import live_server, write_config
from tests.routing.prompts import make_models


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


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an encoder and the scorer of LEARNERS, to be copied: a fit takes seconds."""
    folder = tmp_path_factory.mktemp("prepared")
    make_models(folder / "models")
    write_config(folder, config={"router": {"model_path": None}}, experts=LEARNERS)
    places = {"MOE_CONFIG": f"{folder}/config", "MOE_DATA": f"{folder}/data", "MOE_MODELS": f"{folder}/models"}
    subprocess.run(command("prepare"), env=clean_environment() | places, cwd=folder, check=True)
    return folder


@pytest.fixture
def fitted(inside: House, prepared: Path) -> House:
    """One with an encoder, whose experts have examples and whose scorer is fitted: all of it a copy of its own."""
    for part in ("models", "data"):
        shutil.copytree(prepared / part, inside.folder / part)
    inside.write(config={"router": {"model_path": None}}, experts=LEARNERS)
    return inside


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
