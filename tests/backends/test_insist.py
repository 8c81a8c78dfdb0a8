"""Calls that have to be made, on a server that does not see to it."""

from __future__ import annotations

from typing import Any

import pytest

from moe.backends.wishes import call_schema, find_asked
from moe.core import Heartbeat, Message, Sampling, Text, Thinking, ToolCall, ToolCallPiece
from moe.errors import BadAnswer
from tests.backends.rig import Rig, ask, end_of, text_of
from tests.fakes import answer
from tests.fakes.probe import WEATHER

SLEEP = {"type": "function", "function": {"name": "sleep", "parameters": {"type": "object"}}}
NAMED = {"type": "function", "function": {"name": "sleep"}}


def calls_of(chunks: Any) -> list[ToolCall]:
    return [chunk for chunk in chunks if isinstance(chunk, ToolCall)]


def test_a_call_at_once_is_passed_on_with_what_was_said_before_it(ollama: Rig) -> None:
    ollama.plays(answer(chunks=["I look."], thinking="hm", tool_calls=[("sleep", {})]))
    chunks = ollama.chat(tools=(SLEEP,), tool_choice="required")
    assert len(calls_of(chunks)) == 1
    assert (text_of(chunks), [type(chunk) for chunk in chunks][0]) == ("I look.", Thinking)
    assert len(ollama.asked) == 1


@pytest.mark.parametrize("second", [
    answer('{"name": "sleep", "arguments": {"hours": 8}}'), answer(tool_calls=[("sleep", {"hours": 8})]),
])
def test_an_answer_without_a_call_is_asked_for_again_in_the_form_of_one(ollama: Rig, second: Any) -> None:
    ollama.plays(answer("I would rather not."), second)
    chunks = ollama.chat("Good night", tools=(WEATHER, SLEEP), tool_choice=NAMED)
    (call,) = calls_of(chunks)
    assert (call.name, call.arguments) == ("sleep", '{"hours": 8}')
    assert text_of(chunks) == ""
    first, again = ollama.asked
    assert "format" not in first.json
    assert again.json["format"]["properties"]["name"] == {"const": "sleep"}
    assert [turn["content"] for turn in again.json["messages"]][0] == "Good night"
    assert '"sleep"' in again.json["messages"][-1]["content"]
    done = end_of(chunks)
    assert done.usage is not None and done.usage.prompt_tokens > 2
    assert done.usage.completion_tokens > 4  # both times count


def test_two_answers_without_a_call_are_an_error(ollama: Rig) -> None:
    ollama.plays(answer("No."), answer('{"name": "dance", "arguments": {}}'))
    with pytest.raises(BadAnswer, match="without calling") as failure:
        ollama.chat(tools=(WEATHER, SLEEP), tool_choice="required")
    assert failure.value.is_worth_a_retry is False
    assert len(ollama.asked) == 2


def test_a_call_that_may_be_left_out_is_not_insisted_on(ollama: Rig) -> None:
    ollama.plays(answer("No."))
    assert text_of(ollama.chat(tools=(SLEEP,), tool_choice="auto")) == "No."
    assert len(ollama.asked) == 1


def test_the_schema_of_a_call_holds_what_its_tools_refer_to() -> None:
    def tool(name: str, **parameters: Any) -> dict[str, Any]:
        return {"type": "function", "function": {"name": name, "parameters": {"type": "object", **parameters}}}

    refers = {"properties": {"p": {"$ref": "#/$defs/Place"}}, "$defs": {"Place": {"type": "string"}}}
    clashes = {"properties": {"p": {"$ref": "#/$defs/Place"}}, "$defs": {"Place": {"type": "integer"}}}
    schema = call_schema(ask(tools=(tool("a", **refers), tool("b", **clashes), tool("c")), tool_choice="required"))
    assert schema["$defs"] == {"Place": {"type": "string"}}
    a, b, c = (each["properties"] for each in schema["anyOf"])
    assert (a["name"], a["arguments"]["properties"]) == ({"const": "a"}, refers["properties"])
    assert b["arguments"] == {"type": "object"}  # what its own definition says is not told by another's
    assert c["arguments"] == {"type": "object"}


def test_what_was_asked_is_found_by_name() -> None:
    names = ("seed", "stop", "logit_bias", "top_k", "logprobs", "reasoning_effort", "tool_choice")
    assert find_asked(ask(), *names) == ()
    full = ask(sampling=Sampling(seed=0, stop=("x",), logit_bias={"1": 1.0}, top_k=3), logprobs=0, think="low",
               tools=(SLEEP,), tool_choice="required", messages=(Message("user", (Text("x"),)),))
    assert find_asked(full, *names) == names
    assert find_asked(ask(think=False, tool_choice="none", tools=(SLEEP,)), *names) == ()


def test_whoever_is_held_back_until_it_calls_gets_the_time_for_it(ollama: Rig) -> None:
    free, bound = (ollama.backend.first_token_limit_s(ask(tools=(SLEEP,), tool_choice=choice))
                   for choice in ("auto", "required"))
    assert free < bound


