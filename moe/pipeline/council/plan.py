"""A plan: what is to be done for a request, by whom, and what waits for what; read from whatever a model wrote."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct, structs

from ...errors import BackendError, BadArguments, UnknownTool
from ...tools.numbers import quote
from ...tools.toolbox import Toolbox

MOST_TASKS = 4
LONGEST_TASK, LONGEST_SEARCH, LONGEST_ID = 4_000, 300, 40
LONGEST_REPLY = 100_000
# The word in a plan for a task that is no tool's.
NO_TOOL = "none"
# So many openings of what may be JSON are tried.
MOST_STARTS = 200
_NOTHING = frozenset(("", NO_TOOL, "null", "n/a", "-"))
_START = re.compile(r"[\[{]")
# What opens so is meant to be JSON, unlike a bracket in prose.
_OPENING = re.compile(r'\{\s*"|\[\s*[{"]')
_BLANKS = re.compile(r"[\s-]+")
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_decoder = json.JSONDecoder()
_BROKEN = object()


class Task(Struct, frozen=True):
    """One part of a request. `category` is the label of the expert it is for, also where a `tool` with its `args` does
    it exactly: should that fail, the expert stands in. `depends_on` has the ids of the tasks whose results it needs,
    `search` is what to look up for it."""

    id: str
    task: str
    category: str
    depends_on: tuple[str, ...] = ()
    tool: str = ""
    args: dict[str, Any] = {}
    search: str = ""


class Plan(Struct, frozen=True):
    """At least one task. `reason` says in a phrase of ours how it came to be; `is_own`: no model drew it up."""

    tasks: tuple[Task, ...]
    reason: str = ""
    is_own: bool = False


class BadPlan(BackendError):
    """What a model gave for a plan is none. `fault` is for the model itself: it may quote the plan."""

    reason = "its plan cannot be used"

    def __init__(self, fault: str) -> None:
        super().__init__(fault, reason=self.reason)
        self.fault = fault


def schema(categories: Sequence[str], tools: Sequence[str] = (), *, is_bounded: bool = False) -> dict[str, Any]:
    """The JSON Schema of a plan; without `tools` it has no word for any. The keywords are those that every engine
    knows: some APIs refuse a schema that counts, so it says how many tasks there may be only where it `is_bounded`.
    Arguments are pairs, since strict engines take no members whose names they do not know."""
    members = {"id": _text(), "task": _text(), "category": {"type": "string", "enum": list(categories)},
               "depends_on": {"type": "array", "items": _text()}}
    if tools:
        pairs = {"type": "array", "items": _object({"name": _text(), "value": _text()})}
        members |= {"tool": {"type": "string", "enum": [NO_TOOL, *tools]}, "args": pairs}
    bounds = {"minItems": 1, "maxItems": MOST_TASKS} if is_bounded else {}
    return _object({"tasks": {"type": "array", "items": _object(members | {"search": _text()}), **bounds}})


def _object(members: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": members, "required": list(members), "additionalProperties": False}


def _text() -> dict[str, Any]:
    return {"type": "string"}


def read_plan(text: str, categories: Sequence[str], toolbox: Toolbox) -> Plan:
    """What a model wrote, whatever stands around it. Raises BadPlan."""
    listed = _list_tasks(_find_plan(text))
    if not listed:
        raise BadPlan("it has no tasks")
    if len(listed) > MOST_TASKS:
        raise BadPlan(f"it has {len(listed)} tasks, and {MOST_TASKS} are the most: join what one expert can do")
    tasks = tuple(_Reader(place, categories, toolbox).read(each) for place, each in enumerate(listed, 1))
    plan = Plan(tasks)
    _check_ids(tasks)
    _check_texts(tasks)
    levels(plan)
    return plan


def levels(plan: Plan) -> tuple[tuple[Task, ...], ...]:
    """The tasks in the order in which they can be done; those of one level do not need each other. Raises BadPlan."""
    found: list[tuple[Task, ...]] = []
    done: set[str] = set()
    rest = plan.tasks
    while rest:
        ready = tuple(task for task in rest if done.issuperset(task.depends_on))
        if not ready:
            ids = ", ".join(quote(task.id) for task in rest)
            raise BadPlan(f"the tasks {ids} wait for each other in a circle: depends_on may only name earlier tasks")
        found.append(ready)
        done |= {task.id for task in ready}
        rest = tuple(task for task in rest if task not in ready)
    return tuple(found)


def _check_ids(tasks: tuple[Task, ...]) -> None:
    """Raises BadPlan where an id stands for two tasks, or for none."""
    ids = [task.id for task in tasks]
    for place, task in enumerate(tasks):
        if task.id in ids[:place]:
            raise BadPlan(f"two tasks have the id '{quote(task.id)}'")
        for other in task.depends_on:
            if other == task.id:
                raise BadPlan(f"task {place + 1} depends on itself")
            if other not in ids:
                raise BadPlan(f"task {place + 1} depends on '{quote(other)}', and there is no task with that id")


def _check_texts(tasks: tuple[Task, ...]) -> None:
    """Raises BadPlan where the same is to be done twice."""
    seen: dict[tuple[str, str], int] = {}
    for place, task in enumerate(tasks, 1):
        first = seen.setdefault((task.category, " ".join(task.task.casefold().split())), place)
        if first != place:
            raise BadPlan(f"tasks {first} and {place} are the same")


class _Reader:
    """One task of a plan, by its place in it."""

    def __init__(self, place: int, categories: Sequence[str], toolbox: Toolbox) -> None:
        self._place = place
        self._categories = categories
        self._toolbox = toolbox

    def read(self, written: Any) -> Task:
        """Raises BadPlan."""
        if not isinstance(written, Mapping):
            raise self._refuse("it is no object")
        text = self._read_text(written.get("task"))
        name = self._read_id(written.get("id"))
        task = Task(name or str(self._place), text, self._read_category(written.get("category")),
                    depends_on=self._read_others(written.get("depends_on")))
        tool = _word(written.get("tool"))
        if tool.casefold() not in _NOTHING:
            tool = tool if tool in self._toolbox else tool.casefold()
            task = structs.replace(task, tool=tool, args=self._read_args(tool, written.get("args")))
        search = _word(written.get("search"))[:LONGEST_SEARCH]
        return task if search.casefold() in _NOTHING else structs.replace(task, search=search)

    def _read_text(self, written: Any) -> str:
        text = _CONTROLS.sub("", written).strip() if isinstance(written, str) else ""
        if not text:
            raise self._refuse('"task" must say in words what is to be done')
        if len(text) > LONGEST_TASK:
            raise self._refuse(f'"task" has more than {LONGEST_TASK} characters: one or two sentences will do')
        return text

    def _read_id(self, written: Any) -> str:
        if isinstance(written, (list, dict, bool)) or len(_word(written)) > LONGEST_ID:
            raise self._refuse(f'"id" must be a text of at most {LONGEST_ID} characters')
        return _word(written)

    def _read_others(self, written: Any) -> tuple[str, ...]:
        listed = written if isinstance(written, list) else [written]
        if any(isinstance(each, (list, dict, bool)) for each in listed):
            raise self._refuse('"depends_on" must be a list of ids')
        named = dict.fromkeys(map(_word, listed))
        return tuple(each for each in named if each.casefold() not in _NOTHING)

    def _read_category(self, written: Any) -> str:
        known = {_plain(label): label for label in self._categories}
        found = known.get(_plain(_word(written)))
        if found is None:
            listed = ", ".join(self._categories)
            raise self._refuse(f"there is no category '{quote(_word(written))}', only: {listed}")
        return found

    def _read_args(self, tool: str, written: Any) -> dict[str, Any]:
        try:
            given = _read_pairs(written)
            self._toolbox.find(tool).read(given)
        except UnknownTool:
            raise self._refuse(f"there is no tool '{quote(tool)}'; without one, write \"{NO_TOOL}\"") from None
        except BadArguments as error:
            raise self._refuse(f"the arguments do not fit {tool}: {error.message}") from None
        except ValueError:
            raise self._refuse('"args" must be a list of {"name": …, "value": …}') from None
        return given

    def _refuse(self, why: str) -> BadPlan:
        return BadPlan(f"task {self._place}: {why}")


def _read_pairs(written: Any) -> dict[str, Any]:
    """Arguments by name, whether they were given as pairs, as an object, or as the text of one. Raises ValueError."""
    if isinstance(written, str):
        written = _load(written) if written.strip().casefold() not in _NOTHING else None
    if isinstance(written, list):
        if not all(isinstance(each, dict) and isinstance(each.get("name"), str) for each in written):
            raise ValueError("no pairs")
        written = {each["name"]: each.get("value") for each in written}
    if not isinstance(written, dict) and written is not None:
        raise ValueError("no object")
    return {name: value for name, value in (written or {}).items() if value is not None}


def _find_plan(text: str) -> Any:
    """The last thing in it that looks like a plan, since some write a draft first; before all else one with "tasks",
    and of a thing that breaks off no part. Raises BadPlan."""
    if len(text) > LONGEST_REPLY:
        raise BadPlan("it is far too long")
    if "</think" in text:
        text = text.rpartition("</think")[2]
    values = list(_find_values(text))
    whole = [value for value in values if isinstance(value, dict) and "tasks" in value]
    if not whole and (not values or _BROKEN in values):
        raise BadPlan("it is not JSON that can be read" + (", or breaks off" if values else ""))
    plans = whole or [value for value in values if _is_plan(value)]
    if not plans:
        raise BadPlan('there is no JSON object with "tasks" in it')
    return plans[-1]


def _find_values(text: str) -> Iterator[Any]:
    """What can be read as JSON in it, without what stands in another; for what only begins as JSON does, _BROKEN."""
    place = 0
    for _ in range(MOST_STARTS):
        start = _START.search(text, place)
        if start is None:
            return
        try:
            value, place = _decoder.raw_decode(text, start.start())
            yield _load(json.dumps(value, ensure_ascii=False))
        except (ValueError, RecursionError):
            if _OPENING.match(text, start.start()):
                yield _BROKEN
            place = start.end()


def _load(text: str) -> Any:
    """JSON without halves of pairs of surrogates, which UTF-8 cannot carry. Raises ValueError."""
    try:
        return json.loads(text.encode("utf-8", "replace"))
    except RecursionError:
        raise ValueError("too deep") from None


def _is_plan(value: Any) -> bool:
    if isinstance(value, list):
        return any(isinstance(each, dict) and "task" in each for each in value)
    return isinstance(value, dict) and ("tasks" in value or "task" in value)


def _list_tasks(value: Any) -> list[Any]:
    listed = value.get("tasks", value) if isinstance(value, dict) else value
    if listed is None:
        return []
    return listed if isinstance(listed, list) else [listed]


def _word(written: Any) -> str:
    """A short text, which may be a number or nothing."""
    if isinstance(written, (str, int, float)) and not isinstance(written, bool):
        return _CONTROLS.sub("", str(written)).strip()
    return ""


def _plain(label: str) -> str:
    return _BLANKS.sub("_", label.casefold().strip())
