"""What is found among other words is true of what they are about, or is not found."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from moe.tools.base import Setting
from moe.tools.equations.worker import Worker
from moe.tools.known import open_recogniser, open_toolbox, open_toolkit
from moe.tools.questions.recogniser import Recogniser
from tests.statutes import open_laws


@pytest.mark.parametrize("prompt", [
    "2^3 in C", "what is 2^3 in python", "what does 5^3 print in JavaScript?", "Explain the result of 5 ^ 3 in C",
    "0.1 + 0.2 in JavaScript", "what is 1010 + 1010 in binary", "Was ergibt 5 ^ 3 bitweise und warum?",
    "Warum gibt Java bei 2000000000 * 3 einen Überlauf aus?", "Was druckt der Code 0.1 + 0.2 aus?",
    "why is 20 + 10% wrong in Python", "¿Qué imprime 2^10 en C++ y por qué?", "hex: 1000 + 1000 and why",
    "¿Por qué este código da 0.1 + 0.2?", "Explain 555-1234 * 2, please", "Explain 2026-11-22 * 20 to me",
    "How many days inclusive between Jan 1 2024 and Jan 1 2025?",
    "Ignoring leap days, how many days from 2024-01-01 to 2025-01-01?",
    "Wie viele Tage einschließlich beider Tage sind es vom 1.1.2024 bis zum 1.1.2025, und warum?",
    "Explain how many working days there are from 2026-11-23 to 2026-11-27",
    "¿Cuántos días, ambos incluidos, hay entre el 1 de enero de 2024 y el 1 de enero de 2025?",
    "§ 433 BGB alte Fassung: was galt?", "Was stand früher in § 433 BGB?", "What did the old version of § 433 BGB say?",
    "§ 433 BGB a.F. und die Folgen", "¿Qué decía la versión anterior de § 433 BGB?",
    "Wie lautete § 433 BGB vor 2002, und was hat sich geändert?",
])
def test_nothing_is_found_where_it_means_something_else(prompt: str, recogniser: Recogniser) -> None:
    assert recogniser.find(prompt) == []


@pytest.mark.parametrize(("prompt", "text"), [
    ("what does 17*23 print in Python and why?", "17*23 = 391"),
    ("Was ist 17*23 und warum?", "17*23 = 391"),
    ("What is 17*23 and who invented multiplication?", "17*23 = 391"),
    ("why is 2^10 so close to a thousand", "2^10 = 1024"),
    ("Erkläre die Folgen von § 433 BGB für Händler",
     "§ 433 BGB, Vertragstypische Pflichten beim Kaufvertrag (abgerufen am 29.03.2026)"),
])
def test_what_is_true_all_the_same_is_found(prompt: str, text: str, recogniser: Recogniser) -> None:
    assert [each.outcome.text for each in recogniser.find(prompt)] == [text]


def test_two_dates_are_told_with_the_rule_by_which_they_were_counted(recogniser: Recogniser) -> None:
    found, = recogniser.find("Explain how many days pass from March 1, 2026 to 2026-03-18, and why.")
    assert found.outcome.body.startswith("The first day is not counted, the last one is;")
    assert found.outcome.body.endswith("Counting the first day too it is 18 days.")


@pytest.fixture(scope="module")
def recogniser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recogniser]:
    folder: Path = tmp_path_factory.mktemp("laws")
    with closing(Worker()) as worker, open_laws(folder) as laws:
        yield open_recogniser(open_toolbox(Setting(solver=worker, laws=laws)))


@pytest.mark.parametrize("prompt", [
    "Deadline is 12 March 2025 + 2 weeks for appeals. Write a mail.", "Meeting on 5 May 2024 + 3 days",
    "Why 15 + 20 k?",
    "Why is 10% of 50 + 5 so small?", "30% of 18 to 25 year olds vote", "Explain the iPhone 15 + 16 differences",
    "why is half of 15 * 20 not 30", "why is 16 * 3 squared so large", "Was ergibt 17 * 16 im Fünfersystem?",
    "Why is 3.7 * 2.4 odd in my spreadsheet?",
])
def test_what_the_words_around_it_may_change_is_no_fact(prompt: str) -> None:
    assert open_toolkit(Setting()).recogniser.find(prompt) == []
