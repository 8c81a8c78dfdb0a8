"""Draws up a plan: a small model divides the request, and where it cannot, the router does."""

from __future__ import annotations

import time
from collections.abc import Generator

from msgspec import structs

from ...core import ChatRequest, Chunk, Decision, Message, Text
from ...errors import MoeError, TimedOut
from ...routing.strategy import find_probabilities
from ...tools.base import Tool
from ...tools.toolbox import Toolbox
from ...trace import Span
from ..asking import Asking, Said, Spent, derive
from ..staff import Staff
from .constraints import carry, find_constraints
from .division import find_experts, find_words, own_plan
from .figures import are_given
from .plan import BadPlan, Plan, Task, read_plan, schema
from .prompt import MOST_TOOLS, write_request, write_rules
from .sight import look_first

# A plan may take so much of a request's time, for both of its tries together.
SHARE, LONGEST_S, LEAST_S = 1 / 3, 60.0, 1.0
# Calls that must be left after it: one expert, and who merges.
TO_FOLLOW = 2
MOST_TOKENS = 2_000
# So much of a plan that cannot be used is shown to its author again.
LONGEST_QUOTE = 4_000
MOST_SCORES = 5
# Whose engines bind what they write to any schema; APIs differ in the words that they take.
_BINDING = ("ollama", "local")


def draw_up(
    request: ChatRequest, decision: Decision, asking: Asking, staff: Staff, toolbox: Toolbox
) -> Generator[Chunk, None, Plan]:
    """At least one task, each with all that the user set down word for word. The last chunk is a line about the plan;
    whoever wants it seen puts a Started before it."""
    began_ms = asking.trace.now_ms()
    planner = _Planner(request, decision, asking, staff=staff, toolbox=toolbox)
    plan = yield from planner.divide()
    if request.has_image and (not plan.is_own or planner.calls_left > len(plan.tasks) + 1):
        plan = look_first(plan, planner.experts)
    constraints = find_constraints(find_words(request))
    tasks = tuple(structs.replace(task, task=carry(task.task, constraints)) for task in plan.tasks)
    plan = structs.replace(plan, tasks=tasks)
    labels = ", ".join(task.category for task in tasks)
    _note(plan, labels, decision, asking, began_ms=began_ms)
    count = "1 task" if len(tasks) == 1 else f"{len(tasks)} tasks"
    yield asking.show(f"· planner: {count} ({labels})" + (f", {plan.reason}" if plan.is_own else ""))
    return plan


