from __future__ import annotations

import math
import os
import platform
import threading
import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moe.backends.base import HEARTBEAT_S
from moe.backends.duration import read_keep_alive
from moe.backends.eviction import Entry, Source, choose_victims
from moe.backends.machine import free_bytes, give_back, usable_cores
from moe.backends.shelf import Loan, Shelf
from moe.config import MemoryConfig
from moe.core import Heartbeat
from moe.errors import NotReady, UpstreamRefusal

HANG_S = 20.0
GB = 1 << 30


class Weights:
    """A model whose life is written down."""

    def __init__(self, name: str, log: list[str], *, size: int) -> None:
        self.name = name
        self.context_length = 512
        self.size_bytes = size
        self._log = log
        log.append(f"+{name}")

    def close(self) -> None:
        self._log.append(f"-{self.name}")


class Bench:
    """A shelf with a clock that stands still, and models to put on it."""

    def __init__(self, *, free: int = 100 * GB, **memory: Any) -> None:
        self.now = 1000.0
        self.free = free
        self.log: list[str] = []
        self.shelf = Shelf(MemoryConfig(**memory), clock=lambda: self.now, measure_free=lambda: self.free)

    def source(
        self, name: str, *, version: int = 1, size: int = GB, load: Callable[[], Weights] | None = None
    ) -> Source[Weights]:
        return Source(name=name, key=(name, version), size_bytes=size,
                      load=load or (lambda: Weights(name, self.log, size=size)))

    def use(self, name: str, **options: Any) -> None:
        """One short answer, a second later than what came before."""
        self.now += 1
        keep_alive = options.pop("keep_alive", None)
        with drain(self.shelf.borrow(self.source(name, **options), keep_alive=keep_alive)):
            pass

    def names(self) -> list[str]:
        return [loaded.name for loaded in self.shelf.loaded()]


@pytest.fixture
def bench() -> Iterator[Bench]:
    with on_bench() as made:
        yield made


@contextmanager
def on_bench(**options: Any) -> Iterator[Bench]:
    made = Bench(**options)
    try:
        yield made
    finally:
        made.shelf.close()


def drain(waiting: Generator[Heartbeat, None, Loan[Weights]]) -> Loan[Weights]:
    until = time.monotonic() + HANG_S
    while True:
        try:
            assert isinstance(next(waiting), Heartbeat)
        except StopIteration as done:
            return done.value
        assert time.monotonic() < until, "no model within the hang guard"


def wait_for(is_so: Callable[[], bool]) -> None:
    until = time.monotonic() + HANG_S
    while not is_so():
        assert time.monotonic() < until, "it did not come to be"
        time.sleep(0.005)


def test_the_longest_unused_model_gives_way_to_a_fourth(bench: Bench) -> None:
    for name in ("a", "b", "c", "a", "d"):
        bench.use(name)
    assert bench.log == ["+a", "+b", "+c", "-b", "+d"]
    assert bench.names() == ["c", "a", "d"]


def test_a_model_that_is_used_again_within_its_time_is_not_loaded_again(bench: Bench) -> None:
    bench.use("a")
    bench.now += 299
    bench.shelf.sweep()
    bench.use("a")
    bench.now += 299
    bench.shelf.sweep()
    assert bench.log == ["+a"]


def test_a_model_that_nobody_used_for_its_time_is_unloaded(bench: Bench) -> None:
    bench.use("a")
    bench.use("b", keep_alive="10m")
    bench.now += 301
    bench.shelf.sweep()
    assert bench.names() == ["b"]
    bench.now += 300
    bench.shelf.sweep()
    assert bench.log == ["+a", "+b", "-a", "-b"]


def test_a_model_in_use_outlives_its_time(bench: Bench) -> None:
    with drain(bench.shelf.borrow(bench.source("a"))):
        bench.now += 10_000
        bench.shelf.sweep()
        assert bench.names() == ["a"]
    bench.now += 301
    bench.shelf.sweep()
    assert bench.names() == []


