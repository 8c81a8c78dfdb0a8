"""Who waits for whom."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from moe.backends.base import Chunks
from moe.backends.queues import QUEUED, Lane, Queues
from moe.backends.rounds import Rounds
from moe.core import ChatRequest, Done, Heartbeat, Message, Text
from moe.errors import Crowded

HELLO = (Message("user", (Text("hello"),)),)


def taken(rounds: Rounds[str]) -> list[str]:
    return [rounds.take() for _ in range(len(rounds))]


def test_clients_take_turns_however_much_each_asks() -> None:
    rounds: Rounds[str] = Rounds()
    for client, item in ("a", "a1"), ("a", "a2"), ("a", "a3"), ("b", "b1"), ("c", "c1"), ("b", "b2"):
        rounds.add(client, item)
    assert (len(rounds), rounds.next) == (6, "a1")
    assert taken(rounds) == ["a1", "b1", "c1", "a2", "b2", "a3"]


def test_who_comes_back_stands_behind_those_who_wait() -> None:
    rounds: Rounds[str] = Rounds()
    rounds.add("a", "a1")
    rounds.add("b", "b1")
    assert rounds.take() == "a1"
    rounds.add("a", "a2")
    rounds.add("b", "b2")
    assert taken(rounds) == ["b1", "a2", "b2"]


def test_who_leaves_frees_the_place() -> None:
    rounds: Rounds[str] = Rounds()
    rounds.add("a", "a1")
    rounds.add("a", "a2")
    assert rounds.remove("a", "a1")
    assert not rounds.remove("a", "a1") and not rounds.remove("b", "a2")
    assert list(rounds) == taken(rounds) == ["a2"]
    with pytest.raises(IndexError):
        rounds.take()


def test_the_last_of_a_client_is_the_one_that_came_last() -> None:
    rounds: Rounds[str] = Rounds()
    for client, item in ("a", "a1"), ("b", "b1"), ("a", "a2"):
        rounds.add(client, item)
    assert rounds.counts() == {"a": 2, "b": 1}
    assert [rounds.take_last("a"), rounds.take_last("a")] == ["a2", "a1"]
    assert (rounds.counts(), len(rounds)) == ({"b": 1}, 1)
    with pytest.raises(KeyError):
        rounds.take_last("a")


class Guest:
    """One request on its way through a lane, taken step by step."""

    def __init__(self, lane: Lane, client: str) -> None:
        self._steps = lane.enter(client)
        self.is_in = False
        self.step()

    def is_sent_away(self) -> bool:
        try:
            self.step()
        except Crowded:
            return True
        return False

    def step(self) -> None:
        """A quarter of a second, or less when it is let in."""
        if next(self._steps, None) is None:
            self.is_in = True

    def leave(self) -> None:
        self._steps.close()


def test_a_lane_serves_so_many_and_the_others_by_turns() -> None:
    lane = Queues(limit=2).lane("node")
    inside = [Guest(lane, "a"), Guest(lane, "a")]
    waiting = [Guest(lane, "a"), Guest(lane, "a"), Guest(lane, "b")]
    assert [guest.is_in for guest in (*inside, *waiting)] == [True, True, False, False, False]
    for expected in ([True, False, False], [True, False, True], [True, True, True]):
        lane.leave()
        for guest in waiting:
            if not guest.is_in:
                guest.step()
        assert [guest.is_in for guest in waiting] == expected


def test_waiting_is_told_as_waiting() -> None:
    lane = Queues(limit=1).lane("node")
    Guest(lane, "a")
    assert next(lane.enter("b")) == QUEUED == Heartbeat(is_queued=True)


def test_without_a_limit_nobody_waits() -> None:
    lane = Queues().lane("node")
    assert all(Guest(lane, "a").is_in for _ in range(1000))


def test_who_leaves_while_waiting_is_passed_over_and_not_counted() -> None:
    queues = Queues(limit=1, most_waiting=1)
    lane = queues.lane("node")
    Guest(lane, "a")
    gone = Guest(lane, "b")
    with pytest.raises(Crowded):
        Guest(lane, "c")
    gone.leave()
    assert queues.waiting == 0
    stays = Guest(lane, "c")
    lane.leave()
    stays.step()
    assert stays.is_in and not lane.is_free


def test_a_turn_that_comes_as_its_owner_leaves_goes_to_the_next() -> None:
    lane = Queues(limit=1).lane("node")
    Guest(lane, "a")
    gone, stays = Guest(lane, "b"), Guest(lane, "c")
    lane.leave()  # to `gone`, who does not look any more
    gone.leave()
    stays.step()
    assert stays.is_in


def test_the_places_are_counted_over_all_lanes() -> None:
    queues = Queues(limit=1, most_waiting=1)
    one, other = queues.lane("one"), queues.lane("other")
    Guest(one, "a")
    assert Guest(other, "a").is_in
    waits = Guest(one, "a")
    with pytest.raises(Crowded):
        Guest(other, "b")
    assert not waits.is_in


def test_who_has_fewer_waiting_takes_the_last_place_of_who_has_most() -> None:
    queues = Queues(limit=2, most_waiting=6)
    lane = queues.lane("node")
    greedy = [Guest(lane, "a") for _ in range(8)]
    newcomer = Guest(lane, "b")
    assert [guest.is_sent_away() for guest in greedy[2:]] == [False] * 5 + [True]
    with pytest.raises(Crowded):
        Guest(lane, "a")
    assert (queues.waiting, len(lane.waiting)) == (6, 6)
    lane.leave()
    lane.leave()
    newcomer.step()
    assert newcomer.is_in


def test_places_are_taken_until_they_are_shared_and_then_no_more() -> None:
    queues = Queues(limit=1, most_waiting=6)
    lane = queues.lane("node")
    greedy = [Guest(lane, "a") for _ in range(7)]
    others = [Guest(lane, "b") for _ in range(3)]
    for client in "ab":
        with pytest.raises(Crowded):
            Guest(lane, client)
    assert sum(guest.is_sent_away() for guest in greedy) == 3
    assert not any(guest.is_sent_away() for guest in others)
    third = Guest(lane, "c")
    assert lane.waiting.counts() in ({"a": 2, "b": 3, "c": 1}, {"a": 3, "b": 2, "c": 1})
    assert not third.is_in


def test_a_place_in_one_lane_is_given_up_for_another_one() -> None:
    queues = Queues(limit=1, most_waiting=3)
    one, other = queues.lane("one"), queues.lane("other")
    greedy = [Guest(one, "a"), Guest(other, "a"), Guest(one, "a"), Guest(other, "a"), Guest(other, "a")]
    newcomer = Guest(one, "b")
    assert [guest.is_sent_away() for guest in greedy[2:]] == [False, False, True]
    assert (one.waiting.counts(), other.waiting.counts()) == ({"a": 1, "b": 1}, {"a": 1})
    assert not newcomer.is_in


def test_who_is_sent_away_as_its_client_leaves_gives_back_nothing() -> None:
    queues = Queues(limit=1, most_waiting=2)
    lane = queues.lane("node")
    Guest(lane, "a")
    stays, gone, newcomer = Guest(lane, "a"), Guest(lane, "a"), Guest(lane, "b")
    gone.leave()  # it never looked
    assert (queues.waiting, lane.is_free, newcomer.is_in) == (2, False, False)
    lane.leave()
    stays.step()
    assert stays.is_in and not lane.is_free


def test_nobody_is_sent_away_where_a_reload_has_left_too_many_waiting() -> None:
    queues = Queues(limit=1, most_waiting=4)
    lane = queues.lane("node")
    waiting = [Guest(lane, "a") for _ in range(5)][1:]
    queues.adjust(limit=1, most_waiting=2)
    with pytest.raises(Crowded):
        Guest(lane, "b")
    assert not any(guest.is_sent_away() for guest in waiting)


def test_a_reload_lets_in_as_many_as_the_new_limit_takes_and_sends_nobody_away() -> None:
    queues = Queues(limit=1)
    lane = queues.lane("node")
    assert queues.lane("node") is lane
    Guest(lane, "a")
    waiting = [Guest(lane, "a") for _ in range(3)]
    queues.adjust(limit=3, most_waiting=0)
    for guest in waiting:
        guest.step()
    assert [guest.is_in for guest in waiting] == [True, True, False]
    queues.adjust(limit=None, most_waiting=0)
    waiting[-1].step()
    assert waiting[-1].is_in


def speak() -> Chunks:
    yield Text("hello")
    yield Done()


def test_a_lane_is_free_again_after_an_answer_a_failure_or_a_leaving_client() -> None:
    lane = Queues(limit=1).lane("node")
    request = ChatRequest(messages=HELLO, client="a")

    def fail() -> Chunks:
        yield Text("hello")
        raise OSError

    assert list(lane.pass_through(speak(), request)) == [Text("hello"), Done()]
    with pytest.raises(OSError):
        list(lane.pass_through(fail(), request))
    broken_off = lane.pass_through(speak(), request)
    next(broken_off)
    assert not lane.is_free
    broken_off.close()
    assert lane.is_free


def test_to_load_a_model_nobody_waits() -> None:
    lane = Queues(limit=1).lane("node")
    Guest(lane, "a")
    assert list(lane.pass_through(speak(), ChatRequest())) == [Text("hello"), Done()]


def test_many_threads_that_take_each_others_places_are_all_served_or_sent_away() -> None:
    queues = Queues(limit=2, most_waiting=3)
    lane, lock = queues.lane("node"), threading.Lock()
    served, sent_away = 0, 0

    def work(client: str) -> None:
        nonlocal served, sent_away
        for _ in range(50):
            try:
                for _ in lane.enter(client):
                    pass
            except Crowded:
                with lock:
                    sent_away += 1
                continue
            with lock:
                served += 1
            lane.leave()

    threads = [threading.Thread(target=work, args=("greedy" if place < 8 else str(place),)) for place in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert served + sent_away == 600
    assert (queues.waiting, len(lane.waiting), lane.is_free) == (0, 0, True)


def test_many_threads_never_exceed_the_limit_and_all_are_served() -> None:
    queues = Queues(limit=3)
    lane, lock = queues.lane("node"), threading.Lock()
    inside, most, served = 0, 0, 0

    def work(client: str) -> None:
        nonlocal inside, most, served
        for _ in range(20):
            for _ in lane.enter(client):
                pass
            with lock:
                inside += 1
                most = max(most, inside)
            with lock:
                inside -= 1
                served += 1
            lane.leave()

    threads = [threading.Thread(target=work, args=(str(place % 4),)) for place in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert (served, queues.waiting, lane.is_free) == (240, 0, True)
    assert most <= 3


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    before = threading.active_count()
    yield
    assert threading.active_count() <= before


def test_a_place_with_a_limit_of_its_own_keeps_to_that() -> None:
    queues = Queues(limit=1)
    queues.adjust(limit=1, most_waiting=8, limits={"wide": 2})
    wide, usual = queues.lane("wide"), queues.lane("usual")
    for lane in (wide, usual):
        assert list(lane.enter("a")) == []
    assert (wide.limit, wide.is_free) == (2, True)
    assert (usual.limit, usual.is_free) == (1, False)
    assert list(wide.enter("a")) == []
    assert not wide.is_free
    queues.adjust(limit=None, most_waiting=8)
    assert wide.is_free and usual.limit is None
