from __future__ import annotations

import sys
import unicodedata
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moe.routing.keywords import KeywordIndex
from moe.routing.words import fold, split_words

WORDS = ("python", "fever", "código", "übersetzung", "straße", "machine learning", "ruby on rails", "c++",
         "naïve bayes")
INDEX = KeywordIndex([WORDS])
PUNCTUATION = st.text("!?.,;:()[]{}\"'`*_-–—…¿¡/\\|<>=~ \n\t", min_size=1, max_size=5)
CASES = st.sampled_from((str.lower, str.upper, str.title, str.swapcase, str.casefold))
FORMS = st.sampled_from(("NFC", "NFD", "NFKC", "NFKD"))


def bare(word: str) -> str:
    return "".join(c for c in unicodedata.normalize("NFD", word) if not unicodedata.combining(c))


@settings(deadline=None)
@given(st.text(max_size=400))
def test_no_text_is_too_strange(text: str) -> None:
    shares, best = INDEX.rate(text)
    assert 0 <= shares[0] < 1 and best in (-1, 0)
    assert all(0 < exactness <= 1 for exactness in INDEX.find(text).values())


@settings(deadline=None)
@given(st.lists(st.lists(st.text(max_size=12), max_size=4), min_size=1, max_size=4), st.text(max_size=60))
def test_no_keyword_is_too_strange(keywords: list[list[str]], text: str) -> None:
    shares, best = KeywordIndex(keywords).rate(" ".join([text, *keywords[0]]))
    assert len(shares) == len(keywords) and sum(shares) < 1 and best < len(keywords)


@settings(deadline=None)
@given(st.sampled_from(WORDS), CASES, FORMS, st.booleans(), PUNCTUATION, PUNCTUATION)
def test_case_accents_and_punctuation_hide_no_keyword(word: str, case: Any, form: Any, keeps_accents: bool, before: str,
                                                      after: str) -> None:
    dressed = unicodedata.normalize(form, case(word if keeps_accents else bare(word)))
    assert INDEX.find(f"so{before}{dressed}{after}then") == {" ".join(split_words(fold(word))): 1.0}


@settings(deadline=None)
@given(st.text(max_size=200))
def test_folding_twice_changes_nothing_more(text: str) -> None:
    words = split_words(fold(text))
    assert split_words(fold(" ".join(words))) == words


@settings(deadline=None)
@given(st.sampled_from([word for word in WORDS if word.isalpha()]), st.text("abcdefghijklm", min_size=3, max_size=6))
def test_a_keyword_inside_a_longer_word_is_not_found(word: str, more: str) -> None:
    assert INDEX.find(f"{more}{word} {word}{more}{word}") == {}


@pytest.mark.parametrize("text", ["pythons", "a Python's life", "pyton", "pyhton", "PYTHONS!", "python3 or python"])
def test_plurals_and_small_typos_are_found(text: str) -> None:
    assert "python" in INDEX.find(text)


@pytest.mark.parametrize("text", ["pithy", "on", "rails", "ruby rails", "ruby off rails", "machine", "c", "d++"])
def test_a_part_of_a_phrase_or_another_word_is_not_found(text: str) -> None:
    assert INDEX.find(text) == {}


def test_the_exact_word_is_worth_more_than_its_plural_and_that_more_than_a_typo() -> None:
    exact, plural, typo = (INDEX.rate(text)[0][0] for text in ("python", "pythons", "pyhton"))
    assert exact == 0.5 > plural > typo > 0.2


def test_umlauts_may_be_spelt_out() -> None:
    assert INDEX.find("eine UEBERSETZUNG, bitte") == {"ubersetzung": 1.0}
    assert INDEX.find("die Strasse") == {"strasse": 1.0}


