"""What would be decided at other thresholds is what a router with them decides; and what is fitted to that."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

from moe.config.schema import Config, ScoringWeights
from moe.core import ChatRequest
from moe.judge.cases import Case
from moe.judge.tuning import deal_folds, decide, fit, tune
from moe.judge.views import Viewer, Views, depends
from moe.routing import NoModels, build_router
from moe.routing.meaning import Meaning
from moe.routing.router import find_routable
from tests.routing.kit import TEAM, WordEmbedder, ask, make_config, show

TALKS = (
    ("fix my python code",), ("i have a fever and a headache",), ("a recipe for soup",), ("good evening",),
    ("soup recipe with python code",), ("unit test", "why?"), ("my blood pressure is high", "and then?"),
    ("code", "thanks", "soup"), ("pythn exception",), ("the oven temperature for bread", "and the medicine?"), ("",),
    ("### Task:\nGenerate a concise title for <chat_history>soup</chat_history>",),
)


def views_of(config: Config, cases: list[Case], folder: Path, *, by_keywords: bool = False) -> tuple[Viewer, Views]:
    meaning = None
    if not by_keywords:
        meaning = Meaning(find_routable(config.experts), WordEmbedder(), folder / "vectors", config.router)
    viewer = Viewer(config, meaning)
    return viewer, viewer.stack(cases, [viewer.look(case) for case in cases])


def case_of(request: ChatRequest, label: str = "coder", source: str = "") -> Case:
    return Case(id=1, request=request, label=label, source=source)


@pytest.mark.parametrize("by_keywords", [False, True])
@pytest.mark.parametrize("threshold", [0.0, 0.2, 0.35, 0.5, 0.8, 1.0])
@pytest.mark.parametrize("keyword_threshold", [None, 0.0, 0.3, 0.55])
def test_a_view_decides_as_the_router_does(
    tmp_path: Path, threshold: float, keyword_threshold: float | None, by_keywords: bool
) -> None:
    config = make_config(softmax_temperature=0.2, confidence_threshold=threshold,
                         confidence_threshold_keyword=keyword_threshold)
    router = build_router(config, models=NoModels(), embedder=None if by_keywords else WordEmbedder(),
                          cache_folder=tmp_path / "vectors")
    cases = [case for talk in TALKS if depends(case := case_of(ask(*talk)))]
    assert len(cases) == len(TALKS) - 1
    _, views = views_of(make_config(softmax_temperature=0.2), cases, tmp_path, by_keywords=by_keywords)
    names = [*(expert.label for expert in find_routable(TEAM)), "fallback"]
    said = [names[place] for place in decide(views, config.router)]
    assert said == [router.decide(case.request).expert.label for case in cases]


def test_other_weights_and_temperatures_score_as_the_router_would(tmp_path: Path) -> None:
    weights = ScoringWeights(max_keyword=0.1, description=0.8, mean_keyword=0.1, top3_vote=0.0)
    other = make_config(softmax_temperature=0.07, scoring_weights=weights, confidence_threshold=0.6)
    cases = [case_of(ask(*talk)) for talk in TALKS[:-1]]
    _, views = views_of(make_config(), cases, tmp_path)
    router = build_router(other, models=NoModels(), embedder=WordEmbedder(), cache_folder=tmp_path / "vectors")
    names = [*(expert.label for expert in find_routable(TEAM)), "fallback"]
    said = [names[place] for place in decide(views, other.router)]
    assert said == [router.decide(case.request).expert.label for case in cases]


def test_a_picture_has_no_threshold() -> None:
    assert not depends(case_of(ChatRequest(messages=(show("soup"),))))
    assert depends(case_of(ask("soup")))


def test_what_a_choice_is_worth(tmp_path: Path) -> None:
    cases = [replace(case_of(ask("soup")), also=("chef",)), case_of(ask("soup"), "fallback")]
    _, views = views_of(make_config(), cases, tmp_path)
    assert views.worth.tolist() == [[1.0, 0.0, 1.0, 0.5], [0.0, 0.0, 0.0, 1.0]]


def test_a_weight_that_tells_nothing_goes_down_and_one_that_tells_all_goes_up(tmp_path: Path) -> None:
    """Signals made by hand: the description is always right, the nearest keyword a coin that is tossed."""
    random = np.random.default_rng(0)
    count, experts = 300, 3
    gold = random.integers(0, experts, count)
    signals = random.random((count, 2, experts, 4)).astype(np.float32) * 0.3
    signals[:, :, :, 0] = random.random((count, 2, experts))
    signals[np.arange(count), 0, gold, 1] += 0.5
    worth = np.zeros((count, experts + 1))
    worth[np.arange(count), gold] = 1
    worth[:, -1] = 0.5
    confidence = np.tile([0.5, -1.0, -1.0, -1.0], (count, 1))
    views = Views(confidence, np.zeros((count, 4), dtype=np.intp), worth, gold, signals)
    router = make_config().router
    tuned = tune(views, np.arange(count) % 5, router)
    assert tuned.router.scoring_weights.description > 0.5  # 0.3 before
    assert tuned.router.scoring_weights.max_keyword < 0.2  # 0.4 before
    assert tuned.after.right > 0.95 > 0.8 > tuned.before.right
    assert tuned.is_better


def test_what_makes_no_difference_stays_as_it_is(tmp_path: Path) -> None:
    views = Views(np.tile([1.0, -1.0, -1.0, -1.0], (20, 1)), np.zeros((20, 4), dtype=np.intp),
                  np.tile([1.0, 0.0, 0.5], (20, 1)), np.zeros(20, dtype=np.intp), None)
    router = make_config(confidence_threshold=0.333, confidence_threshold_keyword=0.123).router
    assert fit(views, router) == router


def test_a_source_is_held_out_whole_and_a_label_is_dealt_out() -> None:
    cases = [case_of(ask("x"), "coder", f"source {number % 7}") for number in range(70)]
    folds = deal_folds(cases)
    assert len(set(folds.tolist())) == 5
    assert all(len({int(folds[place]) for place in range(start, 70, 7)}) == 1 for start in range(7))
    folds = deal_folds([case_of(ask("x"), "coder" if number % 5 else "chef") for number in range(50)])
    assert [np.sum(folds[::5] == fold) for fold in range(5)] == [2] * 5
