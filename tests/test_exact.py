"""Exact answers, as clients of every dialect get them: in a model's place, or handed to one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from moe.pipeline.grounding import HEADING
from tests.adversarial.kit import ECHO, Reply, post, read_text, write_prompt
from tests.fakes import FakeModel, FakeOllama, fake_ollama
from tests.live import Live, live_server, write_config

OPENAI, MESSAGES, RESPONSES = "/v1/chat/completions", "/v1/messages", "/v1/responses"
CHAT, GENERATE = "/api/chat", "/api/generate"
MODEL = "node:4b"
EXPERTS = ({"id": 0, "label": "fallback", "model_name": MODEL}, {"id": 1, "label": "calm", "model_name": MODEL})
SUM = "Was sind 15 % von 239,99?"
TOLD = "15 % von 239,99 = 35,9985"
MIXED = "Explain to a child why 847*23.7 is larger than 20000, with a picture in words."


@pytest.fixture(scope="module")
def node() -> Iterator[FakeOllama]:
    with fake_ollama([FakeModel(MODEL, loaded=True, capabilities=("completion", "tools", "vision"))]) as fake:
        yield fake


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, node: FakeOllama) -> Iterator[Live]:
    config = {"expert_runner": {"ollama_url": node.url, "retries": 0}, "tools": {"offer": "never"}}
    with live_server(tmp_path_factory.mktemp("exact"), config=config, experts=EXPERTS) as live:
        yield live



def body_of(path: str, text: str) -> dict[str, Any]:
    if path == RESPONSES:
        return {"input": text}
    return write_prompt(path, text) | ({"max_tokens": 500} if path == MESSAGES else {})


def ask(server: Live, text: str = SUM, path: str = OPENAI, **fields: Any) -> Reply:
    return post(server, path, body_of(path, text) | {"model": "lemoe"} | fields)


def said(path: str, reply: Reply) -> str:
    told = reply.json
    if path == MESSAGES:
        return str(told["content"][0]["text"])
    return str(told["output"][0]["content"][0]["text"]) if path == RESPONSES else read_text(reply)


def prompts(node: FakeOllama, since: int) -> list[str]:
    """What the node was asked since then, the last turn of each request."""
    return [str(request.json["messages"][-1]["content"]) for request in node.requests_to(CHAT)[since:]]


@pytest.fixture
def since(node: FakeOllama) -> int:
    return len(node.requests_to(CHAT))


def talk(*turns: str) -> list[dict[str, str]]:
    """A conversation, the user's turn first."""
    return [{"role": "assistant" if place % 2 else "user", "content": text} for place, text in enumerate(turns)]


# In a model's place


@pytest.mark.parametrize("path", [OPENAI, MESSAGES, RESPONSES, CHAT, GENERATE])
def test_a_tool_answers_its_question_in_every_dialect_and_no_model_is_asked(
    server: Live, node: FakeOllama, since: int, path: str
) -> None:
    reply = ask(server, path=path)
    assert said(path, reply) == TOLD
    assert reply.headers["x-moe-stage"] == "tool"
    assert reply.headers["x-moe-tool"] == reply.headers["x-moe-model"] == "calculate"
    assert reply.headers["x-moe-confidence"] == "1.0000"
    assert prompts(node, since) == []


@pytest.mark.parametrize("path", [OPENAI, MESSAGES, RESPONSES, CHAT, GENERATE])
def test_it_streams_as_any_answer_does(server: Live, path: str) -> None:
    reply = ask(server, path=path, stream=True)
    assert (reply.status, reply.headers["x-moe-tool"]) == (200, "calculate")
    assert b"35,9985" in reply.body
    assert any(end in reply.body for end in (b"[DONE]", b'"done":true', b"message_stop", b"response.completed"))


@pytest.mark.parametrize("path", [OPENAI, MESSAGES, RESPONSES, CHAT, GENERATE])
def test_a_client_can_have_none_of_it(server: Live, node: FakeOllama, since: int, path: str) -> None:
    reply = ask(server, path=path, tools_inline=False)
    assert reply.headers["x-moe-stage"] != "tool"
    assert len(prompts(node, since)) == 1
    assert "tools_inline" in ask(server, path=path, tools_inline="no").message


