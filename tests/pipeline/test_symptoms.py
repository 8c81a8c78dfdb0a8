"""Refusals, doubts, ends that break off and circles are seen in three languages, and nowhere else."""

from __future__ import annotations

import time

import pytest

from moe.pipeline.symptoms import Symptoms, read_symptoms

LONG = "The river rises in the hills and flows through three valleys before it reaches the sea at the old harbour. "


@pytest.mark.parametrize("text", [
    "I'm sorry, but I can't help with that.", "I cannot assist with this request.", "I’m unable to provide that.",
    "As an AI language model, I do not have personal opinions.", "Sorry, I can't do that.", "I don't know.",
    "I do not have access to real-time data.", "I won't write that for you.", "I must decline.",
    "Unfortunately, I cannot answer this question.", "It is not possible for me to determine that.",
    "Es tut mir leid, aber dabei kann ich nicht helfen.", "Ich kann dir dabei leider nicht helfen.",
    "Das weiß ich leider nicht.", "Als KI-Sprachmodell habe ich keine Meinung.",
    "Ich habe keinen Zugriff auf Ihre Daten.",
    "Leider kann ich diese Frage nicht beantworten: ich kann die Frage nicht beantworten.",
    "Das darf ich Ihnen nicht sagen.",
    "Lo siento, pero no puedo ayudarte con eso.", "No puedo proporcionar esa información.", "No lo sé.",
    "Como modelo de lenguaje, no tengo opiniones.", "No tengo acceso a internet.", "很抱歉，我无法回答这个问题。",
])
def test_a_refusal_is_seen(text: str) -> None:
    assert read_symptoms(text).refuses


@pytest.mark.parametrize("text", [
    "42", "Madrid", "Yes.", "", "You can't help but like it. " + LONG,
    "The knight said: \"I cannot help you.\" Then he left.",
    "> I'm sorry, but I can't help with that.\n\nThis message means that the assistant was told to refuse.",
    "`I cannot answer` is what the function prints.", LONG * 3 + "I cannot say which of them is older.",
    "Sorry for the delay! The capital is Madrid.", "No, you can not divide by zero.",
    "Ich kann dir helfen: nimm den Bus.",
    "Man kann das nicht ändern.", "No puedes dividir por cero.", "The patient does not know his name.",
    "Übersetzung: „Es tut mir leid, ich kann nicht kommen.“", 'In Spanish: "Lo siento, no puedo ir."',
    "```python\nraise ValueError('I cannot provide this')\n```",
])
def test_what_only_resembles_a_refusal_is_none(text: str) -> None:
    assert not read_symptoms(text).refuses


@pytest.mark.parametrize(("text", "least", "most"), [
    ("Madrid is the capital.", 0, 0), ("It is probably Madrid.", 0.2, 0.3), ("I am not sure, but it may be Madrid.",
     1.2, 1.3),
    ("Wait, let me recheck that.", 2, 2), ("Ich bin mir nicht sicher, vielleicht Madrid.", 1.2, 1.3),
    ("Vermutlich Madrid.", 0.2, 0.3), ("No estoy seguro, quizás Madrid.", 1.2, 1.3), ("Creo que es Madrid.", 0.2, 0.3),
    ("`not sure` is a string.", 0, 0), ('He said: "I am not sure".', 0, 0), (LONG * 20 + "Perhaps.", 0, 0.1),
    ("```\n# not sure, perhaps\n```", 0, 0), ("Es ist sicher nicht teuer.", 0, 0),
])
def test_words_of_doubt_are_counted_by_length(text: str, least: float, most: float) -> None:
    assert least <= read_symptoms(text).hedges <= most


@pytest.mark.parametrize("text", [
    "First you take the", "The three parts are:\n\n1. flour,", "```python\ndef f():\n    return",
    "so the total is 64 + 30 +",
    "Das liegt daran, dass die", "Porque el", "and then we set up the following equation:\n", "f(", "~~~\ncode",
])
def test_an_end_that_breaks_off_is_seen(text: str) -> None:
    assert read_symptoms(text).is_cut


@pytest.mark.parametrize("text", [
    "42", "Madrid", "Yes", "1. flour\n2. milk", "| a | b |\n|---|---|\n| 1 | 2 |", "See https://example.org/a",
    "```python\nx = 1\n```", "~~~\ncode\n~~~\n", "print(1)", "Vitamin A and vitamin B", "Fahren Sie mit", "5 -",
    "C++ ", "Done!",
])
def test_an_end_without_a_full_stop_is_an_end(text: str) -> None:
    is_open = text in ("Fahren Sie mit", "5 -", "C++ ")  # these do look cut
    assert read_symptoms(text).is_cut is is_open


def test_what_the_model_says_of_its_end_counts() -> None:
    assert read_symptoms("Madrid.", "length").is_cut
    assert not read_symptoms("Madrid.", "stop").is_cut


@pytest.mark.parametrize(("text", "loops"), [
    ("This is the same line.\n" * 20, True), (LONG * 3 + "and so on and on " * 40, True), (LONG, False), ("x\n" * 50,
     False),
    ("\n".join(f"{number}. step {number} of the plan" for number in range(40)), False), ("ha" * 300, False),
    ("-" * 600, False), ("| --- | --- | --- |\n| one | two | three |\n" * 3, False), (LONG + "0" * 400, False),
    ("    return None  # done\n".join(f"def f{number}(argument):\n" for number in range(8)), False),
])
def test_going_round_in_circles_is_seen(text: str, loops: bool) -> None:
    assert read_symptoms(text).loops is loops


@pytest.mark.parametrize("text", [
    "Maybe.", "It depends.", "**Perhaps.**", "Well, it depends on the situation.", "Maybe, maybe not. Hard to say.",
    "Yes and no.", "It could be.", "It depends on many different factors.", "Vielleicht.", "Kommt darauf an.", "Jein.",
    "Das hängt ganz davon ab.", "Es kommt auf die Umstände an.", "Das könnte sein, aber es kommt drauf an.", "Depende.",
    "Quizás. Depende de muchos factores.", "Puede ser.", "Tal vez, no está claro.",
])
def test_who_says_only_that_it_depends_says_nothing(text: str) -> None:
    assert read_symptoms(text).is_vague


@pytest.mark.parametrize("text", [
    "", "Yes.", "No.", "Sí.", "Probably.", "Wahrscheinlich nicht.", "Maybe Lyon.", "Maybe: `x = 5`",
    "It depends on the price of oil.", "Das hängt vom Ölpreis ab.", "Depende de la edad.", "It could be 5.",
    "It depends: with a permit you may.", "Vielleicht Madrid.", "Perhaps. " + LONG,
])
def test_who_says_anything_says_something(text: str) -> None:
    assert not read_symptoms(text).is_vague


@pytest.mark.parametrize("text", ["", " \n\t"])
def test_nothing_is_empty(text: str) -> None:
    assert read_symptoms(text) == Symptoms(is_empty=True)


@pytest.mark.parametrize("text", ["42", "Madrid.", "Sí.", "x = 5", "BGB § 433"])
def test_a_short_right_answer_shows_nothing(text: str) -> None:
    assert read_symptoms(text) == Symptoms()


@pytest.mark.parametrize("unit", ["I ", "sorry ", "`", "```", '"', "> ", "not ", "ich kann nicht ", "no ", "a\n", "(",
"as an AI "])
def test_no_answer_makes_it_slow(unit: str) -> None:
    text = unit * (200_000 // len(unit))
    begin = time.process_time()
    read_symptoms(text)
    assert time.process_time() - begin < 1
