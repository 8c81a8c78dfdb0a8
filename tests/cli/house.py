"""A config folder, a fake Ollama behind it, and the command line run as a process beside them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from moe.config.settings import ROOT
from tests.fakes import FakeOllama
from tests.live import write_config
from tests.routing.prompts import EXAMPLES

HANG_S = 60.0
EXPERTS: Sequence[Mapping[str, Any]] = (
    {"id": 0, "label": "fallback", "model_name": "gemma3:4b"},
    {"id": 1, "label": "math", "description": "numbers", "aliases": ["maths"], "model_name": "phi4:14b",
     "tier": 2, "tools": [],
     "keywords": ["derivative", "integral", "equation", "prime number", "square root", "fraction", "matrix", "algebra",
                  "geometry", "calculus", "percentage", "arithmetic", "theorem", "logarithm", "polynomial"]},
    {"id": 2, "label": "código", "description": "programs", "model_name": "devstral:24b",
     "keywords": ["python", "javascript", "bug", "compiler", "stack trace", "refactor", "unit test", "sql query",
                  "regular expression", "rust", "docker", "git", "variable", "recursion", "segfault"]},
)
# Experts whose scorer is fitted from examples.
LEARNERS: Sequence[Mapping[str, Any]] = (
    {"id": 0, "label": "fallback", "model_name": "gemma3:4b"},
    *({"id": place, "label": label, "model_name": "gemma3:4b", "description": f"a {label}", "examples": list(texts)}
      for place, (label, texts) in enumerate(EXAMPLES.items(), start=1)),
)
MATHS = "What is the derivative of x^2?"
CODE = "Why does my python script segfault?"
NEITHER = "Good evening."


class House:
    """`ollama` serves phi4:14b (math), devstral:24b (código) and gemma3:4b (fallback)."""

    def __init__(self, folder: Path, ollama: FakeOllama, port: int) -> None:
        self.folder = folder
        self.ollama = ollama
        variables = {"MOE_PORT": str(port), "MOE_CONFIG": f"{folder}/config", "MOE_DATA": f"{folder}/data",
                     "MOE_LOGS": f"{folder}/logs", "MOE_MODELS": f"{folder}/models"}
        self.env = clean_environment() | variables

    def write(self, *, config: Mapping[str, Any] | None = None, experts: Sequence[Mapping[str, Any]] = EXPERTS) -> None:
        """The config anew; where it says nothing else, keyword mode over `ollama`."""
        runner = {"ollama_url": self.ollama.url, "backoff_s": 0.01, **(config or {}).get("expert_runner", {})}
        write_config(self.folder, config={**(config or {}), "expert_runner": runner}, experts=experts)

    def moe(self, *words: str, stdin: str | bytes = "", env: Mapping[str, str] | None = None,
            cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        """One call of the command line to its end, its streams as text."""
        data = stdin.encode() if isinstance(stdin, str) else stdin
        done = subprocess.run(command(*words), input=data, capture_output=True, timeout=HANG_S, check=False,
                              env={**self.env, **(env or {})}, cwd=cwd or self.folder)
        return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())

    @contextmanager
    def running(self, *words: str, **streams: Any) -> Iterator[subprocess.Popen[bytes]]:
        """One call under way, with pipes; what still runs at the end of the block is killed."""
        with self.started(command(*words), **streams) as process:
            yield process

    @contextmanager
    def started(self, words: list[str], **streams: Any) -> Iterator[subprocess.Popen[bytes]]:
        """The same for any command line."""
        pipes = {name: subprocess.PIPE for name in ("stdin", "stdout", "stderr")} | streams
        with subprocess.Popen(words, env=self.env, cwd=self.folder, **pipes) as process:
            try:
                yield process
            finally:
                if process.poll() is None:
                    process.send_signal(signal.SIGKILL)


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "moe", *words]


def clean_environment() -> dict[str, str]:
    """This process's environment without anything that says where things are."""
    ours = {name: value for name, value in os.environ.items()
            if not name.startswith(("MOE_", "OLLAMA_")) and "proxy" not in name.lower()}
    return ours | {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8", "TERM": "dumb"}
