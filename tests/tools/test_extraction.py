"""Regular expressions, always with an end."""

from __future__ import annotations

import contextlib
from time import process_time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moe.errors import ToolError, ToolTimeout
from moe.tools.base import Setting
from moe.tools.extraction import MOST_SHOWN, regex_extract


def test_every_match_is_found() -> None:
    found = regex_extract(r"\d{4}-\d{2}-\d{2}", "Date: 2026-03-29 and 2025-12-31")
    assert found.result == {"count": 2, "matches": ["2026-03-29", "2025-12-31"]}
    assert found.text == r'2 matches for \d{4}-\d{2}-\d{2}: "2026-03-29", "2025-12-31"'


def test_groups_come_as_lists() -> None:
    assert regex_extract(r"(\w)(\d)?", "a1 b").result["matches"] == [["a", "1"], ["b", None]]
    assert regex_extract(r"x=(\d+)", "x=1 x=22").result["matches"] == ["1", "22"]


@pytest.mark.parametrize(("flags", "count"), [("", 1), ("i", 2), ("I, M", 3)])
def test_flags(flags: str, count: int) -> None:
    assert regex_extract("^a|A", "ab A\na" if flags != "i" else "aA", flags).result["count"] == count + (not flags)


def test_a_dot_is_a_line_end_only_if_asked() -> None:
    assert regex_extract("a.b", "a\nb").result["count"] == 0
    assert regex_extract("a.b", "a\nb", "s").result["count"] == 1


@pytest.mark.parametrize(("pattern", "flags"), [("(", ""), ("a", "x"), ("[a", ""), ("*", ""), ("(" * 1999, ""),
                                                ("a" * 2001, ""), (r"\p{Nope}", ""), ("(?R)*", ""), ("(a(?1)?b)", ""),
                                                ("(?P<x>a(?&x)?)", ""), ("a{1,99999999999999}", "")])
def test_what_is_no_pattern_is_told(pattern: str, flags: str) -> None:
    with pytest.raises(ToolError):
        regex_extract(pattern, "a", flags)


@pytest.mark.parametrize(("pattern", "text"), [
    ("(a+)+$", "a" * 5000 + "b"), ("(?=(.*))", "a" * 200_000),
])
def test_catastrophic_backtracking_is_stopped(pattern: str, text: str) -> None:
    start = process_time()
    with pytest.raises(ToolTimeout):
        regex_extract(pattern, text)
    assert process_time() - start < 2


def test_many_matches_are_counted_and_the_first_shown() -> None:
    found = regex_extract("a", "a" * 150_000)
    assert found.result["count"] == 150_000
    assert len(found.result["matches"]) == MOST_SHOWN
    assert len(found.text) < 300


def test_a_huge_text_is_refused() -> None:
    with pytest.raises(ToolError):
        regex_extract("a", "a" * 1_000_000)


@pytest.mark.parametrize(("language", "text"), [
    ("de", 'Kein Treffer für z'), ("es", "Ninguna coincidencia de z"), ("en", "No match for z")])
def test_no_match_is_an_answer(language: str, text: str) -> None:
    assert regex_extract("z", "abc", setting=Setting(language=language)).text == text  # type: ignore[arg-type]


@settings(deadline=None, max_examples=60)
@given(st.text(max_size=30), st.text(max_size=60))
def test_nothing_but_a_tool_error_escapes(pattern: str, text: str) -> None:
    with contextlib.suppress(ToolError):
        assert regex_extract(pattern, text).text.isprintable()


@given(st.lists(st.integers(0, 10**6), max_size=20))
def test_numbers_written_are_numbers_found(numbers: list[int]) -> None:
    found = regex_extract(r"\d+", " ".join(map(str, numbers)))
    assert found.result["matches"] == [str(number) for number in numbers]


def test_a_group_that_took_no_part_is_nothing() -> None:
    found = regex_extract("(a)?b", "b ab")
    assert found.result == {"count": 2, "matches": [None, "a"]}
    assert found.text == '2 matches for (a)?b: -, "a"'


@pytest.mark.parametrize("pattern", ["a{99999999}", "(?:a{1000}){1000}", "((((a{99}){99}){99}){99})", "a{ 99999999 }",
                                     "(ab|c) {1000000}", "(?x)a", "(?i-x:a)(?sx) b", "x(?=a{999999})"])
def test_a_pattern_that_would_take_all_memory_is_refused(pattern: str) -> None:
    start = process_time()
    with pytest.raises(ToolError, match="too often|verbose"):
        regex_extract(pattern, "a")
    assert process_time() - start < 0.1


@pytest.mark.parametrize("pattern", [r"(?:[0-9]{1,3}\.){3}[0-9]{1,3}", "a{3,}", "a{0,99999999}", "(?:ab){2,100000}|1",
                                     "a{1000}|1"])
def test_a_pattern_that_counts_in_reason_is_not(pattern: str) -> None:
    assert regex_extract(pattern, "aaa 10.0.0.1").result["count"]
