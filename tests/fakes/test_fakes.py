"""The fakes as programs: what a person starts to try a server against them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.fakes.probe import Address, ask


@pytest.mark.parametrize(("name", "path"), [("ollama", "/api/tags"), ("openai", "/v1/models")])
def test_each_fake_runs_by_itself_until_it_is_terminated(name: str, path: str) -> None:
    command = [sys.executable, "-m", f"tests.fakes.{name}", "--port", "0", "--models", "one:1b,two:2b"]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, cwd=root, stderr=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stderr is not None and process.stdout is not None
        port = int(process.stderr.readline().rsplit(b":", 1)[1])
        assert b"two:2b" in ask(Address("127.0.0.1", port), path).body
        assert process.stdout.readline().decode().split() == ["GET", path]
        process.terminate()
        assert process.wait(20) == 0
        assert process.stderr.read() == b""
