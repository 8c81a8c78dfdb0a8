"""Which strategy a request gets, in which tier it begins, and that the reason can be read."""

from __future__ import annotations

from typing import Any

import pytest

from moe.core import ChatRequest, Completion, Decision, Message, Text, ToolResult
from moe.experts import Expert
from moe.routing.strategy import choose_strategy, find_probabilities

MATH = Expert(id=2, label="math", models={"1": "small", "2": "large"})
GENERAL = Expert(id=1, label="general", model_name="small")
EXPERTS = (GENERAL, MATH)
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
    assert chosen.reason.startswith("plain (0.")


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
                                                "compound: 2 requests in 3 domains (math, translation, legal_advisor)")
    assert choose(ask(PLAIN), decide(scores=both)).strategy == "direct"


def test_a_doubtful_one_has_a_second_look_or_the_large_model_at_once() -> None:
    chosen = choose(ask(DOUBTFUL), decide())
    assert chosen.strategy == "escalate" or chosen.tier == 2
    single = choose(ask(DOUBTFUL), decide(), orchestrates=False)
    assert (single.strategy, single.tier) == ("direct", 2)


def test_with_one_tier_there_is_no_second_look() -> None:
    chosen = choose(ask(DOUBTFUL), decide(GENERAL))
    assert (chosen.strategy, chosen.tier) == ("direct", None)
    assert "general has one tier" in chosen.reason


@pytest.mark.parametrize(("more", "reason"), [
    ({"tools": ({"type": "function", "function": {"name": "f"}},)}, "the client looks after tools itself"),
    ({"format": "json"}, "the client wants a certain form"),
    ({"logprobs": 2}, "the client wants a certain form"),
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
