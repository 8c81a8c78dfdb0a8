"""Turns that are remembered for a while: found again, bounded in every way, and gone when their time is up."""

from __future__ import annotations

import threading

import pytest

from moe.web import recent as module
from moe.web.recent import Recent, Turn
from tests.adversarial.kit import becomes_true


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def turn(*given: bytes, output: bytes = b"{}") -> Turn:
    return Turn(given, (output,))


def held(memory: Recent) -> int:
    return memory._size_bytes()


def test_a_turn_is_found_until_it_is_removed() -> None:
    memory = Recent()
    memory.put("a", turn(b"1"), client="x")
    assert memory.find("a") == turn(b"1")
    assert memory.find("b") is None
    assert (memory.remove("a"), memory.remove("a")) == (True, False)
    assert memory.find("a") is None
    assert held(memory) == 0


def test_what_comes_again_in_the_next_turn_is_held_once() -> None:
    memory = Recent()
    said: list[bytes] = []
    for place in range(50):
        said.append(b"%d" % place + b"x" * 10_000)
        memory.put(f"t{place}", turn(*said), client="x")
    assert 500_000 < held(memory) < 700_000
    assert memory.find("t49") == turn(*said)
    for place in range(49):
        memory.remove(f"t{place}")
    assert memory.find("t49") == turn(*said)
    memory.remove("t49")
    assert held(memory) == 0


def test_an_id_that_comes_again_leaves_nothing_behind() -> None:
    memory = Recent()
    for client in ("x", "y"):
        memory.put("a", turn(client.encode() * 1000), client=client)
    assert memory.find("a") == turn(b"y" * 1000)
    assert memory.remove("a")
    assert held(memory) == 0


def test_the_least_recently_used_is_forgotten_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_TURNS", 3)
    memory = Recent()
    for name in "abc":
        memory.put(name, turn(b"1"), client="x")
    assert memory.find("a") is not None
    memory.put("d", turn(b"1"), client="x")
    assert [name for name in "abcd" if memory.find(name)] == ["a", "c", "d"]


def test_all_together_take_no_more_room_than_they_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_BYTES", 50_000)
    memory = Recent()
    for place in range(20):
        memory.put(f"t{place}", turn(b"%d" % place * 5000), client="x")
        assert held(memory) <= 50_000
    assert memory.find("t19") is not None
    assert memory.find("t0") is None
    memory.put("huge", turn(b"x" * 60_000), client="y")
    assert memory.find("huge") is None
    assert memory.find("t19") is not None


def test_who_takes_the_most_room_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_BYTES", 50_000)
    memory = Recent()
    memory.put("small", turn(b"hello"), client="modest")
    for place in range(30):
        memory.put(f"t{place}", turn(b"%d" % place * 5000), client="greedy")
    assert memory.find("small") == turn(b"hello")
    assert memory.find("t29") is not None


def test_an_hour_after_its_last_use_a_turn_is_gone() -> None:
    clock = Clock()
    memory = Recent(clock=clock)
    for name, client in (("a", "x"), ("b", "x"), ("c", "y")):
        memory.put(name, turn(b"1"), client=client)
    clock.now += module.LONGEST_S - 1
    assert memory.find("a") is not None
    clock.now += 2
    assert [name for name in "abc" if memory.find(name)] == ["a"]
    assert not memory.remove("b")
    clock.now += module.LONGEST_S
    assert memory.find("a") is None
    assert held(memory) == 0


def test_what_is_too_old_is_gone_even_if_nobody_comes_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LONGEST_S", 0.5)
    memory = Recent()
    memory.put("a", turn(b"1"), client="x")
    assert held(memory)
    assert becomes_true(lambda: held(memory) == 0, within_s=5)
    memory.put("b", turn(b"1"), client="x")
    assert becomes_true(lambda: held(memory) == 0, within_s=5)


def test_many_at_once_lose_nothing() -> None:
    memory = Recent()

    def work(client: str) -> None:
        for place in range(100):
            memory.put(f"{client}{place}", turn(b"%d" % place, b"shared"), client=client)
            if place % 2:
                memory.remove(f"{client}{place}")

    threads = [threading.Thread(target=work, args=(f"c{n}-",)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(memory.find(f"c{n}-{place}") for n in range(6) for place in range(0, 100, 2))
    assert not any(memory.find(f"c{n}-{place}") for n in range(6) for place in range(1, 100, 2))
