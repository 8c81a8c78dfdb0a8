"""Kept responses: found again after a restart, bounded, forgotten on demand."""

from __future__ import annotations

import sqlite3
import stat
import threading
from pathlib import Path

import pytest

from moe.store import KeptResponse, NotStored, Responses
from moe.store import responses as module
from moe.store.database import MIGRATIONS


def make(name: str, size: int = 10) -> KeptResponse:
    return KeptResponse(id=name, reply=b"r" * size, input=b"[]")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "data" / "moe.sqlite"


def test_what_is_kept_is_there_after_a_restart(file: Path) -> None:
    first = Responses(file)
    first.put(make("a"))
    first.close()
    second = Responses(file)
    assert second.find("a") == make("a")
    assert second.find("b") is None
    assert second.remove("a")
    assert not second.remove("a")
    assert second.find("a") is None


def test_no_file_is_made_for_nothing(file: Path) -> None:
    store = Responses(file)
    assert store.find("a") is None
    assert not store.remove("a")
    assert store.clear() == 0
    assert not file.exists()


def test_only_its_owner_may_read_the_file(file: Path) -> None:
    Responses(file).put(make("a"))
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_the_oldest_give_way_to_the_newest(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_RESPONSES", 3)
    store = Responses(file)
    for name in "abcde":
        store.put(make(name))
    assert [name for name in "abcde" if store.find(name)] == ["c", "d", "e"]


def test_all_together_are_no_larger_than_the_limit(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_BYTES", 250)
    store = Responses(file)
    for name in "abcd":
        store.put(make(name, 100))
    assert [name for name in "abcd" if store.find(name)] == ["c", "d"]


def test_what_is_too_old_is_gone(file: Path) -> None:
    now = [1000.0]
    store = Responses(file, clock=lambda: now[0])
    store.put(make("a"))
    now[0] += module.LONGEST_S + 1
    assert store.find("a") is None
    store.put(make("b"))
    with sqlite3.connect(file) as raw:
        assert raw.execute("SELECT id FROM responses").fetchall() == [("b",)]


def test_what_is_forgotten_leaves_no_trace_in_the_file(file: Path) -> None:
    store = Responses(file)
    store.put(KeptResponse(id="a", reply=b"a very private answer" * 500, input=b"[]"))
    store.put(KeptResponse(id="b", reply=b"another private answer", input=b"[]"))
    assert b"very private" in file.read_bytes()
    assert store.clear() == 2
    store.close()
    assert b"private" not in file.read_bytes()


def test_many_at_once_lose_nothing(file: Path) -> None:
    store = Responses(file)
    threads = [threading.Thread(target=lambda n=n: [store.put(make(f"{n}-{i}")) for i in range(20)]) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(store.find(f"{n}-{i}") for n in range(6) for i in range(20))


def test_a_file_that_cannot_be_used_is_told(file: Path) -> None:
    file.parent.mkdir(parents=True)
    file.write_bytes(b"this is no database" * 100)
    store = Responses(file)
    for failing in (lambda: store.put(make("a")), lambda: store.find("a"), store.clear):
        with pytest.raises(NotStored, match="nothing can be kept"):
            failing()


def test_migrations_are_numbered_without_a_gap(file: Path) -> None:
    numbers = [int(script.name.partition("_")[0]) for script in sorted(MIGRATIONS.glob("*.sql"))]
    assert numbers == list(range(1, len(numbers) + 1))
    Responses(file).put(make("a"))
    with sqlite3.connect(file) as raw:
        assert raw.execute("PRAGMA user_version").fetchone() == (numbers[-1],)
