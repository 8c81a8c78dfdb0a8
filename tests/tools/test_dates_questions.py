"""Which prompts are questions about dates, with the clock held still."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moe.tools.base import Setting
from moe.tools.dates.tools import TOOLS
from moe.tools.questions import dates
from moe.tools.questions.recogniser import Recogniser
from moe.tools.toolbox import Toolbox

# A Wednesday.
NOON = datetime(2026, 3, 18, 12, 0, tzinfo=timezone.utc)
RECOGNISER = Recogniser(
    Toolbox(TOOLS, Setting(now=lambda: NOON)), readers=dates.READERS, finders=dates.FINDERS, cues=dates.CUES,
)
VOCABULARY = (
    "how many days weeks between from until since and to wie viele tage zwischen und bis zum seit cuántos días hay "
    "entre el y what time is it in convert 3 pm 15:30 berlin tokyo utc day of the week plus minus 2026-01-01 "
    "29.03.2026 today morgen 12 may 2026 christmas after before ago in 8"
)
WORDS = st.lists(st.sampled_from(VOCABULARY.split()), max_size=14).map(" ".join)


@pytest.mark.parametrize(("prompt", "key", "value"), [
    ("How many days until 25 December?", "days", 282), ("How many days are left until Christmas?", "days", 282),
    ("how many weeks until 2026-04-01", "weeks", 2), ("Wie viele Tage sind es noch bis zum 1. April?", "days", 14),
    ("Wie lange ist es noch bis Silvester?", "days", 288), ("¿Cuántos días faltan para Navidad?", "days", 282),
    ("¿Cuánto falta para el 1 de abril?", "days", 14), ("How many days until 17 March?", "days", 364),
    ("How many days have passed since 2026-03-01?", "days", 17), ("Wie viele Tage ist der 01.03.2026 her?", "days", 17),
    ("¿Cuántos días han pasado desde el 1 de marzo de 2026?", "days", 17),
    ("How many days are there between today and 2026-03-20?", "days", 2),
    ("How old am I if I was born on 15 May 1990?", "years", 35),
    ("Wie alt ist jemand, der am 15.05.1990 geboren wurde?", "years", 35),
    ("¿Cuántos años tiene una persona que nació el 15 de mayo de 1990?", "years", 35),
    ("wie viele Tage seit dem 1.3.2026", "days", 17), ("¿Qué edad tiene alguien nacido el 15/05/1990?", "years", 35),
    ("What day of the week is it?", "weekday", "Wednesday"), ("What's today's date?", "date", "2026-03-18"),
    ("Welcher Tag ist heute?", "weekday", "Wednesday"), ("¿Qué día es hoy?", "weekday", "Wednesday"),
    ("What day is tomorrow?", "weekday", "Thursday"), ("Welcher Wochentag ist übermorgen?", "weekday", "Friday"),
    ("¿Qué día de la semana fue ayer?", "weekday", "Tuesday"), ("What date is it in 3 weeks?", "date", "2026-04-08"),
    ("What date was it 100 days ago?", "date", "2025-12-08"),
    ("Welches Datum haben wir in 90 Tagen?", "date", "2026-06-16"),
    ("Welcher Tag war vor zwei Wochen?", "date", "2026-03-04"),
    ("¿Qué fecha será dentro de 90 días?", "date", "2026-06-16"),
    ("10 business days from today", "date", "2026-04-01"), ("What time is it in Tokyo right now?", "time", "21:00"),
    ("Wie spät ist es gerade in Neu-Delhi?", "time", "17:30"), ("¿Qué hora es ahora en Bogotá?", "time", "07:00"),
    ("What is 3 pm UTC in Tokyo?", "time", "00:00"),
])
def test_a_question_that_hangs_on_today_is_answered(prompt: str, key: str, value: object) -> None:
    answered = RECOGNISER.answer(prompt)
    assert answered is not None and answered.outcome.result[key] == value


@pytest.mark.parametrize("prompt", [
    "What is 3 pm EST in Tokyo?", "How many days until next Friday?", "Welches Datum ist in 8 Tagen?",
    "¿Qué fecha será dentro de 15 días?", "How many days until Weihnachten or Easter?", "What time is it in CST?",
    "time in Easter", "time in Victoria",
    "What day of the week was 14 October 1066?", "How many days until 31 February?", "What day was 03/04/2025?",
])
def test_what_could_mean_two_things_is_left_to_an_expert(prompt: str) -> None:
    assert RECOGNISER.answer(prompt) is None


@pytest.mark.parametrize(("prompt", "words", "days"), [
    ("Explain how many days pass from March 1, 2026 to 2026-03-18, and why.", "from March 1, 2026 to 2026-03-18", 17),
    ("Die Zeitspanne zwischen dem 1. März 2026 und dem 18.03.2026: was ist passiert?",
     "zwischen dem 1. März 2026 und dem 18.03.2026", 17),
    ("Resume el periodo del 1 de marzo de 2026 al 18 de marzo de 2026.",
     "del 1 de marzo de 2026 al 18 de marzo de 2026", 17),
])
def test_two_dates_within_a_prompt_are_found(prompt: str, words: str, days: int) -> None:
    assert RECOGNISER.answer(prompt) is None
    found, = RECOGNISER.find(prompt)
    assert (found.words, found.outcome.result["days"]) == (words, days)


@pytest.mark.parametrize("prompt", [
    "Explain what changed from March 1, 2026 to 2026-03-18, and why.",
    "Was ist zwischen dem 1. März 2026 und dem 18.03.2026 passiert?",
    "hotel del 3 de mayo de 2026 al 7 de mayo de 2026",
])
def test_how_long_it_was_is_no_fact_for_who_does_not_care(prompt: str) -> None:
    assert RECOGNISER.find(prompt) == []


@pytest.mark.parametrize(("prompt", "name"), [
    ("Is the deadline of 12.05.2026 on a weekday?", "day_of_week"),
    ("Plan a call across time zones", "timezone_convert"),
    ("how many business days: 10 business days from now?", "date_add"),
    ("days until the launch", "date_diff"),
])
def test_a_model_is_offered_what_fits(prompt: str, name: str) -> None:
    assert name in [tool.name for tool in RECOGNISER.fitting(prompt)]


def test_nothing_is_offered_for_nothing() -> None:
    assert RECOGNISER.fitting("Write a poem about trees") == ()


@given(WORDS)
def test_no_heap_of_such_words_escapes(prompt: str) -> None:
    answered = RECOGNISER.answer(prompt)
    assert answered is None or answered.outcome.text
    RECOGNISER.find(prompt)
