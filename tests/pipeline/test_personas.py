"""What a request to an alias becomes."""

from __future__ import annotations

from moe.aliases import Alias, Turn
from moe.core import ChatRequest, Completion, Message, Sampling, Text
from moe.pipeline.personas import take_on

MARIO = Alias(name="mario", source="math", system="You are Mario.", parameters={"temperature": 0.1, "num_ctx": 2048,
              "num_predict": 9}, messages=(Turn("user", "who?"), Turn("assistant", "me")))


def said(role: str, text: str) -> Message:
    return Message(role, (Text(text),))  # type: ignore[arg-type]


def test_its_prompt_comes_first_then_its_messages_then_the_client_s() -> None:
    asked = take_on(ChatRequest(model="Mario:latest", messages=(said("user", "hi"),)), MARIO)
    assert asked.model == "math"
    assert [(message.role, message.text) for message in asked.messages] == [
        ("system", "You are Mario."), ("user", "who?"), ("assistant", "me"), ("user", "hi")]
    assert (asked.sampling.temperature, asked.sampling.max_tokens) == (0.1, 9)
    assert asked.sampling.options == {"num_ctx": 2048}


def test_what_the_client_says_itself_wins() -> None:
    own = ChatRequest(messages=(said("system", "Be brief."), said("user", "hi")),
                      sampling=Sampling(temperature=0.9, max_tokens=3, options={"num_ctx": 512}))
    asked = take_on(own, MARIO)
    assert [message.text for message in asked.messages if message.role == "system"] == ["Be brief."]
    assert (asked.sampling.temperature, asked.sampling.max_tokens, asked.sampling.options["num_ctx"]) == (0.9, 3, 512)


def test_to_load_it_stays_to_load_it() -> None:
    assert take_on(ChatRequest(model="mario"), MARIO).only_loads


def test_a_bare_completion_gets_the_prompt_unless_it_is_raw() -> None:
    for raw, system in ((False, "You are Mario."), (True, None)):
        asked = take_on(ChatRequest(completion=Completion(prompt="x", suffix="y", raw=raw)), MARIO)
        assert asked.completion is not None
        assert asked.completion.system == system
