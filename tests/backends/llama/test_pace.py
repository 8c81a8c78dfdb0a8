from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from moe.backends.llama.pace import LOOK_AGAIN, Pace


def widths(cost: Callable[[int], float], most: int, steps: int, pace: Pace | None = None) -> Counter[int]:
    """The widths chosen where a step of width w takes cost(w), after what it takes to learn that."""
    pace = pace or Pace()
    chosen: Counter[int] = Counter()
    for step in range(steps + 40):
        width = pace.choose(most)
        assert 1 <= width <= most
        pace.learn(width, cost(width))
        if step >= 40:
            chosen[width] += 1
    return chosen


def test_where_width_costs_little_all_go_together() -> None:
    chosen = widths(lambda width: 5 + 0.1 * width, 8, 320)
    assert chosen[8] >= 320 - 320 // LOOK_AGAIN - 1


def test_where_two_cost_four_times_as_much_as_one_each_goes_alone() -> None:
    chosen = widths(lambda width: 5 if width == 1 else 20 + width, 4, 320)
    assert chosen[1] >= 320 - 320 // LOOK_AGAIN - 1


def test_the_best_width_between_is_found() -> None:
    chosen = widths(lambda width: {1: 5, 2: 20, 4: 21, 8: 22, 12: 60}[width], 12, 320)
    assert chosen[8] >= 320 - 320 // LOOK_AGAIN - 1


def test_it_learns_anew_when_the_machine_changes() -> None:
    pace = Pace()
    widths(lambda width: 5 if width == 1 else 50, 4, 100, pace)
    chosen = widths(lambda width: 50 if width == 1 else 5, 4, 40 * LOOK_AGAIN, pace)
    assert chosen[4] > sum(chosen.values()) * 0.6


def test_one_first_step_that_was_slow_does_not_decide() -> None:
    pace = Pace()
    for taken in (1000.0, 5.0):
        assert pace.choose(2) == 2
        pace.learn(2, taken)
    for taken in (1000.0, 4.0):
        assert pace.choose(2) == 1
        pace.learn(1, taken)
    assert pace.choose(2) == 2
