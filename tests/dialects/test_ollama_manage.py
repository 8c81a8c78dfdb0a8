"""What clients say when they pull, make, copy and delete models."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moe.aliases import Turn
from moe.dialects.ollama_manage import parse_copy, parse_draft, parse_order, parse_viewing
from moe.errors import BadRequest

PARSERS = (parse_order, parse_viewing, parse_copy, parse_draft)
JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
                    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
                    max_leaves=8)
FIELDS = st.sampled_from(["model", "name", "stream", "from", "files", "adapters", "template", "system", "license",
                          "parameters", "messages", "source", "destination", "verbose", "options", "quantize"])


def body(**fields: object) -> bytes:
    return json.dumps(fields).encode()


@pytest.mark.parametrize(
    "fields", [{"model": "a"}, {"name": "a"}, {"model": "a", "name": "b"}, {"model": "", "name": "a"}]
)
def test_name_stands_for_model(fields: dict[str, str]) -> None:
    assert parse_order(body(**fields)).model == "a"
    assert parse_viewing(body(**fields))[0] == "a"
    assert parse_draft(body(**fields)).name == "a"


@pytest.mark.parametrize(("given_stream", "streams"), [(None, True), (True, True), (False, False)])
def test_it_streams_unless_the_client_says_no(given_stream: bool | None, streams: bool) -> None:
    assert parse_order(body(model="a", stream=given_stream)).streams is streams
    assert parse_order(body(model="a")).streams


def test_everything_a_client_says_is_passed_on() -> None:
    assert parse_order(body(model="a", insecure=True, new=[1])).body == {"model": "a", "insecure": True, "new": [1]}


def test_show_is_passed_on_only_where_it_asks_for_more() -> None:
    assert parse_viewing(body(model="a", verbose=False, system="", options={}, template=None)) == ("a", {})
    assert parse_viewing(body(name="a", verbose=True)) == ("a", {"verbose": True})
    with pytest.raises(BadRequest, match="model is required"):
        parse_viewing(body(verbose=True))


def test_a_draft_says_what_it_says_and_no_more() -> None:
    draft = parse_draft(body(model="m", **{"from": "math"}))
    assert (draft.name, draft.source, draft.system, draft.messages, draft.parameters) == ("m", "math", None, None, {})
    draft = parse_draft(body(model="m", **{"from": "x"}, system="", license=["A", "B"], messages=[
        {"role": "USER", "content": "who?"}], parameters={"temperature": 1, "stop": "X", "top_k": None}))
    assert (draft.system, draft.license, draft.messages) == ("", "A\n\nB", (Turn("user", "who?"),))
    assert draft.parameters == {"temperature": 1.0, "stop": ["X"]}


@pytest.mark.parametrize(("fields", "told"), [
    ({"parameters": {"temperature": "hot"}}, 'option "temperature" must be of type float32'),
    ({"parameters": {"num_ctx": 1.5}}, 'option "num_ctx" must be of type integer'),
    ({"messages": [{"role": "tool", "content": ""}]}, r"messages\[0\]\.role must be one of"),
    ({"files": {"a": 3}}, "invalid 'files"),
    ({"model": 3}, "invalid 'model'"),
])
def test_a_wrong_type_is_named(fields: dict[str, object], told: str) -> None:
    with pytest.raises(BadRequest, match=told):
        parse_draft(body(**fields))


@pytest.mark.parametrize("parse", PARSERS)
def test_an_empty_body_is_told_as_ollama_tells_it(parse: object) -> None:
    with pytest.raises(BadRequest, match="missing request body"):
        parse(b"")  # type: ignore[operator]


@given(st.dictionaries(FIELDS | st.text(max_size=6), JSON, max_size=5))
def test_no_body_raises_anything_but_a_bad_request(fields: dict[str, object]) -> None:
    for parse in PARSERS:
        try:
            parse(json.dumps(fields).encode())
        except BadRequest as error:
            assert error.message
