"""Two answers to one question: what each comes to is compared, in any notation, else their words."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moe.pipeline.sameness import LONGEST_COMPARED, same_answer

PROSE = "The tenant may object within two months, and the court weighs both sides. "
OTHERS = "Notice periods grow with the years, which a landlord has to keep in mind. "


@pytest.mark.parametrize(("one", "two"), [
    ("It is 42.", "So the answer is 42"), ("#### 12", "She has 12 apples left."), ("Total: 1,234.50 USD", "1.234,50 €"),
    ("The result is 1/3.", "1/3"), ("\\boxed{7}", "3 + 4 = 7"), ("It is **−5**.", "-5"), ("about 3.14", "3.14159265"),
    ("1 + 1 = 2, then 2 * 5 = 10", "10"), ("Answer: B", "(B)"), ("B. Neon", "The answer is B."), ("D", "**D**"),
    ("The correct option is **B**.", "B is right, since 3 > 2."), ("Antwort: C", "C)"), ("Yes, since x > 0.", "yes"),
    ("Ja, wegen § 3.", "Ja, nach § 5 BGB."), ("**No**, never.", "No: it is poisonous."), ("Sí.", "Sí, claro."),
    ("They meet at 4:46 pm.", "Meeting time: 4:46 pm, about 41 minutes after the second train left."),
    ("They meet at 4:46 pm.", "They meet at 16:46."), ("At 4:46.", "At 4:46 pm it is."),
    ("x = 3.", "x = 3, as both sides are then 12."), ("**12** apples", "12, since 3 boxes hold 4 each."),
    ("Canberra.", "The capital is Canberra"), ("wait for green", "Wait for GREEN!"), ("x", "x"),
    (PROSE * 12, PROSE * 12 + "\n"), (f"{PROSE * 12}\nFinal answer: 30 days", f"{OTHERS * 12}\nFinal answer: 30 days"),
])
def test_they_say_the_same(one: str, two: str) -> None:
    assert same_answer(one, two) is True
    assert same_answer(two, one) is True


@pytest.mark.parametrize(("one", "two"), [
    ("It is 42.", "It is 41."), ("It is 5.", "It is -5."), ("1,234", "1235"), ("3.14", "3.15"),
    ("At 4:46 pm.", "At 5:46 pm."), ("It is 12.", "The answer is 13, as 12 are not enough."), ("46", "It is 47 km."),
    ("Answer: B", "Answer: C"), ("B. Neon", "The answer is C."), ("Yes, it is.", "No, it is not."),
    ("Ja.", "Nein, das darf er nicht."),
    ("Sydney.", "Canberra."), ("Sydney is the capital.", "The capital of Australia is Canberra."),
    ("The contract is valid.", "The contract is not valid."), ("Der Vertrag gilt.", "Der Vertrag gilt nicht."),
    ("", "something"), ("something", "  "), ("3 of 4", "Four of 3 and 9"),
    (f"{PROSE * 12}\nFinal answer: 30 days", f"{PROSE * 12}\nFinal answer: 60 days"),
])
def test_they_say_something_else(one: str, two: str) -> None:
    assert same_answer(one, two) is False
    assert same_answer(two, one) is False


def test_long_texts_that_come_to_nothing_certain_prove_nothing() -> None:
    assert len(PROSE) * 12 > LONGEST_COMPARED
    assert same_answer(PROSE * 12 + "See § 573.", OTHERS * 12 + "See § 574.") is None


@pytest.mark.parametrize(("one", "two"), [
    ("x = 3.", "x = 4, as both sides are then of the same length."), ("At 4:46 pm.", "After 41 minutes."),
    ("12 apples", "There are 13 boxes of them, more than she can carry."),
])
def test_other_numbers_in_a_longer_answer_prove_nothing(one: str, two: str) -> None:
    assert same_answer(one, two) is None
    assert same_answer(two, one) is None


def test_an_article_is_no_option() -> None:
    assert same_answer("The answer a judge gives is long.", "B") is False
    assert same_answer("A cat sat on the mat.", "a cat sat on the mat") is True


@given(one=st.text(max_size=80), two=st.text(max_size=80))
def test_any_two_texts_can_be_compared_either_way_round(one: str, two: str) -> None:
    assert same_answer(one, two) is same_answer(two, one)
    assert same_answer(one, one) is bool(one.strip())


@pytest.mark.parametrize("unit", ["1", "1,", "answer ", "answer: ", "A ", "(", "- ", "no ", " ", "\\boxed{", "x = 3 "])
def test_no_answer_makes_it_slow(unit: str) -> None:
    text = unit * (100_000 // len(unit))
    began = time.process_time()
    same_answer(text, text + "B")
    assert time.process_time() - began < 1
