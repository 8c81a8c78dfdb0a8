"""What would be decided at other thresholds is what a router with them decides; and what is fitted to that."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

from moe.config.schema import Config, RouterConfig
from moe.core import ChatRequest
from moe.judge.cases import Case
from moe.judge.tuning import Signals, deal_folds, decide, fit, tally, tune
from moe.judge.views import Remembering, Viewer, Views, depends
from moe.routing import NoModels, build_router
from moe.routing.meaning import Meaning
from moe.routing.router import find_routable
from moe.routing.scoring import score, softmax
from tests.routing.kit import TEAM, WordEmbedder, ask, make_config, show

TALKS = (
    ("fix my python code",), ("i have a fever and a headache",), ("a recipe for soup",), ("good evening",),
    ("soup recipe with python code",), ("unit test", "why?"), ("my blood pressure is high", "and then?"),
    ("code", "thanks", "soup"), ("pythn exception",), ("the oven temperature for bread", "and the medicine?"), ("",),
    ("### Task:\nGenerate a concise title for <chat_history>soup</chat_history>",),
)


def views_of(config: Config, cases: list[Case], folder: Path, *, by_keywords: bool = False) -> Views:
    meaning = None
    if not by_keywords:
        embedder = Remembering(WordEmbedder())
        meaning = Meaning(find_routable(config.experts), embedder, folder / "vectors", config.router)
    viewer = Viewer(config, meaning)
    return viewer.stack(cases, [viewer.look(case) for case in cases])


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
    views = views_of(make_config(softmax_temperature=0.2), cases, tmp_path, by_keywords=by_keywords)
    names = [*(expert.label for expert in find_routable(TEAM)), "fallback"]
    said = [names[place] for place in decide(views, config.router)]
    assert said == [router.decide(case.request).expert.label for case in cases]


def test_a_picture_has_no_threshold() -> None:
    assert not depends(case_of(ChatRequest(messages=(show("soup"),))))
    assert depends(case_of(ask("soup")))


def test_an_alternative_is_right_and_the_fallback_in_its_place_is_unanswered(tmp_path: Path) -> None:
    cases = [replace(case_of(ask("soup")), also=("chef",)), case_of(ask("soup"), "fallback")]
    views = views_of(make_config(), cases, tmp_path)
    assert views.right.tolist() == [[True, False, True, False], [False, False, False, True]]
    nobody, doctor = np.array([3, 3]), np.array([1, 1])
    assert (tally(views, nobody).right, tally(views, nobody).unanswered, tally(views, nobody).wrong) == (0.5, 0.5, 0.0)
    assert (tally(views, doctor).right, tally(views, doctor).unanswered, tally(views, doctor).wrong) == (0.0, 0.0, 1.0)


COUNT, EXPERTS = 300, 3


def make_signals() -> Signals:
    """The description is always right, the nearest keyword is a coin that is tossed."""
    random = np.random.default_rng(0)
    gold = random.integers(0, EXPERTS, COUNT)
    values = random.random((COUNT, EXPERTS, 4)).astype(np.float32) * 0.3
    values[:, :, 0] = random.random((COUNT, EXPERTS))
    values[np.arange(COUNT), gold, 1] += 0.5
    return Signals(values, gold)


def see_signals(signals: Signals, router: RouterConfig) -> Views:
    """One scored stage only, by the four-signal score itself."""
    shares = np.array([softmax(score(row, router.scoring_weights), router.softmax_temperature)
                       for row in signals.values])
    nothing = np.full((COUNT, 3), -1.0)
    places = np.concatenate((shares.argmax(axis=1)[:, np.newaxis], np.zeros((COUNT, 3), dtype=np.intp)), axis=1)
    right = np.concatenate((np.eye(EXPERTS)[signals.gold], np.zeros((COUNT, 1))), axis=1).astype(bool)
    return Views(np.concatenate((shares.max(axis=1)[:, np.newaxis], nothing), axis=1), places, right)


def test_a_weight_that_tells_nothing_goes_down_and_one_that_tells_all_goes_up() -> None:
    signals, router = make_signals(), make_config(confidence_threshold=0.3).router
    tuned = tune(lambda router: see_signals(signals, router), np.arange(COUNT) % 5, router, signals)
    assert tuned.router.scoring_weights.description > 0.5  # 0.3 before
    assert tuned.router.scoring_weights.max_keyword < 0.2  # 0.4 before
    assert tuned.after.right > 0.95 > 0.8 > tuned.before.right
    assert tuned.is_better
    assert tuned.router.confidence_threshold == 0.3  # no prompt fits nobody


def test_a_threshold_is_put_between_those_that_fit_and_those_that_do_not() -> None:
    confidence = np.full((100, 4), -1.0)
    confidence[:, 0] = np.concatenate((np.linspace(0.1, 0.5, 20), np.linspace(0.7, 0.9, 80)))
    right = np.concatenate((np.tile([False, True], (20, 1)), np.tile([True, False], (80, 1))))
    views = Views(confidence, np.zeros((100, 4), dtype=np.intp), right)
    router = make_config(confidence_threshold=0.2).router
    assert 0.5 < fit(lambda _: views, np.arange(100), router).confidence_threshold < 0.7
    assert tune(lambda _: views, np.arange(100) % 5, router).after.right == 1.0
    few = np.arange(11, 100)  # nine of them fit nobody
    assert fit(lambda _: views, few, router) == router


def test_what_makes_no_difference_stays_as_it_is() -> None:
    views = Views(np.tile([1.0, -1.0, -1.0, -1.0], (20, 1)), np.zeros((20, 4), dtype=np.intp),
                  np.tile([True, False, True], (20, 1)))
    router = make_config(confidence_threshold=0.333, confidence_threshold_keyword=0.123).router
    assert fit(lambda _: views, np.arange(20), router) == router


def test_a_source_is_held_out_whole_and_a_label_is_dealt_out() -> None:
    cases = [case_of(ask("x"), "coder", f"source {number % 7}") for number in range(70)]
    folds = deal_folds(cases)
    assert len(set(folds.tolist())) == 5
    assert all(len({int(folds[place]) for place in range(start, 70, 7)}) == 1 for start in range(7))
    folds = deal_folds([case_of(ask("x"), "coder" if number % 5 else "chef") for number in range(50)])
    assert [np.sum(folds[::5] == fold) for fold in range(5)] == [2] * 5
