"""Values set in a text: what is not theirs stays as it is, to the last space."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moe.judge.json_edit import set_values


@pytest.mark.parametrize(("text", "path", "due"), [
    ('{ "a" : 1 ,"b":2 }', ("a",), '{ "a" : 9 ,"b":2 }'),
    ('{"a": {"b": [1, {"b": 2}], "c": "}"}}', ("a", "c"), '{"a": {"b": [1, {"b": 2}], "c": 9}}'),
    ('{\n  "a": 1\n}\n', ("b",), '{\n  "a": 1,\n  "b": 9\n}\n'),
    ('{\r\n\t"a": 1}', ("b",), '{\r\n\t"a": 1,\r\n\t"b": 9}'),
    ("{}", ("a",), '{"a": 9}'),
    (" {  } ", ("a", "b"), ' {"a": {"b": 9}} '),
    ('{"x":1}', ("a", "b"), '{"x":1, "a": {"b": 9}}'),
    ('{"a": 1, "a": 2}', ("a",), '{"a": 1, "a": 9}'),
    ('{"\\u0061": 1}', ("a",), '{"\\u0061": 9}'),
    ('{"a": "\\"a\\": 1", "b": null}', ("b",), '{"a": "\\"a\\": 1", "b": 9}'),
])
def test_only_the_value_changes(text: str, path: tuple[str, ...], due: str) -> None:
    assert set_values(text, {path: 9}) == due


def test_several_values_at_once() -> None:
    changes = {("r", "t"): 0.5, ("r", "w", "x"): 0.1, ("r", "w", "y"): None}
    assert set_values('{"r": {"t": 1}}', changes) == '{"r": {"t": 0.5, "w": {"x": 0.1, "y": null}}}'


@pytest.mark.parametrize("text", ["[1]", '{"a": 3}', "nonsense", '{"a": null}'])
def test_what_is_no_object_is_refused(text: str) -> None:
    with pytest.raises((ValueError, TypeError, AttributeError)) as caught:
        set_values(text, {("a", "b"): 1})
    assert isinstance(caught.value, ValueError)


tables = st.recursive(st.none() | st.integers() | st.text(max_size=5),
                      lambda each: st.lists(each, max_size=3) | st.dictionaries(st.text(max_size=3), each, max_size=3))


@given(st.dictionaries(st.text(max_size=3), tables, max_size=4), st.sampled_from([None, 1, "\t"]), st.text(max_size=3))
def test_any_object_gets_the_value_and_keeps_the_rest(table: dict[str, Any], indent: Any, key: str) -> None:
    edited = set_values(json.dumps(table, indent=indent), {(key,): 0.25})
    assert json.loads(edited) == {**table, key: 0.25}
    assert list(json.loads(edited)) == list({**table, key: 0})