class _Planner:
    """Of one request; `experts` are those that a part of it may be for."""

    def __init__(
        self, request: ChatRequest, decision: Decision, asking: Asking, *, staff: Staff, toolbox: Toolbox
    ) -> None:
        self.experts = find_experts(request, staff)
        self._request = request
        self._decision = decision
        self._asking = asking
        self._staff = staff
        self._toolbox = toolbox

    @property
    def calls_left(self) -> int:
        asking = self._asking
        return 0 if asking.refusal() else asking.limits.max_calls - asking.trace.calls

    def divide(self) -> Generator[Chunk, None, Plan]:
        """The model's plan, or for whatever reason there is none, the router's. Where a plan and two parts are more
        than may be spent, there is one part."""
        why, is_spent = "there is one expert", False
        if len(self.experts) > 1:
            try:
                return (yield from self._ask())
            except BadPlan:
                why = "what the planner wrote is no plan"
            except Spent as error:
                why, is_spent = error.reason, True
            except TimedOut:
                why = "the planner took too long"
            except MoeError:  # what became of the call stands in the trace
                why = "the planner failed"
        return own_plan(self._request, self._decision, self._staff, why=why, calls=0 if is_spent else self.calls_left)

    def _ask(self) -> Generator[Chunk, None, Plan]:
        """One call, and one more where its plan cannot be used. Raises MoeError."""
        until = time.monotonic() + min(LONGEST_S, self._asking.limits.deadline_s * SHARE)
        assigned = self._staff.planner()
        asked = self._pose(assigned)
        said = yield from self._hear(asked, assigned, until)
        try:
            return self._read(said, "as the planner divided it")
        except BadPlan as error:
            mended = _correct(asked, said, error)
        if until - time.monotonic() < LEAST_S:
            raise TimedOut("there is no time for a second plan")
        said = yield from self._hear(mended, assigned, until)
        return self._read(said, "as the planner divided it, at its second try")

    def _hear(self, asked: ChatRequest, assigned: Decision, until: float) -> Generator[Chunk, None, Said]:
        return (yield from self._asking.gather(asked, assigned, stage="planner", keep=TO_FOLLOW,
                                               limit_s=until - time.monotonic()))

    def _pose(self, assigned: Decision) -> ChatRequest:
        """What the planner is asked."""
        tools = self._find_tools()
        rules = write_rules(self.experts, tools, has_image=self._request.has_image)
        messages = Message("system", (Text(rules),)), Message("user", (Text(write_request(self._request)),))
        derived = derive(self._request)
        sampling = structs.replace(
            derived.sampling, temperature=0.0, top_p=None, top_k=None, min_p=None, presence_penalty=None,
            frequency_penalty=None, repeat_penalty=None, max_tokens=MOST_TOKENS,
        )
        form = schema([expert.label for expert in self.experts], [tool.name for tool in tools],
                      is_bounded=assigned.expert.type in _BINDING)
        return structs.replace(derived, messages=messages, sampling=sampling, format=form, format_name="plan")

    def _find_tools(self) -> list[Tool]:
        """Those that would be offered to a model for this request."""
        request = self._request
        offered = (request if request.offered else self._asking.offer(request, self._decision)).offered
        names = [tool["function"]["name"] for tool in offered]
        return [self._toolbox.find(name) for name in names if name in self._toolbox][:MOST_TOOLS]

    def _read(self, said: Said, reason: str) -> Plan:
        """Where a tool is to be called with what nobody gave, its expert does the task. Raises BadPlan."""
        try:
            plan = read_plan(said.text, [expert.label for expert in self.experts], self._toolbox)
        except BadPlan:
            if said.done.finish == "length":
                raise BadPlan("it breaks off: write fewer and shorter tasks") from None
            raise
        conversation = "\n".join(message.text for message in self._request.messages if message.role != "system")
        made_up = [task.id for task in plan.tasks if task.tool and not are_given(task.args, conversation)]
        if made_up:
            reason += "; a call with what nobody gave is left to the expert"
        tasks = (structs.replace(task, tool="", args={}) if task.id in made_up else task for task in plan.tasks)
        return Plan(tuple(tasks), reason=reason)


def _correct(request: ChatRequest, said: Said, error: BadPlan) -> ChatRequest:
    """`request` once more, with the plan and what is wrong with it."""
    note = f"That plan cannot be used: {error.fault}. Write the corrected JSON object and nothing else."
    turns = (Message("assistant", (Text(said.text[:LONGEST_QUOTE]),)),) if said.text.strip() else ()
    return structs.replace(request, messages=(*request.messages, *turns, Message("user", (Text(note),))))


def _note(plan: Plan, labels: str, decision: Decision, asking: Asking, *, began_ms: float) -> None:
    rates = sorted(find_probabilities(decision).items(), key=lambda each: -each[1]) if plan.is_own else ()
    asking.trace.add(Span(
        stage="planner", name="plan", started_ms=began_ms, ended_ms=asking.trace.now_ms(),
        scores={label: round(rate, 4) for label, rate in rates[:MOST_SCORES]}, reason=f"{labels}: {plan.reason}",
        text="\n".join(map(_tell, plan.tasks)),
    ))


def _tell(task: Task) -> str:
    after = f" after {', '.join(task.depends_on)}" if task.depends_on else ""
    by = f" by {task.tool}" if task.tool else ""
    return f"{task.id} {task.category}{by}{after}: {task.task}"
