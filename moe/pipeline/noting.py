"""What the line notes of a request in its trace: the router's choice, what tools did, and each model that was asked."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from typing import cast

from ..aliases import plain
from ..config.rules import RESERVED
from ..core import Chunk, Decision, Done, Started
from ..core import Stage as RouterStage
from ..errors import BackendError, Crowded, InvalidAnswer, NotReady
from ..routing.ranking import rank
from ..trace import Outcome, Span, Stage, Trace
from .attempt import Misfit
from .lineup import Candidate
from .toolcalls import Made

MOST_SCORES = 5
# Of these nobody was asked, unless an answer had begun.
_UNASKED = (Crowded, Misfit, NotReady)
_REASONS: dict[RouterStage, str] = {
    "tool": "a tool knows it exactly",
    "explicit": "the client named the expert",
    "vision": "there is a picture",
    "embedding": "by what the question means",
    "context": "by what the conversation is about",
    "classifier": "by the classifier",
    "keyword": "by its words",
    "fallback": "no expert fits",
}


def note_name(trace: Trace, asked: str, decision: Decision, *, is_alias: bool) -> None:
    """The name that was asked for, where it is one of ours: any other may be any text."""
    is_named = decision.stage in ("explicit", "raw") and not decision.virtual
    if is_alias or is_named or plain(asked) in RESERVED:
        trace.name(asked)


def note_decision(trace: Trace, decision: Decision, *, began_ms: float) -> None:
    """Who was chosen, on what ground, and who came close."""
    trace.decide(decision)
    scores = {label: round(value, 4) for label, value in rank(decision)[:MOST_SCORES]}
    how = f"; {decision.strategy}: {decision.reason}" if decision.virtual and decision.reason else ""
    trace.add(Span(stage="planner", name="router", started_ms=began_ms, ended_ms=trace.now_ms(), scores=scores,
                   confidence=round(decision.confidence, 4),
                   reason=f"{decision.expert.label}: {_explain(decision)}{how}"))


def _explain(decision: Decision) -> str:
    if decision.stage == "raw":
        return "a model that is ready for it" if decision.virtual else "the client named the model"
    return _REASONS[decision.stage]


def note_tool(
    trace: Trace, name: str, *, began_ms: float, reason: str = "", text: str = "", is_good: bool = True
) -> None:
    """A tool of this server's own. All of them are the stage "mcp": they are the tools that are served under it."""
    trace.add(Span(stage="mcp", name=name, started_ms=began_ms, ended_ms=trace.now_ms(), reason=reason, text=text,
                   outcome="done" if is_good else "failed"))


def note_call(trace: Trace, made: Made, *, began_ms: float, is_ours: bool) -> None:
    """A tool that a model called; one that it made up has no name, which may be anything it was told to write."""
    note_tool(trace, made.call.name if is_ours else "unknown", began_ms=began_ms, reason="the model called it",
              text=made.line, is_good=made.is_good)


def note_builtin(trace: Trace, speaker: str) -> None:
    now_ms = trace.now_ms()
    trace.add(Span(stage="workers", name=speaker, started_ms=now_ms, ended_ms=now_ms,
                   reason="says that nobody can answer"))


class Call:
    """One candidate that is tried for an answer; exactly one span comes of it."""

    def __init__(
        self, trace: Trace, candidate: Candidate, *, stage: Stage = "workers", in_place_of: str = ""
    ) -> None:
        self._trace = trace
        self._stage = stage
        self._candidate = candidate
        self._reason = f"in place of {in_place_of}" if in_place_of else ""
        self._began_ms = trace.now_ms()
        self._first_ms: float | None = None
        self._is_told = False

    def follow(self, chunks: Iterator[Chunk], *, streams: bool) -> Iterator[Chunk]:
        """Passes `chunks` of a generator on and closes it. The span is there before the last one goes out."""
        with closing(cast("Generator[Chunk, None, None]", chunks)):
            try:
                for chunk in chunks:
                    kind = type(chunk)
                    if kind is Started and streams:
                        self._first_ms = self._trace.now_ms()
                    elif isinstance(chunk, Done):
                        self._tell("done", self._reason, chunk)
                    yield chunk
            except GeneratorExit:
                self._tell("cut", "it was not waited for")
                raise

    def fail(self, error: BackendError, *, has_started: bool) -> float:
        """The words of the error are not kept, for they may quote what was said; its reason is a phrase of ours.
        Returns how many milliseconds were lost."""
        reason = "the answer breaks its form" if isinstance(error, InvalidAnswer) else error.reason
        is_unasked = isinstance(error, _UNASKED) and not has_started
        self._tell("skipped" if is_unasked else "failed", reason, text=error.message)
        return self._trace.now_ms() - self._began_ms

    def skip(self, reason: str) -> None:
        self._tell("skipped", reason)

    def _tell(self, outcome: Outcome, reason: str, done: Done | None = None, *, text: str = "") -> None:
        if self._is_told:
            return
        self._is_told = True
        usage = done.usage if done is not None else None
        self._trace.add(Span(
            stage=self._stage, name=self._candidate.expert.label, model=self._candidate.model,
            started_ms=self._began_ms, ended_ms=self._trace.now_ms(), first_ms=self._first_ms,
            prompt_tokens=None if usage is None else usage.prompt_tokens,
            completion_tokens=None if usage is None else usage.completion_tokens,
            outcome=outcome, reason=reason, text=text,
        ))
