"""The models of this process that are in memory: a few at a time, the longest unused goes first."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Generator, Hashable
from types import TracebackType
from typing import Any, Generic

from msgspec import Struct

from ..config import MemoryConfig
from ..core import Clock, Heartbeat
from ..errors import BackendError, NotReady, TimedOut
from ..options import KeepAlive
from ..replies import ModelCard
from .base import HEARTBEAT_S
from .duration import read_keep_alive
from .eviction import Entry, M, Source, choose_victims, list_idle, measure_room
from .machine import free_bytes, give_back

log = logging.getLogger("moe.shelf")

RETRY_S = 30.0
SWEEP_S = 1.0
CLOSE_LIMIT_S = 5.0
_BEAT = Heartbeat()


class Loaded(Struct, frozen=True, kw_only=True):
    """A model in memory; `expires` in Unix seconds, 0 = never."""

    source: Source[Any]
    size_bytes: int
    context_length: int
    expires: float
    users: int

    @property
    def name(self) -> str:
        return self.source.name


class Loan(Generic[M]):
    """A model held for one answer: it stays in memory until the `with` block is left. `load_ns`: the wait for it."""

    def __init__(self, model: M, load_ns: int, *, give_up: Callable[[], None], condemn: Callable[[], None]) -> None:
        """`condemn` takes a model that can answer no more off the shelf: whoever comes next loads it anew."""
        self.model = model
        self.load_ns = load_ns
        self.condemn = condemn
        self._give_up = give_up

    def __enter__(self) -> M:
        return self.model

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._give_up()


class Shelf:
    """Thread-safe. Models in use stay; the others go when room is needed, or when their time is over."""

    def __init__(
        self, memory: MemoryConfig, *, clock: Clock = time.monotonic, measure_free: Callable[[], int] = free_bytes
    ) -> None:
        self.proven: set[Hashable] = set()  # the files that were tried out and are sound, by their stamp
        self._memory = memory
        self._clock = clock
        self._measure_free = measure_free
        self._changed = threading.Condition()
        self._entries: dict[Hashable, Entry] = {}  # those who wait for room stand in the order in which they came
        self._failures: dict[Hashable, tuple[BackendError, float]] = {}
        self._sweeper: threading.Thread | None = None
        self._ended = threading.Event()

    def borrow(
        self, source: Source[M], *, keep_alive: KeepAlive | None = None, limit_s: float = math.inf
    ) -> Generator[Heartbeat, None, Loan[M]]:
        """Heartbeats while the model waits for room or loads; returns the Loan, which the caller leaves.

        `with (yield from shelf.borrow(source)) as model:` is the whole use. A cold model is loaded once,
        however many ask. Raises BackendError: what `load` raised, to all who wait and for 30 s to all who come;
        TimedOut after `limit_s`, while the model goes on loading for those who come later.
        """
        began, until = time.perf_counter_ns(), self._clock() + limit_s
        entry = self._join(source, read_keep_alive(keep_alive, default_s=self._memory.ttl_s))
        try:
            while not self._is_ready(entry):
                if self._clock() > until:
                    raise TimedOut(f"{source.name} was not in memory within {limit_s:.0f} s")
                yield _BEAT
        except BaseException:  # it failed, or the caller left: either way this user is gone
            self._release(entry)
            raise
        return Loan(entry.model, time.perf_counter_ns() - began, give_up=lambda: self._release(entry),
                    condemn=lambda: self._condemn(entry))

    def lend(self, key: Hashable) -> Loan[Any] | None:
        """A model that is in memory now, for a look: its keep_alive stays as it was. None when it is not there."""
        with self._changed:
            entry = self._entries.get(key)
            if entry is None or entry.model is None:
                return None
            entry.users += 1
        return Loan(entry.model, 0, give_up=lambda: self._release(entry), condemn=lambda: self._condemn(entry))

    def drop(self, key: Hashable) -> None:
        """Unloads a model now, or as soon as nobody uses it."""
        with self._changed:
            entry = self._entries.get(key)
            if entry is None:
                return
            entry.ttl_s = 0.0
            gone = [self._take(entry)] if entry.is_idle else []
        self._unload(gone)

    def is_loaded(self, key: Hashable) -> bool:
        entry = self._entries.get(key)
        return entry is not None and entry.model is not None

    def failure(self, key: Hashable) -> BackendError | None:
        """Why the model could not be loaded in the last 30 s; None when nothing is amiss."""
        error, until = self._failures.get(key, (None, 0.0))
        return error if self._clock() < until else None

    def spare_bytes(self) -> int:
        """What a model that is loading now may take beyond its estimate."""
        with self._changed:
            return max(0, measure_room(self._started(), self._memory, free_bytes=self._measure_free()))

    def loaded(self) -> list[Loaded]:
        """The models in memory, those in use and the latest used last."""
        with self._changed:
            now, wall = self._clock(), time.time()
            ready = [entry for entry in self._entries.values() if entry.model is not None]
            return [
                Loaded(
                    source=entry.source, size_bytes=entry.size_bytes, context_length=entry.model.context_length,
                    users=entry.users, expires=0.0 if math.isinf(entry.ttl_s) else wall + entry.left_s(now),
                )
                for entry in sorted(ready, key=lambda entry: (entry.users > 0, entry.idle_since))
            ]

    def cards(self) -> list[ModelCard]:
        """The models in memory as /api/ps lists them."""
        return [
            ModelCard(
                name=loaded.name, kind="model", size=loaded.size_bytes, context_length=loaded.context_length,
                expires=loaded.expires, family=loaded.source.family, parameter_size=loaded.source.parameter_size,
                quantization=loaded.source.quantization, form=loaded.source.form,
            )
            for loaded in self.loaded()
        ]

    def resize(self, memory: MemoryConfig) -> None:
        """Other limits from now on; what is too much goes at the next sweep."""
        with self._changed:
            self._memory = memory
            self._advance()

    def sweep(self) -> None:
        """Unloads what nobody used for its time, and idle models beyond `max_models`. A thread does this too."""
        with self._changed:
            now = self._clock()
            over = [entry for entry in self._entries.values() if entry.is_idle and entry.left_s(now) <= 0]
            gone = [self._take(entry) for entry in over]
            surplus = len(self._started()) - self._memory.max_models
            gone += [self._take(entry) for entry in list_idle(self._started())[:max(0, surplus)]]
            self._failures = {key: known for key, known in self._failures.items() if now < known[1]}
            self._advance()  # other programs may have freed memory meanwhile
        self._unload(gone)

    def close(self) -> None:
        """Frees every model, used or not, and takes no new one."""
        self._ended.set()
        with self._changed:
            gone = [self._take(entry) for entry in list(self._entries.values()) if entry.model is not None]
            self._changed.notify_all()
        self._unload(gone)
        if self._sweeper is not None:
            self._sweeper.join(CLOSE_LIMIT_S)

    def _join(self, source: Source[Any], ttl_s: float) -> Entry:
        """The model's entry, this user counted in it."""
        with self._changed:
            self._refuse_when_ended()
            entry = self._entries.get(source.key)
            if entry is None:
                error = self.failure(source.key)
                if error is not None:
                    raise error.with_traceback(None)
                entry = self._entries[source.key] = Entry(source, ttl_s)
            entry.users += 1
            entry.ttl_s = ttl_s
            self._advance()
            return entry

    def _is_ready(self, entry: Entry) -> bool:
        """Waits for the entry's model, a heartbeat at most. Raises BackendError when there will be none."""
        with self._changed:
            if entry.model is None and entry.error is None:
                self._changed.wait(HEARTBEAT_S)
            if entry.error is not None:
                raise entry.error.with_traceback(None)
            self._refuse_when_ended()
            return entry.model is not None

    def _refuse_when_ended(self) -> None:
        if self._ended.is_set():
            raise NotReady("the server is shutting down", reason="shutting down")

    def _advance(self) -> None:
        """Begins to load whatever has room now, first come first served; called under the lock at every change."""
        for entry in [entry for entry in self._entries.values() if not entry.is_started]:
            try:
                victims = choose_victims(
                    entry.source, self._started(), self._memory, free_bytes=self._measure_free()
                )
            except NotReady as error:
                entry.error = error
                del self._entries[entry.source.key]
                continue
            if victims is None:
                break
            gone = [self._take(victim) for victim in victims]
            entry.is_started = True
            name = f"load {entry.source.name}"
            threading.Thread(target=self._load, args=(entry, gone), name=name, daemon=True).start()
            self._start_sweeper()
        self._changed.notify_all()

    def _started(self) -> list[Entry]:
        return [entry for entry in self._entries.values() if entry.is_started]

    def _load(self, entry: Entry, gone: list[Entry]) -> None:
        """Runs in a thread of its own: frees what has to go, then loads."""
        self._unload(gone)
        source, began = entry.source, time.perf_counter()
        model, error = None, None
        try:
            model = source.load()
        except BackendError as caught:
            error = caught
        except Exception as caught:  # noqa: BLE001 - a worker's wall: all who wait must hear of it
            log.exception("loading %s", source.name)
            error = NotReady(f"{source.name} could not be loaded: {caught}")
        with self._changed:
            entry.model, entry.error = model, error
            entry.idle_since = self._clock()
            if error is not None:
                del self._entries[source.key]
                self._failures[source.key] = error, self._clock() + RETRY_S
            is_unwanted = model is not None and (self._ended.is_set() or (entry.ttl_s == 0 and not entry.users))
            late = [self._take(entry)] if is_unwanted else []
            self._advance()
        log.info("load model=%s seconds=%.1f error=%s", source.name, time.perf_counter() - began, error)
        self._unload(late)

    def _release(self, entry: Entry) -> None:
        with self._changed:
            entry.users -= 1
            entry.idle_since = self._clock()
            is_held = self._entries.get(entry.source.key) is entry
            gone = [self._take(entry)] if is_held and entry.is_idle and entry.ttl_s == 0 else []
            if is_held and not entry.users and not entry.is_started:
                del self._entries[entry.source.key]
            self._advance()
        self._unload(gone)

    def _condemn(self, entry: Entry) -> None:
        """Off the shelf though it is used; whoever uses it is failing anyway."""
        with self._changed:
            gone = [self._take(entry)] if self._entries.get(entry.source.key) is entry else []
        self._unload(gone)

    def _take(self, entry: Entry) -> Entry:
        del self._entries[entry.source.key]
        return entry

    def _unload(self, gone: list[Entry]) -> None:
        """Closes models that were taken off the shelf; never under the lock, since it takes its time."""
        for entry in gone:
            entry.model.close()
            log.info("unload model=%s", entry.source.name)
        if gone:
            give_back()
            with self._changed:
                self._advance()

    def _start_sweeper(self) -> None:
        if self._sweeper is None:
            self._sweeper = threading.Thread(target=self._watch, name="shelf", daemon=True)
            self._sweeper.start()

    def _watch(self) -> None:
        while not self._ended.wait(SWEEP_S):
            self.sweep()