def test_keep_alive_zero_unloads_after_the_answer_and_a_negative_one_never_does(bench: Bench) -> None:
    bench.use("a", keep_alive=0)
    assert bench.log == ["+a", "-a"]
    bench.use("b", keep_alive=-1)
    bench.now += 1e9
    bench.shelf.sweep()
    assert [(one.name, one.expires) for one in bench.shelf.loaded()] == [("b", 0.0)]


def test_with_keep_alive_zero_the_last_of_two_users_unloads(bench: Bench) -> None:
    with drain(bench.shelf.borrow(bench.source("a"), keep_alive=0)):
        bench.use("a", keep_alive=0)
        assert bench.log == ["+a"]
    assert bench.log == ["+a", "-a"]


def test_expires_is_told_in_unix_seconds(bench: Bench) -> None:
    bench.use("a", keep_alive="1h")
    bench.now += 600
    (loaded,) = bench.shelf.loaded()
    assert loaded.expires - time.time() == pytest.approx(3000, abs=60)
    assert (loaded.size_bytes, loaded.context_length, loaded.users) == (GB, 512, 0)


def test_drop_unloads_at_once_or_as_soon_as_nobody_uses_the_model(bench: Bench) -> None:
    bench.use("a")
    bench.shelf.drop(("a", 1))
    assert bench.log == ["+a", "-a"]
    with drain(bench.shelf.borrow(bench.source("b"))):
        bench.shelf.drop(("b", 1))
        assert bench.names() == ["b"]
    assert bench.names() == []
    bench.shelf.drop(("nothing", 1))


def test_a_changed_file_is_another_model_and_takes_the_old_ones_place_first() -> None:
    with on_bench(max_models=2) as bench:
        bench.use("a")
        bench.use("b")
        bench.use("a", version=2)
        assert bench.names() == ["b", "a"]
        assert bench.log == ["+a", "+b", "-a", "+a"]


def test_everything_in_use_makes_a_cold_model_wait_with_heartbeats_until_one_is_given_back() -> None:
    with on_bench(max_models=1) as bench:
        held = drain(bench.shelf.borrow(bench.source("a")))
        waiting = bench.shelf.borrow(bench.source("b"))
        assert [next(waiting) for _ in range(3)] == [Heartbeat()] * 3
        assert bench.log == ["+a"]
        held.__exit__(None, None, None)
        with drain(waiting) as model:
            assert model.name == "b"
        assert bench.log == ["+a", "-a", "+b"]


def test_one_who_waits_and_never_looks_up_keeps_nobody_else_waiting() -> None:
    """A client that is slow to read is not pulled from: what it waits for must come to the others all the same."""
    with on_bench(max_models=1) as bench:
        held = drain(bench.shelf.borrow(bench.source("a")))
        asleep = bench.shelf.borrow(bench.source("b"))
        next(asleep)
        behind = bench.shelf.borrow(bench.source("b"))
        next(behind)
        held.__exit__(None, None, None)
        with drain(behind) as model:
            assert model.name == "b"
        asleep.close()


def test_those_who_wait_for_room_get_it_in_the_order_in_which_they_came() -> None:
    with on_bench(max_models=1) as bench:
        held = drain(bench.shelf.borrow(bench.source("a")))
        second, third = (bench.shelf.borrow(bench.source(name)) for name in ("b", "c"))
        next(second)
        next(third)
        held.__exit__(None, None, None)
        with drain(second):
            pass
        with drain(third):
            pass
        assert [entry for entry in bench.log if entry[0] == "+"] == ["+a", "+b", "+c"]


def test_one_who_leaves_while_waiting_for_room_is_forgotten() -> None:
    with on_bench(max_models=1) as bench:
        held = drain(bench.shelf.borrow(bench.source("a")))
        waiting = bench.shelf.borrow(bench.source("b"))
        next(waiting)
        waiting.close()
        held.__exit__(None, None, None)
        bench.use("a")
        assert bench.log == ["+a"]


