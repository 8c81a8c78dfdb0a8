"""The circuit breaker against a model of what it promises."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from moe.pipeline.breaker import Breaker

FAILURES = 3
COOLDOWN_S = 10.0


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def make() -> tuple[Breaker, Clock]:
    clock = Clock()
    return Breaker(failures=FAILURES, cooldown_s=COOLDOWN_S, clock=clock), clock


def fail(breaker: Breaker, times: int, *, wait_s: float | None = None) -> None:
    for _ in range(times):
        breaker.fail(wait_s=wait_s)


def test_it_opens_after_failures_in_a_row_and_not_before() -> None:
    breaker, _ = make()
    fail(breaker, FAILURES - 1)
    assert (breaker.state, breaker.admit()) == ("closed", True)
    fail(breaker, 1)
    assert (breaker.state, breaker.admit()) == ("open", False)


def test_a_success_between_failures_starts_the_count_anew() -> None:
    breaker, _ = make()
    for _ in range(5):
        fail(breaker, FAILURES - 1)
        breaker.succeed()
    assert breaker.state == "closed"


def test_after_the_cooldown_one_probe_passes_at_a_time() -> None:
    breaker, clock = make()
    fail(breaker, FAILURES)
    clock.now += COOLDOWN_S
    assert breaker.state == "half-open"
    assert [breaker.admit() for _ in range(3)] == [True, False, False]


def test_many_at_once_get_one_probe() -> None:
    breaker, clock = make()
    fail(breaker, FAILURES)
    clock.now += COOLDOWN_S
    with ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(lambda _: breaker.admit(), range(64))) == 1


def test_a_probe_that_fails_opens_it_again_and_one_that_succeeds_closes_it() -> None:
    breaker, clock = make()
    fail(breaker, FAILURES)
    clock.now += COOLDOWN_S
    assert breaker.admit()
    breaker.fail()
    assert (breaker.state, breaker.admit()) == ("open", False)
    clock.now += COOLDOWN_S
    assert breaker.admit()
    breaker.succeed()
    assert breaker.state == "closed"
    assert all(breaker.admit() for _ in range(5))


def test_a_probe_that_ends_without_a_result_lets_the_next_one_through() -> None:
    breaker, clock = make()
    fail(breaker, FAILURES)
    clock.now += COOLDOWN_S
    assert breaker.admit()
    breaker.release()
    assert breaker.admit()


def test_what_the_upstream_asked_for_is_waited_for() -> None:
    breaker, clock = make()
    breaker.fail(wait_s=30)
    assert not breaker.admit()
    clock.now += 29
    assert (breaker.state, breaker.admit()) == ("open", False)
    clock.now += 1
    assert (breaker.state, breaker.admit(), breaker.admit()) == ("closed", True, True)


def test_a_later_failure_does_not_shorten_a_wait_that_was_asked_for() -> None:
    breaker, clock = make()
    fail(breaker, 1, wait_s=3 * COOLDOWN_S)
    fail(breaker, FAILURES - 1)
    clock.now += 3 * COOLDOWN_S - 0.01
    assert not breaker.admit()
    clock.now += 0.01
    assert breaker.admit()


class BreakerMachine(RuleBasedStateMachine):
    """Requests come, end in any order and any way, and time passes."""

    def __init__(self) -> None:
        super().__init__()
        self.breaker, self.clock = make()
        self.in_a_row = 0
        self.open_until = 0.0
        self.probing = False
        self.running = 0

    @rule(seconds=st.floats(0.1, 25))
    def time_passes(self, seconds: float) -> None:
        self.clock.now += seconds

    @rule()
    def a_request_comes(self) -> None:
        is_open = self.clock.now < self.open_until
        is_half_open = not is_open and self.in_a_row >= FAILURES
        expected = not is_open and not (is_half_open and self.probing)
        assert self.breaker.admit() is expected
        if expected:
            self.running += 1
            self.probing = is_half_open

    @precondition(lambda self: self.running)
    @rule()
    def one_succeeds(self) -> None:
        self.breaker.succeed()
        self.running -= 1
        self.in_a_row, self.open_until, self.probing = 0, 0.0, False

    @precondition(lambda self: self.running)
    @rule(wait_s=st.sampled_from([None, 0.0, 2.0, 40.0]))
    def one_fails(self, wait_s: float | None) -> None:
        self.breaker.fail(wait_s=wait_s)
        self.running -= 1
        self.in_a_row += 1
        self.probing = False
        if self.in_a_row >= FAILURES:
            self.open_until = max(self.open_until, self.clock.now + COOLDOWN_S)
        if wait_s:
            self.open_until = max(self.open_until, self.clock.now + wait_s)

    @precondition(lambda self: self.running)
    @rule()
    def one_is_left(self) -> None:
        self.breaker.release()
        self.running -= 1
        self.probing = False

    @invariant()
    def the_state_says_what_would_happen(self) -> None:
        is_open = self.clock.now < self.open_until
        half = "half-open" if self.in_a_row >= FAILURES else "closed"
        assert self.breaker.state == ("open" if is_open else half)


TestBreakerMachine = BreakerMachine.TestCase
TestBreakerMachine.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
