"""The servers of one run: the mock upstream, the floor, and ours with and without the encoder."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Literal, NamedTuple

from tests.bench.load import Target
from tests.bench.mock import PLAIN
from tests.bench.process import ROOT, await_health, free_port, read_port, running

Mode = Literal["keyword", "encoder"]
MODES: tuple[Mode, ...] = ("keyword", "encoder")


class Started(NamedTuple):
    """A server of ours that answered for the first time `seconds` after it was started."""

    process: subprocess.Popen[str]
    target: Target
    seconds: float


class Servers:
    """Each is started when it is first asked for; closing `stack` ends them all."""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        self._stack = stack
        self.folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))

    @cached_property
    def mock(self) -> Target:
        return self._start_own("tests.bench.mock", "direct")

    @cached_property
    def floor(self) -> Target:
        return self._start_own("tests.bench.floor", "floor", str(self.mock.port))

    @cached_property
    def keyword(self) -> Target:
        return self._stack.enter_context(self.start("keyword", self.folder / "keyword")).target

    @cached_property
    def encoder(self) -> Target:
        return self._stack.enter_context(self.start("encoder", self.folder / "encoder")).target

    @contextlib.contextmanager
    def start(self, mode: Mode, folder: Path) -> Iterator[Started]:
        """Our app.py with the shipped experts; `folder` takes its config, data and logs."""
        config = folder / "config"
        config.mkdir(parents=True, exist_ok=True)
        router = {"model_path": ""} if mode == "keyword" else {}
        (config / "config.json").write_text(json.dumps({"router": router}), "utf-8")
        port = free_port()
        command = [sys.executable, "app.py", "--host", "127.0.0.1", "--port", str(port)]
        command += ["--config", str(config), "--data", str(folder / "data")]
        env = {"MOE_OLLAMA_URL": f"127.0.0.1:{self.mock.port}", "MOE_LOGS": str(folder / "logs")}
        log = folder / "errors.log"
        with running(command, log=log, env=env) as process:
            seconds = await_health(process, port, log)
            yield Started(process, Target("ours", port, "lemoe", process.pid), seconds)

    def _start_own(self, module: str, name: str, *arguments: str) -> Target:
        command = [sys.executable, "-m", module, *arguments]
        log = self.folder / f"{name}.log"
        process = self._stack.enter_context(running(command, log=log))
        return Target(name, read_port(process, log), PLAIN, process.pid)


def has_encoder() -> bool:
    return (Path(os.environ.get("MOE_MODELS") or ROOT / "models") / "encoder" / "current").is_file()
