"""Several experts answer one request: it is divided, each part is answered, and the answers become one."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from typing import Protocol

from msgspec import structs

from ...core import ChatRequest, Chunk, Decision, Done, Heartbeat, Started, Text, Thinking
from ...experts import Expert
from ...tools.toolbox import Toolbox
from ..asking import Asking
from ..assess import judge
from ..escalation import Observe
from ..offering import names_of
from ..progress import STEP
from ..staff import Staff
from ..thinker import think
from .assembly import LIMIT, find_language
from .finding import Finding
from .merger import merge
from .plan import Plan, Task
from .planner import draw_up
from .workers import Workers, rate

Chunks = Generator[Chunk, None, None]
_BEAT = Heartbeat()


class Escalating(Protocol):
    """Asks a second model where the first is not sure."""

    def run(
        self, request: ChatRequest, decision: Decision, asking: Asking, staff: Staff, *, observe: Observe
    ) -> Chunks: ...


class Council:
    """Of one configuration. Thread-safe; holds no request state."""

    def __init__(
        self, staff: Staff, toolbox: Toolbox, escalation: Escalating | None = None, *,
        observe: Observe = lambda model, domain, is_positive: None,
        thinks: Callable[[str], bool] = lambda model: False,
        room_of: Callable[[Decision], int] = lambda decision: 0,
    ) -> None:
        """`observe` is told how well a model did in a domain, `thinks` whether a model thinks before it answers,
        `room_of` how many tokens a prompt for who is decided on may have, 0 for unknown."""
        self._staff = staff
        self._toolbox = toolbox
        self._escalation = escalation
        self._observe = observe
        self._thinks = thinks
        self._room_of = room_of

    def run(self, request: ChatRequest, decision: Decision, asking: Asking, took_part: list[Expert]) -> Chunks:
        """The answer. Before any of it comes, all whose parts there were are in `took_part`, whoever answers them."""
        return _order(self._run(request, decision, asking, took_part))

    def _run(self, request: ChatRequest, decision: Decision, asking: Asking, took_part: list[Expert]) -> Chunks:
        plan = yield from draw_up(request, decision, asking, self._staff, self._toolbox)
        only = plan.tasks[0] if len(plan.tasks) == 1 and not plan.tasks[0].tool else None
        if only is not None:
            yield from self._hand_over(only, request, decision, asking, took_part)
            return
        if asking.shows and request.stream:  # what is going on can be seen only once somebody has begun
            yield Started(expert=decision.expert.label, model=decision.model or decision.expert.model_name)
        workers = Workers(request, asking, self._staff, self._toolbox, thinks=self._thinks, observe=self._observe)
        findings = yield from workers.run(plan)
        if any(finding.is_there for finding in findings):
            took_part += filter(None, (self._staff.find(task.category) for task in plan.tasks))
            asking.trace.judge(weigh(findings))
            room_tokens = self._room_of(self._staff.judge())
            yield from merge(request, findings, asking, self._staff, room_tokens=room_tokens)
            return
        took_part += self._list_experts(plan, decision)
        is_limited = all(finding.is_over_limit for finding in findings)
        yield asking.show(f"{STEP}council: nobody answered, once more as a whole")
        yield from _judge(self._last_try(request, decision, asking, is_limited=is_limited), request, decision, asking)

    def _list_experts(self, plan: Plan, decision: Decision) -> list[Expert]:
        """Whose domains are in the question, the decision's own first."""
        labels = dict.fromkeys((decision.expert.label, *(task.category for task in plan.tasks)))
        others = filter(None, (self._staff.find(label) for label in labels if label != decision.expert.label))
        return [decision.expert, *others]

    def _hand_over(
        self, task: Task, request: ChatRequest, decision: Decision, asking: Asking, took_part: list[Expert]
    ) -> Chunks:
        """To the one expert whose work all of it is."""
        expert = self._staff.find(task.category) or decision.expert
        took_part.append(expert)
        decision = self._appoint(expert, decision)
        yield from self._answer(_offer(request, decision, asking), decision, asking)

    def _appoint(self, expert: Expert, decision: Decision) -> Decision:
        if expert is decision.expert and decision.model:
            return decision
        tier = expert.own_tier if self._staff.has_two(expert) else None
        return self._staff.equip(structs.replace(decision, expert=expert, model="", tier=tier))

    def _answer(self, request: ChatRequest, decision: Decision, asking: Asking) -> Chunks:
        if decision.expert.thinks_first:
            request = yield from think(request, decision, asking, self._staff, thinks=self._thinks)
        is_doubtful = decision.tier == 1 and self._staff.second(decision, than=decision.model) is not None
        if self._escalation is not None and is_doubtful:
            yield from self._escalation.run(request, structs.replace(decision, strategy="escalate"), asking,
                                            self._staff, observe=self._observe)
        else:
            yield from _judge(asking.stream(request, decision), request, decision, asking)

    def _last_try(self, request: ChatRequest, decision: Decision, asking: Asking, *, is_limited: bool) -> Chunks:
        """Whatever the budget: an answer there must be."""
        with closing(asking.stream(request, decision)) as chunks:
            for chunk in chunks:
                if is_limited and isinstance(chunk, Done) and chunk.finish == "stop" and not chunk.stop_sequence:
                    yield Text(f"\n\n{LIMIT[find_language(request)]}")
                yield chunk


def _order(chunks: Chunks) -> Chunks:
    """What is to be seen of the way to an answer comes right after somebody has begun it, not before."""
    lines: list[Chunk] = []
    has_begun = False
    with closing(chunks):
        for chunk in chunks:
            if isinstance(chunk, Thinking) and not has_begun:
                lines.append(chunk)
                yield _BEAT
                continue
            yield chunk
            if isinstance(chunk, Started) and not has_begun:
                has_begun = True
                yield from lines


def _offer(request: ChatRequest, decision: Decision, asking: Asking) -> ChatRequest:
    """With the tools of whoever answers beside those that the request has already."""
    has = names_of(request.offered)
    further = (tool for tool in asking.offer(request, decision).offered if tool["function"]["name"] not in has)
    return structs.replace(request, offered=(*request.offered, *further))


def weigh(findings: Sequence[Finding]) -> float:
    """How far an answer made of them is to be trusted; for a part that is missing it is not at all."""
    return sum(finding.confidence for finding in findings if finding.is_there) / len(findings)


def _judge(chunks: Chunks, request: ChatRequest, decision: Decision, asking: Asking) -> Chunks:
    return judge(chunks, decision, asking.trace, lambda said: rate(said, request, decision).confidence)