# Whoever the model's server is

ANY, ONE = "required", NAMED


def names_of(chunks: Any) -> list[str]:
    return [chunk.name for chunk in calls_of(chunks)]


@pytest.mark.parametrize("choice", [ANY, ONE])
@pytest.mark.parametrize("wrong", [
    answer("I would rather not."), answer(tool_calls=[("dance", {})]),
    answer(chunks=["Well."], tool_calls=[("nope", {"a": 1})]),
], ids=["text", "undeclared", "both"])
def test_what_is_no_call_that_was_asked_for_is_asked_for_again(rig: Rig, wrong: Any, choice: Any) -> None:
    rig.plays(wrong, answer(tool_calls=[("sleep", {"hours": 8})]))
    chunks = rig.chat("Good night", tools=(WEATHER, SLEEP), tool_choice=choice)
    assert (names_of(chunks), text_of(chunks)) == (["sleep"], "")
    assert end_of(chunks).finish == ("tool_calls" if not rig.is_ollama else "stop")
    first, again = rig.asked
    assert len(again.json["messages"]) == len(first.json["messages"]) + 1
    assert "call" in again.json["messages"][-1]["content"]


def test_another_function_than_the_one_that_was_named_is_not_called(rig: Rig) -> None:
    rig.plays(answer(tool_calls=[("get_weather", {"city": "Bonn"})]), answer(tool_calls=[("sleep", {})]))
    chunks = rig.chat(tools=(WEATHER, SLEEP), tool_choice=ONE)
    assert names_of(chunks) == ["sleep"]
    assert not any(isinstance(chunk, ToolCallPiece) and chunk.name != "sleep" for chunk in chunks)


@pytest.mark.parametrize("wrong", [answer("No."), answer(tool_calls=[("get_weather", {})])], ids=["text", "another"])
def test_twice_no_call_is_an_error_that_says_so(rig: Rig, wrong: Any) -> None:
    rig.plays(wrong)
    with pytest.raises(BadAnswer, match="without calling a function") as failure:
        rig.chat(tools=(WEATHER, SLEEP), tool_choice=ONE)
    assert not failure.value.is_worth_a_retry
    assert len(rig.asked) == 2


def test_beside_a_call_that_was_asked_for_no_other_passes(rig: Rig) -> None:
    rig.plays(answer(tool_calls=[("nope", {}), ("sleep", {}), ("get_weather", {})]))
    assert names_of(rig.chat(tools=(WEATHER, SLEEP), tool_choice=ONE)) == ["sleep"]
    assert names_of(rig.chat(tools=(WEATHER, SLEEP), tool_choice=ANY)) == ["sleep", "get_weather"]
    assert len(rig.asked) == 2


def test_who_is_free_to_call_may_call_what_nobody_declared(rig: Rig) -> None:
    rig.plays(answer(tool_calls=[("nope", {})]))
    assert names_of(rig.chat(tools=(SLEEP,))) == names_of(rig.chat(tools=(SLEEP,), tool_choice="auto")) == ["nope"]


def test_where_no_call_may_be_made_only_the_text_is_passed_on(rig: Rig) -> None:
    rig.plays(answer(chunks=["It is late."], tool_calls=[("sleep", {})]))
    chunks = rig.chat(tools=(SLEEP,), tool_choice="none")
    assert (names_of(chunks), text_of(chunks), end_of(chunks).finish) == ([], "It is late.", "stop")
    assert not any(isinstance(chunk, ToolCallPiece) for chunk in chunks)
    assert len(rig.asked) == 1


def test_where_no_call_may_be_made_and_nothing_else_came_it_is_asked_for_in_words(rig: Rig) -> None:
    rig.plays(answer(tool_calls=[("sleep", {})]), answer("Good night."))
    chunks = rig.chat(tools=(SLEEP,), tool_choice="none")
    assert (names_of(chunks), text_of(chunks)) == ([], "Good night.")
    usage = end_of(chunks).usage
    assert usage is not None and usage.completion_tokens == 3  # both times count
    rig.plays(answer(tool_calls=[("sleep", {})]))
    with pytest.raises(BadAnswer, match="may call none") as failure:
        rig.chat(tools=(SLEEP,), tool_choice="none")
    assert not failure.value.is_worth_a_retry


def test_what_is_held_back_is_a_sign_of_life(rig: Rig) -> None:
    rig.plays(answer(chunks=["Let ", "me "], tool_calls=[("sleep", {})]))
    chunks = list(rig.open(tools=(SLEEP,), tool_choice="required"))
    first = next(place for place, chunk in enumerate(chunks) if not isinstance(chunk, Heartbeat))
    assert rig.is_ollama or isinstance(chunks[first], ToolCallPiece)
    rig.plays(answer("No, no."))
    beats = []
    with pytest.raises(BadAnswer):
        beats.extend(rig.open(tools=(SLEEP,), tool_choice="required"))
    assert sum(isinstance(beat, Heartbeat) and beat.is_held for beat in beats) >= 2
