"""A language is told where that is certain, and else nothing is said of it."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moe.pipeline.languages import tell_language

SPOKEN = {
    "en": ("How much ibuprofen can I take per day?", "What dosage of paracetamol is safe?", "Is it safe?",
           "My landlord raised the rent. Is that legal?", "headache since yesterday, should I worry",
           "Tell me about the side effects of aspirin"),
    "de": ("Wie viel Ibuprofen darf ich am Tag nehmen?", "Mein Vermieter hat die Miete erhöht",
           "Kopfschmerzen seit gestern, was tun?", "Darf mir gekündigt werden?", "Was hilft gegen Halsweh?",
           "Welche Kündigungsfrist gilt bei Wohnungen?"),
    "es": ("¿Cuánto ibuprofeno puedo tomar al día?", "Mi casero me ha subido el alquiler, es legal?",
           "Tengo dolor de cabeza desde ayer", "Qué plazo tengo para recurrir una multa"),
    "fr": ("Combien d'ibuprofène puis-je prendre par jour ?", "Mon propriétaire a augmenté le loyer",
           "J'ai mal à la tête depuis hier", "Quel est le délai de préavis ?"),
    "it": ("Quanto ibuprofene posso prendere al giorno?", "Il mio padrone di casa ha aumentato l'affitto",
           "Ho mal di testa da ieri", "Qual è il termine di preavviso?"),
    "pt": ("Quanto ibuprofeno posso tomar por dia?", "O meu senhorio aumentou a renda",
           "Estou com dor de cabeça desde ontem", "Qual é o prazo de aviso prévio?"),
    "nl": ("Hoeveel ibuprofen mag ik per dag nemen?", "Mijn huurbaas heeft de huur verhoogd",
           "Ik heb sinds gisteren hoofdpijn", "Wat is de opzegtermijn?"),
    "pl": ("Ile ibuprofenu mogę wziąć dziennie?", "Mój wynajmujący podniósł czynsz", "Od wczoraj boli mnie głowa",
           "Jaki jest okres wypowiedzenia?"),
    "": ("Ibuprofen 400 mg Dosierung", "ok", "", "aspirin?", "42", "🙂", "\ud83d"),
    "cyrillic": ("Сколько ибупрофена можно в день?",),
    "cjk": ("每天可以吃多少布洛芬", "每天可以吃多少 ibuprofen"),
    "kana": ("1日にイブプロフェンをどれくらい飲めますか",),
    "arabic": ("كم يمكنني أن أتناول في اليوم؟",),
}


@pytest.mark.parametrize(("language", "text"), [(each, text) for each, texts in SPOKEN.items() for text in texts])
def test_a_sentence_tells_its_language(language: str, text: str) -> None:
    assert tell_language(text) == language
    assert tell_language(text.upper().replace("SS", "ß")) in (language, "")


def test_code_and_addresses_tell_nothing() -> None:
    code = "```python\nif this is not the one: for that in the other: return it\n```"
    assert tell_language(code) == ""
    assert tell_language(f"Was bedeutet das hier?\n{code}\n`if not this` https://the.of/and/the") == "de"


def test_what_is_as_much_one_as_the_other_is_neither() -> None:
    assert tell_language("The cat is on the table and der Hund ist nicht auf dem Tisch und") == ""


@given(st.text(max_size=200))
def test_anything_can_be_asked(text: str) -> None:
    assert tell_language(text) == tell_language(text)


def test_a_long_text_takes_no_longer() -> None:
    began = time.perf_counter()
    tell_language("```" * 300_000 + "the and " * 300_000)
    assert time.perf_counter() - began < 0.1
