"""Whose file is read next."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from moe.errors import Busy
from moe.knowledge.documents.turns import Turns


def unwatched() -> None:
    """Nobody leaves."""


class Crowd:
    """Clients with a file in each thread, which is read until it is told to end; `order` is who was let in."""

    def __init__(self, places: int = 1) -> None:
        self.order: list[str] = []
        self._turns = Turns(places, clock=lambda: self._now)
        self._places = places
        self._now = 0.0
        self._read: list[tuple[str, threading.Event]] = []
        self._threads: list[threading.Thread] = []
        self._ended = 0

    def send(self, clients: str) -> None:
        for client in clients:
            thread = threading.Thread(target=self._take, args=(client,))
            self._threads.append(thread)
            thread.start()
            wait_until(lambda: self._count() == len(self._threads))

    def _count(self) -> int:
        accounts = self._turns._accounts.copy().values()
        return self._ended + sum(len(account.waiting) + len(account.running) for account in accounts)

    def _take(self, client: str) -> None:
        with self._turns.take(client, watch=unwatched, patience_s=20):
            end = threading.Event()
            self._read.append((client, end))
            self.order.append(client)
            end.wait(20)

    def end(self, clients: str, *, after_s: float) -> None:
        """A file of each, one after the other, all at the same time."""
        self._now += after_s
        for client in clients:
            wait_until(lambda: len(self.order) == min(self._ended + self._places, len(self._threads)))
            mine = next(each for each in self._read if each[0] == client)
            self._read.remove(mine)
            mine[1].set()
            self._ended += 1
            wait_until(lambda: self._count() == len(self._threads))
        wait_until(lambda: len(self.order) == min(self._ended + self._places, len(self._threads)))

    def finish(self) -> str:
        while self._ended < len(self._threads):
            self.end(self._read[0][0], after_s=1)
        for thread in self._threads:
            thread.join()
        assert not self._turns._accounts
        return "".join(self.order)


def wait_until(is_true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not is_true():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_one_client_alone_gets_all_places() -> None:
    crowd = Crowd(places=3)
    crowd.send("aaaa")
    assert crowd.order == ["a"] * 3
    assert crowd.finish() == "aaaa"


def test_many_quick_files_wait_for_one_slow_file_of_another_and_for_no_more() -> None:
    crowd = Crowd()
    crowd.send("aaaabbbb")
    crowd.end("a", after_s=30)
    for _ in range(4):
        crowd.end("b", after_s=1)
    assert crowd.finish() == "abbbbaaa"


def test_nor_do_two_slow_clients_keep_a_third_one_waiting_by_turns() -> None:
    crowd = Crowd(places=2)
    crowd.send("acacacbbb")
    crowd.end("a", after_s=30)
    for _ in range(3):
        crowd.end("b", after_s=1)
    assert crowd.finish()[:5] == "acbbb"


def test_who_comes_anew_has_saved_nothing_up() -> None:
    crowd = Crowd()
    crowd.send("aaa")
    crowd.end("a", after_s=100)
    crowd.send("bbb")
    crowd.end("a", after_s=10)
    crowd.end("b", after_s=15)
    assert crowd.finish() == "aababb"


@pytest.mark.parametrize(("patience_s", "watch", "error"), [
    (0.0, unwatched, Busy), (20, lambda: (_ for _ in ()).throw(ConnectionAbortedError), ConnectionAbortedError),
])
def test_who_waits_too_long_or_leaves_is_forgotten(
    patience_s: float, watch: Callable[[], None], error: type[Exception]
) -> None:
    turns = Turns(1)
    with turns.take("a", watch=unwatched, patience_s=1):
        with pytest.raises(error), turns.take("b", watch=watch, patience_s=patience_s):
            pytest.fail("there was no place")
        assert list(turns._accounts) == ["a"]
    with turns.take("b", watch=unwatched, patience_s=0):
        pass
    assert not turns._accounts
