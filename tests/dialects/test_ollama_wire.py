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


@pytest.mark.parametrize("dialect", [CHAT, GENERATE])
@pytest.mark.parametrize("asked", [None, True, False])
def test_whether_the_first_may_be_pushed_out_is_read(dialect: Dialect, asked: bool | None) -> None:
    request = parse(dialect, model="m", truncate=asked, shift=asked)
    assert (request.truncate, request.shift) == (asked, asked)
    assert parse(dialect, model="m").truncate is None


def test_what_is_asked_of_the_model_is_kept_in_ollama_s_word() -> None:
    assert (parse(CHAT, messages=HI).verb, parse(GENERATE, prompt="hi").verb) == ("chat", "generate")
    assert parse(GENERATE, prompt="hi", raw=True).verb == "generate"


def test_a_template_s_own_switch_goes_to_the_model_as_it_is() -> None:
    request = parse(CHAT, messages=[{"role": "Control", "content": "thinking"}, *HI])
    assert [(message.role, message.text) for message in request.messages] == [("control", "thinking"), ("user", "hi")]


@pytest.mark.parametrize(("fields", "told"), [
    ({"keep_alive": True}, "invalid 'keep_alive': expected number or string, got boolean"),
    ({"think": 1}, "invalid 'think': expected boolean or string, got integer"),
    ({"options": []}, "invalid 'options': expected object, got array"),
    ({"messages": "hi"}, "invalid 'messages': expected array, got string"),
    ({"top_logprobs": 1.5}, "invalid 'top_logprobs': expected integer, got number"),
    ({"messages": [{"content": "x"}]}, "invalid 'messages[0]': missing required field role"),
])
def test_types_are_told_in_json_s_words(fields: dict[str, Any], told: str) -> None:
    assert refusal(CHAT, **fields).message == told
