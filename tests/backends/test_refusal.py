"""What an upstream's own words become before a client may read them."""

from __future__ import annotations

import pytest

from moe.backends.refusal import LONGEST_WORDS, tell_failure


@pytest.mark.parametrize(("told", "shown"), [
    ("kaboom", "kaboom"), ("CUDA error at /usr/lib/secret.so", "CUDA error at …"),
    ("dial tcp 127.0.0.1:38271: connect: connection refused", "dial tcp …: connect: connection refused"),
    ('Post "http://node.lan:11434/api?k=1": EOF', 'Post "…": EOF'), ("at localhost:8080", "at …"),
    ("std::bad_alloc and/or n/a, 3:4", "std::bad_alloc and/or n/a, 3:4"), ("[::1]:80 is gone", "… is gone"),
    ("bad key sk-1234567890abcdef", "bad key …"), ("Bearer abc.def is wrong", "… is wrong"),
    ("open C:\\Users\\me\\x.gguf: no", "open … no"), ("two\n\tlines", "two lines"), ("a\x1b[31mred", "a\\x1b[31mred"),
])
def test_what_it_tells_of_its_machine_is_left_out(told: str, shown: str) -> None:
    error = tell_failure(told)
    assert (error.reason, error.message) == (f"upstream error: {shown}", told)
    assert error.is_worth_a_retry


def test_they_are_no_longer_than_a_sentence() -> None:
    assert len(tell_failure("x" * 10_000).reason) < LONGEST_WORDS + 30


def test_an_error_without_words_has_its_status() -> None:
    assert tell_failure("", status=502).reason == "upstream status 502"
