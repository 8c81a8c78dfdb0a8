"""Kept requests: there at once, the last thousand, whatever becomes of the disk, and no text without leave."""

from __future__ import annotations

import sqlite3
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from moe.store import KeptResponse, NotStored, Requests, Responses
from moe.store import requests as module
from moe.store.requests import MOST_REQUESTS
from moe.trace import Record, Span


def make(name: str, text: str = "") -> Record:
    return Record(id=name, created=1.0, prompt=text,
                  spans=(Span(stage="workers", name="math", started_ms=0, ended_ms=1, text=text),))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "data" / "moe.sqlite"


@pytest.fixture
def store(file: Path) -> Iterator[Requests]:
    made = Requests(file)
    yield made
    made.close()


def names(store: Requests, most: int = MOST_REQUESTS) -> list[str]:
    return [record.id for record in store.newest(most)]


def count(file: Path) -> int:
    """0 before there is a table."""
    with closing(sqlite3.connect(file)) as raw, raw:
        (is_there,) = raw.execute("SELECT count(*) FROM sqlite_master WHERE name = 'requests'").fetchone()
        return int(raw.execute("SELECT count(*) FROM requests").fetchone()[0]) if is_there else 0


def test_it_is_there_before_and_after_it_is_written(store: Requests, file: Path) -> None:
    store.put(make("a"))
    assert not file.exists()
    assert store.find("a") == make("a") and names(store) == ["a"]
    store.write()
    assert count(file) == 1
    assert store.find("a") == make("a") and names(store) == ["a"]
    assert store.find("b") is None


def test_no_file_is_made_for_nothing(store: Requests, file: Path) -> None:
    store.start()
    assert (store.find("a"), store.newest(5), store.keep_text(False)) == (None, [], 0)
    store.close()
    assert not file.exists()


def test_what_was_put_is_there_after_a_restart(file: Path) -> None:
    first = Requests(file)
    first.put(make("a"))
    first.put(make("b"))
    first.close()
    second = Requests(file)
    second.put(make("c"))
    assert names(second) == ["c", "b", "a"]
    assert names(second, 2) == ["c", "b"]
    second.close()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_it_is_written_soon(store: Requests, file: Path) -> None:
    store.start()
    store.put(make("a"))
    until = time.monotonic() + 10
    while not file.exists() or not count(file):
        assert time.monotonic() < until
        time.sleep(0.05)


@pytest.mark.parametrize("written", [0, 1, 400, 1001])
def test_of_1001_the_first_is_gone(store: Requests, file: Path, written: int) -> None:
    """However many of them are on the disk already."""
    for number in range(MOST_REQUESTS + 1):
        store.put(make(f"r{number}"))
        if number + 1 == written:
            store.write()
    assert names(store) == [f"r{number}" for number in range(MOST_REQUESTS, 0, -1)]
    store.write()
    assert names(store) == [f"r{number}" for number in range(MOST_REQUESTS, 0, -1)]
    assert count(file) == MOST_REQUESTS
    assert store.find("r0") is None
    assert store.find("r1") is not None


def test_of_one_id_the_newest_is_found_and_all_are_listed(store: Requests) -> None:
    for path in ("/one", "/two", "/three"):
        store.put(Record(id="same", created=0, path=path))
        if path == "/two":
            store.write()
    found = store.find("same")
    assert found is not None and found.path == "/three"
    assert [record.path for record in store.newest(9)] == ["/three", "/two", "/one"]


def test_text_is_kept_only_while_it_may_be(store: Requests, file: Path) -> None:
    store.put(make("before", "private"))
    store.keep_text(True)
    store.put(make("written", "private" * 500))
    store.write()
    store.put(make("waiting", "private"))
    assert [record.has_text for record in store.newest(9)] == [True, True, False]
    assert store.keep_text(False) == 2
    store.put(make("after", "private"))
    assert names(store) == ["after", "waiting", "written", "before"]
    assert not any(record.has_text for record in store.newest(9))
    store.close()
    assert b"private" not in file.read_bytes()
    assert count(file) == 4


def test_text_that_was_on_the_disk_before_the_start_is_taken_out(file: Path) -> None:
    first = Requests(file)
    first.keep_text(True)
    first.put(make("a", "private"))
    first.close()
    second = Requests(file)
    assert second.keep_text(False) == 1
    assert second.keep_text(False) == 0
    assert second.find("a") == make("a")
    second.close()
    assert b"private" not in file.read_bytes()


