"""The stages of the cascade: each gives a decision on a request, or passes it on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice

from ..config.schema import RouterConfig
from ..core import ChatRequest, Decision, Expert
from ..core import Stage as StageName
from .keywords import KeywordIndex
from .meaning import Meaning
from .names import Models, decide_raw
from .text import clean, find_question, is_chore, join_newest


class Trace:
    """What the stages learn about one request on the way.

    `texts` are the newest user turns, oldest first; `best` is the highest probability that any expert reached.
    """

    __slots__ = ("best", "scores", "texts")

    def __init__(self, request: ChatRequest, *, messages: int) -> None:
        self.texts = _newest_texts(request, messages)
        self.scores: dict[str, dict[str, float]] = {}
        self.best = 0.0


Stage = Callable[[ChatRequest, Trace], Decision | None]


class ChoreStage:
    """A client's own housekeeping, and completions that are no chat: any model that is loaded will do."""

    def __init__(self, models: Models, fallback: Expert) -> None:
        self._models = models
        self._fallback = fallback

    def __call__(self, request: ChatRequest, trace: Trace) -> Decision | None:
        bare = request.completion is not None and (request.completion.raw or bool(request.completion.suffix))
        newest = next((message for message in reversed(request.messages) if message.role == "user"), None)
        if not bare and (newest is None or not is_chore(newest.text)):
            return None
        model = self._models.loaded()
        if model is not None:
            return decide_raw(model)
        return Decision(expert=self._fallback, stage="fallback", confidence=1.0)


class VisionStage:
    """A picture needs an expert that sees; the fallback only if no other does."""

    def __init__(self, experts: Sequence[Expert], models: Models) -> None:
        self._experts = sorted((expert for expert in experts if expert.vision), key=lambda e: e.is_fallback)
        self._models = models

    def __call__(self, request: ChatRequest, trace: Trace) -> Decision | None:
        if not request.has_image:
            return None
        seeing = next((expert for expert in self._experts if self._models.is_available(expert)), None)
        return None if seeing is None else Decision(expert=seeing, stage="vision", confidence=1.0)


class EmbeddingStage:
    """The score of the last user message; passes when an expert's probability reaches the threshold.

    In a conversation a message that says nothing by itself passes nothing, however sure its score looks.
    """

    name: StageName = "embedding"

    def __init__(self, experts: Sequence[Expert], meaning: Meaning, config: RouterConfig) -> None:
        self._experts = experts
        self._meaning = meaning
        self._config = config

    def __call__(self, request: ChatRequest, trace: Trace) -> Decision | None:
        text, raw = self._choose_text(trace)
        if not text:
            return None
        reading = self._meaning.read(text, raw)
        for place, expert in enumerate(self._experts):
            trace.scores[expert.label] = reading.tell(place)
        best = int(reading.shares.argmax())
        confidence = float(reading.shares[best])
        trace.best = max(trace.best, confidence)
        if confidence < self._config.confidence_threshold or self._is_vague(text, trace):
            return None
        return Decision(expert=self._experts[best], stage=self.name, confidence=confidence)

    def _choose_text(self, trace: Trace) -> tuple[str, str]:
        """What to read: cleaned, and as it was sent."""
        return (clean(trace.texts[-1]), trace.texts[-1]) if trace.texts else ("", "")

    def _is_vague(self, text: str, trace: Trace) -> bool:
        return len(trace.texts) > 1 and self._meaning.is_follow_up(text)


class ContextStage(EmbeddingStage):
    """The same on the last few user messages joined, without those that say nothing by themselves."""

    name: StageName = "context"

    def _choose_text(self, trace: Trace) -> tuple[str, str]:
        if len(trace.texts) < 2:
            return "", ""
        pairs = [(clean(raw), raw) for raw in trace.texts]
        told = [(text, raw) for text, raw in pairs if not self._meaning.is_follow_up(text)]
        most = self._config.context_max_chars
        return (join_newest([text for text, _ in told], max_chars=most),
                join_newest([raw for _, raw in told], max_chars=most))

    def _is_vague(self, text: str, trace: Trace) -> bool:
        return False


class KeywordStage:
    """Keywords in the last user message, else in the last few joined; has a threshold of its own."""

    def __init__(self, experts: Sequence[Expert], config: RouterConfig) -> None:
        self._experts = sorted(experts, key=lambda expert: expert.label)  # a perfect tie is not for the file to settle
        self._index = KeywordIndex([expert.keywords for expert in self._experts])
        self._threshold = config.keyword_threshold
        self._max_chars = config.context_max_chars

    def __call__(self, request: ChatRequest, trace: Trace) -> Decision | None:
        if not trace.texts:
            return None
        decision = self._decide(trace.texts[-1], trace)
        if decision is None and len(trace.texts) > 1:
            decision = self._decide(join_newest(trace.texts, max_chars=self._max_chars), trace)
        return decision

    def _decide(self, text: str, trace: Trace) -> Decision | None:
        shares, best = self._index.rate(text)
        for expert, share in zip(self._experts, shares, strict=True):
            known = trace.scores.get(expert.label, {})
            score = known["score"] if "probability" in known else share
            trace.scores[expert.label] = {**known, "score": score, "keyword": share}
        confidence = shares[best] if best >= 0 else 0.0
        trace.best = max(trace.best, confidence)
        if best < 0 or confidence < self._threshold:
            return None
        return Decision(expert=self._experts[best], stage="keyword", confidence=confidence)


def _newest_texts(request: ChatRequest, messages: int) -> tuple[str, ...]:
    if request.completion is not None:
        prompt = request.completion.prompt
        return (prompt,) if prompt.strip() else ()
    texts = (text for message in reversed(request.messages)
             if message.role == "user" and (text := message.text).strip())
    return tuple(find_question(text) for text in islice(texts, messages))[::-1]
