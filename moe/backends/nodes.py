"""The machines that run Ollama, and what each one has."""

from __future__ import annotations

import math
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any

import msgspec
from msgspec import Struct

from ..core import Usage
from ..errors import BackendError, BadAnswer, BrokenStream, TimedOut, Unreachable, UpstreamFailure, UpstreamRefusal
from .inventory import Loaded, UpstreamModel, list_entries, read_loaded, read_model
from .placement import Held, take_stock
from .queues import Lane, Queues
from .transport import Transport

TAGS_TTL_S = 60.0
LOADED_TTL_S = 5.0
DOWN_TTL_S = 1.0
CHANGED_TTL_S = 1.0
SEEK_EVERY_S = 3.0
PROBE_TIMEOUT_S = 5.0
PS_TIMEOUT_S = 2.0
# A model takes more than its file: what it has read of its prompts stands in memory too.
LOADED_SHARE = 1.15
# The newest answer's part in the measured speed; shorter ones say little.
NEWEST_SHARE, FEWEST_TOKENS = 0.3, 8


class NodeState(Struct, frozen=True, kw_only=True):
    """What a node last said of itself. `is_known` is False until it was asked once."""

    models: dict[str, UpstreamModel] = {}
    loaded: dict[str, Loaded] = {}
    is_known: bool = False
    is_up: bool = False
    knows_loaded: bool = False
    is_slow_to_fail: bool = False
    error: str = ""


