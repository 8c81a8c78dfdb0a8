"""Plain, doubtful or compound: the labelled prompts, and what must hold of any."""

from __future__ import annotations

import math
import time
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moe.routing.complexity import EASY, FILE, WEIGHTY, load_weights, rate_nothing, read_complexity, read_figures
from tests.bench.complexity import KINDS, PROMPTS, UNSEEN, read_prompts

LABELLED, LATER = read_prompts(PROMPTS), read_prompts(UNSEEN)
COMPOUND = "Write a function that parses dates, explain it to a beginner and translate the explanation into Spanish."


def test_there_are_prompts_of_each_kind_and_language() -> None:
    counted = Counter((prompt.lang, prompt.label) for prompt in LABELLED)
    assert len(LABELLED) >= 500 and min(counted.values()) >= 20 and len(counted) == 9
    assert not {prompt.text for prompt in LABELLED} & {prompt.text for prompt in LATER}
    assert len({prompt.text for prompt in LABELLED}) == len(LABELLED)


@pytest.mark.parametrize(("prompts", "least"), [(LABELLED, 0.82), (LATER, 0.8)], ids=["fitted", "later"])
def test_most_are_told_rightly(prompts: list, least: float) -> None:
    right = [read_complexity(prompt.text, prompt.probabilities, prompt.rate).kind == prompt.label for prompt in prompts]
    assert sum(right) / len(right) >= least


@pytest.mark.parametrize("prompt", [
    "What is the capital of Australia?", "Wie lange kocht ein Ei?", "¿Quién pintó Las Meninas?", "hi", "Danke!",
])
def test_a_short_question_is_plain_whatever_the_router_says(prompt: str) -> None:
    assert read_complexity(prompt, {}).kind == "plain"


def test_several_kinds_of_work_are_compound() -> None:
    found = read_complexity(COMPOUND, {"code_reviewer": 0.6, "translation": 0.35})
    assert found.kind == "compound" and found.requests == 3
    assert found.domains == ("code_reviewer", "translation")


def test_a_story_before_the_question_is_not_what_is_asked() -> None:
    story = "We spent the summer at the lake with my cousins and their dogs, it rained a lot, and we played cards. " * 3
    asked = read_figures(f"{story}How deep is Lake Garda?", {})
    assert asked["words"] < math.log1p(12)
    assert asked["requests"] == math.log1p(1)


def test_it_is_as_sure_as_its_likeliest_kind() -> None:
    found = read_complexity(COMPOUND, {})
    assert found.confidence == max(found.probabilities.values())


def test_parts_for_different_experts_make_it_compound_and_for_one_do_not() -> None:
    text = "How do vaccines work in the body? What may a landlord write into a lease?"
    whole = {"science": 0.5, "legal_advisor": 0.4}
    both = {"How do vaccines work in the body?": {"science": 0.97}}
    apart = read_complexity(text, whole, lambda part: both.get(part, {"legal_advisor": 0.98}))
    alike = read_complexity(text, whole, lambda part: {"science": 0.97})
    assert (apart.domains, apart.is_parted) == (("science", "legal_advisor"), True)
    assert alike.domains == ("science",)
    assert apart.probabilities["compound"] > 0.8 > 0.5 > alike.probabilities["compound"]
    assert not read_complexity(text, whole).is_parted


def test_a_single_question_is_never_rated_again() -> None:
    def refuse(part: str) -> dict[str, float]:
        raise AssertionError(part)

    for prompt in ("What is the capital of Australia?", "Erkläre mir den Treibhauseffekt.", "hi"):
        assert read_complexity(prompt, {"general": 1.0}, refuse) == read_complexity(prompt, {"general": 1.0})


def test_at_most_six_parts_are_rated_each_cut_to_a_length() -> None:
    asked: list[str] = []
    read_complexity("What is the price of it all? " * 60 + "How long is " + "very " * 400 + "long?", {"math": 1.0},
                    lambda part: asked.append(part) or {"math": 1.0})
    assert len(asked) == 6 and max(map(len, asked)) <= 300


def test_experts_of_other_names_tell_nothing_of_their_domain() -> None:
    figures = read_figures(COMPOUND, {"banking": 0.9, "travel": 0.1})
    assert all(math.isnan(figures[name]) for name in ("easy domains", *WEIGHTY))
    assert figures["domains"] == 2.0
    assert not set(EASY) & set(WEIGHTY)


@settings(max_examples=80, deadline=None)
@given(st.text(max_size=400), st.dictionaries(st.sampled_from(["math", "general", "x"]), st.floats(0, 1)))
def test_any_text_has_a_kind(text: str, probabilities: dict[str, float]) -> None:
    found = read_complexity(text, probabilities)
    assert found.kind in KINDS
    assert math.isclose(sum(found.probabilities.values()), 1.0, abs_tol=1e-9)
    assert all(math.isfinite(share) for share in found.probabilities.values())


def test_the_shipped_weights_fit_what_is_read() -> None:
    weights = load_weights()
    assert set(weights.names) == set(read_figures("", {}))
    assert weights.kinds == KINDS and len(weights.weights) == len(weights.bias) == 3
    assert all(len(row) == len(weights.names) == len(weights.mean) == len(weights.scale) for row in weights.weights)
    assert FILE.stat().st_size < 10_000


@pytest.mark.parametrize("part", ["and ", ", ", "1. ", "? ", "write a ", "und dann ", "\n", "x", " - ", "y lo ", '"',
                                  "'a ", "```", "> a\n", "who and ", "a: ", "tl;dr "])
def test_a_long_prompt_takes_no_longer_than_a_short_one(part: str) -> None:
    began = time.thread_time()
    read_complexity(part * (200_000 // len(part)), {"math": 1.0}, rate_nothing)
    assert time.thread_time() - began < 0.3
