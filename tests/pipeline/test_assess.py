"""What is known of an answer becomes one confidence: a table of answers, and what each of them is worth."""

from __future__ import annotations

import time
from typing import Any

import pytest

from moe.core import ChatRequest, Done, Extract, Finish, Message, Sampling, Started, Text, TokenLogprob
from moe.experts import Expert
from moe.pipeline.asking import Said
from moe.pipeline.assess import assess, foresee, glance
from moe.pipeline.confidence import EMPTY, REFUSED, Tokens
from moe.pipeline.grounding import HEADING

CITY = "Which city lies where both rivers meet?"
PENS = "Ann has 3 boxes with 12 pens each and gives 7 pens away. How many pens are left?"
GENERAL = Expert(id=1, label="general")
SURE = 0.65
VERIFIED = f"<verified>\n{HEADING}\n- 847*23.7 = 20073.9\n</verified>"


def ask(text: str = CITY, *, facts: str = "", **sampling: Any) -> ChatRequest:
    parts = (Text(text), *((Extract(facts),) if facts else ()))
    return ChatRequest(messages=(Message("user", parts),), sampling=Sampling(**sampling))


def say(text: str, *, finish: Finish = "stop", logprob: float | None = None, thought: str = "", **done: Any) -> Said:
    tokens = Tokens()
    if logprob is not None:
        tokens.add(TokenLogprob(word, logprob) for word in text.split())
    return Said(text=text, who=Started(expert="general", model="m"), done=Done(finish=finish, **done), tokens=tokens,
                thought=thought)


def rate(said: Said, request: ChatRequest | None = None, **known: Any) -> float:
    return assess(said, request or ask(), expert=GENERAL, **known).confidence


@pytest.mark.parametrize(("said", "known", "is_sure"), [
    (say("It is Lyon."), {}, True), (say("It is Lyon.", logprob=-0.1), {}, True),
    (say("It is Lyon.", logprob=-2.0), {}, False), (say("It is Lyon.", mean_logprob=-2.0, min_logprob=-8.0), {}, False),
    (say("I'm sorry, but I can't answer that."), {}, False), (say(""), {}, False), (say("It is the"), {}, False),
    (say("It is Lyon.", finish="length"), {}, False), (say("It is Lyon.", finish="content_filter"), {}, False),
    (say("And so on it goes, again. " * 20), {}, False), (say("I guess it is Lyon, but I am not sure."), {}, False),
    (say("It is Lyon."), {"self_report": 0.3}, False), (say("It is Lyon."), {"self_report": 0.95}, True),
    (say("It is Lyon."), {"past_score": 0.1}, False), (say("It is Lyon."), {"agreement": 0.0}, False),
    (say("It is Lyon."), {"lacks_form": True}, False), (say("It is Lyon."), {"refuses": True}, False),
    (say("It is Lyon."), {"likely": 0.4}, False), (say("It is 3 + 4 = 8."), {}, False),
])
def test_on_which_side_an_answer_is(said: Said, known: dict[str, Any], is_sure: bool) -> None:
    assert (rate(said, **known) >= SURE) is is_sure


def test_who_says_nothing_is_worth_nothing() -> None:
    assert rate(say(" "), self_report=1.0) == EMPTY
    refusal = assess(say("I can't help with that."), ask(), expert=GENERAL, self_report=1.0)
    assert (refusal.confidence, refusal.reason, refusal.is_bare) == (REFUSED, "refused", True)


@pytest.mark.parametrize("text", ["Maybe.", "It depends.", "Vielleicht.", "Kommt darauf an.", "Depende."])
def test_who_says_only_that_it_depends_has_not_answered(text: str) -> None:
    assert rate(say(text), likely=0.9) < 0.4
    assert glance(say(text)) < 0.4
    assert assess(say(text), ask(), expert=GENERAL).is_bare
    assert rate(say(text), is_whole=False) > 0.5
    assert rate(say(text), ask(f"Answer with \"No.\" or \"{text}\"")) > 0.5
    assert assess(say(text), ask(), expert=Expert(id=2, label="translation")).confidence > SURE


def test_a_beginning_is_not_blamed_for_having_no_end() -> None:
    for text in ("It is the", ""):
        assert rate(say(text), is_whole=False) >= SURE > rate(say(text))
    assert rate(say("I'm sorry, but I can't help with that, "), is_whole=False) == REFUSED


