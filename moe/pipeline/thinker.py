"""A reasoning model's working notes, made before the answer and handed to whoever gives it."""

from __future__ import annotations

from collections.abc import Callable, Generator

from msgspec import structs

from ..core import ChatRequest, Chunk, Decision, Started, Thinking
from ..errors import BackendError, MoeError
from ..trace import Outcome, Span
from .asking import Asking, Said, Spent, derive, extend
from .council.blocks import block, shorten
from .staff import Staff
from .symptoms import read_symptoms

REASONING = "reasoning"
MOST_TOKENS, MOST_CHARS = 400, 3000
# Of the whole request's time this much may pass until the notes are there.
_SHARE_OF_TIME = 0.25
_TASK = """\
Somebody else will answer this. Before that, write working notes for them, in at most 200 words and the user's language:
- Given: every fact, number and condition, as it was said
- Wanted: what exactly is asked, and in which form
- Steps: how to get there, in order
- Traps: what is easily overlooked or confused
Notes only: do not carry the steps out, and do not answer."""
_USE = ("Those are working notes that were made before your answer. They may be wrong or miss something: check them "
        "against the question, which alone counts, and do not mention them.")


def think(
    request: ChatRequest, decision: Decision, asking: Asking, staff: Staff, *,
    thinks: Callable[[str], bool] = lambda model: False,
) -> Generator[Chunk, None, ChatRequest]:
    """`request` with notes after its question; as it was where there can be none, or where the model that is to answer
    `thinks` by itself and the client lets it. Who is to see the notes gets Started before them."""
    model = decision.model or _find_model(decision, staff)
    if request.think is not False and thinks(model):
        _note(asking, asking.trace.now_ms(), f"{model} thinks by itself", outcome="skipped")
        return request
    began_ms = asking.trace.now_ms()
    thinker = _find_thinker(decision, staff)
    try:
        said = yield from asking.gather(_ask(request, thinker), thinker, stage="thinking", keep=1,
                                        limit_s=_SHARE_OF_TIME * asking.limits.deadline_s)
    except Spent as error:
        _note(asking, began_ms, f"no notes: {error.reason}", outcome="skipped")
        return request
    except MoeError as error:
        reason = error.reason if isinstance(error, BackendError) else "nobody could make them"
        _note(asking, began_ms, f"no notes: {reason}", outcome="failed")
        return request
    notes = _read(said)
    if not notes:
        _note(asking, began_ms, "no notes: what was said is of no use", outcome="failed")
        return request
    if asking.shows and request.think is not False:
        yield Started(expert=decision.expert.label, model=model)
        yield Thinking(f"{notes}\n")
    return extend(request, f"{block('notes', notes)}\n{_USE}")


def _find_model(decision: Decision, staff: Staff) -> str:
    """Who would answer, where the decision leaves it to the expert."""
    expert = decision.expert
    return staff.assign(expert, tier=decision.tier or expert.own_tier).model


def _find_thinker(decision: Decision, staff: Staff) -> Decision:
    """The second tier of the expert for reasoning, where it is at work and may have the question; else whoever is to
    answer. If it fails, nobody takes its place: the notes are not worth it."""
    expert = next((each for each in staff.at_work() if each.label == REASONING), None)
    if expert is not None:
        thinker = staff.assign(expert, tier=2, is_alone=True)
        if staff.may_have(expert, thinker.model, decision.expert):
            return thinker
    assigned = staff.assign(decision.expert, tier=decision.tier, is_alone=True)
    return structs.replace(assigned, model=decision.model or assigned.model)


def _ask(request: ChatRequest, thinker: Decision) -> ChatRequest:
    asked = derive(request, extra=_TASK, sees=thinker.expert.vision)
    return structs.replace(asked, sampling=structs.replace(asked.sampling, max_tokens=MOST_TOKENS))


def _read(said: Said) -> str:
    """The notes; "" where they help nobody. Cut at their limit they do, as far as they came."""
    shows = read_symptoms(said.text)
    if shows.is_empty or shows.refuses or shows.loops:
        return ""
    text = said.text.strip()
    return shorten(text, MOST_CHARS) or text[:MOST_CHARS]


def _note(asking: Asking, began_ms: float, reason: str, *, outcome: Outcome) -> None:
    asking.trace.add(Span(stage="thinking", name="notes", started_ms=began_ms, ended_ms=asking.trace.now_ms(),
                          reason=reason, outcome=outcome))
