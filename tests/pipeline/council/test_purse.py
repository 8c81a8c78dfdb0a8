"""What may still be spent on the parts of a request: firsts before seconds, and never more than there is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from moe.pipeline.asking import Spent
from moe.pipeline.council.purse import Purse
from tests.fakes import fake_ollama
from tests.pipeline.council.rig import Rig, rig_of


@pytest.fixture
def rig() -> Iterator[Rig]:
    with fake_ollama() as ollama, rig_of(ollama, max_calls=4) as made:
        yield made


def draws(purse: Purse, *extras: bool) -> int:
    """How many of these calls may be open at once."""
    with ExitStack() as stack:
        for count, is_extra in enumerate(extras):
            try:
                stack.enter_context(purse.draw(is_extra=is_extra))
            except Spent:
                return count
        return len(extras)


def test_calls_that_are_open_count(rig: Rig) -> None:
    assert draws(Purse(rig.asking(), tasks=9, to_follow=1), *[False] * 9) == 4


def test_a_call_that_is_over_counts_only_where_it_was_made(rig: Rig) -> None:
    purse = Purse(rig.asking(), tasks=9, to_follow=1)
    for _ in range(9):
        assert draws(purse, False) == 1


def test_what_is_due_and_what_follows_is_kept_from_an_extra(rig: Rig) -> None:
    assert draws(Purse(rig.asking(), tasks=2, to_follow=1), False, True) == 2
    assert draws(Purse(rig.asking(), tasks=3, to_follow=1), False, True) == 1
    assert draws(Purse(rig.asking(), tasks=2, to_follow=2), False, True) == 1


def test_a_task_that_needs_no_call_keeps_none(rig: Rig) -> None:
    purse = Purse(rig.asking(), tasks=3, to_follow=1)
    purse.settle()
    assert draws(purse, False, True) == 2
