"""Regular expressions of strangers."""

from __future__ import annotations

import contextlib
import time

import pytest

from moe.pipeline.pattern import Pattern


@pytest.mark.parametrize(("pattern", "text", "is_in"), [
    (r"^[A-Z]{3}-\d{4}$", "ABC-1234", True),
    (r"^[A-Z]{3}-\d{4}$", "ABC-12345", False),
    ("b", "abc", True),
    (r"^\p{L}+$", "Größe", True),
    (r"^(?=.*\d)(?=.*[a-z]).{8,}$", "abcdefg1", True),
    (r"^(?<year>\d{4})", "2026-11", True),
    (r"[^\x00-\x1f]", "\n", False),
    ("", "", True),
])
def test_a_pattern_is_searched_for(pattern: str, text: str, is_in: bool) -> None:
    assert Pattern(pattern).is_in(text, within_s=5) is is_in


@pytest.mark.parametrize("pattern", [
    "[", "(", "a{2}{3}", "(?<n>a)(?<n", "a" * 1001, "a{99999999}", "(?:a{1000}){1000}", "((a{100}){100}){100}",
    "(" * 500 + ")" * 500, r"(?:\d{900}[a-z]{900}){99}", "a{9999999999}", "(a{20000}){0}(b{20000}){0}",
])
def test_what_is_none_or_too_large_is_refused_at_once(pattern: str) -> None:
    began = time.monotonic()
    with pytest.raises(ValueError):
        Pattern(pattern)
    assert time.monotonic() - began < 1


@pytest.mark.parametrize("pattern", [r"^(a|aa)+$", r"^(a?){40}a{40}$", r"^(?:(a+)+b?)+$"])
def test_a_search_ends_in_time(pattern: str) -> None:
    began = time.monotonic()
    with contextlib.suppress(TimeoutError):
        Pattern(pattern).is_in("a" * 60 + "!", within_s=0.2)
    assert time.monotonic() - began < 3
