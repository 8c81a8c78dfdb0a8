from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moe.routing.formats import FORMATS
from moe.routing.grams import HEAD_CHARS, TAIL_CHARS, Grams, learn_grams, split_grams, split_words

TEXTS = ("fever and headache", "fever again", "boil the soup")


def weights_of(grams: Grams, text: str) -> dict[str, float]:
    row = grams.read(text, text)
    names = (*grams.names, *FORMATS)
    return {names[place]: float(value) for place, value in zip(row.ids, row.values, strict=True)}


def test_a_word_is_cut_into_pieces_with_its_ends_marked() -> None:
    assert split_grams("ab") == [" a", "ab", "b ", " ab", "ab ", " ab "]
    assert split_grams("a") == [" a", "a ", " a "]


def test_case_and_compatibility_forms_do_not_count() -> None:
    assert split_words("Ｆever ﬁne?!") == ["fever", "fine", "?!"]


def test_of_a_long_text_both_ends_are_read() -> None:
    words = split_words("first " + "x " * 5_000 + "last")
    assert words[0] == "first" and words[-1] == "last"
    assert len(words) <= (HEAD_CHARS + TAIL_CHARS) // 2 + 2


def test_a_text_without_spaces_is_read_in_pieces() -> None:
    assert max(map(len, split_words("x" * 1_000))) == 32


def test_what_is_rarer_weighs_more_and_the_grams_have_unit_length() -> None:
    grams = learn_grams(TEXTS)
    weights = weights_of(grams, "fever soup")
    assert weights["soup"] > weights["feve"]
    known = [value for name, value in weights.items() if name not in FORMATS]
    assert np.linalg.norm(known) == pytest.approx(1)


def test_a_gram_seen_again_weighs_more_but_not_twice() -> None:
    grams = learn_grams(TEXTS)
    once, thrice = weights_of(grams, "fever soup"), weights_of(grams, "fever fever fever soup")
    assert 1 < (thrice["feve"] / thrice["soup"]) / (once["feve"] / once["soup"]) < 3


def test_unknown_words_leave_only_formats() -> None:
    assert set(weights_of(learn_grams(TEXTS), "qqqq")) <= set(FORMATS)
    assert set(weights_of(learn_grams([]), "fever")) <= set(FORMATS)


def test_among_many_texts_rare_grams_are_left_out() -> None:
    grams = learn_grams(["common"] * 1_500 + ["rarity"] * 2)
    assert "comm" in grams.names and "rari" not in grams.names


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=300))
def test_any_text_is_a_finite_row_in_range(text: str) -> None:
    grams = learn_grams([*TEXTS, text])
    row = grams.read(text, text)
    assert np.isfinite(row.values).all() and row.values.dtype == np.float32
    assert (row.ids >= 0).all() and (row.ids < grams.width).all()
    assert len(set(row.ids.tolist())) == len(row.ids)