class Node:
    """One Ollama server: its connections, its last known state, and how busy we keep it.

    `in_flight`: requests that it serves, or that wait for it.
    """

    def __init__(
        self, url: str, *, connect_timeout_s: float, executor: Executor, lane: Lane | None = None, name: str = "",
        vram: int | None = None,
    ) -> None:
        """`lane`: where its requests wait for each other; without one nobody waits. `vram` in bytes, None where nobody
        said; `name` is what the config calls it, "" for nothing."""
        self.url = url
        self.name = name
        self.vram = vram
        self.lane = lane or Queues().lane(url)
        self.transport = Transport(url, connect_timeout_s=connect_timeout_s)
        self.in_flight = 0
        self._executor = executor
        self._lock = threading.Lock()
        self._refresh_lock = threading.Lock()
        self._state = NodeState()
        self._shown: dict[str, Any] = {}
        self._tags_due = 0.0
        self._loaded_due = 0.0
        self._sought_at = -SEEK_EVERY_S
        self._expects_change = False
        self._is_refreshing = False
        self._doubted_until = 0.0
        self._asked_at = -math.inf
        self._running: Counter[str] = Counter()
        self._answered_at: dict[str, float] = {}
        self._speeds: dict[str, float] = {}
        self._memory_sizes: dict[str, int] = {}

    @property
    def state(self) -> NodeState:
        """The last known state; a stale one is renewed in the background, a down one at once if that is quick."""
        state, now = self._state, time.monotonic()
        if now < self._loaded_due and now < self._tags_due:
            return state
        if not state.is_known or (not state.is_up and not state.is_slow_to_fail):
            self.refresh(wait=True)
            return self._state
        self.refresh()
        return state

    @property
    def present_state(self) -> NodeState:
        """The state as it is now: after a quiet while the node is asked first, since a model that was in memory
        may have left it."""
        if time.monotonic() > self._loaded_due + LOADED_TTL_S and not self._state.is_slow_to_fail:
            self.refresh(wait=True)
        return self.last_state

    @property
    def settled_state(self) -> NodeState:
        """The state with what was loaded or removed through us: where that is not seen yet the node is asked first."""
        if self._expects_change and self._state.is_up:
            self._ask_unless(lambda: not self._expects_change)
        return self.last_state

    @property
    def last_state(self) -> NodeState:
        """The last known state, without asking anybody now; renewed in the background."""
        if time.monotonic() >= min(self._loaded_due, self._tags_due):
            self.refresh()
        return self._state

    def refresh(self, *, wait: bool = False) -> None:
        """Ask the node anew, in the background unless `wait`; calls at the same time share one question."""
        if wait:
            if self._refresh_lock.acquire(timeout=PS_TIMEOUT_S):
                try:
                    if time.monotonic() >= min(self._loaded_due, self._tags_due):
                        self._ask()
                finally:
                    self._refresh_lock.release()
            return
        with self._lock:
            if self._is_refreshing:
                return
            self._is_refreshing = True
        try:
            self._executor.submit(self._refresh_quietly)
        except RuntimeError:  # the executor was shut down: this gateway is being replaced
            self._is_refreshing = False

    def renew(self) -> None:
        """Models were pulled, made or deleted: its lists are read anew before this returns."""
        with self._refresh_lock:
            self._tags_due = self._loaded_due = 0.0
            self._ask()

    def seek(self) -> None:
        """A model is asked for that no node is known to have: the lists of one that is well are read anew, unless
        that was done just now."""
        if self._state.is_up and not self._state.error:
            self._ask_unless(lambda: time.monotonic() < self._sought_at + SEEK_EVERY_S, anew=True)

    def expect_change(self) -> None:
        """Something was loaded or removed: the node is asked again soon, but not by every request."""
        self._expects_change = True
        self._loaded_due = min(self._loaded_due, time.monotonic() + CHANGED_TTL_S)

    def mark_down(self, error: BackendError) -> None:
        """A request found it unreachable: it is last in line until it is seen up again."""
        is_slow = isinstance(error.__cause__, TimeoutError)
        self._state = msgspec.structs.replace(
            self._state, is_known=True, is_up=False, is_slow_to_fail=is_slow, error=error.reason, loaded={}
        )
        self._loaded_due = self._tags_due = time.monotonic() + DOWN_TTL_S

    @property
    def is_doubted(self) -> bool:
        return time.monotonic() < self._doubted_until

    def doubt(self, for_s: float) -> None:
        """A request got nothing from it: others go first for a while, 0 = no longer."""
        self._doubted_until = time.monotonic() + for_s

    def enter(self, model: str = "") -> None:
        with self._lock:
            self.in_flight += 1
            self._running[model] += 1

    def leave(self, model: str = "") -> None:
        with self._lock:
            self.in_flight -= 1
            self._running[model] -= 1
            if self._running[model] <= 0:
                del self._running[model]

    def hear(self, model: str) -> None:
        """It said something by this model, which therefore is in its memory."""
        self._answered_at[model] = time.monotonic()

    def forget(self, model: str) -> None:
        """The model was sent out of its memory."""
        self._answered_at.pop(model, None)

    def measure(self, model: str, usage: Usage) -> None:
        """How fast it answered."""
        if usage.completion_tokens < FEWEST_TOKENS or usage.completion_ns <= 0 or usage.estimated:
            return
        newest = usage.completion_tokens / (usage.completion_ns / 1e9)
        known = self._speeds.get(model, newest)
        self._speeds[model] = known + NEWEST_SHARE * (newest - known)

    def tokens_per_s(self, model: str) -> float | None:
        """As measured here, None where it never answered."""
        return self._speeds.get(model)

    def size_of(self, model: str) -> int | None:
        """What the model takes of its memory in bytes: as it was seen there, else by its file; None where neither is
        known."""
        known = self._state.models.get(model)
        return self._memory_sizes.get(model) or (int(known.size * LOADED_SHARE) if known and known.size else None)

    def held(self) -> dict[str, Held]:
        """What is in its memory: as it last said, and what has happened through us since then."""
        state = self._state
        with self._lock:
            running = dict(self._running)
        running.pop("", None)
        answered = dict(self._answered_at)
        return take_stock(
            {name: loaded.size_vram or loaded.size or None for name, loaded in state.loaded.items()},
            running=running, answered_at=answered, asked_at=self._asked_at, now=time.monotonic(),
            sizes={name: self.size_of(name) for name in (*running, *answered)}, vram=self.vram,
        )

    def close(self) -> None:
        self.transport.close()

    def _refresh_quietly(self) -> None:
        try:
            self.refresh(wait=True)
        finally:
            self._is_refreshing = False

    def _ask_unless(self, needless: Callable[[], bool], *, anew: bool = False) -> None:
        """Asks now, with `anew` for the lists of models too; calls at the same time share one question."""
        if needless() or not self._refresh_lock.acquire(timeout=PS_TIMEOUT_S):
            return
        try:
            if not needless():
                if anew:
                    self._sought_at, self._tags_due = time.monotonic(), 0.0
                self._ask()
        finally:
            self._refresh_lock.release()

    def _ask(self) -> None:
        """Brings the state up to date; how the node fails decides what is believed of it."""
        now = time.monotonic()
        self._expects_change = False
        try:
            loaded = self._fetch_loaded()
            models = self._state.models
            if now >= self._tags_due or not self._state.is_up:
                models = self._fetch_models()
                self._tags_due = now + TAGS_TTL_S
            self._state = NodeState(
                models=models, loaded=loaded or {}, knows_loaded=loaded is not None, is_known=True, is_up=True
            )
            self._loaded_due = time.monotonic() + LOADED_TTL_S
            self._asked_at = now
            self._memory_sizes |= {name: each.size_vram for name, each in self._state.loaded.items()
                                   if each.size_vram and each.size_vram >= each.size}
        except (Unreachable, BrokenStream) as error:
            self.mark_down(error)
        except BackendError as error:
            self._mark_strange(error)

    def _mark_strange(self, error: BackendError) -> None:
        """It is there, but silent or talking nonsense. Busy with a request it may well answer that one, so it stays
        up unless it never said anything."""
        is_mute = isinstance(error, TimedOut) and not self._state.is_up
        self._state = msgspec.structs.replace(
            self._state, is_known=True, is_up=not is_mute, is_slow_to_fail=is_mute, error=error.reason,
            knows_loaded=False,
        )
        self._loaded_due = self._tags_due = time.monotonic() + LOADED_TTL_S

    def _fetch_models(self) -> dict[str, UpstreamModel]:
        reply = self.transport.fetch("GET", "/api/tags", timeout_s=PROBE_TIMEOUT_S)
        return {name: read_model(name, entry, self._show(name, str(entry.get("digest") or name)))
                for name, entry in list_entries(reply)}

    def _show(self, name: str, digest: str) -> Any:
        """`/api/show`, asked once per digest; None where the node does not know it."""
        if digest not in self._shown:
            body = msgspec.json.encode({"model": name})
            try:
                self._shown[digest] = self.transport.fetch("POST", "/api/show", body, timeout_s=PROBE_TIMEOUT_S)
            except Unreachable:
                raise
            except BackendError:
                return None
        return self._shown[digest]

    def _fetch_loaded(self) -> dict[str, Loaded] | None:
        """What is in memory; None from a server that does not tell (something that only resembles Ollama)."""
        try:
            reply = self.transport.fetch("GET", "/api/ps", timeout_s=PS_TIMEOUT_S)
        except (UpstreamFailure, UpstreamRefusal, BadAnswer):
            return None
        return {name: read_loaded(entry) for name, entry in list_entries(reply)}
