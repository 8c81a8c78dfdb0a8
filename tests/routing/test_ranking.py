from __future__ import annotations

import pytest

from moe.core import Decision
from moe.routing.ranking import find_doubt, is_tie, rank

from .kit import CODER


def decide(*shares: float, **more: float) -> Decision:
    scores = {f"e{place}": {"score": 0.0, "probability": share, **more} for place, share in enumerate(shares)}
    return Decision(expert=CODER, stage="embedding", confidence=max(shares, default=1.0), scores=scores)


def test_the_likeliest_expert_comes_first() -> None:
    assert rank(decide(0.1, 0.6, 0.2)) == [("e1", 0.6), ("e2", 0.2), ("e0", 0.1)]
    assert rank(decide()) == []


@pytest.mark.parametrize(("shares", "tied"), [
    ((0.45, 0.4), True), ((0.6, 0.3), False), ((0.1, 0.09), False), ((0.2, 0.1), True), ((0.9,), False), ((), False),
])
def test_a_near_tie_is_close_and_not_nothing(shares: tuple[float, ...], tied: bool) -> None:
    assert is_tie(rank(decide(*shares))) is tied


def test_what_the_experts_lack_to_one_is_that_none_fits() -> None:
    assert find_doubt(decide(0.25, 0.5)) == pytest.approx(0.25)
    assert find_doubt(decide(0.5, 0.5 + 1e-7)) == 0


def test_where_nothing_measures_it_there_is_no_figure() -> None:
    assert find_doubt(decide()) is None
    assert find_doubt(decide(0.25, 0.75, max_keyword=0.3)) is None
    by_words = {"e0": {"score": 0.5, "keyword": 0.5}}
    assert find_doubt(Decision(expert=CODER, stage="keyword", confidence=0.5, scores=by_words)) is None
