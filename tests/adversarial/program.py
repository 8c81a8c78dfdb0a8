"""The program itself in a process of its own, with what it logged, said, and where it went."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from moe.config.settings import ROOT
from tests.adversarial.kit import GUARD_S
from tests.live import write_config

WITNESS = Path(__file__).parent / "witness"
SERVES = re.compile(r" serves on http://127\.0\.0\.1:(\d+)")


class Program(NamedTuple):
    """A running server; `host` and `port` make it fit wherever the kit takes one."""

    host: str
    port: int
    folder: Path
    process: subprocess.Popen[bytes]

    @property
    def said(self) -> str:
        """Its standard output and error so far."""
        return (self.folder / "said").read_text(encoding="utf-8", errors="replace")

    @property
    def log(self) -> str:
        return (self.folder / "logs" / "moe.log").read_text(encoding="utf-8", errors="replace")

    @property
    def network(self) -> list[tuple[str, list[Any]]]:
        """Every (event, address) that the witness saw."""
        notes = self.folder / "network"
        return [tuple(json.loads(line)) for line in notes.read_text().splitlines()] if notes.exists() else []

    def written(self) -> str:
        """All that it wrote anywhere."""
        files = [file for file in self.folder.rglob("*") if file.is_file() and "config" not in file.parts]
        return "".join(file.read_text(encoding="utf-8", errors="replace") for file in files)


@contextmanager
def running_program(
    folder: Path,
    *,
    config: Mapping[str, Any] | None = None,
    experts: Sequence[Mapping[str, Any]] | None = None,
    env: Mapping[str, str] | None = None,
) -> Iterator[Program]:
    """Serves on a free port until the block is left. Without `experts` the shipped config is served as it is."""
    if experts is not None:
        write_config(folder, config=config, experts=experts)
    places = ("--config", str(folder / "config"), "--data", str(folder / "data"))
    with (folder / "said").open("wb") as said:
        process = subprocess.Popen(
            [sys.executable, "app.py", "--port", "0", *places],
            cwd=ROOT, stdout=said, stderr=said, env=make_environment(folder, env or {}),
        )
    try:
        yield Program("127.0.0.1", _await_port(folder / "said", process), folder, process)
    finally:
        process.terminate()
        process.wait(GUARD_S)


def make_environment(folder: Path, more: Mapping[str, str]) -> dict[str, str]:
    """This process's own, without what configures the server, and with the witness."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MOE_", "OLLAMA_"))}
    models = {} if "MOE_MODELS" in more else {"MOE_MODELS": str(folder / "models")}
    return {**kept, "PYTHONPATH": str(WITNESS), "PYTHONUNBUFFERED": "1", "MOE_LOGS": str(folder / "logs"),
            "MOE_WITNESS": str(folder / "network"), **models, **more}


def _await_port(said: Path, process: subprocess.Popen[bytes]) -> int:
    deadline = time.monotonic() + GUARD_S
    while time.monotonic() < deadline and process.poll() is None:
        found = SERVES.search(said.read_text(encoding="utf-8", errors="replace"))
        if found:
            return int(found[1])
        time.sleep(0.02)
    process.kill()
    raise RuntimeError(f"the server did not start: {said.read_text()}")