def test_many_who_ask_for_one_cold_model_load_it_once(bench: Bench) -> None:
    opened = threading.Event()

    def load() -> Weights:
        opened.wait(HANG_S)
        return Weights("slow", bench.log, size=GB)

    def ask() -> int:
        with drain(bench.shelf.borrow(bench.source("slow", load=load))) as model:
            return id(model)

    with ThreadPoolExecutor(16) as pool:
        asked = [pool.submit(ask) for _ in range(16)]
        wait_for(lambda: bench.shelf._entries != {} and bench.shelf._entries[("slow", 1)].users == 16)
        opened.set()
        assert len({answer.result(HANG_S) for answer in asked}) == 1
    assert bench.log == ["+slow"]


def test_a_load_goes_on_when_all_who_waited_have_left_and_serves_who_comes_next(bench: Bench) -> None:
    opened = threading.Event()

    def load() -> Weights:
        opened.wait(HANG_S)
        return Weights("slow", bench.log, size=GB)

    waiting = bench.shelf.borrow(bench.source("slow", load=load))
    next(waiting)
    waiting.close()
    opened.set()
    wait_for(lambda: bench.names() == ["slow"])
    bench.use("slow")
    assert bench.log == ["+slow"]


def test_a_failure_reaches_everybody_who_waits_and_is_tried_again_after_half_a_minute(bench: Bench) -> None:
    tries: list[int] = []

    def load() -> Weights:
        tries.append(1)
        if len(tries) == 1:
            raise NotReady("the file is broken", reason="broken model file")
        return Weights("weak", bench.log, size=GB)

    source = bench.source("weak", load=load)
    first, second = bench.shelf.borrow(source), bench.shelf.borrow(source)
    for waiting in (first, second, bench.shelf.borrow(source)):
        with pytest.raises(NotReady, match="broken"):
            drain(waiting)
    assert len(tries) == 1
    failure = bench.shelf.failure(source.key)
    assert failure is not None and failure.reason == "broken model file"
    bench.now += 31
    assert bench.shelf.failure(source.key) is None
    with drain(bench.shelf.borrow(source)) as model:
        assert model.name == "weak"


def test_a_file_that_was_replaced_is_tried_at_once(bench: Bench) -> None:
    def load() -> Weights:
        raise NotReady("the file is broken")

    with pytest.raises(NotReady):
        drain(bench.shelf.borrow(bench.source("a", load=load)))
    bench.use("a", version=2)
    assert bench.names() == ["a"]


