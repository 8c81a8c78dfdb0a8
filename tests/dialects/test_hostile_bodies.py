"""Whatever comes in: a request comes out, or a BadRequest, and nothing else."""

from __future__ import annotations

import contextlib
import copy
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moe.core import ChatRequest
from moe.dialects import ollama, openai
from moe.errors import BadRequest

from . import golden

PARSERS = {
    "openai_chat": openai.CHAT.parse,
    "ollama_chat": ollama.CHAT.parse,
    "ollama_generate": ollama.GENERATE.parse,
}
SAMPLES = [(folder, json.loads(path.read_bytes())) for folder in PARSERS for path in golden.bodies(folder)]
FIELDS = sorted({name for _, body in SAMPLES for name in body})
ODD = st.sampled_from(["", "auto", "json", "data:", "data:image/png;base64,", "5m", "\x00", 2**64, -1, 0, 1e308])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | ODD,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text() | st.sampled_from(FIELDS), inner, max_size=3),
    max_leaves=10,
)


def try_all(body: bytes) -> None:
    for parse in PARSERS.values():
        with contextlib.suppress(BadRequest):
            assert isinstance(parse(body), ChatRequest)
    with contextlib.suppress(BadRequest):
        assert ollama.parse_show(body)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, child in inner for place in places(child, (*path, key)))]


def replace(body: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    changed = copy.deepcopy(body)
    parent = changed
    for key in path[:-1]:
        parent = parent[key]
    parent[path[-1]] = value
    return changed


@given(st.binary())
def test_any_bytes(body: bytes) -> None:
    try_all(body)


@given(JSON)
def test_any_json(value: Any) -> None:
    try_all(json.dumps(value).encode())


@settings(max_examples=400)
@given(st.data())
def test_a_good_body_with_any_one_value_replaced(data: st.DataObject) -> None:
    folder, body = data.draw(st.sampled_from(SAMPLES))
    changed = replace(body, data.draw(st.sampled_from(places(body))), data.draw(JSON))
    with contextlib.suppress(BadRequest):
        assert isinstance(PARSERS[folder](json.dumps(changed).encode()), ChatRequest)


@given(st.data())
def test_a_good_body_with_bytes_flipped_or_cut(data: st.DataObject) -> None:
    body = bytearray(json.dumps(data.draw(st.sampled_from(SAMPLES))[1], ensure_ascii=False).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    try_all(bytes(body[: data.draw(st.integers(1, len(body)))]))


@pytest.mark.parametrize("folder", PARSERS)
@given(value=st.text(st.characters(exclude_categories=("Cs",))))
def test_texts_come_in_whole(folder: str, value: str) -> None:
    body: dict[str, Any] = {"prompt": value} if folder == "ollama_generate" else {}
    body["messages"] = [{"role": "user", "content": value}]
    for ascii_only in (True, False):
        request = PARSERS[folder](json.dumps(body, ensure_ascii=ascii_only).encode())
        assert [message.text for message in request.messages if message.parts] == ([value] if value else [])
