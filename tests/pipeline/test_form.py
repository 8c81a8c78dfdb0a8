"""What an answer must look like, and schemas that were made to do harm."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from moe.core import ChatRequest, Message, Text
from moe.errors import BadRequest
from moe.pipeline.form import LIMIT_S, Form, Forms, strip_fence

PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string", "pattern": "^[A-Z]"}, "age": {"type": "integer", "maximum": 130}},
    "required": ["name", "age"],
    "additionalProperties": False,
}


def form(schema: Any) -> Form:
    found = Forms().read(ChatRequest(messages=(Message("user", (Text("x"),)),), format=schema))
    assert found is not None
    return found


@contextmanager
def in_time() -> Iterator[None]:
    began = time.monotonic()
    yield
    assert time.monotonic() - began < LIMIT_S + 3


@pytest.mark.parametrize("text", ['{"name": "Ada", "age": 36}', ' \n{"age":0,"name":"B"}\n'])
def test_a_good_answer_is_good(text: str) -> None:
    assert form(PERSON).judge(text) is None


@pytest.mark.parametrize(("text", "rule"), [
    ('{"name": "Ada"}', "breaks required of"),
    ('{"name": "Ada", "age": 131}', "properties/age/maximum"),
    ('{"name": "ada", "age": 1}', "properties/name/pattern"),
    ('{"name": "Ada", "age": 1.5}', "properties/age/type"),
    ('{"name": "Ada", "age": 1, "secret": "xyz"}', "additionalProperties"),
    ("[]", "breaks type of"), ("", "is not JSON"), ("Sure! {}", "is not JSON"), ('{"name": "Ada", "age": NaN}', "JSON"),
    ('{"name": "Ada", "age": 1}{}', "is not JSON"), ('```json\n{"name": "Ada", "age": 1}\n```', "is not JSON"),
    ("[" * 100_000, "is not JSON"),
])
def test_a_bad_one_is_told_by_the_rule_it_breaks_and_not_by_its_own_words(text: str, rule: str) -> None:
    fault = form(PERSON).judge(text)
    assert fault is not None and rule in fault.public
    assert "Ada" not in fault.public and "secret" not in fault.public


def test_json_without_a_schema_is_an_object() -> None:
    anything = form("json")
    assert anything.judge('{"a": [1, null]}') is None
    assert anything.judge("[1]") is not None and anything.judge("1") is not None


def test_nothing_asked_is_nothing_checked() -> None:
    assert Forms().read(ChatRequest(messages=(Message("user", (Text("x"),)),))) is None
    assert Forms().read(ChatRequest(format="json")) is None  # it only loads


@pytest.mark.parametrize(("schema", "good", "bad"), [
    ({"multipleOf": 0.01}, ["19.99", "0.3", "-7", '"text"'], ["19.999"]),
    ({"uniqueItems": True}, ["[1, 2]", "[true, 1]", '[{"a":1},{"a":2}]'], ["[1, 1.0]", '[{"a":1},{"a":1}]']),
    ({"patternProperties": {"^x": {"type": "integer"}}, "additionalProperties": {"type": "string"}},
     ['{"x1": 1, "y": "a"}'], ['{"x1": "a"}', '{"y": 1}']),
    ({"$defs": {"node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}},
                         "additionalProperties": False}}, "$ref": "#/$defs/node"},
     ['{"next": {"next": {}}}'], ['{"next": {"nexus": {}}}']),
    ({"anyOf": [{"type": "string"}, {"const": 7}]}, ['"a"', "7"], ["8"]),
    ({"$schema": "http://json-schema.org/draft-07/schema#", "items": [{"type": "string"}], "additionalItems": False},
     ['["a"]'], ['["a", 1]', "[1]"]),
    ({"format": "email", "type": "string"}, ['"a remark, not a rule"'], ["1"]),
    ({"properties": {"pattern": {"type": "string"}}, "default": {"pattern": "["}}, ['{"pattern": "["}'],
     ['{"pattern": 1}']),
    ({"type": "object", "properties": {"a": {"$schema": "http://json-schema.org/draft-07/schema#", "pattern": "^b"}}},
     ['{"a": "b"}'], ['{"a": "a"}']),
])
def test_the_rules_of_the_schema_hold(schema: Any, good: list[str], bad: list[str]) -> None:
    assert [form(schema).judge(text) for text in good] == [None] * len(good)
    assert all(form(schema).judge(text) for text in bad)


NESTED: dict[str, Any] = {}
for _ in range(3000):
    NESTED = {"properties": {"a": NESTED}}


@pytest.mark.parametrize("schema", [
    {"type": "obj"}, {"required": "name"}, {"properties": []}, {"minimum": "1"}, {"items": [{"type": "string"}]},
    {"pattern": "["}, {"pattern": "a{99999999}"}, {"patternProperties": {"(": {}}}, {"$ref": "#/nowhere"},
    {"$ref": "http://127.0.0.1:9/schema.json"}, {"$ref": "file:///etc/passwd"}, NESTED,
    {"patternProperties": {"a": {}}, "unevaluatedProperties": False},
    {"properties": {f"p{i}": {"type": "string"} for i in range(20_000)}},
])
def test_what_is_no_schema_is_the_callers_fault(schema: Any) -> None:
    with in_time(), pytest.raises(BadRequest) as refused:
        form(schema)
    assert refused.value.param == "response_format"
    assert len(refused.value.message) < 700


BOMB = {"$ref": "#/$defs/a0", "$defs": {
    **{f"a{i}": {"allOf": [{"$ref": f"#/$defs/a{i + 1}"}] * 2} for i in range(60)}, "a60": {}}}


@pytest.mark.parametrize(("schema", "text"), [
    (BOMB, "1"), ({"pattern": "^(a|aa)+$"}, json.dumps("a" * 60 + "b")),
    ({"patternProperties": {"^(a|aa)+$": {}}}, json.dumps({"a" * 60 + "b": 1})),
    ({"patternProperties": {"^(a|aa)+$": {}}, "additionalProperties": False}, json.dumps({"a" * 60 + "b": 1})),
    ({"$schema": "https://json-schema.org/draft/2020-12/schema", "allOf": [
        {"$schema": "https://json-schema.org/draft/2020-12/schema", "pattern": "^(a|aa)+$"}]},
     json.dumps("a" * 60 + "b")),
    ({"items": {"type": "integer"}}, "[" + "1," * 500_000 + "1]"),
])
def test_a_schema_that_makes_endless_work_ends_in_time(schema: Any, text: str) -> None:
    with in_time():
        assert form(schema).judge(text) is not None


@pytest.mark.parametrize("schema", [
    {"$id": "http://a/b", "$ref": "http://127.0.0.1:9/x"}, {"$ref": "#gone"}, {"$dynamicRef": "#gone"},
    {"$id": "http://a/b", "minimum": 1, "$ref": "#/minimum/x"},
])
def test_a_reference_that_leads_nowhere_is_refused_and_nothing_is_fetched(schema: Any) -> None:
    with pytest.raises(BadRequest, match="leads nowhere"):
        form(schema)


LOOP = {"a": {"$ref": "#/$defs/b"}, "b": {"allOf": [{"type": "object"}, {"$ref": "#/$defs/a"}]}}


@pytest.mark.parametrize("schema", [
    {"$ref": "#"}, {"$ref": "#/$defs/a", "$defs": LOOP}, {"properties": {"x": {"$ref": "#/$defs/a"}}, "$defs": LOOP},
    {"$dynamicAnchor": "n", "$dynamicRef": "#n"}, {"$dynamicRef": "#"}, {"anyOf": [{"type": "string"}, {"$ref": "#"}]},
    {"if": {"type": "object"}, "then": {"$ref": "#"}}, {"$id": "http://a/b", "$ref": "b"},
    {"$schema": "https://json-schema.org/draft/2019-09/schema", "$recursiveRef": "#"},
    {"properties": {"a": {"$ref": "#/properties/b"}, "b": {"$ref": "#/properties/a"}}},
])
def test_references_in_a_circle_are_refused_before_anybody_is_asked(schema: Any) -> None:
    with in_time(), pytest.raises(BadRequest, match="its references lead in a circle"):
        form(schema)


NODE = {"type": "object", "properties": {"next": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/node"}]}}}


@pytest.mark.parametrize("schema", [
    {"$ref": "#/$defs/node", "$defs": {"node": NODE}}, {"type": "object", "additionalProperties": {"$ref": "#"}},
    {"$id": "http://a/b", "$ref": "#/$defs/x", "$defs": {"x": {"$id": "c", "properties": {"next": {"$ref": "#"}}}}},
    {"$schema": "http://json-schema.org/draft-07/schema#", "$ref": "#/definitions/x", "allOf": [{"$ref": "#"}],
     "definitions": {"x": {"type": "object"}}},
    {"$ref": "https://json-schema.org/draft/2020-12/schema"}, {"$ref": "http://json-schema.org/draft-07/schema#"},
    {"type": "object", "properties": {"$ref": {"type": "string"}, "allOf": {"$ref": "#"}}},
    {"const": {"next": {}, "$ref": "#"}, "$comment": "data, and no reference"},
])
def test_what_only_repeats_further_down_is_no_circle(schema: Any) -> None:
    fault = form(schema).judge('{"next": {"next": {}}}')
    assert fault is None or "const" in fault.public


@pytest.mark.parametrize(("text", "inside"), [
    ('```json\n{"a": 1}\n```', '{"a": 1}'), ('\n```\n{"a": 1}\n```\n', '{"a": 1}'), ('{"a": 1}', '{"a": 1}'),
    ('Here:\n```json\n1\n```', 'Here:\n```json\n1\n```'), ("```json\n1\n```\nDone.", "```json\n1\n```\nDone."),
])
def test_only_a_code_block_that_is_all_is_taken_off(text: str, inside: str) -> None:
    assert strip_fence(text) == inside
