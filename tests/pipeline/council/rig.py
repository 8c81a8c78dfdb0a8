"""A council over a fake Ollama: the real dispatcher, tools and backend, the models scripted."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from moe.backends.builtin import Builtin
from moe.backends.nodes import Node
from moe.backends.ollama import Ollama
from moe.backends.preference import Conversations
from moe.config import Config, RunnerConfig
from moe.config.schema import (
    EngineConfig,
    MemoryConfig,
    PipelineConfig,
    RateLimitConfig,
    RouterConfig,
    ServerConfig,
    ToolsConfig,
)
from moe.core import ChatRequest, Chunk, Decision, Heartbeat, Image, Message, Started, Text, Thinking
from moe.experts import Expert, Tier
from moe.pipeline.asking import Asking
from moe.pipeline.breaker import Breaker
from moe.pipeline.council.council import Council
from moe.pipeline.council.finding import Finding
from moe.pipeline.council.plan import Plan, Task
from moe.pipeline.council.workers import Workers
from moe.pipeline.dispatch import Dispatcher
from moe.pipeline.lineup import Lineup
from moe.pipeline.staff import Staff
from moe.pipeline.toolloop import Toolloop
from moe.tools.base import Setting
from moe.tools.known import open_toolkit
from moe.trace import Record, Span, Trace
from tests.fakes import FakeOllama, Request

FALLBACK: dict[str, Any] = {"id": 0, "label": "fallback", "type": "builtin"}
GENERAL: dict[str, Any] = {"id": 9, "label": "general", "model_name": "judge:70b", "tier": 2}
MATH: dict[str, Any] = {"id": 1, "label": "math", "model_name": "math:14b", "description": "sums", "tools": ()}
LAW: dict[str, Any] = {"id": 2, "label": "legal_advisor", "model_name": "law:8b", "description": "law", "tools": ()}
CODE: dict[str, Any] = {"id": 3, "label": "code_reviewer", "model_name": "code:32b", "description": "programs"}
EXPERTS = (FALLBACK, GENERAL, MATH, LAW, CODE)
PLANNER, JUDGE = "plan:3b", "judge:70b"


class _Tiers:
    """As the config says it."""

    def models_for(self, expert: Expert, tier: Tier) -> Sequence[str]:
        return (expert.model_of(tier),) if tier in (expert.tiers or (expert.own_tier,)) else ()

    def tier_of(self, expert: Expert, model: str) -> Tier | None:
        return next((tier for tier in (1, 2) if expert.model_of(tier) == model), None)  # type: ignore[return-value]


class Rig:
    """One configuration; each `ask` is a request of its own, whose trace `record` has afterwards."""

    def __init__(
        self, ollama: FakeOllama, experts: Sequence[dict[str, Any]] = EXPERTS, *, room: int = 0, **limits: Any
    ) -> None:
        self.ollama = ollama
        self.limits = PipelineConfig(**{"planner": "planner", "deadline_s": 20} | limits)
        planner = {"id": 8, "label": "planner", "model_name": PLANNER, "routable": False, "tier": 1}
        self.experts = {each["label"]: Expert(**each) for each in (*experts, planner)}
        runner = RunnerConfig(retries=0, backoff_s=0, connect_timeout_s=1)
        self._executor = ThreadPoolExecutor(1)
        self._node = Node(ollama.url, connect_timeout_s=1, executor=self._executor)
        self._node.refresh(wait=True)
        backend = Ollama([self._node], runner, Conversations())
        self.lineup = lineup = Lineup(
            self.experts, {label: Builtin() if each.type == "builtin" else backend
                           for label, each in self.experts.items()}, raw=backend,
            model_of=lambda each, fresh=True: each.model_name, stand_ins=list,
            new_breaker=lambda: Breaker(failures=99, cooldown_s=1, clock=lambda: 0.0),
            place_of=lambda each, model: model,
        )
        dispatcher = Dispatcher(lineup, runner, on_failure=lambda *_: None, advice=lambda: "")
        toolkit = open_toolkit(Setting())
        self.toolbox = toolkit.toolbox
        self.toolloop = Toolloop(dispatcher, toolkit, ToolsConfig())
        config = Config(
            router=RouterConfig(), ai_engine=EngineConfig(), memory=MemoryConfig(), expert_runner=runner,
            server=ServerConfig(), rate_limit=RateLimitConfig(), log_prompts=False, pipeline=self.limits,
            experts=tuple(self.experts.values()), folder=Path("config"), files=(),
        )
        self.staff = Staff(config, lineup, _Tiers())
        self.council = Council(self.staff, self.toolbox, room_of=lambda decision: room)
        self.took_part: list[Expert] = []
        self.records: list[Record] = []
        self.observed: list[tuple[str, str, bool]] = []

    @property
    def record(self) -> Record:
        return self.records[-1]

    def asking(self, *, shows: bool = False) -> Asking:
        self.trace = Trace("r1", keeps_text=True, on_end=self.records.append)
        return Asking(self.toolloop, request_id="r1", trace=self.trace, limits=self.limits, shows=shows)

    def start(self, request: ChatRequest, *, shows: bool = False, label: str = "math") -> Generator[Chunk, None, None]:
        self.took_part = []
        decision = Decision(expert=self.experts[label], stage="embedding", confidence=0.9, virtual=True)
        return self.council.run(request, decision, self.asking(shows=shows), self.took_part)

    def talk(self, request: ChatRequest, **how: Any) -> list[Chunk]:
        chunks = [chunk for chunk in self.start(request, **how) if not isinstance(chunk, Heartbeat)]
        self.trace.end(chunks[-1])  # type: ignore[arg-type]
        return chunks

    def work(self, plan: Plan, request: ChatRequest | None = None) -> tuple[Finding, ...]:
        """What the workers find, without a planner or a merger."""
        steps = Workers(request or ask(), self.asking(), self.staff, self.toolbox, observe=self.observe).run(plan)
        while True:
            try:
                next(steps)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]

    def observe(self, model: str, domain: str, is_positive: bool) -> None:
        self.observed.append((model, domain, is_positive))

    def spans(self, stage: str) -> list[Span]:
        return [span for span in self.record.spans if span.stage == stage]

    def close(self) -> None:
        self._node.close()
        self._executor.shutdown()


@contextmanager
def rig_of(ollama: FakeOllama, *experts: dict[str, Any], **limits: Any) -> Iterator[Rig]:
    rig = Rig(ollama, experts or EXPERTS, **limits)
    yield rig
    rig.close()


def ask(text: str = "How much is it, and is it lawful?", **changed: Any) -> ChatRequest:
    return ChatRequest(**{"messages": (Message("user", (Text(text),)),), "stream": True, **changed})


def ask_with_image(text: str = "What is on it, and is it lawful?") -> ChatRequest:
    return ask(messages=(Message("user", (Text(text), Image("aGk="))),))


def plan_text(*tasks: Task) -> str:
    """As a planner writes it."""
    return json.dumps({"tasks": [{
        "id": each.id, "task": each.task, "category": each.category, "depends_on": list(each.depends_on),
        "tool": each.tool or "none", "args": [{"name": name, "value": value} for name, value in each.args.items()],
        "search": each.search,
    } for each in tasks]})


def said(chunks: Sequence[Chunk]) -> str:
    return "".join(chunk.text for chunk in chunks if isinstance(chunk, Text))


def shown(chunks: Sequence[Chunk]) -> list[str]:
    """The lines about its progress."""
    return "".join(chunk.text for chunk in chunks if isinstance(chunk, Thinking)).splitlines()


def speakers(chunks: Sequence[Chunk]) -> list[str]:
    return [chunk.model for chunk in chunks if isinstance(chunk, Started)]


def chats_with(ollama: FakeOllama, model: str) -> list[Request]:
    return [request for request in ollama.requests_for(model) if request.path == "/api/chat"]


def prompt_of(ollama: FakeOllama, model: str, place: int = -1) -> str:
    """The newest user's turn that a model was sent."""
    messages = chats_with(ollama, model)[place].json["messages"]
    return str(next(turn["content"] for turn in reversed(messages) if turn["role"] == "user"))


def chats_of(ollama: FakeOllama) -> list[str]:
    """The models that were asked, in this order."""
    return [str(request.model) for request in ollama.requests_to("/api/chat")]


def threads() -> list[str]:
    """Those of a council that are running."""
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("council")]


def are_gone(within_s: float = 0.4) -> bool:
    """Whether no thread of a council is left, in so many seconds at most."""
    until = time.monotonic() + within_s
    while threads() and time.monotonic() < until:
        time.sleep(0.01)
    return not threads()


def was_cut(request: Request) -> bool:
    """Whether the client stopped it before its end."""
    request.wait_until_over(1)
    return request.closed_early_at is not None
