"""Bodies that are no JSON, too deep, or of a wrong type."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moe.dialects.body import DEEPEST, is_deeper, read
from moe.errors import BadRequest


class Asked(msgspec.Struct):
    text: str | None = None
    count: int | None = None
    free: Any = None


DECODER = msgspec.json.Decoder(Asked)


def refusal(body: bytes) -> BadRequest:
    with pytest.raises(BadRequest) as caught:
        read(body, DECODER)
    return caught.value


def depth_of(value: Any) -> int:
    if isinstance(value, dict | list):
        inner = value.values() if isinstance(value, dict) else value
        return 1 + max(map(depth_of, inner), default=0)
    return 0


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(alphabet='[]{}"\\ü,a'),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(alphabet='[]{}"\\a'), inner, max_size=4),
    max_leaves=40,
)


@pytest.mark.parametrize("body", [b"", b" \r\n\t"])
def test_an_empty_body_is_called_missing(body: bytes) -> None:
    assert refusal(body).message == "missing request body"


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"nonsense",
        b'{"text":"a"} x',
        b'{"text":"\xff"}',
        b'{"count":NaN}',
        b'{"free":Infinity}',
        b'{"free":-1e999}',
        b'{"text":"\\ud83d","free":NaN}',
        b'{"text":"\\ud83d","free":1e999}',
        b'{"count":' + b"9" * 5000 + b"}",
        b"\x00",
    ],
)
def test_what_is_no_json_is_refused(body: bytes) -> None:
    assert refusal(body).status == 400


@pytest.mark.parametrize("body", [b"[]", b"5", b'"text"', b"null", b"true"])
def test_a_body_must_be_an_object(body: bytes) -> None:
    assert "expected object" in refusal(body).message


def test_a_wrong_type_is_told_with_its_field() -> None:
    error = refusal(b'{"count":"5"}')
    assert error.message == "invalid 'count': expected integer, got string"
    assert error.param == "count"


def test_unknown_fields_and_double_keys_are_taken() -> None:
    assert read(b'{"other":[1],"text":"a","text":"b"}', DECODER) == Asked(text="b")


@pytest.mark.parametrize("field", ["free", "unknown"])
def test_nesting_is_limited_everywhere(field: str) -> None:
    inner = DEEPEST - 1
    deepest = b'{"%s":%b%b}' % (field.encode(), b"[" * inner, b"]" * inner)
    assert read(deepest, DECODER)
    deeper = b'{"%s":%b%b}' % (field.encode(), b"[" * (inner + 1), b"]" * (inner + 1))
    assert "nested more than 64 levels" in refusal(deeper).message


def test_a_hundred_thousand_levels_are_refused_without_a_recursion_error() -> None:
    for bracket in (b"[", b'{"a":', b"[{}{"):
        assert refusal(b'{"free":' + bracket * 100_000).status == 400


def test_brackets_in_strings_are_no_nesting() -> None:
    text = '[{"\\' * 500
    assert read(json.dumps({"text": text}).encode(), DECODER).text == text


@given(JSON, st.integers(1, 6))
def test_the_depth_is_exact(value: Any, levels: int) -> None:
    padded = [value, *([[]] * levels)]  # enough brackets for a real look
    assert is_deeper(json.dumps(padded, ensure_ascii=False).encode(), levels) == (depth_of(padded) > levels)


def test_half_an_emoji_becomes_a_replacement_character() -> None:
    assert read(b'{"text":"cut \\ud83d","free":"\\ud83d\\ude00"}', DECODER) == Asked(text="cut \ufffd", free="😀")


def test_a_byte_order_mark_is_forgiven() -> None:
    assert read(b'\xef\xbb\xbf{"text":"a"}', DECODER) == Asked(text="a")
