"""One sentence, in the user's language, once in a conversation."""

from __future__ import annotations

import time

import pytest

from moe.core import ChatRequest, Extract, Message, Text
from moe.experts import CHECKED
from moe.pipeline.disclaimers import DISCLAIMERS, find_disclaimer, has_disclaimer
from tests.pipeline.test_languages import SPOKEN

MEDICAL, LEGAL = "medical_consult", "legal_advisor"
LANGUAGES = ("en", "de", "es", "fr", "it", "pt", "nl", "pl")
ANSWER = "1200 mg."

SAID = {
    MEDICAL: (
        "This is not a substitute for professional medical advice.", "Please consult a doctor before taking it.",
        "Rest, and always talk to your doctor or pharmacist.", "For your own case, please consult a physician.",
        "This information is not medical advice.", "This does not replace a visit to your doctor.",
        "Dies ist kein Ersatz für eine ärztliche Beratung.", "Bitte wenden Sie sich an Ihren Arzt oder Apotheker.",
        "**Hinweis:** Diese Auskunft ersetzt nicht den Besuch beim Arzt.", "Das kann einen Arztbesuch nicht ersetzen.",
        "Consulte a un médico.", "Esto no sustituye el consejo de un profesional médico.", "Consultez votre médecin.",
        "Cela ne remplace pas un avis médical.", "Consulti il suo medico.", "Consulte um médico.", "Raadpleeg uw arts.",
        "Skonsultuj się z lekarzem.",
    ),
    LEGAL: (
        "This is not legal advice.", "It does not constitute legal advice.", "Please consult a lawyer.",
        "Dies ist keine Rechtsberatung.", "Das stellt keine Rechtsberatung dar.", "Das ist keine rechtliche Beratung.",
        "Lassen Sie sich von einem Rechtsanwalt beraten.", "Consulte a un abogado.",
        "Esto no constituye asesoramiento jurídico.",
    ),
}
UNSAID = {
    MEDICAL: (
        "If the pain gets worse, see a doctor.", "See a doctor immediately when your chest hurts.", "Call 112 or 911.",
        "Rufen Sie sofort 112 an.", "Wenn das Fieber steigt, fragen Sie einen Arzt.", "Llame al 112.",
        "The doctor may prescribe antibiotics.", "Aspirin is not harmful to health.", "Water is no medicine.",
        "Your doctor can measure it.", "Si la fiebre sube, consulte a un médico.",
    ),
    LEGAL: (
        "That is not legal in Germany.", "The contract is not legally binding.", "Your lawyer has two weeks.",
        "Ein Anwalt ist nicht nötig.", "Das ist rechtlich nicht erlaubt.",
    ),
}


def ask(*turns: str) -> ChatRequest:
    """The user's turns and the assistant's by turns."""
    roles = ("user", "assistant")
    return ChatRequest(messages=tuple(Message(roles[place % 2], (Text(text),))  # type: ignore[arg-type]
                                      for place, text in enumerate(turns)))


@pytest.mark.parametrize("label", [MEDICAL, LEGAL])
@pytest.mark.parametrize("language", LANGUAGES)
def test_it_is_in_the_users_language(language: str, label: str) -> None:
    sentence = DISCLAIMERS[label][language]
    assert find_disclaimer(ask(SPOKEN[language][0]), ANSWER, label) == f"\n\n{sentence}"
    assert has_disclaimer(f"{ANSWER}\n\n{sentence}", label)


def test_whoever_is_checked_by_their_label_has_one_in_each_language() -> None:
    assert set(DISCLAIMERS) == CHECKED
    assert all(tuple(texts) == LANGUAGES for texts in DISCLAIMERS.values())


def test_other_domains_have_none() -> None:
    assert find_disclaimer(ask("Is it safe?"), ANSWER, "math") == ""


