"""Schemathesis against the live server: by our own description, and by Ollama's published one where it lies here."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from moe.config.settings import ROOT
from tests.clients.catalogue import Environment
from tests.clients.stage import Stage, open_stage
from tests.clients.store import Store, Unavailable
from tests.fakes import FakeModel

SCHEMATHESIS = Environment("schemathesis", "python", ("schemathesis==4.32.5",))
PUBLISHED = ROOT.parent / "shared" / "reference" / "ollama-openapi.yaml"
# Of the examples on Ollama's page.
NAMED = (FakeModel("gemma4", capabilities=("completion", "tools", "vision", "thinking", "insert")),
         FakeModel("embeddinggemma", capabilities=("embedding",)))
MOST_EXAMPLES = "60"
LONGEST_S = 300
# No schema says that a model must exist, so good data may be refused.
LEFT_OUT = ("--exclude-checks", "positive_data_acceptance")
# Ollama's page describes nothing but success, and of its fields more as needed than Ollama itself needs.
THEIRS = ("--checks", "not_a_server_error,content_type_conformance,response_schema_conformance,unsupported_method")

pytestmark = pytest.mark.skipif(os.environ.get("MOE_CLIENTS") != "all", reason="takes MOE_CLIENTS=all")


@pytest.fixture(scope="module")
def program() -> Path:
    try:
        return Store().home(SCHEMATHESIS) / "bin" / "schemathesis"
    except Unavailable as error:
        pytest.skip(str(error))


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with open_stage(tmp_path / "stage", more_models=NAMED, takes_any_name=True) as open_one:
        yield open_one


def judge(program: Path, schema: str, *words: str, folder: Path) -> None:
    done = subprocess.run(
        [str(program), "run", schema, *words, "--phases", "examples,coverage,fuzzing", "--continue-on-failure",
         "--max-examples", MOST_EXAMPLES, "--generation-deterministic"],
        cwd=folder, env={"PATH": os.environ["PATH"], "HOME": str(folder), "LANG": "C.UTF-8"}, capture_output=True,
        text=True, timeout=LONGEST_S, check=False,
    )
    print(done.stdout, done.stderr)
    assert done.returncode == 0
    assert "Tested: 0" not in done.stdout


def test_the_server_does_what_it_says_of_itself(program: Path, stage: Stage, tmp_path: Path) -> None:
    judge(program, f"{stage.url}/openapi.json", *LEFT_OUT,
          "--exclude-path-regex", "/api/(me|signout)$", folder=tmp_path)


@pytest.mark.skipif(not PUBLISHED.is_file(), reason="Ollama's description is not here")
def test_the_server_keeps_to_ollama_s_description(program: Path, stage: Stage, tmp_path: Path) -> None:
    judge(program, str(PUBLISHED), "--url", stage.url, *THEIRS, folder=tmp_path)
