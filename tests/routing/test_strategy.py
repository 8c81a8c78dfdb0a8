"""Which strategy a request gets, in which tier it begins, and that the reason can be read."""

from __future__ import annotations

import re
from typing import Any

import pytest

from moe.core import ChatRequest, Completion, Decision, Message, Text, ToolResult
from moe.experts import Expert
from moe.routing.strategy import choose_strategy, find_probabilities
from tests.bench.complexity import PROMPTS, UNSEEN, Prompt, read_prompts

MATH = Expert(id=2, label="math", models={"1": "small", "2": "large"})
GENERAL = Expert(id=1, label="general", model_name="small")
EXPERTS = (GENERAL, MATH)
LABELLED, LATER = read_prompts(PROMPTS), read_prompts(UNSEEN)
READABLE = re.compile(
    r"(?:one plain question|\d+ plain requests) \([01]\.\d\d\)"
    r"|\d+ requests in \d domains \([\w, ]+\)|\d+ requests of several kinds \([01]\.\d\d\)"
    r"|\d+ requests? \(0\.\d\d\), but hardly for several experts|doubtful \(0\.\d\d\), below 0\.45"
    r"|doubtful \([01]\.\d\d\)(?:: tier 1 first, and tier 2 if its answer is not sure"
    r"|, and a small model fails at \d+% of such: the large one at once)")
PLAIN = "What is the capital of France?"
COMPOUND = ("Calculate the monthly rate of a loan of 240,000 euros at 3.1 % over 25 years, then check whether the bank "
            "may demand an early repayment fee under German law, and finally write a letter to the bank in English.")
DOUBTFUL = ("A tank is filled by two pipes in 6 and 9 hours and emptied by a third in 12 hours. If the third is opened "
            "an hour after the others, but closed for 20 minutes in each hour, when is the tank full? Prove that it is "
            "the least possible time.")


def ask(text: str, **more: Any) -> ChatRequest:
    return ChatRequest(messages=(Message("user", (Text(text),)),), **more)


def decide(expert: Expert = MATH, *, share: float = 0.9, **more: Any) -> Decision:
    scores = {expert.label: {"probability": share, "score": share}}
    return Decision(**{"expert": expert, "stage": "embedding", "confidence": share, "scores": scores, "virtual": True}
                    | more)


def choose(request: ChatRequest, decision: Decision, *, orchestrates: bool = True) -> Decision:
    return choose_strategy(request, decision, orchestrates=orchestrates, experts=EXPERTS)


def test_a_plain_question_is_one_call_in_the_first_tier() -> None:
    chosen = choose(ask(PLAIN), decide())
    assert (chosen.strategy, chosen.tier) == ("direct", 1)
    assert chosen.reason.startswith("one plain question (0.")


def test_a_compound_one_is_for_the_council_where_the_model_orchestrates() -> None:
    assert choose(ask(COMPOUND), decide()).strategy == "council"
    assert choose(ask(COMPOUND), decide(), orchestrates=False).strategy == "direct"
    alone = choose_strategy(ask(COMPOUND), decide(), orchestrates=True, experts=(MATH,))
    assert alone.strategy != "council"


def test_two_requests_in_two_domains_are_compound_though_they_look_doubtful() -> None:
    text = ("Work out the monthly rate of a loan of 240,000 euros at 3.1 % over 25 years, and check whether the bank "
            "may charge a fee for early repayment under German law.")
    small = dict.fromkeys(("general", "technical_support", "creative_writer", "medical_consult", "data_analyst",
                           "science", "reasoning"), 0.02)
    shares = {"math": 0.392, "translation": 0.254, "legal_advisor": 0.174, "code_reviewer": 0.042, **small}
    both = {label: {"probability": share, "score": share} for label, share in shares.items()}
    chosen = choose(ask(text), decide(scores=both))
    assert (chosen.strategy, chosen.reason) == ("council",
                                                "2 requests in 3 domains (math, translation, legal_advisor)")
    assert choose(ask(PLAIN), decide(scores=both)).strategy == "direct"


def test_a_doubtful_one_has_a_second_look_or_the_large_model_at_once() -> None:
    chosen = choose(ask(DOUBTFUL), decide())
    assert chosen.strategy == "escalate" or chosen.tier == 2
    single = choose(ask(DOUBTFUL), decide(), orchestrates=False)
    assert (single.strategy, single.tier) == ("direct", 2)