def test_a_question_that_tells_no_language_has_its_answers_or_those_before_it() -> None:
    german = "Bis zu 1200 mg am Tag, und nicht mehr."
    assert DISCLAIMERS[MEDICAL]["de"] in find_disclaimer(ask("Ibuprofen 400 mg?"), german, MEDICAL)
    later = ask("Was hilft mir?", "Ibuprofen.", "400 mg?")
    assert DISCLAIMERS[MEDICAL]["de"] in find_disclaimer(later, ANSWER, MEDICAL)
    assert DISCLAIMERS[MEDICAL]["en"] in find_disclaimer(ask("Ibuprofen 400 mg?"), ANSWER, MEDICAL)
    assert DISCLAIMERS[MEDICAL]["en"] in find_disclaimer(ask("Сколько можно в день?"), "До 1200 мг.", MEDICAL)


def test_what_a_file_is_written_in_does_not_count() -> None:
    parts = (Text("Was steht hier?"), Extract("The patient has the flu and should stay in bed for a week. " * 9))
    found = find_disclaimer(ChatRequest(messages=(Message("user", parts),)), ANSWER, MEDICAL)
    assert DISCLAIMERS[MEDICAL]["de"] in found


@pytest.mark.parametrize(("label", "text"), [(label, text) for label, texts in SAID.items() for text in texts])
def test_words_to_that_effect_are_enough(label: str, text: str) -> None:
    assert has_disclaimer(text, label)
    assert find_disclaimer(ask("Is it safe?"), f"{ANSWER}\n\n{text}", label) == ""


@pytest.mark.parametrize(("label", "text"), [(label, text) for label, texts in UNSAID.items() for text in texts])
def test_advice_is_no_disclaimer_and_neither_is_an_emergency_number(label: str, text: str) -> None:
    assert not has_disclaimer(text, label)
    assert find_disclaimer(ask("Is it safe?"), f"{ANSWER} {text}", label).startswith("\n\n")


def test_once_in_a_conversation_is_enough() -> None:
    before = f"{ANSWER}\n\n{DISCLAIMERS[MEDICAL]['de']}"
    assert find_disclaimer(ask("Was hilft?", before, "And how much is it?"), ANSWER, MEDICAL) == ""
    assert find_disclaimer(ask("Was hilft?", before, "And is that legal?"), ANSWER, LEGAL) != ""
    assert find_disclaimer(ask("Was hilft?", ANSWER, "And how much is it?"), ANSWER, MEDICAL) != ""
    user_says = ask("This is not medical advice.", ANSWER, "And how much is it?")
    assert find_disclaimer(user_says, ANSWER, MEDICAL) != ""


@pytest.mark.parametrize(("ending", "gap"), [("", "\n\n"), ("\n", "\n"), ("\n\n", ""), ("\n\n\n", "")])
def test_a_blank_line_stands_before_it(ending: str, gap: str) -> None:
    found = find_disclaimer(ask("Is it safe?"), f"{ANSWER}{ending}", MEDICAL)
    assert found == gap + DISCLAIMERS[MEDICAL]["en"]


@pytest.mark.parametrize("answer", [
    "Like this:\n```python\nx = 1\n", "Like this:\n```", "```python\nx = 1\n```", "```json\n{}\n```\n",
    '{"dose": 1200}', "[1, 2]", "", " \n", "~~~\ncode\n~~~\n\n",
])
def test_nothing_is_added_to_code_or_into_an_open_block(answer: str) -> None:
    assert find_disclaimer(ask("Is it safe?"), answer, MEDICAL) == ""


@pytest.mark.parametrize("answer", [
    "Like this:\n```python\nx = 1\n```", "- one\n- two", "| a | b |\n|---|---|\n| 1 | 2 |", "[1] says so.",
    "{x} is it.",
])
def test_it_follows_prose_with_code_in_it(answer: str) -> None:
    assert find_disclaimer(ask("Is it safe?"), answer, MEDICAL).endswith(DISCLAIMERS[MEDICAL]["en"])


@pytest.mark.parametrize("text", ["see the medical " * 20_000, "consult " * 50_000, "no " * 100_000 + "\ndoctor",
                                  "consult a x. " * 20_000, "not a substitute for " * 20_000 + "doctor"])
def test_no_answer_takes_long_to_read(text: str) -> None:
    began = time.perf_counter()
    has_disclaimer(text, MEDICAL)
    assert time.perf_counter() - began < 1
