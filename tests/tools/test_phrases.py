"""Ways to ask that differ from the usual ones: accents left out, words turned round, several things at once."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from moe.tools.base import Setting
from moe.tools.equations.worker import Worker
from moe.tools.known import open_recogniser, open_toolbox
from moe.tools.questions.recogniser import Recogniser
from moe.tools.questions.spelling import flatten, loosen


@pytest.mark.parametrize("typed", ["größte", "groesste", "grosste", "größte"])
def test_umlauts_may_be_written_in_three_ways(typed: str) -> None:
    assert re.fullmatch(loosen("größte"), typed)


def test_a_class_and_what_is_escaped_stay_as_they_are() -> None:
    assert loosen(r"cu[aá]nto\.[^é]") == r"cu[aá]nto\.[^é]"
    assert flatten("desviación típica") == "desviacion tipica"


@pytest.mark.parametrize(("prompt", "result"), [
    ("what percent of 80 is 20", "25"), ("20 is what percent of 80?", "25"),
    ("what is 20 out of 80 as a percentage", "25"),
    ("Wie viel Prozent von 80 sind 20?", "25"), ("Wieviel Prozent sind 20 von 80", "25"),
    ("¿Qué porcentaje de 80 es 20?", "25"), ("que porcentaje es 20 de 80", "25"),
    ("what is 20% more than 50", "60"), ("20% less than 50", "40"), ("Was ist 20 % mehr als 50?", "60"),
    ("20 % weniger als 50 €", "40"), ("¿Cuánto es 20% más que 50?", "60"), ("un 20% menos que 50", "40"),
    ("80 € plus 19 % MwSt", "95.2"), ("increase 80 by 25%", "100"), ("80 mit 25 % Rabatt", "60"),
])
def test_shares_and_so_many_percent_more_or_less(prompt: str, result: str, recogniser: Recogniser) -> None:
    assert _answer(recogniser, prompt) == ("calculate", result)


@pytest.mark.parametrize(("prompt", "solutions"), [
    ("3x - 4 = 11", [5]), ("2x + 5 = 13, x = ?", [4]), ("x² = 16", [-4, 4]), ("5(y - 1) = 20", [5]),
    ("Stelle 2x + 6 = 10 nach x um", [2]), ("Welches x erfüllt 2x = 9 + 1?", [5]),
    ("¿Qué valor de x cumple 2x = 8?", [4]), ("For which x is 2x + 1 = 7?", [3]),
])
def test_an_equation_alone_and_other_words_for_solving(
    prompt: str, solutions: list[Any], recogniser: Recogniser,
) -> None:
    tool, result = _answer(recogniser, prompt)
    assert (tool, result["solutions"]) == ("solve_equation", solutions)


@pytest.mark.parametrize(("prompt", "result"), [
    ("Was sind Varianz und Spannweite von 1, 3, 5, 7?", {"variance": "6.66666666667", "range": 6}),
    ("moda y rango de 4, 4, 6, 9", {"mode": 4, "range": 5}),
    ("mean, median and mode of 1, 2, 2, 7", {"mean": 3, "median": 2, "mode": 2}),
    ("mínimo y máximo de 8, 3, 10", {"min": 3, "max": 10}),
])
def test_several_statistics_at_once(prompt: str, result: dict[str, Any], recogniser: Recogniser) -> None:
    assert _answer(recogniser, prompt) == ("statistics_calc", result)


@pytest.mark.parametrize("prompt", [
    "30-year $200,000 mortgage at 6%, what is the monthly payment?",
    "200k loan, 30 years, 6% interest: monthly payment",
    "Wie hoch ist die Monatsrate für ein Darlehen von 200.000 € über 30 Jahre zu 6 % Zinsen?",
    "préstamo de 200.000 € a 30 años al 6 %: ¿qué cuota mensual?",
])
def test_sum_rate_and_time_of_a_loan_in_any_order(prompt: str, recogniser: Recogniser) -> None:
    tool, result = _answer(recogniser, prompt)
    assert (tool, result["payment"]) == ("loan_payment", "1199.10")


@pytest.mark.parametrize("prompt", [
    "Ich will wissen, wie schnell das ist, also rechne 10 Meilen in km um und erkläre es",
    "Por favor convierte 10 millas a km y explica el resultado",
    "Please convert 10 miles to km and explain the result",
])
def test_units_are_found_among_other_words_in_each_language(prompt: str, recogniser: Recogniser) -> None:
    assert [each.outcome.result["value"] for each in recogniser.find(prompt)] == ["16.09344"]


def _answer(recogniser: Recogniser, prompt: str) -> tuple[str, Any]:
    answered = recogniser.answer(prompt)
    assert answered is not None
    return answered.asked.tool, json.loads(json.dumps(answered.outcome.result))


@pytest.fixture(scope="module")
def recogniser() -> Iterator[Recogniser]:
    with closing(Worker()) as worker:
        worker.warm()
        yield open_recogniser(open_toolbox(Setting(solver=worker)))
