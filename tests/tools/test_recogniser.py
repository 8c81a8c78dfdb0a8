"""A prompt is a tool's question only if every word is understood, and by one reading alone."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from moe.errors import ToolError
from moe.tools.base import Outcome, Setting, tool
from moe.tools.questions.question import Asked, Finder, Question, Reader, fold, pose
from moe.tools.questions.recogniser import MOST_FACTS, Recogniser
from moe.tools.toolbox import Toolbox

DOUBLE = re.compile(r"double ([0-9]+)")


@tool("test")
def double(number: int, *, setting: Setting) -> Outcome:
    """Doubles a number."""
    if number == 13:
        raise ToolError("unlucky")
    return Outcome(result=number * 2, text=str(number * 2), is_whole=number != 17)


def read(question: Question) -> Asked | None:
    found = DOUBLE.fullmatch(question.folded)
    return Asked("double", {"number": int(found[1])}) if found else None


def read_otherwise(question: Question) -> Asked | None:
    return Asked("double", {"number": 1}) if question.folded == "double 5" else None


def find(text: str) -> Iterator[tuple[str, Asked]]:
    for found in DOUBLE.finditer(text):
        yield found[0], Asked("double", {"number": int(found[1])})


def recogniser(*readers: Reader, disabled: bool = False) -> Recogniser:
    cue = re.compile("double")
    return Recogniser(
        Toolbox(() if disabled else (double,), Setting()), readers=readers or (Reader(cue, read),),
        finders=(Finder(cue, find),), cues={"double": cue},
    )


@pytest.mark.parametrize("prompt", [
    "double 4", "Double 4?", "Please double 4", "hey, can you please double 4 ?!", "  double   4 . thanks!",
    "Kannst du mir bitte sagen: double 4", "¿Puedes decirme double 4, por favor?",
])
def test_politeness_is_no_part_of_a_question(prompt: str) -> None:
    answered = recogniser().answer(prompt)
    assert answered is not None and answered.outcome.result == 8


def test_an_answer_that_somebody_has_to_judge_is_none_and_no_fact_either() -> None:
    assert recogniser().answer("double 17") is None
    assert recogniser().find("why is double 17 less than double 18?")[0].words == "double 18"


@pytest.mark.parametrize("prompt", ["", "double 4 and explain", "why double 4", "double 13", "double", "?" * 5000])
def test_what_is_not_wholly_understood_is_left_to_an_expert(prompt: str) -> None:
    assert recogniser().answer(prompt) is None


def test_two_readings_are_none() -> None:
    cue = re.compile("double")
    both = recogniser(Reader(cue, read), Reader(cue, read_otherwise))
    assert both.answer("double 5") is None
    assert both.answer("double 6") is not None


def test_a_disabled_tool_answers_nothing() -> None:
    assert recogniser(disabled=True).answer("double 4") is None
    assert recogniser(disabled=True).find("double 4") == []
    assert recogniser(disabled=True).fitting("double 4") == ()


def test_what_stands_within_a_prompt_is_found_once_and_in_order() -> None:
    found = recogniser().find("why is double 9 more than double 4 and double 9, not double 13?")
    assert [(each.words, each.outcome.result) for each in found] == [("double 9", 18), ("double 4", 8)]
    assert len(recogniser().find(" ".join(f"double {n}" for n in range(20, 60)))) == MOST_FACTS


def test_a_tool_is_offered_where_something_speaks_for_it() -> None:
    assert [each.name for each in recogniser().fitting("Would you DOUBLE it?")] == ["double"]
    assert recogniser().fitting("hello") == ()


@pytest.mark.parametrize("text", ["İstanbul", "STRASSE ẞ", "ΑΣ"])
def test_small_letters_stand_where_the_great_ones_stood(text: str) -> None:
    assert len(fold(text)) == len(text)
    question = pose(f"Please {text}?")
    assert len(question.text) == len(question.folded)
