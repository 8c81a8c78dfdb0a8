from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from moe.config.schema import RouterConfig
from moe.core import ChatRequest, Completion, Decision
from moe.errors import NotReady
from moe.experts import Expert
from moe.routing import NoModels, Router, build_router
from moe.routing.classifier import ClassifierStage, Shares, load_stage, match
from moe.routing.stages import Trace

from .kit import ask, make_config

MODELS = Path(__file__).parent.parent / "models"
UNSEEN = json.loads((MODELS / "answers.json").read_text("utf-8"))["classifier"]
ANYTHING = Expert(id=0, label="anything", aliases=("general",))
CODE = Expert(id=1, label="Code", keywords=("python", "rust"))
SUMS = Expert(id=2, label="sums", aliases=("Math",), keywords=("equation", "algebra"))
TEAM = (ANYTHING, CODE, SUMS)


class Fixed:
    """A classifier that says what it is told, and counts the texts."""

    def __init__(self, labels: Sequence[str], *shares: float) -> None:
        self.labels = tuple(labels)
        self.shares = np.array(shares)
        self.seen: list[str] = []

    def rate(self, text: str) -> Shares:
        self.seen.append(text)
        return self.shares


def make_router(*experts: Expert, **router: Any) -> Router:
    config = make_config(*(experts or TEAM), mode="model", **{"model_path": "classifier", **router})
    stage = load_stage(config, MODELS)
    return build_router(config, models=NoModels(), embedder=None, cache_folder=MODELS, classifier=stage,
                        note=stage.note)


def told(decision: Decision) -> tuple[str, str]:
    return decision.expert.label, decision.stage


def stage_of(classifier: Fixed, experts: Sequence[Expert] = TEAM, **router: Any) -> ClassifierStage:
    return ClassifierStage(experts, classifier, RouterConfig(**{"confidence_threshold": 0.4, **router}))


def decide(stage: ClassifierStage, *texts: str) -> tuple[Decision | None, Trace]:
    request = ask(*texts)
    trace = Trace(request, messages=3)
    return stage(request, trace), trace


@pytest.mark.parametrize("each", UNSEEN, ids=lambda each: each["text"])
def test_texts_it_never_saw_go_to_the_expert_of_their_label(each: dict[str, str]) -> None:
    decision = make_router().decide(ask(each["text"]))
    wanted = {"general": "anything", "code": "Code", "math": "sums"}[each["label"]]
    assert told(decision) == (wanted, "classifier") and decision.confidence > 0.9


def test_the_trace_has_every_experts_probability() -> None:
    decision = make_router().decide(ask("What is 5 + 9?"))
    assert set(decision.scores) == {"Code", "sums"}
    assert decision.scores["sums"] == {"score": decision.confidence, "probability": decision.confidence}
    assert decision.scores["Code"]["probability"] < 0.1 and decision.elapsed_ms > 0


def test_the_router_says_that_it_classifies() -> None:
    router = make_router()
    assert (router.mode, router.note) == ("classification", "")


def test_a_follow_up_is_read_with_what_was_asked_before() -> None:
    assert told(make_router().decide(ask("Write a Python function to sort a list", "make it shorter"))) == (
        "anything", "classifier")  # not among the usual words: the classifier has its say
    assert told(make_router().decide(ask("Write a Python function to sort a list", "More details!"))) == (
        "Code", "context")


def test_what_is_unsure_alone_may_be_sure_in_its_context() -> None:
    class Reader(Fixed):
        def rate(self, text: str) -> Shares:
            return np.array([0.1, 0.8, 0.1]) if "\n" in text else np.array([0.34, 0.33, 0.33])

    decision, _ = decide(stage_of(Reader(["general", "code", "math"])), "first", "second")
    assert decision is not None and told(decision) == ("Code", "context")


def test_below_the_threshold_the_keywords_decide_and_then_the_fallback() -> None:
    router = make_router(confidence_threshold=1.0, confidence_threshold_keyword=0.2)
    assert told(router.decide(ask("Solve the equation"))) == ("sums", "keyword")
    decision = router.decide(ask("zzz"))
    assert told(decision) == ("anything", "fallback")
    assert decision.confidence == pytest.approx(1 - max(each["probability"] for each in decision.scores.values()))
    alone = make_router(confidence_threshold=1.0, confidence_threshold_keyword=0.2, keyword_fallback=False)
    assert told(alone.decide(ask("Solve the equation"))) == ("anything", "fallback")


def test_a_label_of_the_fallback_sends_there_without_a_score() -> None:
    decision, trace = decide(stage_of(Fixed(["general", "code", "math"], 0.9, 0.06, 0.04)), "hello")
    assert decision is not None and (told(decision), decision.confidence) == (("anything", "classifier"), 0.9)
    assert set(trace.scores) == {"Code", "sums"} and trace.best == 0.06


