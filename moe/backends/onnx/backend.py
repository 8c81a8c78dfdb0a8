"""The way to an ONNX model in this process: it is loaded when first asked and stays on the shelf for a while."""

from __future__ import annotations

import os
from collections.abc import Hashable
from pathlib import Path

from msgspec import Struct

from ...config import EngineConfig, RunnerConfig
from ...core import ChatRequest, Done, Expert, ModelCard, Usage
from ...errors import NotReady
from ..base import Chunks
from ..duration import read_keep_alive
from ..eviction import Source
from ..llama.template import may_think, takes_tools
from ..location import Stamp, confine, stamp
from ..shelf import Shelf
from .answer import answer
from .files import Files, find_files
from .model import MEMORY_SHARE, OnnxModel
from .sheets import Sheets

SMALL_BYTES = 50 << 20


class Found(Struct, frozen=True, kw_only=True):
    """What a folder holds, as long as its graph's stamp stays the same."""

    files: Files
    stamp: Stamp
    size_bytes: int
    context_length: int
    family: str
    template: str


class Onnx:
    """A folder of ONNX graphs. Experts with the same files and the same settings share the loaded model."""

    routes = 1

    def __init__(
        self, expert: Expert, engine: EngineConfig, shelf: Shelf, models_folder: Path,
        *, runner: RunnerConfig | None = None,
    ) -> None:
        self._expert = expert
        self._engine = engine
        self._shelf = shelf
        self._folder = models_folder
        self._runner = runner or RunnerConfig()
        self._found: Found | None = None

    def chat(self, request: ChatRequest) -> Chunks:
        source = self._source()
        if request.only_loads and read_keep_alive(request.keep_alive, default_s=1.0) == 0:
            self._shelf.drop(source.key)
            yield Done(finish="unload")
            return
        loan = yield from self._shelf.borrow(source, keep_alive=request.keep_alive)
        with loan as model:
            if request.only_loads:
                yield Done(finish="load", usage=Usage(load_ns=loan.load_ns))
            else:
                yield from answer(model, request, load_ns=loan.load_ns)

    def misfit(self, request: ChatRequest) -> str:
        if request.format is not None:
            return "does not support structured output"
        if any(message.has_image for message in request.messages) or request.has_image:
            return "does not support images"
        if request.completion is not None and request.completion.suffix and not request.completion.template:
            return "does not support insert"
        if request.tools and request.tool_choice != "none" and not self._takes_tools():
            return "does not support tools"
        return ""

    def context_tokens(self, model: str) -> int:
        return 0

    def is_remote(self, model: str) -> bool:
        return False

    def trouble(self, model: str) -> str:
        try:
            error = self._shelf.failure(self._key(self._look()))
        except NotReady as missing:
            error = missing
        return "" if error is None else error.message

    def first_token_limit_s(self, request: ChatRequest) -> float:
        """The model computes in this process: on a busy machine it may be slow, but it does not fall silent."""
        return self._runner.cold_load_timeout_s

    def idle_limit_s(self) -> float:
        return self._runner.cold_load_timeout_s

    def describe(self) -> ModelCard:
        """The folder's own card. Raises NotReady."""
        found = self._look()
        length = found.context_length
        can = {"tools": self._takes_tools(), "thinking": may_think(found.template)}
        return ModelCard(
            name=found.files.folder.name, kind="model", size=found.size_bytes, modified=found.stamp[1] / 1e9,
            family=found.family, context_length=min(self._context_limit() or length, length),
            capabilities=("completion", *(name for name, is_able in can.items() if is_able)),
        )

    def _takes_tools(self) -> bool:
        try:
            found = self._look()
        except NotReady:
            return True  # nobody knows; asking it tells what is amiss
        return found.files.encoder is None and takes_tools(found.template)

    def _look(self) -> Found:
        """What the folder holds, its sheets read again only when its graph has changed. Raises NotReady."""
        files = find_files(confine(self._expert.model_path, self._folder))
        now = stamp(files.decoder)
        found = self._found
        if found is None or found.stamp != now or found.files != files:
            sheets = Sheets(files.folder)
            found = self._found = Found(
                files=files, stamp=now, size_bytes=files.size_bytes, context_length=sheets.context_length,
                family=sheets.family, template=sheets.template,
            )
        return found

    def _key(self, found: Found) -> Hashable:
        return "onnx", found.stamp, self._context_limit(), self._engine.n_threads

    def _context_limit(self) -> int | None:
        asked = self._expert.options.get("num_ctx")
        return asked if type(asked) is int and asked > 0 else self._engine.n_ctx

    def _source(self) -> Source[OnnxModel]:
        found, limit = self._look(), self._context_limit()
        size = found.size_bytes
        threads = self._engine.n_threads or (1 if size < SMALL_BYTES else max(1, (os.cpu_count() or 2) - 1))
        return Source(
            name=found.files.folder.name, key=self._key(found), size_bytes=int(size * MEMORY_SHARE),
            load=lambda: OnnxModel(found.files, threads=threads, context_limit=limit), family=found.family,
        )
