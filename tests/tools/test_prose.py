"""Words and sentences, counted as people count them."""

from __future__ import annotations

from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moe.tools.base import Setting
from moe.tools.prose import text_analyze


@pytest.mark.parametrize(("text", "sentences"), [
    ("Pi is 3.14 or so.", 1),
    ("Fruit, e.g. apples, is good. I like it.", 2),
    ("Well... yes. No!", 2),
    ("...", 0),
    ("", 0),
    ("Really?! Yes.", 2),
    ("Dr. Smith met J. R. Tolkien. They talked.", 2),
    ("Am 3. Oktober kam Dr. Müller. Er ging.", 2),
    ("Das ist z.B. so. Gut.", 2),
    ("¿Qué tal? ¡Bien! La Sra. Gómez llegó.", 3),
    ("No end mark", 1),
    ('"Stop!" he said. "Why?" She left.', 3),
    ("He came at 5 p.m. Then he left.", 2),
    ("It costs 1.234,56 euros. Pay.", 2),
    ("Visit example.com today.", 1),
])
def test_only_ends_of_sentences_count(text: str, sentences: int) -> None:
    assert text_analyze(text).result["sentences"] == sentences


def test_all_counts_of_a_text() -> None:
    found = text_analyze("The cat saw the dog.\n\nIt ran!")
    assert found.result == {"words": 7, "unique_words": 6, "characters": 29, "characters_without_spaces": 22,
                            "sentences": 2, "paragraphs": 2, "reading_minutes": "0.04"}


@pytest.mark.parametrize(("language", "line"), [
    ("en", "1 word (1 different), 4 characters (4 without blanks), 1 sentence, 1 paragraph, 0 minutes to read"),
    ("de", "1 Wort (1 verschieden), 4 Zeichen (4 ohne Leerraum), 1 Satz, 1 Absatz, 0 Minuten Lesezeit"),
    ("es", "1 palabra (1 distinta), 4 caracteres (4 sin espacios), 1 frase, 1 párrafo, 0 minutos de lectura"),
])
def test_the_line_is_in_the_language(language: str, line: str) -> None:
    assert text_analyze("Hola", setting=Setting(language=language)).text == line  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["a. " * 333_333, "." * 1_000_000, "a" * 1_000_000, "a!" * 500_000, "_" * 1_000_000,
                                  "\n" * 1_000_000, "(" * 999_999 + "."])
def test_a_huge_text_takes_no_time(text: str) -> None:
    start = process_time()
    text_analyze(text)
    assert process_time() - start < 2


@given(st.text())
def test_counts_fit_each_other(text: str) -> None:
    found = text_analyze(text).result
    assert found["unique_words"] <= found["words"] <= found["characters_without_spaces"] <= found["characters"]
    assert found["sentences"] <= found["words"]
    assert found["characters"] == len(text)


@given(st.lists(st.text("abc", min_size=2, max_size=5), min_size=1, max_size=9))
def test_plain_words_are_counted_one_by_one(words: list[str]) -> None:
    found = text_analyze(" ".join(words)).result
    assert (found["words"], found["unique_words"], found["sentences"]) == (len(words), len(set(words)), 1)


@pytest.mark.parametrize(("text", "words", "sentences"), [
    ("你好。我是学生。", 6, 2), ("Hello 世界! 日本語のテスト。", 10, 2), ("안녕 세상.", 2, 1),
    ("彼は「はい。」と言った。", 8, 1),
])
def test_chinese_and_japanese_are_counted_by_their_letters(text: str, words: int, sentences: int) -> None:
    found = text_analyze(text).result
    assert (found["words"], found["sentences"], found["characters"]) == (words, sentences, len(text))


def test_a_spanish_abbreviation_in_two_parts_ends_nothing() -> None:
    assert text_analyze("EE. UU. es grande. Fin.").result["sentences"] == 2