def test_a_label_of_no_expert_keeps_its_share_and_is_named() -> None:
    stage = stage_of(Fixed(["sports", "code", "math"], 0.9, 0.07, 0.03), confidence_threshold=0.4)
    assert stage.note == "labels of the classifier that are no expert's name: sports"
    decision, trace = decide(stage, "who won the cup?")
    assert decision is None and trace.best == 0.07


def test_several_labels_may_mean_one_expert() -> None:
    decision, _ = decide(stage_of(Fixed(["math", "sums", "code"], 0.3, 0.35, 0.35)), "x")
    assert decision is not None and decision.expert is SUMS and decision.confidence == pytest.approx(0.65)


def test_an_expert_without_a_label_is_never_chosen_but_scored() -> None:
    poet = Expert(id=3, label="poet", keywords=("rhyme",))
    decision, trace = decide(stage_of(Fixed(["code"], 1.0), [*TEAM, poet]), "x")
    assert decision is not None and decision.expert is CODE and trace.scores["poet"]["score"] == 0.0


@pytest.mark.parametrize(("label", "place"), [
    ("code", 1), ("CODE", 1), (" Code ", 1), ("math", 2), ("MATH", 2), ("2", 2), ("LABEL_2", 2), ("label 0", 0),
    ("General", 0), ("nobody", -1), ("3", -1), ("", -1)])
def test_labels_find_their_expert_by_label_alias_or_id(label: str, place: int) -> None:
    assert match([label], TEAM) == [place]


def test_spaces_and_dashes_in_labels_do_not_matter() -> None:
    assert match(["web_search", "Web-Search", "web  search"], [Expert(id=1, label="web search")]) == [0, 0, 0]


def test_a_label_wins_over_an_alias_and_an_alias_over_a_number() -> None:
    experts = [Expert(id=2, label="one", aliases=("two",)), Expert(id=1, label="two", aliases=("3",)),
               Expert(id=3, label="three")]
    assert match(["two", "3", "2"], experts) == [1, 1, 0]


def test_no_label_that_names_an_expert_is_an_error() -> None:
    labels = [f"topic {number}" for number in range(20)]
    with pytest.raises(NotReady, match="topic 0, topic 1.* and 12 more"):
        stage_of(Fixed(labels, *([0.05] * 20)))


def test_an_unroutable_expert_is_not_chosen(tmp_path: Path) -> None:
    router = make_router(ANYTHING, replace(CODE, routable=False), SUMS)
    assert router.note.endswith(": code")
    assert told(router.decide(ask("Write a function that parses json"))) == ("anything", "fallback")


def test_a_text_read_before_is_not_read_again() -> None:
    classifier = Fixed(["general", "code", "math"], 0.1, 0.8, 0.1)
    stage = stage_of(classifier)
    for _ in range(3):
        decide(stage, "the same text")
    assert classifier.seen == ["the same text"]


def test_a_huge_text_is_cut_before_it_is_read() -> None:
    classifier = Fixed(["general", "code", "math"], 0.1, 0.8, 0.1)
    decide(stage_of(classifier), "word " * 100_000)
    assert len(classifier.seen[0]) == 512
    assert told(make_router().decide(ask("calculate 12 * 45 " * 50_000))) == ("sums", "classifier")


def test_nothing_to_read_decides_nothing() -> None:
    classifier = Fixed(["code"], 1.0)
    assert decide(stage_of(classifier), "  ")[0] is None and decide(stage_of(classifier), "\n\t")[0] is None
    assert classifier.seen == []


def test_a_completions_prompt_is_read_too() -> None:
    decision = make_router().decide(ChatRequest(model="lemoe", completion=Completion(prompt="calculate 12 * 45")))
    assert told(decision) == ("sums", "classifier")


def test_a_classifier_that_fails_leaves_it_to_the_next_stage() -> None:
    class Broken(Fixed):
        def rate(self, text: str) -> Shares:
            raise NotReady("no numbers")

    assert decide(stage_of(Broken(["code"])), "python")[0] is None


@given(st.lists(st.floats(0, 1), min_size=3, max_size=3).filter(any), st.floats(0, 1))
def test_whatever_it_says_the_likeliest_expert_wins_if_sure_enough(raw: list[float], threshold: float) -> None:
    shares = [each / sum(raw) for each in raw]
    stage = stage_of(Fixed(["general", "code", "math"], *shares), confidence_threshold=threshold)
    decision, trace = decide(stage, "x")
    if max(shares) < threshold:
        assert decision is None
    else:
        assert decision is not None and decision.confidence == max(shares) <= 1
    assert trace.best == max(shares[1:])


def test_many_threads_may_ask_at_once() -> None:
    router = make_router()
    asked = [f"{UNSEEN[place % 6]['text']} {place}" for place in range(120)]
    with ThreadPoolExecutor(12) as threads:
        together = list(threads.map(lambda text: router.decide(ask(text)).confidence, asked))
    fresh = make_router()
    assert together == [fresh.decide(ask(text)).confidence for text in asked]
