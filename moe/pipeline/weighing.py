"""Which of two tiers' answers goes out, and what is told of it."""

from __future__ import annotations

from collections.abc import Iterator

from ..core import ChatRequest, Done, Text
from ..errors import BackendError, MoeError, Unanswered
from ..trace import Span
from .asking import Asking
from .assess import Assessment
from .calling import EmptyAnswer
from .council.assembly import LIMIT, close, find_language
from .council.blocks import block

# Tier 1's answer stands where it is so much surer.
CLEARLY = 0.1
# An attempt that saves tier 2 work: there is something to it, and much of it, but not more than can be read along.
HALF_GOOD, LONG, TOO_MUCH = 0.35, 400, 8000
_INTRODUCTION = ("Another model has tried this. Its attempt may be wrong, in part or in all: check it, take over what "
                 "is right, and answer in your own name without mentioning it.")


def find_attempt(found: Assessment | None, text: str) -> str:
    """What tier 2 is told of tier 1's answer where reading it is less work than beginning anew, else ""."""
    is_useful = found is not None and not found.is_bare and found.confidence >= HALF_GOOD
    return f"{_INTRODUCTION}\n{block('attempt', text)}" if is_useful and LONG <= len(text) <= TOO_MUCH else ""


def find_flaw(found: Assessment, finish: str, *, first: Assessment, first_finish: str) -> str:
    """What makes tier 2's answer worse than the `first`, in words that follow "tier 2"; "" for nothing."""
    if found.is_bare:
        return f"is of no use ({found.reason})"
    if finish in ("length", "content_filter") and first_finish == "stop":
        return "was cut"
    is_worse = first.confidence >= found.confidence + CLEARLY
    return f"is less sure ({found.confidence:.2f}: {found.reason})" if is_worse else ""


def tell_limit(done: Done, request: ChatRequest, text: str) -> Iterator[Text]:
    """That more was wanted and not allowed, where the answer has room for a last word."""
    is_free = request.format is None and request.completion is None
    if is_free and done.finish == "stop" and not done.stop_sequence:
        yield Text(f"{close(text)}\n\n{LIMIT[find_language(request)]}")


def find_reason(error: MoeError) -> str:
    """A short phrase of ours."""
    if isinstance(error, EmptyAnswer):
        return "said nothing"
    if isinstance(error, Unanswered) and error.tried:
        return error.tried[-1][1]
    return error.reason if isinstance(error, BackendError) else error.code


def add_step(asking: Asking, reason: str, *, confidence: float | None = None) -> None:
    """Why it goes on as it does."""
    now_ms = asking.trace.now_ms()
    asking.trace.add(Span(stage="planner", name="escalation", started_ms=now_ms, ended_ms=now_ms, reason=reason,
                          confidence=None if confidence is None else round(confidence, 4)))