def test_a_switch_amid_writing_leaves_no_text(store: Requests, file: Path) -> None:
    store.keep_text(True)
    store.start()
    ended = threading.Event()

    def put() -> None:
        while not ended.is_set():
            store.put(make("a", "private"))
            time.sleep(0.0005)

    def write() -> None:
        while not ended.is_set():
            store.write()

    threads = [threading.Thread(target=work) for work in (put, put, write)]
    for thread in threads:
        thread.start()
    time.sleep(0.3)
    store.keep_text(False)
    assert not any(record.has_text for record in store.newest(MOST_REQUESTS))
    time.sleep(0.1)
    ended.set()
    for thread in threads:
        thread.join()
    store.close()
    assert b"private" not in file.read_bytes()


def test_many_at_once_lose_nothing(store: Requests) -> None:
    store.start()
    threads = [threading.Thread(target=lambda n=n: [store.put(make(f"{n}-{i}")) for i in range(100)]) for n in range(8)]
    for thread in threads:
        thread.start()
    for _ in range(5):
        store.write()
        listed = names(store)
        assert len(listed) == len(set(listed))  # none twice, none in between
    for thread in threads:
        thread.join()
    assert set(names(store)) == {f"{n}-{i}" for n in range(8) for i in range(100)}


def test_a_new_file_may_be_opened_by_two_stores_at_once(tmp_path: Path) -> None:
    for number in range(20):
        file = tmp_path / f"{number}.sqlite"
        one, other = Requests(file), Responses(file)
        one.put(make("a"))
        begin = threading.Barrier(2)

        def write(one: Requests = one, begin: threading.Barrier = begin) -> None:
            begin.wait()
            one.write()

        thread = threading.Thread(target=write)
        thread.start()
        begin.wait()
        other.put(KeptResponse(id="a", reply=b"", input=b"[]"))
        thread.join()
        assert count(file) == 1
        one.close()
        other.close()


def test_two_processes_write_to_one_file(file: Path) -> None:
    one, other = Requests(file), Requests(file)
    for number in range(50):
        (one if number % 2 else other).put(make(f"r{number}"))
        (one if number % 2 else other).write()
    assert names(one) == names(other) == [f"r{number}" for number in range(49, -1, -1)]
    one.close()
    other.close()


# The disk fails


def test_without_a_disk_all_stays_in_memory(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file where the folder should be")
    store = Requests(tmp_path / "data" / "moe.sqlite")
    store.start()
    for number in range(MOST_REQUESTS + 5):
        store.put(make(f"r{number}"))
    with pytest.raises(NotStored):
        store.write()
    assert names(store)[:2] == ["r1004", "r1003"] and len(names(store)) == MOST_REQUESTS
    assert store.find("r1004") == make("r1004")
    store.close()


def test_a_broken_file_hinders_nobody(file: Path) -> None:
    file.parent.mkdir()
    file.write_bytes(b"this is no database" * 100)
    store = Requests(file)
    store.put(make("a"))
    assert store.find("a") == make("a")
    assert names(store) == ["a"]
    with pytest.raises(NotStored):
        store.find("b")
    with pytest.raises(NotStored):
        store.keep_text(False)
    store.close()


def test_a_full_disk_is_tried_again(store: Requests, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REST_S", 0.1)
    monkeypatch.setattr(module, "WRITE_EVERY_S", 0.05)
    store.put(make("first"))
    store.write()
    with store._database.transaction() as connection:
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages}")
    store.keep_text(True)
    store.start()
    store.put(make("large", "x" * 50_000))
    time.sleep(0.5)
    assert count(file) == 1
    assert names(store) == ["large", "first"]
    with store._database.transaction() as connection:
        connection.execute("PRAGMA max_page_count = 100000")
    until = time.monotonic() + 10
    while count(file) < 2:
        assert time.monotonic() < until
        time.sleep(0.05)
    assert names(store) == ["large", "first"]


def test_what_cannot_be_read_any_more_is_passed_over(store: Requests, file: Path) -> None:
    for name in ("a", "b"):
        store.put(make(name))
    store.write()
    with closing(sqlite3.connect(file)) as raw, raw:
        raw.execute("UPDATE requests SET record = ?, has_text = 1 WHERE id = 'a'", (b'{"of": "another version"}',))
    assert names(store) == ["b"]
    assert store.find("a") is None
    store.keep_text(False)
    assert count(file) == 1