def test_an_end_that_was_asked_for_is_no_fault() -> None:
    assert rate(say("It is the", finish="length"), ask(max_tokens=3)) >= SURE
    assert rate(say("It is the"), ask(stop=("city",))) >= SURE


@pytest.mark.parametrize(("answer", "is_sure"), [
    ("Ann has 3 * 12 = 36 pens.\nShe keeps 36 - 7 = 29 pens.", True),
    ("Ann has 3 * 12 = 38 pens.\nShe keeps 38 - 7 = 31 pens.", False),
    ("Ann has 3 * 12 = <<3*12=36>>36 pens.\nShe keeps 36 - 7 = <<36-7=29>>29 pens.\n#### 29", True),
    ("She has 3 + 12 = 15 pens, which is negative, so it is not possible to say.", False),
])
def test_work_is_read_by_the_weights_that_were_fitted_on_such(answer: str, is_sure: bool) -> None:
    assert (rate(say(answer), ask(PENS)) >= SURE) is is_sure


def test_a_sum_in_another_language_is_worked_out_all_the_same() -> None:
    asked = ask("Anna hat 3 Kisten mit je 12 Stiften und gibt 7 ab. Wie viele Stifte sind es noch?")
    right, wrong = (rate(say(f"Das sind 3 * 12 = {sum_} Stifte."), asked) for sum_ in (36, 38))
    assert right > SURE > wrong


@pytest.mark.parametrize(("answer", "is_sure"), [
    ("It is 20073.9, as of now.", True), ("Es sind 20.073,9.", True), ("It is 20,100.", False), ("A lot.", False)])
def test_what_tools_found_has_to_be_in_the_answer(answer: str, is_sure: bool) -> None:
    assert (rate(say(answer), ask("What is 847*23.7, and why?", facts=VERIFIED)) >= SURE) is is_sure


def test_the_last_call_counts_and_only_where_one_was_made() -> None:
    thought = 'calculate(expression="2*3") → 6\ncalculate(expression="6*7") → 42\n'
    assert rate(say("It is 42.", thought=thought, tools=("calculate",))) > rate(say("It is 42."))
    assert rate(say("It is 43.", thought=thought, tools=("calculate",))) < SURE
    assert rate(say("It is 43.", thought=thought)) == rate(say("It is 43."))
    failed = 'calculate(expression="2*") → error: this has no value\n'
    assert rate(say("It is 43.", thought=failed, tools=("calculate",))) == rate(say("It is 43."))


def test_who_speaks_for_others_does_not_doubt_with_their_words() -> None:
    doubt = say("Perhaps, he said, I could be wrong, I am not sure, maybe I guess.")
    writer = Expert(id=2, label="creative_writer")
    assert assess(doubt, ask(), expert=writer).confidence > SURE > rate(doubt)


def test_the_reason_names_what_counted() -> None:
    reason = assess(say("It is Lyon.", logprob=-2.5), ask(), expert=GENERAL, self_report=0.5).reason
    assert reason.startswith(f"likely {1 - foresee(ask()):.2f}, ")
    assert "logprobs -" in reason and "self_report -" in reason


def test_nothing_asked_and_nothing_said_is_no_error() -> None:
    assert 0 <= rate(say(""), ChatRequest()) <= 1
    assert 0 <= foresee(ChatRequest()) <= 1


@pytest.mark.parametrize("unit", [
    "1 + 1 = 3 ", "perhaps ", "again and again. ", "- x = 3\n", "f(x) → 3\n", "```\n", " "])
def test_no_answer_makes_it_slow(unit: str) -> None:
    text = unit * (100_000 // len(unit))
    began = time.process_time()
    rate(say(text, thought=text, tools=("f",)), ask(f"{PENS} {text}", facts=VERIFIED))
    assert time.process_time() - began < 1.5


def test_a_book_of_numbers_is_read_at_both_ends_only() -> None:
    book = "x1 = 2\n" * 430_000
    began = time.process_time()
    assert rate(say(f"{book}It is 20073.9."), ask("What is 847*23.7, and why?", facts=VERIFIED)) >= SURE
    assert rate(say(book), ask("What is 847*23.7, and why?", facts=VERIFIED)) < SURE
    assert time.process_time() - began < 3
