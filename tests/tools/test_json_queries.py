"""JSONPath as the RFC has it, and the short forms."""

from __future__ import annotations

import contextlib
import json
from time import process_time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moe.errors import ToolError, ToolTimeout
from moe.tools.json_queries import json_query, rewrite

STORE = json.dumps({"users": [{"name": "A", "age": 30}, {"name": "B", "age": 41}], "x-rate": {"per-day": [[1, 2], [3]]},
                    "": 5, "$id": "s", "größe": 9})


@pytest.mark.parametrize(("document", "path", "found"), [
    ('{"user":{"name":"Alice"}}', "user.name", "Alice"),
    ('{"a":[0,{"b":2}]}', "a[1].b", 2),
    (STORE, "users[0].name", "A"),
    ("[1,2,3]", "[1]", 2),
    ("[1,2,3]", "$[-1]", 3),
    (STORE, "$id", "s"),
    (STORE, ".größe", 9),
    (STORE, "$['']", 5),
])
def test_short_forms_find_one_value(document: str, path: str, found: Any) -> None:
    assert json_query(document, path).result == found


@pytest.mark.parametrize(("path", "found"), [
    ("$..name", ["A", "B"]), ("users[*].age", [30, 41]), ("$.users[0:1].name", ["A"]),
    ("$.users[?@.age > 35].name", ["B"]), ("$.users[?match(@.name, '[AC]')].age", [30]), ("users..age", [30, 41]),
    ("$.users[?@.age < 3]", []), ("$['users'][0,1]['name']", ["A", "B"]), ("users.*.name", ["A", "B"]),
    ("$.users[?search(@.name, 'B')].age", [41]),
])
def test_bug_descent_and_wildcards_failed(path: str, found: list[Any]) -> None:
    assert json_query(STORE, path).result == found


def test_bug_nested_indices_failed() -> None:
    assert json_query("[[1,2],[3]]", "[0][1]").result == 2
    assert json_query(STORE, "x-rate.per-day[1][0]").result == 3


def test_bug_keys_with_a_hyphen_failed() -> None:
    assert json_query(STORE, "$.x-rate.per-day[0]").result == [1, 2]
    assert rewrite("$..per-day") == '$..["per-day"]'


@pytest.mark.parametrize("path", ["", "$", " ", "."])
def test_bug_an_empty_path_failed(path: str) -> None:
    assert json_query("[1]", path).result == [1]


@pytest.mark.parametrize(("document", "path"), [
    ("{", "a"), ("", "a"), ("NaN", "$"), ("[Infinity]", "$"), ('{"a":1}', "b"), ('{"a":1}', "a b"), ("[1]", "[5]"),
    ("[1]", "[0"), ("[1]", "$[?@.a"), ("[1]", "$[?nope(@)]"), ("[1]", "[99999999999999999999]"), ('"\\ud800"', "$"),
    ("1" * 5000, "$"), ("[" * 100_000, "$"), ("[1]", "a" * 1001), ("[1]", "$[?" + "(" * 400 + "1" + ")" * 400 + "]"),
    ("[1]", "$[?@ == 1e999]"), ("[1]", "$[?@ == \ud800]"),
])
def test_what_has_no_answer_is_told(document: str, path: str) -> None:
    with pytest.raises(ToolError):
        json_query(document, path)


@pytest.mark.parametrize(("document", "found"), [
    ("12345678901234567890", "12345678901234567890"), ("0.12345678901234567890", "0.12345678901234567890"),
    ("0.1", 0.1), ("9007199254740992", 9007199254740992), ("1e400", "1e400"), ("true", True),
])
def test_numbers_a_float_would_change_come_as_text(document: str, found: Any) -> None:
    assert json_query(document, "$").result == found


BIG = f"[{','.join(['[]'] * 330_000)}]"


@pytest.mark.parametrize("path", ["$..*..*..*", "$[?$==$]", f"$..[{','.join(['9'] * 400)}]", "$[?count($..*)>1]",
                                  "$[?@..[?@..[?$..zz]]]"])
def test_a_path_that_takes_too_long_is_stopped(path: str) -> None:
    start = process_time()
    with pytest.raises(ToolTimeout):
        json_query(BIG, path)
    assert process_time() - start < 4


def test_matches_that_grow_beyond_the_document_are_refused() -> None:
    with pytest.raises(ToolError):
        json_query("[" * 90 + BIG + "]" * 90, "$..*")


@pytest.mark.parametrize("depth", [100, 300, 500, 900, 2000])
def test_a_deep_document_ends_in_an_answer_or_an_error(depth: int) -> None:
    for path in ("$", "$..*", "[0]"):
        with contextlib.suppress(ToolError):
            json_query("[" * depth + "]" * depth, path)


JSON = st.recursive(st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5),
                    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4))


@given(JSON, st.text(max_size=20))
def test_nothing_but_a_tool_error_escapes(document: Any, path: str) -> None:
    with contextlib.suppress(ToolError):
        assert json_query(json.dumps(document), path).text.isprintable()


@given(st.dictionaries(st.text("ab-c1é", min_size=1, max_size=6), st.integers(0, 99), min_size=1, max_size=5))
def test_every_member_is_found_by_its_name(members: dict[str, int]) -> None:
    for name, value in members.items():
        assert json_query(json.dumps({"top": members}), f"top.{name}").result == value


def test_a_pattern_in_a_path_that_would_take_all_memory_is_refused() -> None:
    with pytest.raises(ToolError, match="too often"):
        json_query('["a"]', "$[?match(@, 'a{99999999}')]")


def test_a_byte_order_mark_is_no_fault_of_the_document() -> None:
    assert json_query("\ufeff[1]", "$[0]").result == 1