def test_who_stands_in_may_be_the_second_tier() -> None:
    small = Expert(id=3, label="small", model_name="a", tier=1, fallback="large")
    large = Expert(id=4, label="large", model_name="b", tier=2)
    decided = choose_strategy(ask(DOUBTFUL), decide(small), orchestrates=True, experts=(small, large))
    assert (decided.strategy, decided.tier) == ("escalate", 1)
    alone = choose_strategy(ask(DOUBTFUL), decide(small), orchestrates=True, experts=(small, GENERAL))
    assert alone.strategy == "direct"


def test_with_one_tier_there_is_no_second_look() -> None:
    alone = Expert(id=2, label="math", model_name="small")
    chosen = choose(ask(DOUBTFUL), decide(alone))
    assert (chosen.strategy, chosen.tier) == ("direct", None)
    assert chosen.reason.startswith("doubtful (0.") and chosen.reason.endswith(", but math has one tier")


@pytest.mark.parametrize(("prompts", "least"), [(LABELLED, 0.8), (LATER, 0.4)], ids=["fitted", "later"])
def test_a_council_is_for_what_several_experts_are_asked(prompts: list[Prompt], least: float) -> None:
    of = {kind: [choose_for(prompt).strategy == "council" for prompt in prompts if prompt.label == kind]
          for kind in ("plain", "compound")}
    assert sum(of["plain"]) <= 0.06 * len(of["plain"])
    assert sum(of["compound"]) >= least * len(of["compound"])


def choose_for(prompt: Prompt) -> Decision:
    label = max(prompt.probabilities, key=prompt.probabilities.__getitem__, default="general")
    scores = {each: {"probability": share, "score": share} for each, share in prompt.probabilities.items()}
    decision = decide(Expert(id=3, label=label, models={"1": "small", "2": "large"}), scores=scores)
    return choose_strategy(ask(prompt.text), decision, orchestrates=True, experts=EXPERTS, rate=prompt.rate)


def test_the_reason_is_one_that_people_can_read() -> None:
    for prompt in LABELLED:
        assert READABLE.fullmatch(choose_for(prompt).reason), choose_for(prompt).reason


def test_a_model_of_one_call_asks_nobody_about_parts() -> None:
    def refuse(part: str) -> dict[str, float]:
        raise AssertionError(part)

    chosen = choose_strategy(ask(COMPOUND), decide(), orchestrates=False, experts=EXPERTS, rate=refuse)
    assert chosen.strategy == "direct" and chosen.reason.endswith(", and a model of one call")


@pytest.mark.parametrize(("more", "reason"), [
    ({"tools": ({"type": "function", "function": {"name": "f"}},)}, "the client looks after tools itself"),
    ({"format": "json"}, "the client wants a certain form"),
    ({"logprobs": 2}, "the client wants a certain form"),
    ({"of": 3}, "several answers are asked for"),
    ({"completion": Completion(prompt=COMPOUND)}, "it is no question"),
])
def test_what_only_one_call_can_answer_is_direct(more: dict[str, Any], reason: str) -> None:
    chosen = choose(ask(COMPOUND, **more), decide())
    assert (chosen.strategy, chosen.reason) == ("direct", reason)


def test_a_conversation_with_calls_is_direct() -> None:
    messages = (Message("user", (Text(COMPOUND),)), Message("tool", (ToolResult("1", "f", "42"),)))
    assert choose(ChatRequest(messages=messages), decide()).strategy == "direct"


@pytest.mark.parametrize("stage", ["explicit", "raw"])
def test_whoever_names_who_answers_gets_just_that(stage: Any) -> None:
    chosen = choose(ask(COMPOUND), decide(stage=stage, virtual=False))
    assert (chosen.strategy, chosen.tier, chosen.reason) == ("direct", None, "the client named who answers")


def test_without_words_there_is_nothing_to_judge_by() -> None:
    assert choose(ask("  "), decide()).reason == "there are no words to judge by"


def test_the_probabilities_are_the_router_s() -> None:
    assert find_probabilities(decide(share=0.7)) == {"math": 0.7}
    assert find_probabilities(decide(scores={"math": {"score": 0.4, "keyword": 0.4}})) == {}
