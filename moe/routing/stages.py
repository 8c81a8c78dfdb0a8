"""The stages of the cascade: each gives a decision on a request, or passes it on."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..config.schema import RouterConfig
from ..core import ChatRequest, Decision, Message, ToolCall
from ..core import Stage as StageName
from ..experts import Expert
from .keywords import KeywordIndex
from .meaning import Meaning
from .names import Callers, Models, Names, decide_raw
from .noise import strip_noise
from .scoring import Reading
from .text import clean, find_question, is_housekeeping, join_newest, says_anything
from .topics import Turn, changes_topic, follow, measure, weigh

# A conversation is looked back on as far as this many user turns, and of those longer than enough the newest count.
LOOK_BACK = 8
ENOUGH_CHARS = 60
SURE, TELLING_CHARS = 0.95, 25


class Trace:
    """What the stages learn about one request on the way.

    `texts` are the user turns that decide, oldest first; `best` is the probability of the likeliest expert.
    """

    __slots__ = ("best", "scores", "texts")

    def __init__(self, request: ChatRequest, *, messages: int) -> None:
        self.texts = _choose_texts(request, messages)
        self.scores: dict[str, dict[str, float]] = {}
        self.best = 0.0


Stage = Callable[[ChatRequest, Trace], Decision | None]


class CallerStage:
    """What tools gave back goes to whoever called them, also to one that only stood in: nobody else waits for it."""

    def __init__(self, names: Names, callers: Callers) -> None:
        self._names = names
        self._callers = callers

    def __call__(self, request: ChatRequest, trace: Trace) -> Decision | None:
        found = (self._callers.find(call, request) for call in reversed(_find_answered(request)))
        caller = next((caller for caller in found if caller is not None), None)
        return None if caller is None else self._names.recall(caller)


class ChoreStage:
    """A client's own housekeeping, and completions that are no chat: any model that is loaded will do, where a gap is
    to be filled one that can. With none loaded it is the fallback's, which is told nothing of being an expert."""

    def __init__(self, models: Models, fallback: Expert) -> None:
        self._models = models
        self._fallback = fallback

    def __call__(self, request: ChatRequest, trace: Trace) -> Decision | None:
        if not is_housekeeping(request):
            return None
        has_gap = request.completion is not None and bool(request.completion.suffix)
        model = (self._models.loaded("insert") if has_gap else None) or self._models.loaded()
        if model is not None:
            return decide_raw(model)
        return Decision(expert=self._fallback, stage="fallback", confidence=1.0)


class VisionStage:
    """A picture needs an expert that sees; the fallback only if no other does.

    In a conversation with tools only the first message of the user's counts, here too: a picture that comes later
    leads elsewhere only if the expert's model cannot see it.
    """

    def __init__(self, experts: Sequence[Expert], models: Models) -> None:
        self._experts = sorted((expert for expert in experts if expert.vision), key=lambda e: e.is_fallback)
        self._models = models

    def __call__(self, request: ChatRequest, trace: Trace) -> Decision | None:
        first = _find_first(request)
        is_shown = first is not None and first.has_image if request.has_tools else request.has_image
        return self._find_seeing() if is_shown else None

    def review(self, request: ChatRequest, decision: Decision) -> Decision:
        """`decision`, unless it leads a conversation with tools, and a picture, to one that cannot see."""
        if not (request.has_tools and request.has_image):
            return decision
        expert = decision.expert
        is_seen = self._models.sees(expert, decision.model or self._models.model_of(expert))
        return decision if is_seen else self._find_seeing() or decision

    def _find_seeing(self) -> Decision | None:
        seeing = next((expert for expert in self._experts if self._models.is_available(expert)), None)
        return None if seeing is None else Decision(expert=seeing, stage="vision", confidence=1.0)


