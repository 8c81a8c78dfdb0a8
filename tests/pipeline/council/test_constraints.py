"""What the user set down is found word for word in three languages, and stands in every task afterwards."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moe.pipeline.council.constraints import MOST, MOST_CHARS, carry, find_constraints, lacks


@pytest.mark.parametrize(("text", "found"), [
    # Numbers with what belongs to them.
    ("It costs 5,000.50 € and 15% of 239.99 USD.", ("5,000.50 €", "15%", "239.99 USD")),
    ("Die Miete ist 1.250,50 Euro, also 12,5 % mehr.", ("1.250,50 Euro", "12,5 %")),
    ("Cuesta 3.000,50 € al mes y pesa 2,5 kg", ("3.000,50 € al mes", "2,5 kg")),
    ("$45,000 per year at 120 km/h and -5 °C for 30 minutes", ("$45,000 per year", "120 km/h", "-5 °C", "30 minutes")),
    ("between 10 and 20 km, 3-5 items, 10 000 people", ("between 10 and 20 km", "3-5 items", "10 000 people")),
    ("zwischen 3 und 5 Tagen; entre 3 y 5 puntos", ("zwischen 3 und 5 Tagen", "entre 3 y 5 puntos")),
    ("How much is 847*23.7?", ("847*23.7",)),
    ("Solve x^2 - 5x + 6 = 0 and f(2)=3", ("x^2 - 5x + 6 = 0", "f(2)=3")),
    ("the subnet 10.0.0.0/22, 1e5 and 3/4 of it", ("10.0.0.0/22", "1e5", "3/4")),
    ("my 30-day notice for room 12b in 2021", ("30-day", "12b", "2021")),
    # Dates.
    ("on March 3rd, 2024 or 2024-07-01 at 14:30", ("March 3rd, 2024", "2024-07-01", "14:30")),
    ("am 5. März 2024 um 14:30 Uhr", ("5. März 2024", "14:30 Uhr")),
    ("el 5 de marzo de 2024", ("5 de marzo de 2024",)),
    ("bis zum 12.03.2024, seit 1 May 2019", ("bis zum 12.03.2024", "seit 1 May 2019")),
    # Limits.
    ("at most 200 words, no more than three short paragraphs", ("at most 200 words",
                                                                "no more than three short paragraphs")),
    ("höchstens 3 Sätze, mindestens zwei Beispiele", ("höchstens 3 Sätze", "mindestens zwei Beispiele")),
    ("como máximo 50 palabras, al menos tres ejemplos", ("como máximo 50 palabras", "al menos tres ejemplos")),
    ("200 words at most", ("200 words at most",)),
    ("Sort it without recursion, using only the standard library.", ("without recursion",
                                                                     "using only the standard library")),
    ("ohne Schleifen zu benutzen, nur mit Bordmitteln", ("ohne Schleifen zu benutzen", "nur mit Bordmitteln")),
    ("sin usar bucles, solo con la biblioteca estándar", ("sin usar bucles", "solo con la biblioteca estándar")),
    ("Do not use external libraries.", ("Do not use external libraries",)),
    ("Write it in Python 3.10 and answer in German", ("in Python 3.10", "in German")),
    ("Antworte auf Deutsch, als Tabelle, in einem Satz", ("auf Deutsch", "als Tabelle", "in einem Satz")),
    ("en español, en una frase", ("en español", "en una frase")),
    # Norms and quotations.
    ("Gilt § 433 Abs. 1 BGB oder Art. 5 DSGVO?", ("§ 433 Abs. 1 BGB", "Art. 5 DSGVO")),
    ('Translate "good morning" and „Guten Tag“ and «hola»', ('"good morning"', "„Guten Tag“", "«hola»")),
    # What is one thing, whatever is in it.
    ("a ratio of 3:1 or 1 : 2, call +49 170 1234567 or +1 (555) 123-4567.", ("3:1", "1 : 2", "+49 170 1234567",
                                                                             "+1 (555) 123-4567")),
    ("See https://a.b/c?d=12, or (www.x.de/7).", ("https://a.b/c?d=12", "www.x.de/7")),
    ("Write to user.1@x-y.de from 10.0.0.1:8080 with 0x1F", ("user.1@x-y.de", "10.0.0.1:8080", "0x1F")),
    ("It must not exceed 80 columns.", ("not exceed 80 columns",)),
    ("Sie darf 80 Zeichen nicht überschreiten, no supere 200 palabras", ("80 Zeichen nicht überschreiten",
                                                                         "no supere 200 palabras")),
    # Nothing.
    ("What is the capital of France?", ()),
    ("Sin embargo, no lo entiendo.", ()),
    ("", ()),
])
def test_what_is_set_down_is_found(text: str, found: tuple[str, ...]) -> None:
    assert find_constraints(text) == found


def test_code_and_the_numbers_of_a_list_are_left_alone() -> None:
    text = "1. Fix this in 2 lines:\n```python\nx = 99\n```\n2) Then say why\n3. März 2024 is the day\n~~~\n77"
    assert find_constraints(text) == ("in 2 lines", "3. März 2024")


def test_each_comes_once_in_its_order() -> None:
    assert find_constraints("5 kg here, 7 kg there, and 5 kg again") == ("5 kg", "7 kg")


def test_of_too_many_limits_and_dates_stay_and_long_ones_go_first() -> None:
    numbers = " ".join(str(place) * (1 + place % 3) + "," for place in range(11, 99))
    text = f"{numbers} at most 200 words by 2024-07-01"
    found = find_constraints(text)
    assert len(found) == MOST
    assert {"at most 200 words", "by 2024-07-01"} <= set(found)
    assert max(len(words) for words in found[:-2]) == 2


def test_all_together_are_bounded() -> None:
    text = ". ".join(f'"{chr(97 + place) * 110}"' for place in range(24))
    found = find_constraints(text)
    assert 10 <= len(found) < 24
    assert sum(map(len, found)) <= MOST_CHARS


def test_of_a_long_text_both_ends_are_read_and_no_word_is_torn() -> None:
    text = "at most 200 words. " + "9876543 " * 5_000 + "before 2024-07-01"
    found = find_constraints(text)
    assert set(found) == {"at most 200 words", "9876543", "before 2024-07-01"}


@pytest.mark.parametrize("text", [
    "1" * 200_000, "1 " * 100_000, "at most " * 20_000, '"' * 100_000, "1.1.1.1." * 20_000, "without " + "a " * 50_000,
    "`" * 100_000, "```\n" * 30_000, "§ 1 Abs. " * 10_000, "1 000 " * 30_000, "-" * 100_000, "x^2+" * 40_000,
    "1:" * 50_000, "+49 1" * 30_000, "+49-" * 30_000, "a@a." * 30_000, "http://" * 20_000, "www.a" * 30_000,
    "~~~\n```\n" * 30_000, "\ud800" * 50_000, "(" * 50_000, "1-" * 50_000, "a/" * 50_000,
])
def test_whatever_the_text_it_takes_no_time(text: str) -> None:
    began = time.perf_counter()
    find_constraints(text)
    assert time.perf_counter() - began < 1.5


def test_what_a_task_lacks_is_added_in_one_line() -> None:
    task = carry("Sort the list of 15 names.", ("5", "15", "at most 200 words"))
    assert task == "Sort the list of 15 names.\nKeep to, verbatim: 5; at most 200 words"
    assert carry(task, ("5", "15", "at most 200 words")) == task


@pytest.mark.parametrize("text", ["15", "5.2", "50", "1,5", "5th", "2.5"])
def test_a_number_does_not_stand_in_another_one(text: str) -> None:
    assert lacks(f"about {text} of it", ("5",)) == ("5",)


def test_a_number_at_the_end_of_a_sentence_is_there() -> None:
    assert lacks("Work out 5. Or (5), 5; 5", ("5",)) == ()


_WORDS = st.lists(st.sampled_from([
    "at most 200 words", "höchstens 3", "sin usar bucles", "15%", "5,000.50 €", "§ 433 BGB", "2024-07-01",
    '"quoted; text"', "x^2 - 5x = 0", "3", "3.5", "-3", "and", "und", "the", ",", ".", ";", "\n", "```", "5. März 2024",
    "https://a.b/c?d=12,", "+49 170 1234567", "in Python 3.10", "10", "100 000", "1)", "3:1",
    "0x1F", "user@x.de", "°C", "\ud800", "without", "max.", "US$ 5",
])).map(" ".join)


@given(st.one_of(st.text(), _WORDS), st.one_of(st.text(), _WORDS))
def test_every_task_has_every_constraint_verbatim(text: str, task: str) -> None:
    constraints = find_constraints(text)
    assert len(constraints) <= MOST
    assert all(words in text and "\n" not in words and words.strip() == words for words in constraints)
    carried = carry(task, constraints)
    assert carried.startswith(task)
    assert all(words in carried for words in constraints)
    assert lacks(carried, constraints) == ()
    assert carry(carried, constraints) == carried
