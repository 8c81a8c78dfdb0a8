"""Log probabilities as they are read and kept, and the tokens of an answer matched to its text."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from moe.backends.dialogue.ledger import Ledger, Mark
from moe.backends.logprobs import LEAST, bound, find_likeliest, read_logprobs, spell
from moe.core import TokenLogprob


def test_entries_are_read_with_what_stands_in_their_place() -> None:
    top = [{"token": "a", "logprob": -1}, {"token": "b", "logprob": -2.5, "bytes": None}]
    (read,) = read_logprobs([{"token": "a", "logprob": -1, "bytes": [97], "top_logprobs": top}])
    assert read == TokenLogprob("a", -1.0, (TokenLogprob("a", -1.0), TokenLogprob("b", -2.5)))


def test_a_token_that_is_half_a_character_is_known_by_its_bytes() -> None:
    (read,) = read_logprobs([{"token": "\ufffd", "logprob": 0, "bytes": [0xC3]}])
    assert read.token.encode("utf-8", "surrogateescape") == b"\xc3"


@pytest.mark.parametrize("told", [
    None, 5, "x", {}, [], [None], [5], [{}], [{"token": 5, "logprob": 1}], [{"token": "a"}],
    [{"token": "a", "logprob": "much"}], [{"token": "a", "logprob": True}],
])
def test_what_is_no_entry_is_left_out(told: Any) -> None:
    assert read_logprobs(told) == ()


@pytest.mark.parametrize("bad", [[256], [-1], ["a"], [[1]], "ab", 7])
def test_bytes_that_are_none_do_not_cost_the_token(bad: Any) -> None:
    assert read_logprobs([{"token": "a", "logprob": -1.0, "bytes": bad}]) == (TokenLogprob("a", -1.0),)


def test_what_json_cannot_carry_becomes_the_least() -> None:
    assert [bound(float(text)) for text in ("-inf", "nan", "-1e30", "-2.5")] == [LEAST, LEAST, LEAST, -2.5]


@pytest.mark.parametrize("most", [0, 1, 3, 5, 99])
def test_the_likeliest_come_first(most: int) -> None:
    row = np.array([0.5, 3.0, -2.0, 7.0, 1.0], np.float32)
    assert find_likeliest(row, most) == [3, 1, 4, 0, 2][:most]


def tokens(*texts: str) -> Ledger:
    ledger, end = Ledger(), 0
    for text in texts:
        end += len(text)
        ledger.add(Mark(end, TokenLogprob(text or "half", -1.0)))
    return ledger


def take(ledger: Ledger, start: int, end: int) -> list[str]:
    return [token.token for token in ledger.take(start, end)]


def test_a_token_leaves_with_the_text_it_begins() -> None:
    ledger = tokens("He", "llo", " you")
    assert take(ledger, 0, 3) == ["He", "llo"]
    assert take(ledger, 3, 5) == []
    assert take(ledger, 5, 9) == [" you"]


def test_the_tokens_of_what_is_passed_over_are_forgotten() -> None:
    ledger = tokens("<think>", "hm", "</think>", "\n\n", "Yes", ".")
    assert take(ledger, 19, 23) == ["Yes", "."]


def test_half_a_character_belongs_to_the_text_that_follows_it() -> None:
    ledger = tokens("a", "", "é")
    assert take(ledger, 0, 1) == ["a"]
    assert take(ledger, 1, 2) == ["half", "é"]


def test_a_token_across_the_end_of_a_mark_is_told_once() -> None:
    ledger = tokens("<think>x</think> Y", "es")
    assert take(ledger, 17, 18) == ["<think>x</think> Y"]
    assert take(ledger, 18, 20) == ["es"]


def test_bytes_keep_their_spelling() -> None:
    assert spell("ü".encode()) == "ü"
    assert spell(b"\xf0\x9f") == "\udcf0\udc9f"