@pytest.mark.parametrize("fields", [
    {"model": "calm"},
    {"model": MODEL},
    {"messages": [{"role": "system", "content": "Answer like a pirate."}, {"role": "user", "content": SUM}]},
    {"messages": talk("Translate what I write into English.", "Gladly.", SUM)},
    {"messages": [{"role": "user", "content": SUM}, {"role": "assistant", "content": "It is"}]},
    {"tools": [{"type": "function", "function": {"name": "sleep", "parameters": {"type": "object"}}}]},
    {"response_format": {"type": "json_object"}},
    {"logprobs": True},
    {"stop": ["35"]},
    {"max_tokens": 2},
], ids=lambda fields: next(reversed(fields)))
def test_where_anything_else_may_be_wanted_a_model_answers(server: Live, fields: dict[str, Any]) -> None:
    reply = ask(server, **fields)
    assert reply.headers["x-moe-stage"] != "tool"
    assert "x-moe-tool" not in reply.headers


def test_a_conversation_of_nothing_but_its_questions_stays_with_it(server: Live) -> None:
    reply = ask(server, messages=talk("What is 2+2?", "2+2 = 4", SUM))
    assert said(OPENAI, reply) == TOLD


def test_what_has_no_answer_goes_to_a_model(server: Live, node: FakeOllama, since: int) -> None:
    assert ask(server, "What is 1/0?").headers["x-moe-stage"] != "tool"
    assert len(prompts(node, since)) == 1


def test_the_route_is_told_without_a_model(server: Live) -> None:
    told = post(server, "/v1/route", {"text": SUM}).json
    assert (told["stage"], told["tool"], told["expert"], told["confidence"]) == ("tool", "calculate", "tools", 1.0)
    for body in ({"text": SUM, "model": "calm"}, {"text": SUM, "tools_inline": False}):
        assert "tool" not in post(server, "/v1/route", body).json


def test_a_reply_s_model_sent_back_is_the_router(server: Live) -> None:
    reply = ask(server)
    assert ask(server, model=reply.json["model"]).headers["x-moe-stage"] == "tool"


def test_an_empty_system_prompt_asks_for_nothing(server: Live) -> None:
    turns = [{"role": "system", "content": ""}, {"role": "user", "content": SUM}]
    assert ask(server, messages=turns).headers["x-moe-stage"] == "tool"


# Handed to a model


def test_what_stands_in_a_longer_prompt_is_handed_to_the_expert(server: Live, node: FakeOllama, since: int) -> None:
    ask(server, MIXED)
    (prompt,) = prompts(node, since)
    assert prompt.startswith(MIXED) and "847*23.7 = 20073.9" in prompt.partition(HEADING)[2]


def test_an_expert_asked_by_name_gets_it_too_and_a_model_asked_by_its_own_does_not(
    server: Live, node: FakeOllama, since: int
) -> None:
    ask(server, MIXED, model="calm")
    ask(server, MIXED, model=MODEL)
    by_expert, by_name = prompts(node, since)
    assert "20073.9" in by_expert
    assert by_name == MIXED


def test_earlier_turns_read_as_they_did(server: Live, node: FakeOllama, since: int) -> None:
    ask(server, MIXED)
    ask(server, messages=talk(MIXED, "Because.", "And why is that so hard to see?"))
    first, second = (request.json["messages"] for request in node.requests_to(CHAT)[since:])
    assert second[:len(first)] == first


def test_the_router_reads_the_users_own_words_only(server: Live) -> None:
    plain, grounded = (ask(server, MIXED, tools_inline=flag).headers["x-moe-confidence"] for flag in (False, True))
    assert plain == grounded


# By config


@pytest.mark.parametrize(("tools", "is_asked", "is_told"), [
    ({"inline": False}, True, True),
    ({"inline": False, "ground": False}, True, False),
    ({"disabled": ["calculate"]}, True, False),
])
def test_a_config_can_do_without(
    tmp_path: Path, node: FakeOllama, since: int, tools: dict[str, Any], is_asked: bool, is_told: bool
) -> None:
    config = {"expert_runner": {"ollama_url": node.url}, "tools": {"offer": "never", **tools}}
    with live_server(tmp_path, config=config, experts=EXPERTS) as live:
        assert (ask(live).headers["x-moe-stage"] != "tool") == is_asked
        ask(live, MIXED)
    assert ("20073.9" in prompts(node, since)[-1]) == is_told


def test_a_name_that_no_tool_has_is_a_fault_of_the_config(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with live_server(tmp_path, experts=[ECHO]) as live:
        write_config(tmp_path, config={"tools": {"disabled": ["calculator"]}}, experts=[ECHO])
        assert not live.service.reload()
        assert 'at $.tools.disabled: no tool is called "calculator"' in caplog.text
        assert ask(live).headers["x-moe-tool"] == "calculate"
