"""The circuit breaker on a clock that only the test moves."""

from __future__ import annotations

from typing import Literal

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from moe.pipeline.breaker import Breaker

LIMIT = 3
COOLDOWN_S = 10.0
Outcome = Literal["succeed", "fail", "release"]
OUTCOMES: st.SearchStrategy[Outcome] = st.sampled_from(["succeed", "fail", "release"])
WAITS_S = st.sampled_from([None, 0.0, 2.0, 20.0])


class Hand:
    """A clock's hand, moved by the test."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def hand() -> Hand:
    return Hand()


@pytest.fixture
def breaker(hand: Hand) -> Breaker:
    return Breaker(failures=LIMIT, cooldown_s=COOLDOWN_S, clock=hand)


def fail(breaker: Breaker, *, times: int) -> None:
    for _ in range(times):
        assert breaker.admit()
        breaker.fail()


def test_failures_in_a_row_open_it(breaker: Breaker) -> None:
    fail(breaker, times=LIMIT - 1)
    assert (breaker.state, breaker.admit()) == ("closed", True)
    breaker.fail()
    assert (breaker.state, breaker.admit()) == ("open", False)


def test_a_success_between_failures_starts_the_count_anew(breaker: Breaker) -> None:
    fail(breaker, times=LIMIT - 1)
    assert breaker.admit()
    breaker.succeed()
    fail(breaker, times=LIMIT - 1)
    assert (breaker.state, breaker.admit()) == ("closed", True)


def test_after_its_rest_one_probe_passes_and_nobody_else(breaker: Breaker, hand: Hand) -> None:
    fail(breaker, times=LIMIT)
    hand.now_s += COOLDOWN_S - 0.01
    assert not breaker.admit()
    hand.now_s += 0.01
    assert breaker.state == "half-open"
    assert [breaker.admit() for _ in range(5)] == [True, False, False, False, False]


def test_a_good_probe_closes_it(breaker: Breaker, hand: Hand) -> None:
    fail(breaker, times=LIMIT)
    hand.now_s += COOLDOWN_S
    assert breaker.admit()
    breaker.succeed()
    assert breaker.state == "closed"
    assert [breaker.admit() for _ in range(3)] == [True, True, True]


def test_a_failed_probe_opens_it_again_at_once(breaker: Breaker, hand: Hand) -> None:
    fail(breaker, times=LIMIT)
    hand.now_s += COOLDOWN_S
    fail(breaker, times=1)
    assert (breaker.state, breaker.admit()) == ("open", False)
    hand.now_s += COOLDOWN_S
    assert breaker.admit()


def test_a_probe_that_told_nothing_lets_the_next_one_try(breaker: Breaker, hand: Hand) -> None:
    fail(breaker, times=LIMIT)
    hand.now_s += COOLDOWN_S
    assert breaker.admit()
    breaker.release()
    assert breaker.state == "half-open"
    assert breaker.admit()


def test_one_failure_with_a_wait_is_heeded_and_then_forgiven(breaker: Breaker, hand: Hand) -> None:
    assert breaker.admit()
    breaker.fail(wait_s=4.0)
    assert (breaker.state, breaker.admit()) == ("open", False)
    hand.now_s += 4.0
    assert breaker.state == "closed"
    assert [breaker.admit(), breaker.admit()] == [True, True]


def test_the_longer_of_wait_and_rest_counts(breaker: Breaker, hand: Hand) -> None:
    fail(breaker, times=LIMIT - 1)
    assert breaker.admit()
    breaker.fail(wait_s=COOLDOWN_S * 3)
    hand.now_s += COOLDOWN_S * 2
    assert not breaker.admit()
    hand.now_s += COOLDOWN_S
    assert breaker.admit()


def test_a_later_failure_does_not_shorten_a_wait_that_was_asked_for(breaker: Breaker, hand: Hand) -> None:
    assert all([breaker.admit() for _ in range(LIMIT)])
    breaker.fail(wait_s=COOLDOWN_S * 3)
    for _ in range(LIMIT - 1):
        breaker.fail()
    hand.now_s += COOLDOWN_S * 3 - 0.01
    assert not breaker.admit()


class Life(RuleBasedStateMachine):
    """Crowds come at any time and end in any way; one line of arithmetic says how many of them may pass."""

    def __init__(self) -> None:
        super().__init__()
        self.hand = Hand()
        self.breaker = Breaker(failures=LIMIT, cooldown_s=COOLDOWN_S, clock=self.hand)
        self.streak = 0
        self.closed_from_s = 0.0

    @rule(seconds=st.sampled_from([0.5, 3.0, COOLDOWN_S, 3 * COOLDOWN_S]))
    def pass_time(self, seconds: float) -> None:
        self.hand.now_s += seconds

    @rule(
        size=st.integers(1, LIMIT + 1),
        ends=st.lists(st.tuples(OUTCOMES, WAITS_S), min_size=LIMIT + 1, max_size=LIMIT + 1),
    )
    def come(self, size: int, ends: list[tuple[Outcome, float | None]]) -> None:
        expected = 0 if self.is_resting else size if self.streak < LIMIT else 1
        admitted = sum(self.breaker.admit() for _ in range(size))
        assert admitted == expected
        for end, wait_s in ends[:admitted]:
            self.end_one(end, wait_s)

    def end_one(self, end: Outcome, wait_s: float | None) -> None:
        if end == "fail":
            self.breaker.fail(wait_s=wait_s)
            self.streak += 1
            rests = [wait_s or 0.0, COOLDOWN_S if self.streak >= LIMIT else 0.0]
            self.closed_from_s = max(self.closed_from_s, self.hand.now_s + max(rests))
        elif end == "succeed":
            self.breaker.succeed()
            self.streak, self.closed_from_s = 0, 0.0
        else:
            self.breaker.release()

    @property
    def is_resting(self) -> bool:
        return self.hand.now_s < self.closed_from_s

    @invariant()
    def says_what_it_does(self) -> None:
        expected = "open" if self.is_resting else "closed" if self.streak < LIMIT else "half-open"
        assert self.breaker.state == expected


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=50, stateful_step_count=20, deadline=None)
