"""How a model that orchestrates answers: one call, a second look, or a council; then checked, and held to its mode."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing
from functools import partial

from msgspec import structs

from ..backends.builtin import BUILTIN
from ..config.schema import PipelineConfig
from ..core import ChatRequest, Chunk, Decision, Done, Refusal, Started, Text, ToolCall, ToolCallPiece
from ..experts import Expert
from ..tools.toolbox import Toolbox
from ..trace import Trace
from .asking import Asking
from .assess import glance, judge
from .council.council import Council
from .critic import check
from .disclaimers import find_disclaimer
from .escalation import Escalation, PastScore
from .form import Form
from .modes.keeping import keep
from .modes.known import Mode
from .staff import Staff
from .thinker import think
from .toolloop import Toolloop

Chunks = Generator[Chunk, None, None]
Observe = Callable[[str, str, bool], None]
# In these modes the answering model may be asked again, for what it left out: all of it is checked.
_ASKS_AGAIN = ("report", "plan", "concise")
# After whose answers a disclaimer may not just follow: in one there is no prose, in the other it counts.
_STRICT = ("code", "concise")


class Conductor:
    """Of one configuration. Thread-safe; holds no request state."""

    def __init__(
        self, toolloop: Toolloop, staff: Staff, toolbox: Toolbox, limits: PipelineConfig, *, observe: Observe,
        past_score: PastScore, thinks: Callable[[str], bool], room_of: Callable[[Decision], int],
    ) -> None:
        """`observe` is told how well a model did in a domain, `past_score` says how it did so far, None for unknown.
        `thinks`: whether a model thinks before it answers; `room_of`: how many tokens a prompt for who is decided on
        may have, 0 for unknown."""
        self._toolloop = toolloop
        self._staff = staff
        self._limits = limits
        self._thinks = thinks
        self._observe = observe
        self._escalation = Escalation(past_score)
        self._council = Council(staff, toolbox, self._escalation, observe=observe, thinks=thinks, room_of=room_of)

    def run(
        self, request: ChatRequest, decision: Decision, mode: Mode, *, request_id: str, trace: Trace,
        form: Form | None = None,
    ) -> Chunks:
        """The answer in this mode. Its usage is that of all calls together."""
        asking = Asking(self._toolloop, request_id=request_id, trace=trace, limits=self._limits,
                        shows=wants_progress(request))
        trace.plan(decision.strategy)
        if mode.note and request.format is None:
            request = structs.replace(request, notes=(mode.note,))
        took_part: list[Expert] = []
        chunks = self._answer(request, decision, asking, took_part, form=form)
        if form is None:
            if mode.name not in _ASKS_AGAIN:
                chunks = self._criticise(chunks, request, mode, asking, took_part)
            held = partial(keep, mode=mode, request=request, asking=asking, decision=decision,
                           follow=lambda text: _find_notes(took_part, request, text) if mode.name == "concise" else "")
            chunks = held(chunks)
            if mode.name in _ASKS_AGAIN:
                chunks = self._criticise(chunks, request, mode, asking, took_part)
            if mode.name == "concise":  # a critic may have made it longer
                chunks = held(chunks, may_ask=False)
        with closing(chunks):
            for chunk in chunks:
                yield structs.replace(chunk, usage=asking.spent or chunk.usage) if isinstance(chunk, Done) else chunk

    def _answer(
        self, request: ChatRequest, decision: Decision, asking: Asking, took_part: list[Expert], *, form: Form | None
    ) -> Chunks:
        """`took_part` is filled with whose answer it is before any text."""
        if decision.strategy == "council":
            yield from self._council.run(request, decision, asking, took_part)
            return
        took_part.append(decision.expert)
        if decision.expert.thinks_first and form is None and not request.has_tools:
            request = yield from think(request, decision, asking, self._staff, thinks=self._thinks)
        if decision.strategy == "escalate":
            yield from self._escalation.run(request, decision, asking, self._staff, observe=self._observe)
        else:
            yield from judge(asking.stream(request, decision, form=form), decision, asking.trace, glance)

    def _criticise(
        self, chunks: Chunks, request: ChatRequest, mode: Mode, asking: Asking, took_part: list[Expert]
    ) -> Chunks:
        """By the first whose answers are checked, which is known once somebody begins to answer; each of them has its
        disclaimer."""
        with closing(chunks):
            held: list[Chunk] = []
            for chunk in chunks:
                held.append(chunk)
                if took_part:
                    break
                yield held.pop()
            checked = [expert for expert in took_part if expert.is_checked]
            rest = _chain(held, chunks)
            if checked:
                rest = check(rest, request, checked[0], asking, self._staff, adds_note=False)
                if mode.name not in _STRICT:
                    rest = _add_notes(rest, request, checked)
            yield from rest


def _add_notes(chunks: Chunks, request: ChatRequest, checked: list[Expert]) -> Chunks:
    """Passes `chunks` on and closes them; a whole answer ends with the disclaimers of its domains."""
    said: list[str] = []
    is_refused = False  # or nobody can answer, or the client's tools come first
    with closing(chunks):
        for chunk in chunks:
            if isinstance(chunk, Text):
                said.append(chunk.text)
                is_refused = is_refused or isinstance(chunk, Refusal)
            elif isinstance(chunk, Started):
                is_refused = is_refused or chunk.model == BUILTIN
            elif isinstance(chunk, (ToolCall, ToolCallPiece)):
                is_refused = True
            elif isinstance(chunk, Done) and chunk.finish == "stop" and not is_refused and not chunk.stop_sequence:
                notes = _find_notes(checked, request, "".join(said))
                if notes:
                    yield Text(notes)
            yield chunk


def _find_notes(took_part: list[Expert], request: ChatRequest, text: str) -> str:
    """What has to follow the text, each domain's once."""
    labels = dict.fromkeys(expert.label for expert in took_part if expert.is_checked)
    return "".join(find_disclaimer(request, text, label) for label in labels)


def wants_progress(request: ChatRequest) -> bool:
    """Whether the client is to see how its answer is come by: it waits for it piece by piece, or asks for thoughts."""
    return request.stream if request.think is None else bool(request.think)


def _chain(held: list[Chunk], chunks: Chunks) -> Chunks:
    with closing(chunks):
        yield from held
        yield from chunks
