"""A picture is looked at first, by an expert that sees; the others are told what is on it."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import structs

from ...experts import Expert
from .plan import MOST_TASKS, Plan, Task, levels

ID = "picture"
LOOK = ("Describe what the picture shows, as exactly as the request needs it: every text, number and label in it word "
        "for word.")


def look_first(plan: Plan, experts: Sequence[Expert]) -> Plan:
    """For a request with a picture: `plan` with a first task for an expert that sees, unless it has one for such an
    expert, or none is among `experts`."""
    seeing = [expert.label for expert in sorted(experts, key=lambda each: (each.label != "vision", each.is_fallback))
              if expert.vision]
    if not seeing or any(task.category in seeing for task in plan.tasks):
        return plan
    tasks = plan.tasks if len(plan.tasks) < MOST_TASKS else _join_last(plan)
    name = ID
    while any(task.id == name for task in tasks):
        name += "+"
    others = (structs.replace(task, depends_on=(name, *task.depends_on)) for task in tasks)
    return structs.replace(plan, tasks=(Task(name, LOOK, seeing[0]), *others))


def _join_last(plan: Plan) -> tuple[Task, ...]:
    """One task less: the two that are done last become one, which therefore nothing waits for in a circle. What a tool
    was to do in them, the expert does."""
    *others, former, last = (task for level in levels(plan) for task in level)
    before = dict.fromkeys((*former.depends_on, *last.depends_on))
    before.pop(former.id, None)
    joined = structs.replace(former, task=f"{former.task}\n{last.task}", depends_on=tuple(before), tool="", args={},
                             search=former.search or last.search)
    return (*others, joined)
