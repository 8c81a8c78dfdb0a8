"""Which prompts are sums, and what can be worked out in the midst of others."""

from __future__ import annotations

import time

import pytest

from moe.tools.arithmetic import TOOLS
from moe.tools.base import Setting
from moe.tools.questions.arithmetic import CUES, FINDERS, READERS
from moe.tools.questions.recogniser import Recogniser
from moe.tools.toolbox import Toolbox

RECOGNISER = Recogniser(Toolbox(TOOLS, Setting()), readers=READERS, finders=FINDERS, cues=CUES)


@pytest.mark.parametrize(("prompt", "text"), [
    ("Was sind 15 % von 239,99?", "15 % von 239,99 = 35,9985"),
    ("¿Cuánto es el 15% de 80?", "15% de 80 = 12"),
    ("calculate 5!", "5! = 120"),
    ("Rechne mir bitte 3*4 aus", "3*4 = 12"),
    ("Wie viel sind 20% von 150 Euro?", "20% von 150 = 30"),
    ("what is 10 % 3", "10 % 3 = 1"),
    ("what is cos(pi)", "cos(pi) = -1"),
    ("sin(30 degrees)", "sin(30 degrees) = 0.5"),
    ("what is 1,000 * 3", "1,000 * 3 = 3000"),
    ("Um wie viel Prozent ist es von 20 auf 30 gestiegen?", "von 20 auf 30 ist eine Zunahme um 50 %"),
    ("FF hex to decimal", "FF (base 16) is 255 in base 10"),
])
def test_a_sum_is_answered_in_the_language_it_was_asked_in(prompt: str, text: str) -> None:
    answered = RECOGNISER.answer(prompt)
    assert answered is not None and answered.outcome.text == text


@pytest.mark.parametrize("prompt", ["1.234 * 2", "1,234 * 2", "24 por 7", "2 por 1", "wie viel 24/7",
                                    "what is 5 - 10 - 15 cm",
                                    "Was ist 3 * 4!", "what is 2x", "what is 5% + 3%", "10% + 5", "20% of 50%",
                                    "percentage increase from 2019 to 2023", "percent change from 20% to 30%"])
def test_what_may_be_something_else_is_left_alone(prompt: str) -> None:
    assert RECOGNISER.answer(prompt) is None


@pytest.mark.parametrize(("prompt", "facts"), [
    ("explain why 847*23.7 matters", {"847*23.7": "20073.9"}),
    ("Warum sind 15 % von 240 so wenig?", {}),
    ("why is 240 + 10% not 250", {}),
    ("2 + 3 * x is what", {}), ("the war of 1914 - 1918", {}), ("Warum 1.234 * 2?", {}), ("5% of 3 million", {}),
    ("5 percent of 1 percent", {}), ("foo(3*4)", {}), ("10.0.0.0/8 and 2026-03-29 and 24/7", {}),
    ("4x4 and 1920 x 1080", {}), ("write a poem about 3 + 4", {}), ("Kapitel 30 + 40 zusammenfassen", {}),
    ("5 000 + 3 000 people", {}), ("1 . 5 + 200", {}), ("007 + 100 agents", {}), ("5% + 3% commission, why?", {}),
])
def test_a_sum_among_words_is_found_where_it_is_unmistakable(prompt: str, facts: dict[str, str]) -> None:
    assert {each.words: each.outcome.result for each in RECOGNISER.find(prompt)} == facts


@pytest.mark.parametrize(("prompt", "text"), [
    ("why is 0.1 * 0.2 not 0.2", "0.1 * 0.2 = 0.02"),
    ("Warum ergibt 0,1 * 0,2 nicht 0,2?", "0,1 * 0,2 = 0,02"),
    ("¿Por qué 0,1 * 0,2 no da 0,2?", "0,1 * 0,2 = 0,02"),
])
def test_a_fact_is_told_in_the_language_of_the_words_around_it(prompt: str, text: str) -> None:
    assert [each.outcome.text for each in RECOGNISER.find(prompt)] == [text]


def test_tools_are_offered_for_what_they_do() -> None:
    assert {each.name for each in RECOGNISER.fitting("By what percent did sales grow from 20 to 30?")} == {
        "calculate", "percent_change"}
    assert [each.name for each in RECOGNISER.fitting("write 77 as hexadecimal")] == ["number_base"]
    assert RECOGNISER.fitting("Tell me a story about a fox") == ()


@pytest.mark.parametrize("part", ["1 ", "1+", "(", "% of ", "9", "1,", "[ -", "a ", "de ", "12:", "* "])
def test_no_prompt_takes_long(part: str) -> None:
    prompt = part * (400 // len(part))
    start = time.process_time()
    RECOGNISER.answer(prompt)
    RECOGNISER.find(prompt * 20)
    RECOGNISER.fitting(prompt * 20)
    assert time.process_time() - start < 0.1
