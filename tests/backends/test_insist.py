"""Calls that have to be made, on a server that does not see to it."""

from __future__ import annotations

from typing import Any

import pytest

from moe.backends.wishes import call_schema, find_asked
from moe.core import Message, Sampling, Text, Thinking, ToolCall
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
