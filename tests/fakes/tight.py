"""An Ollama whose memory is too small for all its models: it loads one at a time, slowly, and pushes idle ones out."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable

from tests.fakes.inventory import DEFAULT_KEEP_ALIVE_S, DEFAULT_NUM_CTX, FakeModel
from tests.fakes.ollama_api import FakeOllama
from tests.fakes.wire import Exchange

CHATS = ("/api/chat", "/api/generate")


class TightOllama(FakeOllama):
    """`memory` and the models' sizes in bytes; `disk` bytes are loaded in a second.

    Requests wait in the order of their coming until there is room for their model: idle ones leave for it, the longest
    idle first; one that answers leaves only when it has answered. `swaps` counts the loads that pushed others out,
    `cold_loads` all of them by model.
    """

    def __init__(self, models: Iterable[FakeModel], *, memory: int, disk: float) -> None:
        self.swaps = 0
        self.cold_loads: Counter[str] = Counter()
        self._memory = memory
        self._disk = disk
        self._before_room = threading.Lock()
        self._loading = threading.Lock()
        self._freed = threading.Condition()
        self._held: dict[str, int] = {}
        self._users: Counter[str] = Counter()
        self._ready: dict[str, threading.Event] = {}
        super().__init__(models)

    def wait_until_idle(self) -> None:
        """Until nobody is being answered: a client has its answer a moment before its model is free."""
        with self._freed:
            assert self._freed.wait_for(lambda: not self._users.total(), timeout=10)

    def _answer(self, exchange: Exchange) -> None:
        request = exchange.request
        model = self.models.get(request.model or "") if request.path in CHATS else None
        if model is None:
            super()._answer(exchange)
            return
        is_new = self._enter(model)
        try:
            if is_new:
                self._load_slowly(model, exchange)
            self._ready[model.name].wait()
            super()._answer(exchange)
        finally:
            self._leave(model)

    def _enter(self, model: FakeModel) -> bool:
        """Whether its room was made just now. Whoever comes next waits meanwhile."""
        with self._before_room, self._freed:
            self._users[model.name] += 1
            if model.name in self._held:
                return False
            self._freed.wait_for(lambda: self._has_room(model))
            self._make_room(model)
            self._held[model.name] = model.size
            self.models.load(model, num_ctx=DEFAULT_NUM_CTX, keep_s=DEFAULT_KEEP_ALIVE_S)
            self._ready[model.name] = threading.Event()
            return True

    def _idle(self) -> list[str]:
        return [name for name in self._held if not self._users[name]]

    def _has_room(self, model: FakeModel) -> bool:
        idle = self._idle()
        free = self._memory - sum(self._held.values()) + sum(self._held[name] for name in idle)
        return free >= model.size or len(idle) == len(self._held)

    def _make_room(self, model: FakeModel) -> None:
        is_swap = False
        for name in self._idle():
            if self._memory - sum(self._held.values()) >= model.size:
                break
            del self._held[name]
            self.models.unload(name)
            is_swap = True
        self.swaps += is_swap
        self.cold_loads[model.name] += 1

    def _load_slowly(self, model: FakeModel, exchange: Exchange) -> None:
        try:
            with self._loading:
                exchange.wait(model.size / self._disk)
        finally:
            self._ready[model.name].set()

    def _leave(self, model: FakeModel) -> None:
        """The one that was used last stands last."""
        with self._freed:
            self._users[model.name] -= 1
            if model.name in self._held:
                self._held[model.name] = self._held.pop(model.name)
            self._freed.notify_all()
