"""What is told, down to the working, is told in the language of the question and with its decimals."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from moe.tools.base import Setting
from moe.tools.equations.worker import Worker
from moe.tools.known import open_recogniser, open_toolbox
from moe.tools.questions.recogniser import Recogniser


@pytest.mark.parametrize(("prompt", "language"), [
    ("average 10 20 30", "en"), ("mean: 1, 2, 3", "en"), ("sum 1,2,3", "en"), ("variance 1 2 3", "en"),
    ("standard deviation 1 2 3", "en"), ("total 1 2 3", "en"), ("mean and median 1 2 3", "en"),
    ("promedio 1 2 3", "es"), ("suma 1 2 3", "es"), ("varianza 1 2 3", "es"), ("Mittelwert 1 2 3", "de"),
    ("Summe: 1, 2, 3", "de"), ("Varianz 1,5; 2,5; 3", "de"),
    ("15 Uhr Berlin in Tokio", "de"), ("10 Uhr in New York in Berlin", "de"), ("15:00 Uhr in Berlin in New York", "de"),
    ("3 pm in Berlin in Tokyo", "en"), ("255 in Binär", "de"), ("255 in binary", "en"), ("255 en binario", "es"),
])
def test_a_question_of_few_words_is_answered_in_their_language(
    prompt: str, language: str, recogniser: Recogniser,
) -> None:
    asked = recogniser.read(prompt)
    assert asked is not None and asked.language == language


@pytest.mark.parametrize(("prompt", "steps"), [
    ("wieviel sind 10 Meilen in Kilometer", ("1 mi = 1,609344 km",)),
    ("how many kilometers are 10 miles", ("1 mi = 1.609344 km",)),
    ("cuántos gramos tiene una libra", ()),
    ("prozentuale Änderung von 1 auf 1,5", ("(1,5 - 1) / 1 * 100 = 50",)),
    ("percent change from 1 to 1.5", ("(1.5 - 1) / 1 * 100 = 50",)),
    ("Monatsrate für 200.000 € Kredit über 30 Jahre zu 6,5 %", (
        "Rate = 200000 * i / (1 - (1 + i)^-360) mit i = 6,5 / 1200",
        "Summen mit der Rate gerechnet, bevor sie auf Cent gerundet wird")),
    ("0xff in octal", ("decimal: 255",)),
    ("0xff in Oktal", ("dezimal: 255",)),
    ("erste Quartil von 1, 2, 3, 4", ("Quantile durch lineare Interpolation, an der Stelle (n - 1) * p",)),
])
def test_the_working_is_told_in_the_language_too(
    prompt: str, steps: tuple[str, ...], recogniser: Recogniser,
) -> None:
    answered = recogniser.answer(prompt)
    assert answered is not None and answered.outcome.steps == steps


@pytest.mark.parametrize(("prompt", "body"), [
    ("how many business days between 2026-12-21 and 2026-12-31",
     "The first day is not counted, the last one is; public holidays are not taken out of the working days. "
     "Counting the first day too it is 11 days, 9 working days."),
    ("Wie viele Tage liegen zwischen dem 21.11.2026 und dem 23.11.2026?",
     "Der erste Tag zählt nicht mit, der letzte schon; Feiertage sind von den Arbeitstagen nicht abgezogen. "
     "Mit dem ersten Tag sind es 3 Tage."),
    ("10 Arbeitstage nach dem 18.12.2026",
     "Arbeitstage sind die von Montag bis Freitag; der erste Tag zählt nicht mit, Feiertage sind nicht abgezogen."),
    ("10 Tage nach dem 18.12.2026", ""),
])
def test_which_days_count_is_told(prompt: str, body: str, recogniser: Recogniser) -> None:
    answered = recogniser.answer(prompt)
    assert answered is not None and answered.outcome.body == body


@pytest.fixture(scope="module")
def recogniser() -> Iterator[Recogniser]:
    with closing(Worker()) as worker:
        yield open_recogniser(open_toolbox(Setting(solver=worker)))
