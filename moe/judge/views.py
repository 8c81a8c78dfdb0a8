"""What each stage of the router would say of a prompt, whatever the thresholds: so that they can be tried out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from msgspec import Struct
from msgspec.structs import replace

from ..config import Config
from ..core import ChatRequest, Message, Text
from ..embed import Embedder, Kind, Rows
from ..routing.meaning import Meaning
from ..routing.router import find_routable
from ..routing.stages import ContextStage, EmbeddingStage, KeywordStage, Stage, Trace
from ..routing.text import is_chore, join_newest
from .cases import Case
from .metrics import Array, Flags

Places = npt.NDArray[np.intp]

# The stages whose confidence is compared with one threshold, and those with the other, in their order.
SCORED, KEYED = 2, 2
ABSENT = -1.0


class Option(Struct, frozen=True):
    """What one stage says: the expert at `place`."""

    place: int
    confidence: float


class Views(Struct, frozen=True):
    """For m prompts and n experts: `confidence` and `place` [m, 4], SCORED columns and then KEYED ones, ABSENT where
    a stage says nothing. `right` [m, n + 1]: whether each choice would be, the last for the fallback."""

    confidence: Array
    place: Places
    right: Flags

    @property
    def has_keywords(self) -> bool:
        return bool(np.any(self.confidence[:, SCORED:] > ABSENT))

    @property
    def nobody(self) -> Flags:
        """[m]: whether the fallback is right."""
        nobody: Flags = self.right[:, -1]
        return nobody

    def take(self, chosen: Places) -> Views:
        return Views(self.confidence[chosen], self.place[chosen], self.right[chosen])

    def choose(self, threshold: float, keyword_threshold: float) -> Places:
        """[m]: the experts' places, n for the fallback."""
        chosen = np.full(len(self.right), self.right.shape[1] - 1, dtype=np.intp)
        for column in reversed(range(SCORED + KEYED)):
            least = threshold if column < SCORED else keyword_threshold
            said = self.confidence[:, column]
            chosen = np.where((said >= least) & (said > ABSENT), self.place[:, column], chosen)
        return chosen

    def judge(self, chosen: Places) -> Flags:
        """[m]: whether each choice is right."""
        judged: Flags = self.right[np.arange(len(chosen)), chosen]
        return judged


class Viewer:
    """Asks the stages of a config. `meaning` None = no encoder, only keywords."""

    def __init__(self, config: Config, meaning: Meaning | None) -> None:
        experts = find_routable(config.experts)
        never = replace(config.router, confidence_threshold=0.0, confidence_threshold_keyword=0.0)
        self._labels = [expert.label for expert in experts]
        self._names = [*self._labels, config.fallback.label]
        self._messages = config.router.context_messages
        self._max_chars = config.router.context_max_chars
        self._scored: list[Stage] = []
        if meaning is not None:
            self._scored = [EmbeddingStage(experts, meaning, never), ContextStage(experts, meaning, never)]
        has_keywords = config.router.keyword_fallback or meaning is None
        self._keyed = KeywordStage(experts, never) if has_keywords else None

    def look(self, case: Case) -> list[Option | None]:
        """What each stage says, in their order."""
        options = [self._ask(stage, case.request) for stage in self._scored] or [None] * SCORED
        texts = Trace(case.request, messages=self._messages).texts
        readings = [*texts[-1:], *([join_newest(texts, max_chars=self._max_chars)] if len(texts) > 1 else [])]
        keyed = [self._ask(self._keyed, _say(text)) if self._keyed else None for text in readings]
        return [*options, *keyed, *[None] * (KEYED - len(keyed))]

    def stack(self, cases: Sequence[Case], looks: Sequence[Sequence[Option | None]]) -> Views:
        """`looks[i]` is what was seen of `cases[i]`."""
        confidence = np.array([[option.confidence if option else ABSENT for option in look] for look in looks])
        place = np.array([[option.place if option else 0 for option in look] for look in looks], dtype=np.intp)
        return Views(confidence, place, np.array([[case.accepts(name) for name in self._names] for case in cases]))

    def _ask(self, stage: Stage, request: ChatRequest) -> Option | None:
        decision = stage(request, Trace(request, messages=self._messages))
        return None if decision is None else Option(self._labels.index(decision.expert.label), decision.confidence)


class Remembering:
    """An encoder that encodes no single text twice: for prompts that are read again and again."""

    def __init__(self, embedder: Embedder) -> None:
        self.name = embedder.name
        self.fingerprint = embedder.fingerprint
        self.dimension = embedder.dimension
        self._embedder = embedder
        self._known: dict[tuple[Kind, str], Rows] = {}

    def embed(self, texts: Sequence[str], *, kind: Kind) -> Rows:
        if len(texts) != 1:
            return self._embedder.embed(texts, kind=kind)
        key = (kind, texts[0])
        if key not in self._known:
            self._known[key] = self._embedder.embed(texts, kind=kind)
        return self._known[key]


def depends(case: Case) -> bool:
    """Whether any threshold matters to the prompt: not to pictures and to a client's own housekeeping."""
    return not case.request.has_image and not is_chore(case.text)


def _say(text: str) -> ChatRequest:
    return ChatRequest(messages=(Message("user", (Text(text),)),))
