"""A model that answers in this process: what GGUF and ONNX experts have in common."""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Hashable
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

from msgspec import Struct

from ..config import EngineConfig, RunnerConfig
from ..core import ChatRequest, Done, Usage
from ..errors import BackendError, NotReady
from ..experts import Expert
from ..replies import ModelCard
from .base import Chunks
from .dialogue.prompt import Prompt
from .duration import read_keep_alive
from .eviction import Model, Source
from .location import confine
from .queues import Queues
from .shelf import Shelf
from .wishes import find_asked, offer_tools

# A file that cannot be read is looked at again after this, though it seems to be the same: its rights may differ.
LOOK_AGAIN_S = 30.0


class Answering(Model, Protocol):
    """What a loaded model can do; `is_broken`: it can answer no more and has to be loaded anew."""

    is_broken: bool

    def answer(self, request: ChatRequest, *, load_ns: int) -> Chunks: ...


@runtime_checkable
class Writing(Protocol):
    """A model that shows how it would read a request."""

    def write(self, request: ChatRequest) -> Prompt: ...


F = TypeVar("F")


class _Look(Struct, frozen=True):
    """What the files at a place say of themselves, or why they say nothing, until their stamp or the time changes."""

    stamp: Hashable
    said: Any
    until: float


class Resident(ABC, Generic[F]):
    """One `model_path` of the config, loaded when it is first asked. Experts with the same files and the same
    settings share the loaded model. `F` is what an engine reads from the files without loading them."""

    routes = 1

    def __init__(
        self, expert: Expert, engine: EngineConfig, shelf: Shelf, models_folder: Path,
        *, runner: RunnerConfig | None = None, queues: Queues | None = None,
    ) -> None:
        """`queues`: where requests for the same files wait for each other."""
        self._expert = expert
        self._engine = engine
        self._shelf = shelf
        self._folder = models_folder
        self._load_limit_s = (runner or RunnerConfig()).cold_load_timeout_s
        self._last: _Look | None = None
        self._lane = (queues or Queues()).lane(expert.model_path)

    @abstractmethod
    def _stamp(self, place: Path) -> Hashable:
        """What changes whenever one of the files does. Raises NotReady where one is missing."""

    @abstractmethod
    def _read(self, place: Path, stamp: Hashable) -> F:
        """Raises NotReady."""

    @abstractmethod
    def _source(self, found: F) -> Source[Any]: ...

    @abstractmethod
    def _lacks(self, request: ChatRequest, found: F) -> str:
        """What the model cannot do of what the request needs, "" for nothing; images are refused already."""

    @abstractmethod
    def _card(self, found: F) -> ModelCard: ...

    def chat(self, request: ChatRequest) -> Chunks:
        source = self._source(self._look())
        if request.only_loads and read_keep_alive(request.keep_alive, default_s=1.0) == 0:
            self._shelf.drop(source.key)
            yield Done(finish="unload")
            return
        yield from self._lane.pass_through(self._answer(source, request), request)

    def _answer(self, source: Source[Any], request: ChatRequest) -> Chunks:
        loan = yield from self._shelf.borrow(source, keep_alive=request.keep_alive, limit_s=self._load_limit_s)
        with loan as model:
            if request.only_loads:
                yield Done(finish="load", usage=Usage(load_ns=loan.load_ns))
                return
            try:
                yield from model.answer(request, load_ns=loan.load_ns)
            finally:
                if model.is_broken:
                    loan.condemn()

    def count_tokens(self, request: ChatRequest) -> int | None:
        """Of a model that is in memory, and of a prompt that it can be asked."""
        try:
            loan = self._shelf.lend(self._source(self._look()).key)
            if loan is None:
                return None
            with loan as model:
                return len(model.write(request).tokens) if isinstance(model, Writing) else None
        except BackendError:
            return None

    def misfit(self, request: ChatRequest) -> str:
        if request.has_image or any(message.has_image for message in request.messages):
            return "does not support images"
        try:
            return self._lacks(request, self._look())
        except NotReady:
            return ""  # `chat` says it

    def ignores(self, request: ChatRequest) -> tuple[str, ...]:
        try:
            can_think = "thinking" in self.describe().capabilities
        except NotReady:
            return ()  # `chat` says it
        return () if can_think else find_asked(request, "reasoning_effort")

    def context_tokens(self, model: str) -> int:
        try:
            return self.describe().context_length
        except NotReady:
            return 0

    def is_remote(self, model: str) -> bool:
        return False

    def trouble(self, model: str) -> str:
        try:
            error = self._shelf.failure(self._source(self._look()).key)
        except NotReady as problem:
            error = problem
        return "" if error is None else error.message

    def first_token_limit_s(self, request: ChatRequest) -> float:
        """None: to wait in line, or to write what is held back, is no silence; the engine itself knows when it hangs,
        and the shelf limits the loading."""
        return math.inf

    def idle_limit_s(self, model: str) -> float:
        return math.inf

    def describe(self) -> ModelCard:
        """The files' own card. Raises NotReady."""
        return self._card(self._look())

    def _look(self) -> F:
        """What the files say, read again only when they have changed; the model of the old ones is then unloaded.

        Raises NotReady.
        """
        try:
            place = confine(self._expert.model_path, self._folder)
            stamp = self._stamp(place)
        except NotReady:
            self.forget()
            raise
        last = self._last
        if last is None or last.stamp != stamp or time.monotonic() > last.until:
            self.forget()
            last = self._last = self._examine(place, stamp)
        if isinstance(last.said, NotReady):
            raise last.said.with_traceback(None)
        said: F = last.said
        return said

    def _examine(self, place: Path, stamp: Hashable) -> _Look:
        try:
            return _Look(stamp, self._read(place, stamp), math.inf)
        except NotReady as error:
            return _Look(stamp, error, time.monotonic() + LOOK_AGAIN_S)

    def forget(self) -> None:
        """The files are not what they were: their model is unloaded."""
        last, self._last = self._last, None
        if last is not None and not isinstance(last.said, NotReady):
            self._shelf.drop(self._source(last.said).key)

    @property
    def _asked_context(self) -> int | None:
        """How many tokens of context the expert asks for, else the config."""
        asked = self._expert.options.get("num_ctx")
        return asked if type(asked) is int and asked > 0 else self._engine.n_ctx


def wants_tools(request: ChatRequest) -> bool:
    return bool(offer_tools(request))
