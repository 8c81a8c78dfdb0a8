"""The router: who should answer a request, by its model name or else by a cascade of stages."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import Literal

from msgspec.structs import replace

from ..config.schema import Config
from ..core import ChatRequest, Decision
from ..embed import Embedder
from ..experts import Expert
from .head import Head
from .meaning import Meaning
from .names import Callers, Models, Names
from .stages import CallerStage, ChoreStage, ContextStage, EmbeddingStage, KeywordStage, Stage, Trace, VisionStage
from .text import clean, says_anything

NO_ENCODER = "no encoder: experts are chosen by their keywords; ./setup.sh makes one"

Mode = Literal["embedding", "classification", "keyword"]


class Router:
    """Decides on requests from many threads at once. `note` says in a line why it works as it does, "" if as meant;
    `is_faulty`: it will not be as meant by waiting."""

    def __init__(self, names: Names, vision: VisionStage, stages: Sequence[Stage], *, config: Config, mode: Mode,
                 note: str, meaning: Meaning | None = None) -> None:
        self.mode = mode
        self.note = note
        self.is_faulty = False
        self._own_note = note
        self._names = names
        self._vision = vision
        self._stages = tuple(stages)
        self._fallback = config.fallback
        self._messages = config.router.context_messages
        self._meaning = meaning
        self._labels = [expert.label for expert in find_routable(config.experts)]

    def adopt(self, head: Head) -> None:
        """Scores by `head` from the next request on."""
        if self._meaning is not None:
            self._meaning.adopt(head)
            self.tell("")

    def heed(self, callers: Callers) -> None:
        """Lets results of tools go to whoever called them, as far as `callers` knows."""
        self._stages = (CallerStage(self._names, callers), *self._stages)

    def tell(self, more: str, *, is_faulty: bool = False) -> None:
        """Sets what the note says beside the router's own words."""
        self.is_faulty = is_faulty
        self.note = "; ".join(filter(None, (self._own_note, more)))

    def chooses(self, model: str) -> bool:
        """Whether the name leaves it to the router who answers. Raises ModelNotFound."""
        return self._names.resolve(model) is None

    def rate(self, text: str) -> dict[str, float]:
        """The probability of each expert for a text by itself, {} where only keywords are known."""
        cleaned = clean(text)
        if self._meaning is None or not says_anything(cleaned):
            return {}
        shares = self._meaning.read(cleaned, text).shares.tolist()
        return dict(zip(self._labels, shares, strict=True))

    def decide(self, request: ChatRequest) -> Decision:
        """Raises ModelNotFound for a name that nothing has."""
        began = perf_counter()
        named = self._names.resolve(request.model)
        if named is not None:
            return replace(named, elapsed_ms=_since(began))
        trace = Trace(request, messages=self._messages)
        decided = (stage(request, trace) for stage in self._stages)
        decision = next((decision for decision in decided if decision is not None), None)
        if decision is None:
            decision = Decision(expert=self._fallback, stage="fallback", confidence=1.0 - trace.best)
        decision = self._vision.review(request, decision)
        return replace(decision, scores=trace.scores, elapsed_ms=_since(began), virtual=True)


def build_router(config: Config, *, models: Models, embedder: Embedder | None, cache_folder: Path,
                 classifier: Stage | None = None, note: str = "") -> Router:
    """A router for the config; without an embedder or a classifier it works by keywords, and `note` may say why.

    Encodes what `cache_folder` does not hold of the experts' texts, so the first time may take seconds.
    """
    experts = find_routable(config.experts)
    meaning: Meaning | None = None
    vision = VisionStage(config.experts, models)
    stages: list[Stage] = [ChoreStage(models, config.fallback), vision]
    if experts:
        if embedder is not None:
            meaning = Meaning(experts, embedder, cache_folder, config.router)
        stages += _reading_stages(experts, config, meaning, classifier=classifier)
    mode: Mode = "classification" if classifier is not None else "keyword"
    if embedder is not None:
        mode = "embedding"
    if mode == "keyword":
        note = note or ('model_path is "": experts are chosen by their keywords' if config.router.model_path == ""
                        else NO_ENCODER)
    return Router(Names(config, models), vision, stages, config=config, mode=mode, note=note, meaning=meaning)


def find_routable(experts: Sequence[Expert]) -> list[Expert]:
    """The experts that a prompt is read for."""
    return [expert for expert in experts if expert.routable and not expert.is_fallback]


def _reading_stages(experts: Sequence[Expert], config: Config, meaning: Meaning | None, *,
                    classifier: Stage | None) -> list[Stage]:
    """The stages that read the prompt, in their order."""
    stages: list[Stage] = []
    if meaning is not None:
        stages.append(EmbeddingStage(experts, meaning, config.router))
        stages.append(ContextStage(experts, meaning, config.router))
    if classifier is not None:
        stages.append(classifier)
    if config.router.keyword_fallback or not stages:
        stages.append(KeywordStage(experts, config.router))
    return stages


def _since(began: float) -> float:
    return round((perf_counter() - began) * 1000, 3)