class EmbeddingStage:
    """The last user message by itself; passes when an expert's probability reaches the threshold.

    In a conversation only one that is sure and not short is taken by itself: it needs no encoding of the others.
    """

    def __init__(self, experts: Sequence[Expert], meaning: Meaning, config: RouterConfig) -> None:
        self._experts = experts
        self._meaning = meaning
        self._threshold = config.confidence_threshold

    def __call__(self, request: ChatRequest, trace: Trace) -> Decision | None:
        reading = _read(self._meaning, trace.texts[-1]) if trace.texts else None
        if reading is None:
            return None
        is_alone = len(trace.texts) == 1
        decision = _settle(self._experts, reading, trace, stage="embedding",
                           least=self._threshold if is_alone else max(SURE, self._threshold))
        return decision if is_alone or measure(trace.texts[-1]) >= TELLING_CHARS else None


class ContextStage:
    """The last few user messages, each by itself, and what they tell together."""

    def __init__(self, experts: Sequence[Expert], meaning: Meaning, config: RouterConfig) -> None:
        self._experts = experts
        self._meaning = meaning
        self._threshold = config.confidence_threshold

    def __call__(self, request: ChatRequest, trace: Trace) -> Decision | None:
        if len(trace.texts) < 2:
            return None
        readings = [(text, reading) for text in trace.texts if (reading := _read(self._meaning, text)) is not None]
        if not readings:
            return None
        turns = [self._weigh(text, reading) for text, reading in readings]
        whole = readings[-1][1]._replace(shares=follow(turns))
        return _settle(self._experts, whole, trace, stage="context", least=self._threshold)

    def _weigh(self, text: str, reading: Reading) -> Turn:
        likeness = self._meaning.liken_to_follow_ups(clean(text))
        return Turn(reading.shares, weigh(text, likeness, float(reading.shares.max())), changes_topic(text))


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


def _find_first(request: ChatRequest) -> Message | None:
    """The message that a conversation with tools is decided by."""
    return next((message for message in request.messages if message.role == "user"), None)


def _find_answered(request: ChatRequest) -> tuple[ToolCall, ...]:
    """The calls whose results nobody has read yet."""
    has_result = False
    for message in reversed(request.messages):
        if message.role == "assistant":
            return tuple(part for part in message.parts if isinstance(part, ToolCall)) if has_result else ()
        has_result = has_result or message.role == "tool"
    return ()


def _find_own_words(text: str) -> str:
    return strip_noise(find_question(text))


def _read(meaning: Meaning, raw: str) -> Reading | None:
    """None for what says nothing: the turns before it decide, or nobody does."""
    text = clean(raw)
    return meaning.read(text, raw) if says_anything(text) else None


def _settle(experts: Sequence[Expert], reading: Reading, trace: Trace, *, stage: StageName,
            least: float) -> Decision | None:
    for place, expert in enumerate(experts):
        trace.scores[expert.label] = reading.tell(place)
    best = int(reading.shares.argmax())
    confidence = float(reading.shares[best])
    trace.best = confidence
    return None if confidence < least else Decision(expert=experts[best], stage=stage, confidence=confidence)


def _choose_texts(request: ChatRequest, messages: int) -> tuple[str, ...]:
    """The texts that decide, oldest first: the newest, and before it those of the last few that say the most.

    A conversation with tools is decided by its first one alone, so that each of its many calls goes the same way:
    another model would have to read all of it again, and knows nothing of the calls before.
    """
    if request.completion is not None:
        prompt = request.completion.prompt
        return (strip_noise(prompt),) if prompt.strip() else ()
    texts = request.user_texts
    if request.has_tools:
        first = _find_first(request)
        words = _find_own_words(first.own_words) if first is not None else ""
        return (words,) if words.strip() else ()
    *earlier, newest = [_find_own_words(text) for text in texts[-LOOK_BACK:]] or [""]
    ranked = sorted(range(len(earlier)), key=lambda i: (min(measure(earlier[i]), ENOUGH_CHARS), i))
    chosen = sorted(ranked[max(0, len(ranked) - messages + 1):])
    return (*(earlier[i] for i in chosen), newest) if newest else ()
