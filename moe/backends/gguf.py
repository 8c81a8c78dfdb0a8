"""GGUF files as experts: found in the models folder, tried out once, kept on the shelf while they are used."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from msgspec import Struct

from ..config import EngineConfig, RunnerConfig
from ..core import ChatRequest, Done, Expert, ModelCard
from ..errors import NotReady
from .base import Chunks
from .duration import read_keep_alive
from .eviction import Source
from .llama.header import Header, read_header
from .llama.library import INSTALL
from .llama.model import LlamaModel
from .llama.probe import probe
from .llama.size import Size, choose_shape, choose_size
from .llama.template import may_think, takes_tools
from .location import Stamp, confine, stamp
from .shelf import Shelf

BYTES_PER_TOKEN = 2.5
# A slow machine reads so many tokens in a second, at least, and may have other answers to write meanwhile.
PROMPT_TOKENS_PER_S = 20
FIRST_TOKEN_S = 60.0


class Found(Struct, frozen=True):
    """What a file says of itself, as long as its stamp stays the same."""

    file: Path
    stamp: Stamp
    header: Header
    size: Size


class Gguf:
    """One GGUF file. Experts with the same file and the same settings share the loaded model."""

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
        self._tried: Stamp | None = None

    def chat(self, request: ChatRequest) -> Chunks:
        source = self._source(self._look())
        if request.only_loads:
            yield from self._load(request, source)
            return
        loan = yield from self._shelf.borrow(source, keep_alive=request.keep_alive)
        with loan as model:
            try:
                yield from model.answer(request, load_ns=loan.load_ns)
            finally:
                if model.is_broken:
                    self._shelf.drop(source.key)

    def misfit(self, request: ChatRequest) -> str:
        if request.has_image or any(message.has_image for message in request.messages):
            return "does not support images"
        try:
            found = self._look()
        except NotReady:
            return ""  # `chat` says it
        if request.tools and request.tool_choice != "none" and not takes_tools(found.header.template):
            return "does not support tools"
        if request.completion is not None and request.completion.suffix and not _fills(found.header):
            return "does not support insert"
        return ""

    def context_tokens(self, model: str) -> int:
        try:
            return self._look().size.context_length
        except NotReady:
            return 0

    def is_remote(self, model: str) -> bool:
        return False

    def trouble(self, model: str) -> str:
        if find_spec("llama_cpp") is None:
            return f"llama-cpp-python is not installed: run `{INSTALL}`"
        try:
            error = self._shelf.failure(self._source(self._look()).key)
        except NotReady as problem:
            error = problem
        return error.message if error is not None else ""

    def first_token_limit_s(self, request: ChatRequest) -> float:
        found = self._found
        is_cold = found is None or not self._shelf.is_loaded(self._source(found).key)
        prompt = sum(len(message.text) for message in request.messages) / BYTES_PER_TOKEN
        limit_s = FIRST_TOKEN_S + prompt / PROMPT_TOKENS_PER_S
        return limit_s + self._runner.cold_load_timeout_s if is_cold else limit_s

    def idle_limit_s(self) -> float:
        return max(FIRST_TOKEN_S, self._runner.idle_timeout_s)

    def describe(self) -> ModelCard:
        """The file's own card. Raises NotReady."""
        found = self._look()
        header = found.header
        can = {"tools": takes_tools(header.template), "thinking": may_think(header.template), "insert": _fills(header)}
        return ModelCard(
            name=found.file.stem, kind="model", size=header.file_bytes, modified=found.stamp[1] / 1e9,
            family=header.architecture, parameter_size=header.parameter_size, quantization=header.quantization,
            context_length=found.size.context_length,
            capabilities=("completion", *(name for name, is_able in can.items() if is_able)),
        )

    def _load(self, request: ChatRequest, source: Source[LlamaModel]) -> Chunks:
        """Ollama's way to load or unload a model: a request that asks nothing."""
        if read_keep_alive(request.keep_alive, default_s=1.0) == 0:
            self._shelf.drop(source.key)
            yield Done(finish="unload")
            return
        with (yield from self._shelf.borrow(source, keep_alive=request.keep_alive)):
            yield Done(finish="load")

    def _look(self) -> Found:
        """What the file says, read again only when the file has changed. Raises NotReady."""
        file = confine(self._expert.model_path, self._folder)
        now = stamp(file)
        found = self._found
        if found is None or found.stamp != now:
            if not file.is_file():
                raise NotReady(f"{file.name} is a folder, not a GGUF file", reason="unusable model_path")
            header = read_header(file)
            asked = self._expert.options.get("num_ctx")
            size = choose_size(header, self._engine, context=asked if type(asked) is int and asked > 0 else None)
            found = self._found = Found(file, now, header, size)
        return found

    def _source(self, found: Found) -> Source[LlamaModel]:
        header = found.header
        return Source(
            name=found.file.stem, key=(found.stamp, found.size), size_bytes=found.size.least_bytes,
            load=lambda: self._open(found), family=header.architecture, parameter_size=header.parameter_size,
            quantization=header.quantization,
        )

    def _open(self, found: Found) -> LlamaModel:
        """A file is tried out in a process of its own before this one trusts it."""
        if self._tried != found.stamp:
            probe(found.file, found.header.file_bytes)
            self._tried = found.stamp
        shape = choose_shape(found.header, found.size, spare_bytes=self._shelf.spare_bytes())
        return LlamaModel(found.file, found.header, shape=shape, context_length=found.size.context_length)


def _fills(header: Header) -> bool:
    names = ("fim_pre_token_id", "fim_suf_token_id", "fim_mid_token_id", "prefix_token_id", "middle_token_id")
    return any(f"tokenizer.ggml.{name}" in header.values for name in names)