@pytest.mark.parametrize(("keyword", "text"), [
    ("翻译", "请把这句话翻译成英文"), ("機械学習", "私は機械学習を勉強しています"), ("แปลภาษา", "ช่วยแปลภาษาให้หน่อย"),
    ("번역", "번역, 부탁해요"), ("अनुवाद", "कृपया अनुवाद करें"), ("код", "Проверь КОД!"), ("קוד", "בדוק קוד"),
    ("ｐｙｔｈｏｎ", "python"), ("python", "𝐩𝐲𝐭𝐡𝐨𝐧"), ("python", "py\u200bthon"),
])
def test_other_scripts_are_matched_by_their_own_rules(keyword: str, text: str) -> None:
    assert len(KeywordIndex([[keyword]]).find(text)) == 1


def test_a_plus_or_sharp_belongs_to_the_word() -> None:
    index = KeywordIndex([["c"], ["c++"], ["c#"]])
    assert [index.rate(text)[1] for text in ("Is it C?", "Is it C++?", "Is it c#?")] == [0, 1, 2]
    assert INDEX.find("python#1") == {"python": 0.9}


def test_keywords_that_differ_only_in_their_marks_are_one() -> None:
    assert KeywordIndex([["null-pointer"], ["Null Pointer!"]]).rate("a null pointer")[0] == [0.3, 0.3]
    assert KeywordIndex([["kueche"], ["Küche"]]).rate("kueche")[1] == 0


def test_a_longer_phrase_hides_the_words_inside_it() -> None:
    index = KeywordIndex([["ruby"], ["ruby on rails"]])
    assert index.rate("my ruby on rails app")[1] == 1
    assert index.rate("my ruby ring on rails")[1] == 0


def test_one_keyword_alone_gives_a_half_and_each_other_experts_keyword_takes_a_share() -> None:
    index = KeywordIndex([["python"], ["fever"], ["soup"]])
    assert index.rate("python")[0] == [0.5, 0, 0]
    assert index.rate("python fever")[0] == pytest.approx([1 / 3, 1 / 3, 0])
    assert index.rate("python fever soup")[0] == pytest.approx([0.25] * 3)
    assert index.rate("python, python and python")[0] == [0.5, 0, 0]


def test_a_keyword_of_two_experts_is_shared_and_a_phrase_outweighs_a_word() -> None:
    assert KeywordIndex([["python"], ["python"]]).rate("python")[0] == [0.25, 0.25]
    shares, best = KeywordIndex([["python"], ["blood pressure"]]).rate("python has high blood pressure")
    assert best == 1 and shares[1] > shares[0]


def test_a_tie_goes_to_the_longer_keyword_whatever_the_order() -> None:
    text = "my snake is a python and it has a fever"
    assert KeywordIndex([["python"], ["fever"]]).rate(text)[1] == 0
    assert KeywordIndex([["fever"], ["python"]]).rate(text)[1] == 1


def test_words_out_of_one_experts_phrases_are_hints_and_one_hint_does_not_pass() -> None:
    index = KeywordIndex([["null pointer exception"], ["blood pressure"]])
    one, two = index.rate("a pointer, please")[0][0], index.rate("an exception from a pointer")[0][0]
    assert 0 < one < 0.2 < two


def count_calls(index: KeywordIndex, text: str) -> int:
    calls = 0

    def count(*_: object) -> None:
        nonlocal calls
        calls += 1

    sys.setprofile(count)
    try:
        index.rate(text)
    finally:
        sys.setprofile(None)
    return calls


@pytest.mark.parametrize("words", ["lorem python ipsum ", "ruby on ", "ruby on rails ", "a ", "pyton fevr ", "翻", "x"])
def test_work_grows_no_faster_than_the_text_and_stops_growing_for_huge_ones(words: str) -> None:
    index = KeywordIndex([[*WORDS, "a a a a b", "翻译"]])
    small, fourfold = (count_calls(index, words * (size // len(words))) for size in (8_000, 32_000))
    assert fourfold < 5 * small + 100
    large, huge = (count_calls(index, words * (size // len(words))) for size in (100_000, 1_000_000))
    assert huge < 1.1 * large + 100


def test_both_ends_of_a_huge_text_are_read() -> None:
    assert INDEX.find(" " * 1_000_000) == {}
    filler = "lorem ipsum " * 100_000
    assert INDEX.find(f"python {filler}") == INDEX.find(f"{filler} python") == {"python": 1.0}
