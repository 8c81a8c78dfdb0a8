"""The servers of one run: the mock upstream, the floor, the peers, and ours in each of its modes."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from tests.bench.load import Started, Target
from tests.bench.mock import PLAIN
from tests.bench.peers import litellm
from tests.bench.process import ROOT, NotStarted, await_health, await_port, free_port, running
from tests.bench.report import say
from tests.bench.store import Store, Unavailable

Mode = Literal["keyword", "encoder"]
MODES: tuple[Mode, ...] = ("keyword", "encoder")
CONFIGS: Mapping[Mode, Mapping[str, Any]] = {"keyword": {"router": {"model_path": ""}}, "encoder": {}}


class Servers:
    """Each is started when it is first asked for; closing `stack` ends them all."""

    def __init__(
        self, stack: contextlib.ExitStack, *, store: Store | None = None, with_peers: bool = False,
        gguf: Path | None = None,
    ) -> None:
        """`gguf`: measure this file in place of the random models."""
        self._stack = stack
        self._with_peers = with_peers
        self.gguf = gguf
        self.store = store or Store()
        self.folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        self.notes: list[str] = []

    @cached_property
    def mock(self) -> Target:
        return self.start_own("tests.bench.mock", "direct").target

    @cached_property
    def floor(self) -> Target:
        return self._stack.enter_context(self.start_floor()).target

    @cached_property
    def keyword(self) -> Target:
        return self._stack.enter_context(self.start("keyword", CONFIGS["keyword"])).target

    @cached_property
    def encoder(self) -> Target:
        return self._stack.enter_context(self.start("encoder", CONFIGS["encoder"])).target

    @cached_property
    def peers(self) -> list[Target]:
        """The peers that can be had here; `notes` says why one is left out."""
        if not self._with_peers:
            self.notes.append("LiteLLM: not asked for (--peers)")
            return []
        try:
            return [self._stack.enter_context(self.start_litellm()).target]
        except (NotStarted, Unavailable) as error:
            say(str(error))
            self.notes.append(f"LiteLLM: {str(error).splitlines()[-1]}")
            return []

    def start_litellm(self) -> contextlib.AbstractContextManager[Started]:
        return litellm(self.store, self.mock.port, self.folder / "litellm")

    def start_floor(self) -> contextlib.AbstractContextManager[Started]:
        return self._run_own("tests.bench.floor", "floor", str(self.mock.port))

    def start_own(self, module: str, name: str, *arguments: str) -> Started:
        """One of the benchmark's own servers, which print their port; it runs until all end."""
        return self._stack.enter_context(self._run_own(module, name, *arguments))

    def start_ours(self, name: str, config: Mapping[str, Any], **env: str) -> Target:
        """Ours with a configuration of its own; it runs until all end."""
        return self._stack.enter_context(self.start(name, config, **env)).target

    @contextlib.contextmanager
    def start(self, name: str, config: Mapping[str, Any], **env: str) -> Iterator[Started]:
        """Our app.py with the shipped experts; a folder of its `name` takes its config, data and logs."""
        folder = self.folder / name
        settings = folder / "config"
        settings.mkdir(parents=True, exist_ok=True)
        (settings / "config.json").write_text(json.dumps(config), "utf-8")
        for part in ("heads", "vectors"):  # what set-up has fitted; else it would be fitted while we measure
            if (ROOT / "data" / part).is_dir():
                shutil.copytree(ROOT / "data" / part, folder / "data" / part, dirs_exist_ok=True)
        port, log = free_port(), folder / "errors.log"
        command = [sys.executable, "app.py", "--host", "127.0.0.1", "--port", str(port)]
        command += ["--config", str(settings), "--data", str(folder / "data")]
        places = {"MOE_OLLAMA_URL": f"127.0.0.1:{self.mock.port}", "MOE_LOGS": str(folder / "logs"), **env}
        with running(command, log=log, env=places) as process:
            seconds = await_health(process, port, log)
            yield Started(process, Target("ours", port, "lemoe", process.pid), seconds)

    @contextlib.contextmanager
    def _run_own(self, module: str, name: str, *arguments: str) -> Iterator[Started]:
        log = self.folder / f"{name}.log"
        with running([sys.executable, "-m", module, *arguments], log=log) as process:
            port, seconds = await_port(process, log)
            yield Started(process, Target(name, port, PLAIN, process.pid), seconds)


def has_encoder() -> bool:
    return (Path(os.environ.get("MOE_MODELS") or ROOT / "models") / "encoder" / "current").is_file()
