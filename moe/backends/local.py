"""The GGUF files in the models folder: each can be asked for by its name, without any configuration."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..aliases import plain
from ..config import EngineConfig, RunnerConfig
from ..core import ChatRequest
from ..errors import NotReady
from ..experts import Expert
from ..replies import ModelCard
from .base import Backend, Chunks, Leaving
from .gguf import Gguf
from .llama.parts import is_later_part, name_of
from .queues import Queues
from .resident import Resident
from .shelf import Shelf

LOOK_EVERY_S = 2.0
SUFFIX = ".gguf"


class LocalModels:
    """What lies in the folder, looked up anew every few seconds. A file's name without its ending is the model's."""

    def __init__(
        self, folder: Path, shelf: Shelf, engine: EngineConfig, *, runner: RunnerConfig, queues: Queues | None = None
    ) -> None:
        self._folder = folder
        self._shelf = shelf
        self._engine = engine
        self._runner = runner
        self._queues = queues
        self._lock = threading.Lock()
        self._own: dict[str, Resident[Any]] = {}
        self._ways: dict[str, Gguf] = {}
        self._look_at = 0.0

    def ways(self) -> dict[str, Gguf]:
        """The models there are, by name, in alphabetical order."""
        if time.monotonic() >= self._look_at:
            with self._lock:
                if time.monotonic() >= self._look_at:  # else somebody has just looked
                    self._ways = self._look()
                    self._look_at = time.monotonic() + LOOK_EVERY_S
        return self._ways

    def standard(self) -> str:
        """The model for experts that have none: the first that can write, else the first, whose trouble is then told;
        "" where there is no file."""
        ways = self.ways()
        return next((name for name, way in ways.items() if way.writes_text), next(iter(ways), ""))

    def advice(self) -> str:
        """What would let the standard model answer; "" where there is none, or nothing is amiss with it."""
        name = self.standard()
        trouble = self.ways()[name].trouble(name) if name else ""
        return f"{trouble}." if trouble else ""

    def find(self, name: str) -> str | None:
        """The model that `name` means: in any case, with or without `.gguf` or `:latest`."""
        wanted = plain(name).removesuffix(SUFFIX)
        return next((known for known in self.ways() if known.casefold() == wanted), None)

    def look_anew(self) -> None:
        """Files came or went: the next question looks at the folder."""
        self._look_at = 0.0

    def adopt(self, label: str, way: Resident[Any]) -> None:
        """A model that an expert has for itself, wherever it lies."""
        self._own[label] = way

    def card(self, name: str) -> ModelCard | None:
        """The model's card; None for a name that is none, and for a file that cannot be read."""
        return _describe(self.ways().get(name))

    def card_of(self, expert: Expert) -> ModelCard | None:
        """The card of the model that an expert has for itself."""
        return _describe(self._own.get(expert.label))

    def cards(self) -> list[ModelCard]:
        """A card for each readable file."""
        return [card for name in self.ways() if (card := self.card(name)) is not None]

    def loaded(self) -> list[ModelCard]:
        """What the shelf holds, GGUF or ONNX."""
        return self._shelf.cards()

    def _look(self) -> dict[str, Gguf]:
        files = sorted(file for file in self._folder.glob("*") if file.suffix.casefold() == SUFFIX and file.is_file())
        named = {name_of(file): file for file in files if not is_later_part(file)}
        for gone in self._ways.keys() - named.keys():
            self._ways[gone].forget()
        return {name: self._ways.get(name) or self._open(file) for name, file in named.items()}

    def _open(self, file: Path) -> Gguf:
        expert = Expert(id=-1, label=name_of(file), type="local", format="gguf", model_path=file.name)
        return Gguf(expert, self._engine, self._shelf, self._folder, runner=self._runner, queues=self._queues)


def _describe(way: Resident[Any] | None) -> ModelCard | None:
    with suppress(NotReady):  # /health tells of it where an expert needs it; a list of models only lists them
        return way.describe() if way is not None else None
    return None


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

    def ignores(self, request: ChatRequest) -> tuple[str, ...]:
        return self._way(request.model).ignores(request)

    def first_token_limit_s(self, request: ChatRequest) -> float:
        return self._way(request.model).first_token_limit_s(request)

    def idle_limit_s(self, model: str) -> float:
        return self._way(model).idle_limit_s(model)

    def context_tokens(self, model: str) -> int:
        return self._way(model).context_tokens(model)

    def is_remote(self, model: str) -> bool:
        return self._way(model).is_remote(model)

    def trouble(self, model: str) -> str:
        return self._way(model).trouble(model)

    def begins_inside(self, request: ChatRequest) -> bool:
        way = self._way(request.model)
        return isinstance(way, Leaving) and way.begins_inside(request)

    def _way(self, model: str) -> Backend:
        return self._local.ways().get(model) or self._nodes
