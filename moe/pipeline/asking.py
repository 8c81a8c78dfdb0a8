"""The calls that the line makes for one request: each within what may still be spent on it."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator
from contextlib import closing

from msgspec import Struct, structs

from ..config.schema import PipelineConfig
from ..core import (
    ChatRequest,
    Chunk,
    Decision,
    Done,
    Extract,
    Heartbeat,
    Image,
    ImageLink,
    Message,
    Started,
    Text,
    Thinking,
    Usage,
)
from ..errors import BackendError, TimedOut
from ..trace import Stage, Trace
from .confidence import Tokens
from .form import Form
from .settle import CHARS_PER_TOKEN, prompt_tokens
from .toolloop import Toolloop

Chunks = Generator[Chunk, None, None]
_BEAT = Heartbeat()
_LIMITS = ("num_predict", "stop")


class Spent(BackendError):
    """Nothing more may be spent on this request."""


class Said(Struct, frozen=True, kw_only=True):
    """A whole answer that nobody has seen yet. `tokens`: what was told of its tokens' probabilities."""

    text: str
    who: Started
    done: Done
    tokens: Tokens
    thought: str = ""


class Asking:
    """Asks models for one request of a client's; thread-safe. `ends` is when its time is up, by the monotonic clock."""

    def __init__(
        self, toolloop: Toolloop, *, request_id: str, trace: Trace, limits: PipelineConfig, shows: bool = False
    ) -> None:
        """`shows`: the client wants to see how its answer is come by."""
        self.trace = trace
        self.limits = limits
        self.shows = shows
        self.ends = time.monotonic() + limits.deadline_s
        self._toolloop = toolloop
        self._request_id = request_id
        self._lock = threading.Lock()
        self._running = 0
        self._spent: Usage | None = None
        self._is_midline = False  # a thought that the client sees has not ended its line

    @property
    def spent(self) -> Usage | None:
        """By all calls that have ended."""
        return self._spent

    def refusal(self, *, keep: int = 0) -> str:
        """Why no further call may be made, while `keep` more may still have to follow it; "" where one may."""
        limits = self.limits
        with self._lock:
            if self.trace.calls + self._running + 1 + keep > limits.max_calls:
                return f"{_count(limits.max_calls, 'call')} the most for one request"
            spent = self._spent
        tokens = 0 if spent is None else spent.prompt_tokens + spent.completion_tokens
        if limits.max_tokens is not None and tokens >= limits.max_tokens:
            return f"{_count(limits.max_tokens, 'token')} the most for one request"
        return f"its {limits.deadline_s:g} seconds are over" if time.monotonic() >= self.ends else ""

    def show(self, line: str) -> Chunk:
        """A line about what is being done, as the client may want to see it."""
        if not self.shows:
            return _BEAT
        before, self._is_midline = "\n" if self._is_midline else "", False
        return Thinking(f"{before}{line}\n")

    def pass_on(self, chunk: Chunk) -> Chunk:
        """What was held back, as it goes out after all."""
        if isinstance(chunk, Thinking) and chunk.text:
            self._is_midline = not chunk.text.endswith("\n")
        return chunk

    def stream(
        self, request: ChatRequest, decision: Decision, *, stage: Stage = "workers", form: Form | None = None,
        is_held: bool = False,
    ) -> Chunks:
        """As `Toolloop.run`; what it takes is counted. Whatever the budget: who calls asks `refusal` first. `is_held`:
        the client does not see it yet, if ever; who lets it go says so by `pass_on`."""
        with self._lock:
            self._running += 1
        is_running = True
        said = 0
        try:
            with closing(self._toolloop.run(request, decision, request_id=self._request_id, form=form,
                                            trace=self.trace, stage=stage)) as chunks:
                for chunk in chunks:
                    if isinstance(chunk, (Text, Thinking)):
                        said += len(chunk.text)
                        if request.stream and not is_held:
                            self.pass_on(chunk)
                    elif isinstance(chunk, Done):
                        self._count(chunk, request, said)
                        is_running = False
                    yield chunk
        finally:
            if is_running:
                self._leave(request, said)

    def gather(
        self, request: ChatRequest, decision: Decision, *, stage: Stage = "workers", form: Form | None = None,
        limit_s: float | None = None, keep: int = 0,
    ) -> Generator[Heartbeat, None, Said]:
        """The whole answer, heartbeats meanwhile. Raises MoeError: Spent where the budget, less `keep` calls that must
        follow, has no room for it, TimedOut after `limit_s` or at the end of the request's time."""
        refusal = self.refusal(keep=keep)
        if refusal:
            raise Spent(refusal, reason=refusal)
        until = self.ends if limit_s is None else min(self.ends, time.monotonic() + limit_s)
        texts: list[str] = []
        thoughts: list[str] = []
        tokens, who, done = Tokens(), Started(expert=decision.expert.label, model=decision.model), Done()
        with closing(self.stream(request, decision, stage=stage, form=form)) as chunks:
            for chunk in chunks:
                if isinstance(chunk, Text):
                    texts.append(chunk.text)
                    tokens.add(chunk.logprobs)
                elif isinstance(chunk, Thinking):
                    thoughts.append(chunk.text)
                elif isinstance(chunk, Started):
                    who = chunk
                elif isinstance(chunk, Done):
                    done = chunk
                elif time.monotonic() >= until:
                    raise TimedOut("its time is over", reason="took too long")
                yield _BEAT
        return Said(text="".join(texts), thought="".join(thoughts), who=who, done=done, tokens=tokens)

    def offer(self, request: ChatRequest, decision: Decision) -> ChatRequest:
        """With the tools that fit it, or that its expert always has."""
        return self._toolloop.offer(request, decision)

    def _leave(self, request: ChatRequest, said: int) -> None:
        """What had come of a call that did not end was paid for all the same."""
        with self._lock:
            self._running -= 1
            if said:
                usage = Usage(prompt_tokens=prompt_tokens(request), completion_tokens=-(-said // CHARS_PER_TOKEN),
                              estimated=True)
                self._spent = usage.plus(self._spent)

    def _count(self, done: Done, request: ChatRequest, said: int) -> None:
        usage = done.usage
        if usage is None and done.finish not in ("load", "unload"):
            usage = Usage(prompt_tokens=prompt_tokens(request), completion_tokens=-(-said // CHARS_PER_TOKEN),
                          estimated=True)
        with self._lock:
            self._running -= 1
            if usage is not None:
                self._spent = usage.plus(self._spent)


def _count(number: int, what: str) -> str:
    return f"1 {what} is" if number == 1 else f"{number} {what}s are"


def derive(
    request: ChatRequest, *, extra: str = "", notes: tuple[str, ...] = (), sees: bool = True,
    think: bool | str | None = False,
) -> ChatRequest:
    """What one step in between is asked: the client's conversation with `extra` after its newest question, without what
    the client wants of the answer's form. Where it does not see, without images."""
    sampling = structs.replace(
        request.sampling, max_tokens=None, stop=(), logit_bias={},
        options={name: value for name, value in request.sampling.options.items() if name not in _LIMITS},
    )
    return structs.replace(
        request, messages=_extend(request.messages, extra, sees=sees), tools=(), tool_choice=None,
        parallel_tool_calls=None, sampling=sampling, format=None, format_name="", format_strict=None, think=think,
        effort="", logprobs=None, n=1, beside={}, unheeded=(), calls_functions=False, stream=False,
        include_usage=False, verb="", offered=(), notes=notes,
    )


def extend(request: ChatRequest, extra: str, *, sees: bool = True) -> ChatRequest:
    """`request` with `extra` after its newest question, and where that is not for eyes, without images."""
    return structs.replace(request, messages=_extend(request.messages, extra, sees=sees))


def _extend(messages: tuple[Message, ...], extra: str, *, sees: bool) -> tuple[Message, ...]:
    newest = max((place for place, message in enumerate(messages) if message.role == "user"), default=-1)
    extended = []
    for place, message in enumerate(messages):
        parts = message.parts
        if not sees:
            parts = tuple(part for part in parts if not isinstance(part, (Image, ImageLink)))
        if place == newest and extra:
            parts = (*parts, Extract(extra))
        extended.append(message if parts == message.parts else structs.replace(message, parts=parts))
    return tuple(extended)
