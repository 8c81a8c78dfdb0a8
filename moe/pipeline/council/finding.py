"""What came of one task: an answer and how far it is to be trusted, or why there is none."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from ...core import Finish
from ...errors import BackendError, MoeError, TimedOut, Unanswered
from ..asking import Said, Spent
from ..assess import Assessment
from ..progress import STEP
from .plan import Task

LONGEST_REASON = 120


class Finding(Struct, frozen=True, kw_only=True):
    """What came of one task. `expert` and `model` are those who answered, "" where a tool did, which `tools` names;
    `reason` is a phrase of ours. "late": its time was over; "skipped": nothing more might be spent."""

    task: Task
    expert: str = ""
    model: str = ""
    text: str = ""
    confidence: float = 0.0
    outcome: Literal["done", "failed", "late", "skipped"] = "done"
    reason: str = ""
    tools: tuple[str, ...] = ()
    finish: Finish = "stop"

    @property
    def is_there(self) -> bool:
        return self.outcome == "done"

    @property
    def is_exact(self) -> bool:
        """Whether a tool worked it out."""
        return self.is_there and not self.model

    @property
    def is_over_limit(self) -> bool:
        return self.outcome in ("late", "skipped")


def report(task: Task, said: Said, found: Assessment) -> Finding:
    return Finding(task=task, expert=said.who.expert, model=said.who.model, text=said.text, tools=said.done.tools,
                   confidence=found.confidence, finish=said.done.finish)


def lose(task: Task, error: MoeError) -> Finding:
    if isinstance(error, Spent):
        return Finding(task=task, outcome="skipped", reason=error.reason)
    reason = error.reason if isinstance(error, BackendError) else error.code.replace("_", " ")
    if isinstance(error, Unanswered):
        reason = "; ".join(dict.fromkeys(told for _, told in error.tried))
    reason = " ".join(reason.split())[:LONGEST_REASON]
    return Finding(task=task, outcome="late" if isinstance(error, TimedOut) else "failed", reason=reason)


def spell(finding: Finding) -> str:
    """A line about it, for who follows its progress."""
    task = finding.task
    if finding.is_exact:
        return f"{STEP}{task.tool}: done"
    if finding.is_there:
        return f"{STEP}{task.category} ({finding.model}): {finding.confidence:.2f}"
    return f"{STEP}{task.category}: {finding.outcome}, {finding.reason}"