def test_a_loader_that_fails_in_its_own_way_is_told_as_not_ready(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    def load() -> Weights:
        raise ZeroDivisionError("oh")

    with pytest.raises(NotReady, match="oh"):
        drain(bench.shelf.borrow(bench.source("a", load=load)))
    assert "loading a" in caplog.text


def test_models_beyond_max_bytes_give_way_by_size() -> None:
    with on_bench(max_bytes=10 * GB) as bench:
        bench.use("a", size=4 * GB)
        bench.use("b", size=4 * GB)
        bench.use("c", size=5 * GB)
        assert bench.names() == ["b", "c"]
        bench.use("d", size=9 * GB)
        assert bench.names() == ["d"]


def test_a_model_too_large_for_an_empty_shelf_is_refused_and_nothing_is_unloaded_for_it() -> None:
    with on_bench(max_bytes=10 * GB) as bench:
        bench.use("a")
        with pytest.raises(NotReady, match=r"needs 11\.8 GB .* 10\.7 GB may be used.*max_bytes"):
            drain(bench.shelf.borrow(bench.source("huge", size=11 * GB)))
        assert bench.names() == ["a"]
        assert bench.shelf.failure(("huge", 1)) is None


def test_auto_leaves_a_part_of_the_free_memory_to_others_and_asks_anew_each_time() -> None:
    with on_bench(free=10 * GB) as bench:
        with pytest.raises(NotReady):
            drain(bench.shelf.borrow(bench.source("a", size=9 * GB)))
        bench.free = 12 * GB
        bench.use("a", size=9 * GB)
        bench.free = 3 * GB
        bench.use("b", size=5 * GB)
        assert bench.names() == ["b"]


def test_a_loader_learns_what_it_may_take_beyond_its_estimate() -> None:
    for memory, spare in ((dict(max_bytes=10 * GB), 5 * GB), (dict(), 6 * GB)):
        told: list[int] = []
        with on_bench(free=10 * GB, **memory) as bench:
            bench.use("a", size=3 * GB)

            def load(bench: Bench = bench, told: list[int] = told) -> Weights:
                told.append(bench.shelf.spare_bytes())
                return Weights("b", bench.log, size=2 * GB)

            bench.use("b", size=2 * GB, load=load)
        assert told == [spare]


def test_memory_that_another_program_frees_lets_a_waiting_model_in() -> None:
    with on_bench(free=4 * GB) as bench:
        held = drain(bench.shelf.borrow(bench.source("a", size=3 * GB)))
        bench.free = 1 * GB
        waiting = bench.shelf.borrow(bench.source("b", size=3 * GB))
        next(waiting)
        bench.free = 8 * GB
        with drain(waiting) as model:
            assert model.name == "b"
        held.__exit__(None, None, None)


def test_smaller_limits_take_effect_at_the_next_sweep(bench: Bench) -> None:
    for name in ("a", "b", "c"):
        bench.use(name)
    bench.shelf.resize(MemoryConfig(max_models=1))
    bench.shelf.sweep()
    assert bench.names() == ["c"]


def test_the_sweeper_needs_nobody_to_call_it() -> None:
    log: list[str] = []
    shelf = Shelf(MemoryConfig(ttl_s=0.05), measure_free=lambda: 100 * GB)
    with drain(shelf.borrow(Source(name="a", key="a", size_bytes=1, load=lambda: Weights("a", log, size=1)))):
        pass
    wait_for(lambda: log == ["+a", "-a"])
    shelf.close()


def test_close_frees_all_even_what_is_in_use_and_refuses_who_comes_later(bench: Bench) -> None:
    bench.use("a")
    held = drain(bench.shelf.borrow(bench.source("b")))
    bench.shelf.close()
    assert sorted(bench.log[2:]) == ["-a", "-b"]
    held.__exit__(None, None, None)
    with pytest.raises(NotReady, match="shutting down"):
        drain(bench.shelf.borrow(bench.source("c")))


def test_a_model_that_is_loaded_too_late_for_a_closed_shelf_is_freed(bench: Bench) -> None:
    opened = threading.Event()

    def load() -> Weights:
        opened.wait(HANG_S)
        return Weights("late", bench.log, size=GB)

    waiting = bench.shelf.borrow(bench.source("late", load=load))
    next(waiting)
    bench.shelf.close()
    opened.set()
    with pytest.raises(NotReady, match="shutting down"):
        drain(waiting)
    wait_for(lambda: bench.log == ["+late", "-late"])


def test_many_threads_with_more_models_than_places_never_hold_too_many() -> None:
    with on_bench(max_models=2) as bench:
        most = 0
        lock = threading.Lock()

        def ask(place: int) -> None:
            nonlocal most
            name = "abcd"[place % 4]
            with drain(bench.shelf.borrow(bench.source(name))) as model:
                assert model.name == name
                with lock:
                    held = sum(1 if entry[0] == "+" else -1 for entry in bench.log)
                    most = max(most, held)

        with ThreadPoolExecutor(12) as pool:
            list(pool.map(ask, range(400)))
        assert 1 <= most <= 2
        assert len(bench.names()) <= 2
        assert all(entry.users == 0 for entry in bench.shelf._entries.values())


def test_heartbeats_come_in_time_while_a_model_loads(bench: Bench) -> None:
    opened = threading.Event()

    def load() -> Weights:
        opened.wait(HANG_S)
        return Weights("slow", bench.log, size=GB)

    waiting = bench.shelf.borrow(bench.source("slow", load=load))
    began = time.monotonic()
    next(waiting)
    assert time.monotonic() - began < HEARTBEAT_S * 20
    opened.set()
    with drain(waiting):
        pass


def test_victims_are_as_few_as_needed_and_none_is_busy() -> None:
    entries = []
    for place in range(3):
        entry = Entry(Source(name=str(place), key=place, size_bytes=2 * GB, load=lambda: Weights("", [], size=0)), 300)
        entry.model = Weights(str(place), [], size=2 * GB)
        entry.idle_since = place
        entries.append(entry)
    entries[0].users = 1
    asked = Source(name="x", key="x", size_bytes=3 * GB, load=lambda: Weights("", [], size=0))
    memory = MemoryConfig(max_models=9, max_bytes=8 * GB)
    assert choose_victims(asked, entries, memory, free_bytes=0) == [entries[1]]
    assert choose_victims(asked, entries, MemoryConfig(max_models=9, max_bytes=6 * GB), free_bytes=0) == entries[1:]
    assert choose_victims(asked, entries, MemoryConfig(max_models=9, max_bytes=4 * GB), free_bytes=0) is None


@pytest.mark.parametrize(("asked", "seconds"), [
    (None, 300.0), ("", 300.0), (0, 0.0), ("0", 0.0), ("0s", 0.0), (-1, math.inf), ("-1", math.inf), ("-5m", math.inf),
    ("5m", 300.0), ("1h30m", 5400.0), ("1.5h", 5400.0), ("250ms", 0.25), ("+2s", 2.0), (90, 90.0), ("90", 90.0),
    (10**400, math.inf), (-(10**400), math.inf),
])
def test_keep_alive_is_read_as_ollama_reads_it(asked: Any, seconds: float) -> None:
    assert read_keep_alive(asked, default_s=300.0) == seconds


@pytest.mark.parametrize("asked", ["soon", "5 m", "m5", "5m later", "nan", "--"])
def test_a_keep_alive_that_is_none_is_refused(asked: str) -> None:
    with pytest.raises(UpstreamRefusal, match="keep_alive"):
        read_keep_alive(asked, default_s=300.0)


@given(st.text(max_size=12) | st.floats() | st.integers())
def test_any_keep_alive_is_read_or_refused(asked: Any) -> None:
    with suppress(UpstreamRefusal):
        assert read_keep_alive(asked, default_s=1.0) >= 0


def test_a_containers_limit_counts_where_it_is_lower_than_the_machines_memory(tmp_path: Any) -> None:
    (tmp_path / "meminfo").write_text("MemTotal: 9 kB\nMemAvailable:   8000000 kB\n")
    assert free_bytes(tmp_path / "meminfo", tmp_path) == 8_000_000 * 1024
    (tmp_path / "memory.max").write_text("1000000000\n")
    (tmp_path / "memory.current").write_text("700000000\n")
    (tmp_path / "memory.stat").write_text("anon 5\ninactive_file 100000000\n")
    assert free_bytes(tmp_path / "meminfo", tmp_path) == 400_000_000
    (tmp_path / "memory.max").write_text("max\n")
    assert free_bytes(tmp_path / "meminfo", tmp_path) == 8_000_000 * 1024
    assert free_bytes(tmp_path / "none", tmp_path / "none") > 0
    assert free_bytes() > 0


def test_a_containers_quota_bounds_the_cores(tmp_path: Any) -> None:
    quota = tmp_path / "cpu.max"
    unbound = usable_cores(quota)
    quota.write_text("100000 100000\n")
    assert usable_cores(quota) == 1
    quota.write_text("max 100000\n")
    assert usable_cores(quota) == unbound >= 1


def test_memory_that_was_freed_is_given_back_where_the_system_tells_what_is_held() -> None:
    """Many small pieces, with what lies above them still in use: no allocator returns these unasked."""
    pieces = [bytearray(1000) for _ in range(60_000)]
    above = bytearray(1000)
    full = held_bytes()
    del pieces
    give_back()
    assert full is None or full - held_bytes() > 40_000_000
    assert above


def held_bytes() -> int | None:
    """Of this process; None where only glibc and Linux would tell."""
    pages = Path("/proc/self/statm")
    if not pages.exists() or platform.libc_ver()[0] != "glibc":
        return None
    return int(pages.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
