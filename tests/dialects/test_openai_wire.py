"""OpenAI requests, field by field."""

from __future__ import annotations

import json
from typing import Any

import pytest

from moe.core import Image, Message, Refusal, Text, ToolCall
from moe.dialects.openai import CHAT
from moe.errors import BadRequest

HI = [{"role": "user", "content": "hi"}]


def parse(**fields: Any) -> Any:
    return CHAT.parse(json.dumps({"messages": HI, **fields}).encode())


def refusal(**fields: Any) -> BadRequest:
    with pytest.raises(BadRequest) as caught:
        parse(**fields)
    return caught.value


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": 5}, "model"),
        ({"stream": "false"}, "stream"),
        ({"stream": 1}, "stream"),
        ({"messages": "hi"}, "messages"),
        ({"messages": [None]}, "messages[0]"),
        ({"messages": [{"content": "hi"}]}, "messages[0]"),
        ({"messages": [{"role": "narrator", "content": "hi"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": {}}]}, "messages[0].content"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "tool", "content": None}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": ["hi"]}]}, "messages[0].content[0]"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0].text"),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": None}]}]}, "messages[0].content[0].text"),
        ({"messages": [{"role": "user", "content": [{"type": "refusal"}]}]}, "messages[0].content[0].type"),
        ({"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]}, "messages[0].content[0].type"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages[0].content[0].image_url"),
        ({"temperature": -0.1}, "temperature"),
        ({"temperature": 2.1}, "temperature"),
        ({"temperature": "1"}, "temperature"),
        ({"top_p": 1.1}, "top_p"),
        ({"presence_penalty": 2.5}, "presence_penalty"),
        ({"frequency_penalty": -2.5}, "frequency_penalty"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": 2**63}, "max_tokens"),
        ({"max_completion_tokens": -1}, "max_completion_tokens"),
        ({"max_tokens": True}, "max_tokens"),
        ({"seed": 1.5}, "seed"),
        ({"n": 9}, "n"),
        ({"n": 0}, "n"),
        ({"stop": [""]}, "stop"),
        ({"stop": ""}, "stop"),
        ({"stop": ["x"] * 17}, "stop"),
        ({"stop": [5]}, "stop[0]"),
        ({"tools": {}}, "tools"),
        ({"tools": [{}]}, "tools[0].function"),
        ({"tool_choice": "sometimes"}, "tool_choice"),
        ({"tool_choice": {"type": "function", "function": {}}}, "tool_choice.function.name"),
        ({"response_format": {"type": "yaml"}}, "response_format.type"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema.schema"),
        ({"response_format": {"type": "json_schema", "json_schema": {}}}, "response_format.json_schema.schema"),
        ({"response_format": {"type": "json_schema", "json_schema": {"name": 5}}}, "response_format.json_schema.name"),
        ({"response_format": "json"}, "response_format"),
        ({"reasoning_effort": "extreme"}, "reasoning_effort"),
        ({"reasoning": {"effort": 5}}, "reasoning.effort"),
        ({"logprobs": 3}, "logprobs"),
        ({"top_logprobs": 3}, "top_logprobs"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
        ({"logit_bias": {"50256": -101}}, "logit_bias"),
        ({"logit_bias": {"the": 1}}, "logit_bias"),
        ({"logit_bias": {"50256": "much"}}, "logit_bias[...]"),
        ({"functions": [{"description": "f"}]}, "functions[0].name"),
        ({"functions": [{"name": "f"}], "function_call": "required"}, "function_call"),
        ({"functions": [{"name": "f"}], "function_call": {}}, "function_call.name"),
        ({"audio": {"voice": "x"}}, "audio"),
        ({"audio": {}}, "audio"),
        ({"web_search_options": {}}, "web_search_options"),
        ({"messages": [{"role": "assistant", "content": [{"type": "refusal"}]}]}, "messages[0].content[0].refusal"),
        ({"messages": [{"role": "assistant", "tool_calls": [{"id": "c"}]}]}, "messages[0].tool_calls[0].function"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"web_search_options": {"user_location": None, "search_context_size": "low"}}, "web_search_options"),
    ],
)
def test_a_wrong_value_is_refused_by_its_field(fields: dict[str, Any], param: str) -> None:
    error = refusal(**fields)
    assert error.param == param
    assert param.rpartition(".")[2] in error.message


@pytest.mark.parametrize("messages", [None, []])
def test_no_messages_is_told_as_openai_does(messages: Any) -> None:
    assert refusal(messages=messages).message == "[] is too short - 'messages'"


def test_the_newer_token_limit_wins() -> None:
    assert parse(max_tokens=5).sampling.max_tokens == 5
    assert parse(max_tokens=5, max_completion_tokens=7).sampling.max_tokens == 7


@pytest.mark.parametrize(
    ("effort", "think"),
    [("none", False), ("minimal", "low"), ("low", "low"), ("medium", "medium"), ("high", "high"), ("xhigh", "high")],
)
def test_effort_becomes_thinking(effort: str, think: bool | str) -> None:
    assert parse(reasoning_effort=effort).think == think
    assert parse(reasoning={"effort": effort}).think == think


def test_the_clients_own_word_for_effort_is_kept() -> None:
    assert (parse(reasoning_effort="minimal").effort, parse().effort) == ("minimal", "")


@pytest.mark.parametrize(("fields", "wanted"), [
    ({}, None), ({"logprobs": False}, None), ({"logprobs": True}, 0), ({"logprobs": True, "top_logprobs": 20}, 20),
    ({"logprobs": False, "top_logprobs": 0}, None),
])
def test_log_probabilities_are_asked_for_with_so_many_others(fields: dict[str, Any], wanted: int | None) -> None:
    assert parse(**fields).logprobs == wanted


def test_functions_of_old_become_tools() -> None:
    asked = parse(functions=[{"name": "f", "parameters": {"type": "object"}}], function_call={"name": "f"})
    assert asked.tools == ({"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}},)
    assert asked.tool_choice == {"type": "function", "function": {"name": "f"}}
    assert (asked.parallel_tool_calls, asked.calls_functions) == (False, True)
    newer = parse(functions=[{"name": "f"}], tools=[{"type": "function", "function": {"name": "g"}}])
    assert (newer.tools[0]["function"]["name"], newer.calls_functions) == ("g", False)


def test_what_says_nothing_of_the_answer_is_taken_and_what_only_an_api_understands_is_kept() -> None:
    asked = parse(user="u", metadata={"a": "b"}, service_tier="auto", store=True, verbosity="low", modalities=["text"],
                  prediction={"type": "content", "content": "x"}, logit_bias={"5": -1}, n=3,
                  stream_options={"include_usage": True, "include_obfuscation": False}, safety_identifier="s")
    assert asked.beside == {"prediction": {"type": "content", "content": "x"}, "service_tier": "auto",
                            "verbosity": "low"}
    assert parse(user="u", metadata={"a": "b"}, store=True).beside == {}
    assert (asked.n, asked.sampling.logit_bias, asked.include_usage) == (3, {"5": -1.0}, True)


def test_an_empty_schema_is_still_a_schema() -> None:
    assert parse(response_format={"type": "json_schema", "json_schema": {"name": "any", "schema": {}}}).format == {}
    assert parse(response_format={"type": "text"}).format is None


def test_the_name_and_the_strictness_of_a_schema_are_kept() -> None:
    asked = parse(response_format={"type": "json_schema", "json_schema": {"name": "any", "strict": True, "schema": {}}})
    assert (asked.format_name, asked.format_strict) == ("any", True)
    bare = parse(response_format={"type": "json_schema", "json_schema": {"schema": {}}})
    assert (bare.format_name, bare.format_strict) == ("", None)


def test_broken_arguments_of_an_earlier_call_are_kept() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a": '}}
    request = parse(messages=[*HI, {"role": "assistant", "tool_calls": [call]}])
    assert request.messages[1].parts == (ToolCall("c", "f", '{"a": '),)


def test_an_earlier_refusal_stays_in_the_conversation() -> None:
    field, parts = {"refusal": "I must not."}, [{"type": "refusal", "refusal": "I must not."}]
    for said in ({"content": None, **field}, {"content": "", **field}, {"content": parts}, {"content": parts, **field}):
        request = parse(messages=[*HI, {"role": "assistant", **said}, *HI])
        assert request.messages[1].parts == (Refusal("I must not."),)
    both = parse(messages=[{"role": "assistant", "content": "Well.", "refusal": "No."}]).messages[0]
    assert (both.parts, both.text) == ((Text("Well."), Refusal("No.")), "Well.\nNo.")


def test_texts_stay_apart_as_they_came_and_empty_ones_are_left_out() -> None:
    content = [{"type": "text", "text": text} for text in ("foo ", "bar", "")]
    for role in ("user", "system", "assistant"):
        assert parse(messages=[{"role": role, "content": content}]).messages[0].parts == (Text("foo "), Text("bar"))
    result = parse(messages=[{"role": "tool", "tool_call_id": "c", "content": content}]).messages[0].parts[0]
    assert result.content == "foo \nbar"


def test_who_speaks_is_kept_by_name() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    asked = parse(messages=[{"role": "system", "content": "s", "name": "rules"}, {**HI[0], "name": "ann"}, *HI,
                            {"role": "assistant", "content": "", "tool_calls": [call], "name": "bob"},
                            {"role": "tool", "tool_call_id": "c", "content": "x"}])
    assert [message.name for message in asked.messages] == ["rules", "ann", "", "bob", ""]
    assert asked.messages[1] == Message("user", (Text("hi"),), "ann")


def test_a_tool_may_answer_with_an_image() -> None:
    url = "data:image/png;base64,iVBORw0KGgo="
    content = [{"type": "text", "text": "see"}, {"type": "image_url", "image_url": url}]
    result, image = parse(messages=[{"role": "tool", "tool_call_id": "c", "content": content}]).messages[0].parts
    assert (result.call_id, result.content) == ("c", "see")
    assert image == Image("iVBORw0KGgo=")


@pytest.mark.parametrize("data", ["", " ", "data:text/plain;base64,"])
def test_an_empty_file_is_called_empty(data: str) -> None:
    part = {"type": "file", "file": {"file_data": data, "filename": "a.txt"}}
    error = refusal(messages=[{"role": "user", "content": [part]}])
    assert (error.param, error.message) == ("messages[0].content[0].file",
                                            "messages[0].content[0].file: the file is empty")


def test_text_comes_in_whole() -> None:
    text = "NUL \x00, line \u2028 end, pair \U0001f600, mark \ufeff, end"
    for ascii_only in (True, False):
        body = json.dumps({"messages": [{"role": "user", "content": text}]}, ensure_ascii=ascii_only).encode()
        assert CHAT.parse(body).user_texts == (text,)
