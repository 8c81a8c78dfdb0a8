"""What becomes of one request: each step with its time, its cost and its reason; added as they end, closed once."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from typing import Any, Literal

import msgspec
from msgspec import Struct, field, structs

from .core import ChatRequest, Decision, Done, Started, Strategy
from .errors import MoeError

Stage = Literal[
    "cache", "planner", "workers", "research", "math", "mcp", "graph_rag", "research_fallback", "thinking", "merger",
    "critic",
]
Outcome = Literal["done", "failed", "skipped", "cut"]

MOST_SPANS = 400
LONGEST_NAME, LONGEST_REASON, LONGEST_TEXT = 200, 300, 8000
LEFT = 499


class Span(Struct, frozen=True, kw_only=True):
    """One step; times in milliseconds since the request came in.

    `name` is the expert or the tool; with a `model` it is a call of one, unless it was "skipped", which asks nobody.
    "cut": it was not waited for. `first_ms` is when the first word could go out, None where nobody waited for it or it
    came with the whole. `scores` are those a choice was made by. `text` is what was said, where that may be kept.
    """

    stage: Stage
    name: str = ""
    model: str = ""
    started_ms: float
    ended_ms: float
    first_ms: float | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    confidence: float | None = None
    outcome: Outcome = "done"
    reason: str = ""
    scores: dict[str, float] = field(default_factory=dict)
    text: str = ""


class Record(Struct, frozen=True, kw_only=True):
    """A request that is over. `created` in Unix seconds, `asked` the model's name as the client gave it, "" for
    one that nothing has, unless text may be kept.

    `status` is what the client got: of an answer that broke off when its head was out already, still 200. `stage` and
    `confidence` are the router's. `calls` counts those of models, failed ones too; `left_off` the steps that were too
    many. `prompt`, `answer` and `complaint` are text, and "" unless that may be kept.
    """

    id: str
    created: float
    path: str = ""
    asked: str = ""
    stream: bool = False
    strategy: Strategy = "direct"
    calls: int = 0
    stage: str = ""
    expert: str = ""
    model: str = ""
    confidence: float | None = None
    answer_confidence: float | None = None
    status: int = 200
    outcome: Literal["done", "failed", "left"] = "done"
    error: str = ""
    finish: str = ""
    first_ms: float | None = None
    elapsed_ms: float = 0.0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    estimated: bool = False
    spans: tuple[Span, ...] = ()
    left_off: int = 0
    prompt: str = ""
    answer: str = ""
    complaint: str = ""

    @property
    def has_text(self) -> bool:
        return bool(self.prompt or self.answer or self.complaint or any(span.text for span in self.spans))

    def without_text(self) -> Record:
        """All but what was said."""
        if not self.has_text:
            return self
        spans = tuple(structs.replace(span, text="") for span in self.spans)
        return structs.replace(self, spans=spans, prompt="", answer="", complaint="")


_TEXTS = ("prompt", "answer", "complaint")


def summarise(record: Record) -> dict[str, Any]:
    """A request as one of a list: without its steps, and without a word that was said."""
    told = {"object": "request"} | structs.asdict(record)
    return {name: value for name, value in told.items() if name not in (*_TEXTS, "spans", "left_off")}


def tell(record: Record) -> dict[str, Any]:
    """All of a request, its texts only where there are any."""
    steps = []
    for span in record.spans:
        step = structs.asdict(span)
        steps.append({name: value for name, value in step.items() if value or name not in ("scores", "text")})
    texts = {name: text for name in _TEXTS if (text := getattr(record, name))}
    return summarise(record) | {"spans": steps, "left_off": record.left_off} | texts


_decoder = msgspec.json.Decoder(Record)


def encode(record: Record) -> bytes:
    """As JSON; half of a pair of surrogates, which UTF-8 cannot carry, becomes "?"."""
    try:
        return msgspec.json.encode(record)
    except UnicodeEncodeError:
        return json.dumps(msgspec.to_builtins(record), ensure_ascii=False).encode("utf-8", "replace")


def decode(data: bytes) -> Record:
    """Raises msgspec.DecodeError."""
    return _decoder.decode(data)


class Trace:
    """One request as it runs; thread-safe. What is told of it after its end changes nothing."""

    def __init__(
        self, name: str = "", *, path: str = "", keeps_text: bool = False,
        on_end: Callable[[Record], None] = lambda record: None,
    ) -> None:
        """`on_end` is called once, with all of it, in the thread that ends it."""
        self.keeps_text = keeps_text
        self._on_end = on_end
        self._began = time.monotonic()
        self._head: dict[str, Any] = {"id": name, "created": time.time(), "path": path}
        self._spans: list[Span] = []
        self._calls = self._left_off = 0
        self._texts: list[str] = []
        self._left_chars = LONGEST_TEXT
        self._has_ended = False
        self._lock = threading.Lock()

    def now_ms(self) -> float:
        """Since the request came in."""
        return round((time.monotonic() - self._began) * 1000, 3)

    @property
    def calls(self) -> int:
        """Of models that were asked and have answered or failed."""
        return self._calls

    @property
    def spans(self) -> tuple[Span, ...]:
        """The steps that are over."""
        with self._lock:
            return tuple(self._spans)

    def add(self, span: Span) -> None:
        """A step that is over; what it may not keep of it is left out here, whoever adds it."""
        with self._lock:
            if self._has_ended:
                return
            self._calls += bool(span.model) and span.outcome != "skipped"
            if len(self._spans) < MOST_SPANS:
                self._spans.append(_trim(span, keeps_text=self.keeps_text))
            else:
                self._left_off += 1

    def rate(self, name: str, model: str, confidence: float) -> None:
        """How far the newest answer of this expert and model is to be trusted, which is known only after its step."""
        with self._lock:
            for place in reversed(range(len(self._spans))):
                span = self._spans[place]
                if (span.name, span.model) == (name, model):
                    self._spans[place] = structs.replace(span, confidence=round(confidence, 4))
                    return

    def ask(self, request: ChatRequest) -> None:
        """What the client asked for."""
        self._head["stream"] = request.stream
        if self.keeps_text:
            self.name(request.model)
            said = request.completion.prompt if request.completion else next(iter(request.user_texts[-1:]), "")
            self._head["prompt"] = _cut(said, LONGEST_TEXT)

    def name(self, asked: str) -> None:
        """The model's name that was `asked` for, once it is known to be one: it may be any text."""
        self._head["asked"] = _cut(asked, LONGEST_NAME)

    def decide(self, decision: Decision) -> None:
        """What the router said; of several decisions the first counts."""
        if "stage" not in self._head:
            self._head |= {"stage": decision.stage, "confidence": round(decision.confidence, 4)}

    def plan(self, strategy: Strategy) -> None:
        """How the answer is come by."""
        self._head["strategy"] = strategy

    def judge(self, confidence: float) -> None:
        """How far the answer is to be trusted, 0 to 1."""
        self._head["answer_confidence"] = round(confidence, 4)

    def start(self, who: Started) -> None:
        """Who answers; of several the last, who goes on."""
        self._head |= {"expert": who.expert, "model": who.model}

    def told(self) -> dict[str, Any]:
        """What a client is told of it with its answer."""
        confidence = self._head.get("answer_confidence")
        return {"strategy": self._head.get("strategy", "direct"), "calls": self._calls,
                **({} if confidence is None else {"answer_confidence": confidence})}

    def speak(self) -> None:
        """The first word goes out, or is there for a client that waits for the last one."""
        if self._head.get("stream") and "first_ms" not in self._head:
            self._head["first_ms"] = self.now_ms()

    def hear(self, text: str) -> None:
        """The next piece of the answer."""
        if self.keeps_text and self._left_chars > 0:
            self._texts.append(text[:self._left_chars])
            self._left_chars -= len(text)

    def end(self, done: Done) -> None:
        """A good end; of several answers the last one's, with what they took together."""
        usage = done.usage
        counted = {} if usage is None else {
            "prompt_tokens": usage.prompt_tokens, "completion_tokens": usage.completion_tokens,
            "estimated": usage.estimated,
        }
        self._close(finish=done.finish, **counted)

    def fail(self, error: BaseException, *, has_begun: bool = False) -> None:
        """`has_begun`: the client had got a good status before."""
        status, code = _read(error)
        if status == LEFT:
            self.leave()
            return
        complaint = _cut(str(error), LONGEST_TEXT) if self.keeps_text else ""
        self._close(outcome="failed", status=200 if has_begun else status, error=code, complaint=complaint)

    def leave(self) -> None:
        """The client did not stay for the end."""
        self._close(outcome="left", status=LEFT, error="client_closed_request")

    def _close(self, **ending: Any) -> None:
        with self._lock:
            if self._has_ended:
                return
            self._has_ended = True
        record = Record(
            **self._head | ending, elapsed_ms=self.now_ms(), calls=self._calls, spans=tuple(self._spans),
            left_off=self._left_off, answer="".join(self._texts),
        )
        self._on_end(record)


def _trim(span: Span, *, keeps_text: bool) -> Span:
    text = span.text[:LONGEST_TEXT] if keeps_text else ""
    if text == span.text and max(len(span.name), len(span.model)) <= LONGEST_NAME and (
            len(span.reason) <= LONGEST_REASON):
        return span
    return structs.replace(span, text=text, name=_cut(span.name, LONGEST_NAME), model=_cut(span.model, LONGEST_NAME),
                           reason=_cut(span.reason, LONGEST_REASON))


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most - 1]}…"


def _read(error: BaseException) -> tuple[int, str]:
    """The status and the word for programs; of what is none of ours, as the web frame says it."""
    if isinstance(error, MoeError):
        return error.status, _cut(error.code, LONGEST_NAME)
    status = getattr(error, "code", None)
    status = status if isinstance(status, int) and 400 <= status < 600 else 500
    return status, "bad_request" if status < 500 else MoeError.code
