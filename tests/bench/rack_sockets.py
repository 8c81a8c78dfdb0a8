"""The same as the simulation with fake nodes over sockets: real requests, real waiting, the product's own machinery."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

from msgspec import structs

from moe.backends.nodes import Node
from moe.backends.ollama import Ollama
from moe.backends.preference import Conversations, take_seat
from moe.backends.queues import Queues
from moe.config import RunnerConfig
from moe.core import ChatRequest, Done, Message, Text
from moe.errors import BackendError
from tests.bench.rack_policies import Policy, Sight
from tests.bench.rack_simulation import Course
from tests.bench.rack_trace import GB, Ask, Machine
from tests.fakes import FakeModel, Request, Step, answer
from tests.fakes.tight import TightOllama

# The same rack as the simulation's in small: times are a twentieth, so that a minute shows what takes an hour.
SMALL_RACK = (
    Machine("old", 60 * GB, 3, 20e9, 4000e9, 2),
    Machine("small", 32 * GB, 2, 30e9, 9000e9, 1),
    Machine("large", 96 * GB, 4, 30e9, 9000e9, 4),
)
SMALL_MODELS = {"llama3.1:8b": 6, "gemma3:12b": 8, "gemma3:27b": 17, "qwen3:30b-a3b": 19, "mixtral:8x7b": 26,
                "llama3.3:70b": 43, "command-a": 67}
NO_LIMITS = RunnerConfig(first_token_timeout_s=600, cold_load_timeout_s=600, idle_timeout_s=600)


class FakeNode(TightOllama):
    """Reads and answers as fast as its machine would; what it has read of a conversation it need not read again."""

    def __init__(self, machine: Machine, sizes: Mapping[str, int], trace: Sequence[Ask]) -> None:
        self._machine = machine
        self._sizes = sizes
        self._trace = trace
        self._knows: dict[tuple[str, int], set[int]] = defaultdict(set)
        super().__init__([FakeModel(name, size=size) for name, size in sizes.items()],
                         memory=machine.vram, disk=machine.disk)
        for name in sizes:
            self.script(name, [self._recite])

    def _recite(self, request: Request) -> Step:
        ask = self._trace[int(request.json["messages"][-1]["content"])]
        size = self._sizes[ask.model]
        known = self._knows[ask.model, self.cold_loads[self.models.get(ask.model).name]]  # type: ignore[union-attr]
        new = ask.prompt - (ask.history if ask.conversation in known else 0)
        known.add(ask.conversation)
        pause_s = self._machine.answer_s(ask.tokens, size) / 2
        return answer(chunks=["one ", "two"], first_token_delay_s=self._machine.prompt_s(new, size),
                      chunk_delay_s=pause_s)


class Drive:
    """One rack, one trace, one rule; without a `policy` the product chooses as it does for its clients."""

    def __init__(self, nodes: Sequence[Node], names: Mapping[str, str], policy: Policy | None,
                 sizes: Mapping[str, int]) -> None:
        conversations = Conversations()
        self._nodes = nodes
        self._names = names
        self._policy = policy
        self._sizes = sizes
        self._lock = threading.Lock()
        self._all = Ollama(list(nodes), NO_LIMITS, conversations)
        self._each = {names[node.url]: Ollama([node], NO_LIMITS, conversations) for node in nodes}
        self.course = Course()
        self.errors: list[str] = []

    def serve(self, number: int, ask: Ask, began: float) -> None:
        model = ask.model if ":" in ask.model else f"{ask.model}:latest"
        opening = Message("user", (Text(f"conversation {ask.conversation}"),))
        request = ChatRequest(model=model, messages=(opening, Message("user", (Text(str(number)),))))
        time.sleep(max(0.0, began + ask.at_s - time.monotonic()))
        name = "" if self._policy is None else self._choose(self._policy, ask, model, time.monotonic() - began)
        first = 0.0
        try:
            for chunk in (self._each[name] if name else self._all).chat(request):
                if isinstance(chunk, Text) and not first:
                    first = time.monotonic() - began - ask.at_s
                if isinstance(chunk, Done):
                    self._note(ask, name, first, time.monotonic() - began)
        except BackendError as error:
            self.errors.append(f"{ask.model}: {error.reason}")

    def _choose(self, policy: Policy, ask: Ask, model: str, now: float) -> str:
        with self._lock:
            seats = [take_seat(node, node.state, model) for node in self._nodes]
            named = [structs.replace(seat, name=self._names[seat.name]) for seat in seats]
            listed = {self._names[node.url]: tuple(name.removesuffix(":latest") for name in node.last_state.loaded)
                      for node in self._nodes}
            return policy.choose(Sight(ask, now, self._sizes[ask.model], named, listed))

    def _note(self, ask: Ask, name: str, first: float, now: float) -> None:
        with self._lock:
            self.course.first_s.append(first)
            self.course.whole_s.append(now - ask.at_s)
            if self._policy is not None:
                self._policy.learn(ask, name, now=now)


def run(
    machines: Sequence[Machine], trace: Sequence[Ask], policy: Policy | None, *, sizes: Mapping[str, int],
    say: Callable[[str], None] = lambda line: None,
) -> Course:
    """`trace` over fake nodes. Raises RuntimeError where requests were not answered."""
    with ExitStack() as stack:
        fakes = [stack.enter_context(FakeNode(machine, sizes, trace)) for machine in machines]
        places = {fake.url: machine.places for fake, machine in zip(fakes, machines, strict=True)}
        queues = Queues(most_waiting=len(trace))
        queues.adjust(limit=None, most_waiting=len(trace), limits=places)
        executor = stack.enter_context(ThreadPoolExecutor(4))
        nodes = [Node(fake.url, connect_timeout_s=5.0, executor=executor, lane=queues.lane(fake.url),
                      vram=machine.vram) for fake, machine in zip(fakes, machines, strict=True)]
        for node in nodes:
            stack.callback(node.close)
            node.refresh(wait=True)
        names = {fake.url: machine.name for fake, machine in zip(fakes, machines, strict=True)}
        drive = Drive(nodes, names, policy, sizes)
        began = time.monotonic()
        with ThreadPoolExecutor(len(trace)) as crowd:
            for number, ask in enumerate(trace):
                crowd.submit(drive.serve, number, ask, began).add_done_callback(lambda done: done.result())
        drive.course.loads = sum(fake.cold_loads.total() for fake in fakes)
        drive.course.swaps = sum(fake.swaps for fake in fakes)
    if drive.errors or len(drive.course.whole_s) != len(trace):
        raise RuntimeError(f"{len(trace) - len(drive.course.whole_s)} not answered: {drive.errors[:3]}")
    return drive.course
