"""The GGUF files in the models folder: each can be asked for by its name, without any configuration."""

from __future__ import annotations

import time
from pathlib import Path

from ..config import EngineConfig, RunnerConfig
from ..core import ChatRequest, Expert, ModelCard
from ..errors import NotReady
from .base import Backend, Chunks
from .gguf import Gguf
from .shelf import Shelf

LOOK_EVERY_S = 2.0
SUFFIX = ".gguf"


class LocalModels:
    """What lies in the folder, looked up anew every few seconds; a file's name without its ending is the model's."""

    def __init__(self, folder: Path, shelf: Shelf, engine: EngineConfig, *, runner: RunnerConfig) -> None:
        self._folder = folder
        self._shelf = shelf
        self._engine = engine
        self._runner = runner
        self._ways: dict[str, Gguf] = {}
        self._look_at = 0.0

    def ways(self) -> dict[str, Gguf]:
        """The models there are, by name, in alphabetical order."""
        now = time.monotonic()
        if now >= self._look_at:
            self._look_at = now + LOOK_EVERY_S
            files = sorted(file for file in self._folder.glob(f"*{SUFFIX}") if file.is_file())
            self._ways = {file.stem: self._ways.get(file.stem) or self._open(file) for file in files}
        return self._ways

    def find(self, name: str) -> str | None:
        """The model that `name` means: in any case, with or without `.gguf` or `:latest`."""
        wanted = name.strip().casefold().removesuffix(":latest").removesuffix(SUFFIX)
        return next((known for known in self.ways() if known.casefold() == wanted), None)

    def cards(self) -> list[ModelCard]:
        """A card for each readable file."""
        cards = []
        for way in self.ways().values():
            try:
                cards.append(way.describe())
            except NotReady:
                continue  # /health tells of it where an expert needs it; a list of models only lists them
        return cards

    def loaded(self) -> list[ModelCard]:
        """What the shelf holds, GGUF or ONNX."""
        return self._shelf.cards()

    def _open(self, file: Path) -> Gguf:
        expert = Expert(id=-1, label=file.stem, type="local", format="gguf", model_path=file.name)
        return Gguf(expert, self._engine, self._shelf, self._folder, runner=self._runner)


class ByName:
    """One way to every model that is called by its own name: the local file of that name, else the nodes'."""

    def __init__(self, nodes: Backend, local: LocalModels) -> None:
        self.routes = nodes.routes
        self._nodes = nodes
        self._local = local

    def chat(self, request: ChatRequest) -> Chunks:
        return self._way(request.model).chat(request)

    def misfit(self, request: ChatRequest) -> str:
        return self._way(request.model).misfit(request)

    def first_token_limit_s(self, request: ChatRequest) -> float:
        return self._way(request.model).first_token_limit_s(request)

    def idle_limit_s(self) -> float:
        return max(self._nodes.idle_limit_s(), *(way.idle_limit_s() for way in self._local.ways().values()), 0.0)

    def context_tokens(self, model: str) -> int:
        return self._way(model).context_tokens(model)

    def is_remote(self, model: str) -> bool:
        return self._way(model).is_remote(model)

    def trouble(self, model: str) -> str:
        return self._way(model).trouble(model)

    def _way(self, model: str) -> Backend:
        return self._local.ways().get(model) or self._nodes
