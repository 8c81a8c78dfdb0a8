"""Ollama requests, field by field."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from moe.dialects.base import Dialect
from moe.dialects.ollama import CHAT, GENERATE, parse_show
from moe.errors import BadRequest

HI = [{"role": "user", "content": "hi"}]


def parse(dialect: Dialect, **fields: Any) -> Any:
    return dialect.parse(json.dumps(fields).encode())


def refusal(dialect: Dialect, **fields: Any) -> BadRequest:
    with pytest.raises(BadRequest) as caught:
        parse(dialect, **fields)
    return caught.value


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": 5}, "model"),
        ({"stream": "false"}, "stream"),
        ({"messages": "hi"}, "messages"),
        ({"messages": [{"role": "narrator", "content": "hi"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "images": ["?"]}]}, "messages[0].images[0]"),
        ({"messages": [{"role": "user", "images": ["https://a/b.png"]}]}, "messages[0].images[0]"),
        (
            {"messages": [{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]}]},
            "messages[0].tool_calls[0].function.arguments",
        ),
        ({"tools": [{"type": "function", "function": {}}]}, "tools[0].function.name"),
        ({"format": "xml"}, "format"),
        ({"format": 5}, "format"),
        ({"think": "extreme"}, "think"),
        ({"think": 1}, "think"),
        ({"keep_alive": True}, "keep_alive"),
        ({"keep_alive": "soon"}, "keep_alive"),
        ({"options": []}, "options"),
        ({"options": {"temperature": "hot"}}, "options.temperature"),
        ({"logprobs": 5}, "logprobs"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
        ({"top_logprobs": -1}, "top_logprobs"),
    ],
)
def test_a_wrong_value_is_refused_by_its_field(fields: dict[str, Any], param: str) -> None:
    error = refusal(CHAT, **fields)
    assert error.param == param
    assert param.rpartition(".")[2] in error.message


@pytest.mark.parametrize("dialect", [CHAT, GENERATE])
def test_an_empty_body_is_told_as_ollama_does(dialect: Dialect) -> None:
    with pytest.raises(BadRequest, match="missing request body"):
        dialect.parse(b"")


@pytest.mark.parametrize("dialect", [CHAT, GENERATE])
def test_streaming_is_the_default(dialect: Dialect) -> None:
    assert parse(dialect, model="m").stream
    assert parse(dialect, model="m", stream=None).stream
    assert not parse(dialect, model="m", stream=False).stream


def test_a_hostile_duration_is_refused_at_once() -> None:
    began = time.monotonic()
    with pytest.raises(BadRequest):
        parse(CHAT, messages=HI, keep_alive="1" * 100_000 + "x")
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("keep_alive", ["5m", "1h30m", "1.5h", "-1", "300", "-1s", 0, -1, 2.5, None])
def test_good_durations_pass_as_given(keep_alive: Any) -> None:
    assert parse(CHAT, messages=HI, keep_alive=keep_alive).keep_alive == keep_alive


def test_no_messages_only_load() -> None:
    assert parse(CHAT, model="m", messages=[]).only_loads
    assert parse(CHAT, model="m").only_loads
    assert not parse(CHAT, model="m", messages=HI).only_loads


@pytest.mark.parametrize("extra", [{}, {"system": "s"}, {"raw": True}, {"template": "t"}, {"context": [1]}])
def test_an_empty_prompt_only_loads(extra: dict[str, Any]) -> None:
    assert parse(GENERATE, model="m", prompt="", **extra).only_loads
    assert not parse(GENERATE, model="m", prompt="hi", **extra).only_loads


def test_a_suffix_alone_is_a_question() -> None:
    assert not parse(GENERATE, model="m", suffix="}").only_loads


@pytest.mark.parametrize("extra", [{"template": "t"}, {"system": "s"}, {"context": [1]}])
def test_a_raw_prompt_takes_no_dressing(extra: dict[str, Any]) -> None:
    error = refusal(GENERATE, model="m", prompt="p", raw=True, **extra)
    assert error.message == "raw mode does not support template, system, or context"


def test_a_plain_prompt_is_a_chat() -> None:
    request = parse(GENERATE, model="m", prompt="hi", system="s", context=[], template=None, suffix="")
    assert request.completion is None
    assert [(message.role, message.text) for message in request.messages] == [("system", "s"), ("user", "hi")]


def test_show_takes_model_or_name() -> None:
    assert parse_show(b'{"model":"a:1b","verbose":true}') == "a:1b"
    assert parse_show(b'{"name":"b"}') == "b"
    assert parse_show(b'{"model":"","name":"c"}') == "c"
    with pytest.raises(BadRequest, match="model is required"):
        parse_show(b"{}")
