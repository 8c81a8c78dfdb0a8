"""Digests and Base64: the published values, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moe.errors import ToolError
from moe.tools.base import Setting
from moe.tools.digests import base64_codec, hash_text


@pytest.mark.parametrize(("text", "algorithm", "found"), [
    ("hello world", "sha256", "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9"),
    ("", "sha256", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
    ("Hello World", "md5", "b10a8db164e0754105b7a99be72e3fe5"),
    ("abc", "sha1", "a9993e364706816aba3e25717850c26c9cd0d89d"),
    ("abc", "SHA-224", "23097d223405d8228642a477bda255b32aadbce4bda0b3f7e36c9da7"),
])
def test_a_digest_is_the_published_one(text: str, algorithm: str, found: str) -> None:
    assert hash_text(text, algorithm).result == found


def test_names_with_a_hyphen_are_no_longer_rejected() -> None:
    assert hash_text("x", "SHA-256").result == hash_text("x").result


@pytest.mark.parametrize("algorithm", ["", "crc32", "sha256" * 1000, "sha-3", "shake_128", "ſha1"])
def test_an_unknown_algorithm_is_named(algorithm: str) -> None:
    with pytest.raises(ToolError, match="sha512"):
        hash_text("x", algorithm)


def test_half_a_character_has_no_bytes() -> None:
    with pytest.raises(ToolError, match="place 2"):
        hash_text("a\ud800")
    with pytest.raises(ToolError):
        base64_codec("\udfff")


@pytest.mark.parametrize(("text", "found"), [
    ("Hello World", "SGVsbG8gV29ybGQ="), ("hello", "aGVsbG8="), ("Grüße", "R3LDvMOfZQ=="), ("", ""),
])
def test_base64_goes_both_ways(text: str, found: str) -> None:
    assert base64_codec(text).result == found
    assert base64_codec(found, "decode").result == text


@pytest.mark.parametrize("text", ["R3LDvMOfZQ", "a", "=", "====", "aGVs bG8", "aGVsb+8_", "aGVsbG8=aGVs", "/w==",
                                  "٣٣٣٣"])
def test_what_is_no_base64_of_a_text_is_told(text: str) -> None:
    with pytest.raises(ToolError):
        base64_codec(text, "decode")


def test_base64_may_be_broken_into_lines() -> None:
    assert base64_codec("SGVsbG8g\r\nV29ybGQ=\n", "decode").result == "Hello World"


@pytest.mark.parametrize(("language", "line"), [
    ("en", 'The MD5 of "a\\nb" is '), ("de", 'MD5 von "a\\nb" ist '), ("es", 'El MD5 de "a\\nb" es '),
])
def test_the_text_is_one_line_in_the_language(language: str, line: str) -> None:
    assert hash_text("a\nb", "md5", setting=Setting(language=language)).text.startswith(line)  # type: ignore[arg-type]


def test_a_long_text_is_not_repeated() -> None:
    assert len(hash_text("x" * 1_000_000).text) < 200
    assert len(base64_codec("x" * 1_000_000).text) < 3_000


@given(st.text())
def test_whatever_is_encoded_is_decoded(text: str) -> None:
    try:
        packed = base64_codec(text).result
    except ToolError:
        assert any("\ud800" <= letter <= "\udfff" for letter in text)
        return
    assert base64_codec(packed, "decode").result == text


@given(st.text())
def test_nothing_but_a_tool_error_escapes(text: str) -> None:
    for call in (lambda: base64_codec(text, "decode"), lambda: hash_text(text, text), lambda: hash_text(text)):
        try:
            outcome = call()
        except ToolError:
            continue
        assert outcome.text.isprintable()


@pytest.mark.parametrize(("text", "found"), [("aGVsbG8_", "hello?"), ("fn5-", "~~~"), ("w7_Dvw==", "ÿÿ")])
def test_the_alphabet_of_urls_is_read_too(text: str, found: str) -> None:
    assert base64_codec(text, "decode").result == found


def test_nothing_is_shown_as_nothing() -> None:
    assert base64_codec("").text == '"" in Base64 is ""'
    assert base64_codec("", "decode").text == '"" decoded from Base64 is ""'
