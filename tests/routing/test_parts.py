"""What is asked for, apart from what is pasted, and the requests in it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moe.routing.parts import find_instruction, find_subjects, list_parts, measure_distance, rate_parts

MAIL = ("Dear all, please review the budget and calculate what is missing. Who books the room? Write to the lawyer, "
        "then explain the delay to Maria and translate the notice.")


def count(text: str) -> int:
    return len(list_parts(find_instruction(text)))


@pytest.mark.parametrize("text", [
    f"Translate to English: {MAIL}", f"Proofread this: {MAIL}", f"Korrigiere die Rechtschreibung:\n\n{MAIL}",
    f"Summarize:\n{MAIL}", f"Traduce al español: {MAIL}", f"Translate:\n```\n{MAIL}\n```", f'Shorten "{MAIL}"',
    f"Translate this: “{MAIL}”", f"Übersetze „{MAIL}“", f"{MAIL}\n\nIs this text neutral?",
    f"Fix the grammar:\n> {MAIL}", f"Is the following mail polite?\n\n{MAIL}",
])
def test_what_is_pasted_asks_for_nothing(text: str) -> None:
    assert count(text) == 1


@pytest.mark.parametrize("text", [f"tl;dr {MAIL}", f"TL;DR:\n{MAIL}", f"{MAIL}\n\ntldr?"])
def test_the_shortest_order_is_one(text: str) -> None:
    assert count(text) <= 1 and len(find_instruction(text)) < 20


@pytest.mark.parametrize("text", [
    "", "hi", '"What is the capital of France?"', "```\nprint(1)\n```", "tl;dr", "What is 2:1?", ":", "> quoted",
    "My landlord wants more rent: may he?\n\nAnd how do I bleed a radiator?",
    "Please answer these questions:\n1. What is entropy?\n2. Who painted Guernica, and is a verbal contract binding?",
])
def test_what_has_no_material_stays_as_it_is(text: str) -> None:
    assert find_instruction(text) == text


def test_what_is_asked_after_the_material_still_counts() -> None:
    text = f"Translate to German:\n\n{MAIL}\n\nAlso, what is 17 % of 340?"
    assert [part.work for part in list_parts(find_instruction(text))] == ["translate", ""]


@pytest.mark.parametrize(("text", "parts"), [
    ("How do tides work, what's the best beach here?", ["How do tides work", "what's the best beach here?"]),
    ("Solve this riddle: who has the fish?", ["Solve this riddle: who has the fish?"]),
    ("Mein Handy lädt nicht, woran liegt das? Und was schenke ich Oma?",
     ["Mein Handy lädt nicht, woran liegt das?", "Und was schenke ich Oma?"]),
    ("1) What is 17.5% of 3,480? 2) Translate it.", ["What is 17.5% of 3,480?", "Translate it."]),
    ("Berechne die Zinsen und erkläre mir, ob das zulässig ist.",
     ["Berechne die Zinsen und", "erkläre mir, ob das zulässig ist."]),
    ("Write a story about a nurse who finds a key and solves a riddle.",
     ["Write a story about a nurse who finds a key and solves a riddle."]),
    ("The house, which is old, has a roof and is cold.", []),
])
def test_parts_are_the_requests_with_what_leads_to_them(text: str, parts: list[str]) -> None:
    assert [part.text for part in list_parts(text)] == parts


def test_a_part_that_leans_is_rated_with_the_one_before() -> None:
    asked: list[str] = []
    rate_parts(list_parts("What is a virus, and how do they multiply? Write a poem about snow."),
               lambda text: asked.append(text) or {"science": 1.0})
    assert asked == ["What is a virus, and", "What is a virus, and how do they multiply?", "Write a poem about snow."]


def test_parts_are_compared_only_if_all_of_them_could_be_rated() -> None:
    parts = list_parts("What is a virus? What is a lease?")
    assert rate_parts(parts, lambda text: {}) == rate_parts(parts[:1], lambda text: {"math": 1.0}) == []
    assert rate_parts(parts, lambda text: {} if "lease" in text else {"math": 1.0}) == []


def test_subjects_and_their_distance() -> None:
    law, maths, unsure = {"law": 0.9, "math": 0.1}, {"math": 1.0}, {"law": 0.3, "math": 0.3}
    assert find_subjects([law, maths, law, unsure]) == ("law", "math")
    assert measure_distance([law, law]) < 0.1 and measure_distance([law, maths]) == pytest.approx(0.81)
    assert measure_distance([]) == measure_distance([law]) == 0.0


@settings(max_examples=100, deadline=None)
@given(st.text(alphabet="ab: \n\"'`>?¿.,„“tlwho;drthisand12)-", max_size=300))
def test_any_text_leaves_something_to_do(text: str) -> None:
    assert find_instruction(text) or not text
    assert all(part.words.strip(" ,;") == part.words for part in list_parts(text))
