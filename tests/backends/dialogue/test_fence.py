from __future__ import annotations

import re
import time

from hypothesis import given
from hypothesis import strategies as st

from moe.backends.dialogue.fence import Fence
from moe.backends.dialogue.prefixes import fold

MARKS = ["<|im_start|>", "<|im_end|>", "<s>"]


def test_thousands_of_control_texts_are_looked_for_at_once() -> None:
    """Trying each of them at every "<" of a prompt held all other requests up for a minute."""
    fence = Fence([f"<unused{place}>" for place in range(6000)])
    began = time.process_time()
    guarded = fence.guard()
    hidden = guarded.hide("<" * 100_000 + "<unused77>" + "<unused" * 20_000)
    assert time.process_time() - began < 2.0
    assert [piece for piece, is_special in guarded.split(hidden) if not is_special] == ["<unused77>"]


@given(st.lists(st.text("ab<", min_size=1, max_size=4), min_size=1, max_size=6), st.text("ab<", max_size=30))
def test_the_longest_control_text_at_a_place_is_the_one(controls: list[str], text: str) -> None:
    longest_first = sorted(controls, key=len, reverse=True)
    expected = re.findall("|".join(re.escape(control) for control in longest_first), text)
    guarded = Fence(controls).guard()
    assert [piece for piece, is_special in guarded.split(guarded.hide(text)) if not is_special] == expected


@given(st.text("ab \n<|>", max_size=400), st.integers(1, 40))
def test_a_text_is_cut_only_where_it_has_to_be_and_nothing_is_lost(text: str, most: int) -> None:
    fence = Fence(MARKS)
    longest = max(most, 2 * max(map(len, MARKS)))
    pieces = list(fence.cut(text, most))
    assert "".join(pieces) == text
    assert all(len(run) <= longest for piece in pieces for run in re.findall(r"\S+|\s+", piece))
    if not re.search(rf"\S{{{longest + 1}}}|\s{{{longest + 1}}}", text):
        assert len(pieces) <= 1


def test_a_cut_never_lies_within_a_control_text() -> None:
    text = "x" * 37 + "<|im_start|>" + "y" * 100
    assert any(piece.endswith("x") for piece in Fence(MARKS).cut(text, 40))
    assert sum("<|im_start|>" in piece for piece in Fence(MARKS).cut(text, 40)) == 1


@given(st.lists(st.text("ab", max_size=60), min_size=1, max_size=8, unique=True), st.text("ab", max_size=60))
def test_folded_texts_match_each_of_them_and_nothing_else(texts: list[str], other: str) -> None:
    pattern = fold(texts, spell=re.escape, join=lambda either, may_miss: f"(?:{'|'.join(either)}){'?' * may_miss}")
    assert all(re.fullmatch(pattern, text) for text in texts)
    assert bool(re.fullmatch(pattern, other)) == (other in texts)


def test_texts_that_nest_without_end_are_folded_too() -> None:
    pattern = fold(["a" * length for length in range(1, 3000)], spell=str, join=lambda either, _: "|".join(either))
    assert pattern
