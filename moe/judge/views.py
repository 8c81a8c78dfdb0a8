"""What each stage of the router would say of a prompt, whatever the thresholds: so that they can be tried out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from msgspec import Struct
from msgspec.structs import replace

from ..config import Config
from ..core import ChatRequest, Message, Text
from ..routing.meaning import Meaning
from ..routing.router import find_routable
from ..routing.scoring import SIGNALS, Floats
from ..routing.stages import ContextStage, EmbeddingStage, KeywordStage, Stage, Trace
from ..routing.text import is_chore, join_newest
from .cases import Case
from .metrics import Array

Places = npt.NDArray[np.intp]

# The stages whose confidence is compared with one threshold, and those with the other, in their order.
SCORED, KEYED = 2, 2
ABSENT = -1.0
UNANSWERED = 0.5


class Option(Struct, frozen=True):
    """What one stage says: the expert at `place`. `signals` [n, 4] where the four-signal score serves."""

    place: int
    confidence: float
    signals: Floats | None = None


class Views(Struct, frozen=True):
    """For m prompts and n experts: `confidence` and `place` [m, 4], SCORED columns and then KEYED ones, ABSENT where
    a stage says nothing. `worth` [m, n + 1] of each choice, the last for the fallback: 1 = right, 0 = a wrong expert,
    UNANSWERED = the fallback in an expert's place. `gold` [m] is the right one. `signals` [m, 2, n, 4] or None."""

    confidence: Array
    place: Places
    worth: Array
    gold: Places
    signals: Floats | None

    def take(self, chosen: Places) -> Views:
        signals = None if self.signals is None else self.signals[chosen]
        return Views(self.confidence[chosen], self.place[chosen], self.worth[chosen], self.gold[chosen], signals)

    def choose(self, threshold: float, keyword_threshold: float) -> Places:
        """[m]: the experts' places, n for the fallback."""
        chosen = np.full(len(self.gold), self.worth.shape[1] - 1, dtype=np.intp)
        for column in reversed(range(SCORED + KEYED)):
            least = threshold if column < SCORED else keyword_threshold
            said = self.confidence[:, column]
            chosen = np.where((said >= least) & (said > ABSENT), self.place[:, column], chosen)
        return chosen

    def rate(self, chosen: Places) -> Array:
        """[m]: what each choice is worth."""
        rated: Array = self.worth[np.arange(len(chosen)), chosen]
        return rated


class Viewer:
    """Asks the stages of a config. `meaning` None = no encoder, only keywords."""

    def __init__(self, config: Config, meaning: Meaning | None) -> None:
        experts = find_routable(config.experts)
        never = replace(config.router, confidence_threshold=0.0, confidence_threshold_keyword=0.0)
        self._labels = [expert.label for expert in experts]
        self._fallback = config.fallback.label
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
        names = [*self._labels, self._fallback]
        worth = np.array([[float(case.accepts(name)) for name in names] for case in cases])
        worth[:, -1] = np.maximum(worth[:, -1], UNANSWERED)
        gold = np.array([names.index(case.label) if case.label in names else -1 for case in cases], dtype=np.intp)
        return Views(confidence, place, worth, gold, self._stack_signals(looks))

    def _stack_signals(self, looks: Sequence[Sequence[Option | None]]) -> Floats | None:
        if not any(option and option.signals is not None for look in looks for option in look):
            return None
        nothing = np.zeros((len(self._labels), len(SIGNALS)), dtype=np.float32)
        return np.array([[nothing if option is None or option.signals is None else option.signals
                          for option in look[:SCORED]] for look in looks], dtype=np.float32)

    def _ask(self, stage: Stage, request: ChatRequest) -> Option | None:
        trace = Trace(request, messages=self._messages)
        decision = stage(request, trace)
        if decision is None:
            return None
        rows = [trace.scores[label] for label in self._labels]
        signals = None
        if all(name in rows[0] for name in SIGNALS):
            signals = np.array([[row[name] for name in SIGNALS] for row in rows], dtype=np.float32)
        return Option(self._labels.index(decision.expert.label), decision.confidence, signals)


def depends(case: Case) -> bool:
    """Whether any threshold matters to the prompt: not to pictures and to a client's own housekeeping."""
    return not case.request.has_image and not is_chore(case.text)


def _say(text: str) -> ChatRequest:
    return ChatRequest(messages=(Message("user", (Text(text),)),))
