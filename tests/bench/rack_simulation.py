"""A rack as a discrete-event simulation: nodes that load slowly, one model at a time, and push idle ones out."""

from __future__ import annotations

import heapq
import math
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from moe.backends.nodes import CHANGED_TTL_S, LOADED_TTL_S
from moe.backends.placement import Seat, take_stock
from tests.bench.rack_policies import Policy, Sight
from tests.bench.rack_trace import Ask, Machine


@dataclass(eq=False)
class Loaded:
    """A model in memory, from `ready_s` on; `knows` are the conversations whose prompts it has read."""

    size: int
    ready_s: float
    users: int = 0
    used_s: float = 0.0
    knows: set[int] = field(default_factory=set)


@dataclass
class Course:
    """What became of one trace: the times of each request, from its coming to its first token and to its end."""

    first_s: list[float] = field(default_factory=list)
    whole_s: list[float] = field(default_factory=list)
    loads: int = 0
    swaps: int = 0
    loaded_bytes: int = 0


class Node:
    """Requests wait for a place, then in the order of their coming for room in memory, then for the loading."""

    def __init__(self, machine: Machine, sizes: Mapping[str, int], course: Course) -> None:
        self.machine = machine
        self.memory: dict[str, Loaded] = {}
        self.running: Counter[str] = Counter()
        self.waiting: deque[Ask] = deque()
        self.answered_at: dict[str, float] = {}
        self.listed: dict[str, int | None] = {}
        self.asked_s, self.due_s = -math.inf, -math.inf
        self._inside = 0
        self._before_room: deque[Ask] = deque()
        self._loader_free_s = 0.0
        self._sizes = sizes
        self._course = course

    def look(self, now: float) -> Seat:
        """The node as a router sees it: what it last listed, and what came and went since."""
        if now >= self.due_s:
            self.listed = {name: held.size for name, held in self.memory.items()}
            self.asked_s, self.due_s = now, now + LOADED_TTL_S
        held = take_stock(self.listed, running=self.running, answered_at=self.answered_at, asked_at=self.asked_s,
                          now=now, sizes=self._sizes, vram=self.machine.vram)
        return Seat(name=self.machine.name, vram=self.machine.vram, holds=held, in_flight=self._inside,
                    waiting=len(self.waiting), max_parallel=self.machine.places)

    def take(self, ask: Ask, now: float) -> list[tuple[float, float, Ask]]:
        """As `_admit`."""
        self.running[ask.model] += 1
        self.waiting.append(ask)
        return self._admit(now)

    def end(self, ask: Ask, now: float) -> list[tuple[float, float, Ask]]:
        held = self.memory[ask.model]
        held.users -= 1
        held.used_s = now
        self._inside -= 1
        self.running[ask.model] -= 1
        self.answered_at[ask.model] = now
        if ask.model not in self.listed:
            self.due_s = min(self.due_s, now + CHANGED_TTL_S)
        return self._admit(now)

    def _admit(self, now: float) -> list[tuple[float, float, Ask]]:
        """Those that begin now, each with the times of its first and its last token."""
        while self.waiting and self._inside < self.machine.places:
            self._inside += 1
            self._before_room.append(self.waiting.popleft())
        begun = []
        while self._before_room and self._has_room(self._before_room[0].model, now):
            ask = self._before_room.popleft()
            held = self.memory[ask.model]
            held.users += 1
            new = ask.prompt - (ask.history if ask.conversation in held.knows else 0)
            held.knows.add(ask.conversation)
            first = max(now, held.ready_s) + self.machine.prompt_s(new, held.size)
            begun.append((first, first + self.machine.answer_s(ask.tokens, held.size), ask))
        return begun

    def _has_room(self, model: str, now: float) -> bool:
        """Whether it is in memory, or its loading begins now; idle models leave for it, the longest idle first."""
        if model in self.memory:
            return True
        size = self._sizes[model]
        idle = OrderedDict(sorted((item for item in self.memory.items() if not item[1].users),
                                  key=lambda item: item[1].used_s))
        free = self.machine.vram - sum(held.size for held in self.memory.values())
        if free + sum(held.size for held in idle.values()) < size and len(idle) < len(self.memory):
            return False
        self._course.swaps += int(free < size and bool(idle))
        while free < size and idle:
            name, held = idle.popitem(last=False)
            free += held.size
            del self.memory[name]
        ready = max(now, self._loader_free_s) + self.machine.load_s(size)
        self._loader_free_s = ready
        self.memory[model] = Loaded(size, ready, used_s=ready)
        self._course.loads += 1
        self._course.loaded_bytes += size
        return True


def simulate(
    machines: Sequence[Machine], trace: Sequence[Ask], policy: Policy, *, sizes: Mapping[str, int],
    note: Callable[[Ask, str], None] = lambda ask, node: None,
) -> Course:
    """`trace` over `machines`; `note` hears which node each request went to."""
    course = Course()
    nodes = {machine.name: Node(machine, sizes, course) for machine in machines}
    events: list[tuple[float, int, Ask, str]] = [(ask.at_s, -1, ask, "") for ask in trace]
    heapq.heapify(events)
    count = 0
    while events:
        now, _, ask, name = heapq.heappop(events)
        if name:
            policy.learn(ask, name, now=now)
            begun = nodes[name].end(ask, now)
        else:
            seats = [node.look(now) for node in nodes.values()]
            listed = {each: tuple(node.listed) for each, node in nodes.items()}
            name = policy.choose(Sight(ask, now, sizes[ask.model], seats, listed))
            note(ask, name)
            begun = nodes[name].take(ask, now)
        for first, end, started in begun:
            count += 1
            course.first_s.append(first - started.at_s)
            course.whole_s.append(end - started.at_s)
            heapq.heappush(events, (end, count, started, name))
    if len(course.whole_s) != len(trace):
        raise AssertionError(f"{len(trace) - len(course.whole_s)} requests were never served")
    return course
