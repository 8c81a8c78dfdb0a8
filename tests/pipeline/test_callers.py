"""What tools gave back goes to whoever called them: the memory by itself, and whole round trips in every dialect."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import ollama as ollama_client
import pytest
import requests

from moe.core import ChatRequest, Chunk, Done, Message, Started, Text, ToolCall
from moe.pipeline.callers import CallerMemory
from moe.routing.names import Caller
from tests.fakes import FakeModel, FakeOllama, answer, fake_ollama, http_error
from tests.fakes.probe import WEATHER
from tests.live import Live, live_server

ABLE = ("completion", "tools")
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
FALLBACK = {"id": 0, "label": "fallback", "model_name": "plain:4b"}
POET = {"id": 1, "label": "poet", "model_name": "poet:4b", "keywords": ["poem", "sonnet"], "fallback": "eye"}
EYE = {"id": 2, "label": "eye", "model_name": "eye:4b", "vision": True}
QUESTION = "A poem, a sonnet about the weather in Bonn"
CALL = ToolCall("call_0", "get_weather", '{"city": "Bonn", "days": 2}')
JSON = dict[str, Any]
Ask = Callable[[str, list[JSON]], tuple[requests.Response, list[JSON]]]


# The memory


def begin(text: str = QUESTION) -> ChatRequest:
    return ChatRequest(messages=(Message("user", (Text(text),)),))


def say(*calls: ToolCall, who: str = "eye", model: str = "eye:4b") -> Generator[Chunk, None, None]:
    yield Started(expert=who, model=model)
    yield from calls
    yield Done(finish="tool_calls")


def remember(memory: CallerMemory, *calls: ToolCall, who: str = "eye", text: str = QUESTION) -> list[Chunk]:
    return list(memory.note(say(*calls, who=who), begin(text)))


def test_chunks_pass_unchanged_and_their_calls_are_known() -> None:
    memory = CallerMemory()
    assert remember(memory, CALL) == list(say(CALL))
    assert memory.find(CALL, begin()) == Caller("eye", "eye:4b")
    assert memory.find(ToolCall("call_1", CALL.name, CALL.arguments), begin()) is None


def test_an_id_of_another_conversation_is_another() -> None:
    memory = CallerMemory()
    remember(memory, CALL)
    remember(memory, CALL, who="poet", text="Another poem")
    assert memory.find(CALL, begin()) == Caller("eye", "eye:4b")
    assert memory.find(CALL, begin("And a third")) is None


def test_of_an_id_that_repeats_the_newest_call_counts() -> None:
    memory = CallerMemory()
    remember(memory, CALL, who="poet")
    remember(memory, CALL)
    assert memory.find(CALL, begin()) == Caller("eye", "eye:4b")


@pytest.mark.parametrize(("arguments", "is_known"), [
    ('{"days":2,"city":"Bonn"}', True), ('{"days":3,"city":"Bonn"}', False), ("{broken", False), ("", False),
])
def test_a_call_without_an_id_is_known_by_what_it_says(arguments: str, is_known: bool) -> None:
    memory = CallerMemory()
    remember(memory, CALL)
    assert (memory.find(ToolCall("", CALL.name, arguments), begin()) is not None) == is_known


def test_arguments_that_are_no_json_are_known_as_they_are() -> None:
    memory = CallerMemory()
    for arguments in ("{broken", "[" * 100_000, '"\\ud800"', "1e999"):
        remember(memory, ToolCall("call_0", "search", arguments))
        assert memory.find(ToolCall("", "search", arguments), begin()) is not None


def test_only_the_newest_calls_are_remembered_and_a_repeated_one_is_new_again() -> None:
    memory = CallerMemory(most=2)
    calls = [ToolCall(f"call_{number}", f"tool_{number}") for number in range(3)]
    remember(memory, calls[0], calls[1], calls[0], calls[2])
    assert [memory.find(call, begin()) is not None for call in calls] == [True, False, True]


def test_it_holds_nothing_of_what_was_said() -> None:
    memory = CallerMemory()
    remember(memory, CALL)
    held = repr([vars(memory)])
    assert "eye:4b" in held and not any(word in held for word in ("Bonn", "poem", "weather", "call_0"))


def test_leaving_closes_the_answer() -> None:
    is_closed = False

    def endless() -> Generator[Chunk, None, None]:
        nonlocal is_closed
        try:
            yield from say(CALL)
        finally:
            is_closed = True

    chunks = CallerMemory().note(endless(), begin())
    next(chunks)
    chunks.close()
    assert is_closed


def test_many_threads_remember_at_once() -> None:
    memory = CallerMemory(most=50)
    calls = [ToolCall(f"call_{number}", f"tool_{number}") for number in range(1000)]

    def work(call: ToolCall) -> bool:
        remember(memory, call, who=call.name)
        found = memory.find(call, begin())
        return found is None or found.expert == call.name

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, calls))
    assert sum(memory.find(call, begin()) is not None for call in calls) == 50


# Round trips


@pytest.fixture
def ollama() -> Iterator[FakeOllama]:
    models = [FakeModel("plain:4b", capabilities=("completion",)), FakeModel("poet:4b", capabilities=ABLE),
              FakeModel("eye:4b", capabilities=(*ABLE, "vision"))]
    with fake_ollama(models) as fake:
        fake.script("poet:4b", [http_error(500), answer("Mine.")])
        fake.script("eye:4b", [answer(tool_calls=[("get_weather", {"city": "Bonn"})]), answer("Sunny.")])
        yield fake


@pytest.fixture
def server(tmp_path: Path, ollama: FakeOllama) -> Iterator[Live]:
    config = {"expert_runner": {"ollama_url": ollama.url, "retries": 0, "breaker_failures": 1000}}
    with live_server(tmp_path, config=config, experts=(POET, EYE, FALLBACK)) as live:
        for node in live.gateway.catalog.all_nodes():
            node.refresh(wait=True)
        yield live


def post(url: str, body: JSON) -> requests.Response:
    reply = requests.post(url, json=body, timeout=20)
    assert reply.status_code == 200, reply.text
    return reply


def ask_openai(url: str, messages: list[JSON]) -> tuple[requests.Response, list[JSON]]:
    reply = post(f"{url}/v1/chat/completions", {"model": "lemoe", "messages": messages, "tools": [WEATHER]})
    said = reply.json()["choices"][0]["message"]
    results = [{"role": "tool", "tool_call_id": call["id"], "content": "18 degrees"}
               for call in said.get("tool_calls") or ()]
    return reply, [*messages, said, *results]


def ask_ollama(url: str, messages: list[JSON]) -> tuple[requests.Response, list[JSON]]:
    """As Ollama's own client for Python, which sends no ids back."""
    body = {"model": "lemoe", "messages": messages, "tools": [WEATHER], "stream": False}
    reply = post(f"{url}/api/chat", body)
    said = ollama_client.ChatResponse(**reply.json()).message.model_dump(exclude_none=True)
    results = [{"role": "tool", "tool_name": call["function"]["name"], "content": "18 degrees"}
               for call in said.get("tool_calls", ())]
    return reply, [*messages, said, *results]


def ask_anthropic(url: str, messages: list[JSON]) -> tuple[requests.Response, list[JSON]]:
    """With a picture of the weather, and a reminder behind the result as Claude Code writes them."""
    tool = {"name": "get_weather", "input_schema": WEATHER["function"]["parameters"]}
    reply = post(f"{url}/v1/messages", {"model": "lemoe", "max_tokens": 99, "messages": messages, "tools": [tool]})
    said = reply.json()["content"]
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
    results = [{"type": "tool_result", "tool_use_id": part["id"], "content": [picture]}
               for part in said if part["type"] == "tool_use"]
    reminder = {"type": "text", "text": "<system-reminder>Be brief.</system-reminder>"}
    return reply, [*messages, {"role": "assistant", "content": said}, {"role": "user", "content": [*results, reminder]}]


def ask_responses(url: str, messages: list[JSON]) -> tuple[requests.Response, list[JSON]]:
    tool = {"type": "function", **WEATHER["function"]}
    reply = post(f"{url}/v1/responses", {"model": "lemoe", "input": messages, "tools": [tool]})
    said = reply.json()["output"]
    results = [{"type": "function_call_output", "call_id": item["call_id"], "output": "18 degrees"}
               for item in said if item["type"] == "function_call"]
    return reply, [*messages, *said, *results]


def told(reply: requests.Response) -> tuple[str, str, str | None]:
    headers = reply.headers
    return headers["X-MoE-Expert"], headers["X-MoE-Stage"], headers.get("X-MoE-Fallback")


@pytest.mark.parametrize("ask", [ask_openai, ask_ollama, ask_anthropic, ask_responses])
def test_a_stand_in_gets_the_results_of_its_calls(server: Live, ollama: FakeOllama, ask: Ask) -> None:
    first, messages = ask(server.url, [{"role": "user", "content": QUESTION}])
    assert told(first) == ("eye", "keyword", "poet")
    second, _ = ask(server.url, messages)
    assert told(second) == ("eye", "context", None)
    assert len(ollama.requests_for("eye:4b")) == 1 + 2  # /api/show too


def test_a_reload_forgets_no_caller(server: Live) -> None:
    _, messages = ask_openai(server.url, [{"role": "user", "content": QUESTION}])
    assert server.service.reload()
    for node in server.gateway.catalog.all_nodes():
        node.refresh(wait=True)
    second, _ = ask_openai(server.url, messages)
    assert told(second) == ("eye", "context", None)


def test_the_next_turn_is_decided_as_ever(server: Live) -> None:
    _, messages = ask_openai(server.url, [{"role": "user", "content": QUESTION}])
    _, messages = ask_openai(server.url, messages)
    third, _ = ask_openai(server.url, [*messages, {"role": "user", "content": "And another?"}])
    assert told(third) == ("poet", "keyword", None)


def test_a_call_that_nobody_here_made_is_decided_as_ever(server: Live) -> None:
    _, messages = ask_openai(server.url, [{"role": "user", "content": QUESTION}])
    messages[-2]["tool_calls"][0]["id"] = messages[-1]["tool_call_id"] = "call_of_somebody_else"
    second, _ = ask_openai(server.url, messages)
    assert told(second) == ("poet", "keyword", None)


def test_who_names_an_expert_gets_that_one(server: Live) -> None:
    _, messages = ask_openai(server.url, [{"role": "user", "content": QUESTION}])
    body = {"model": "poet", "messages": messages, "tools": [WEATHER]}
    assert told(post(f"{server.url}/v1/chat/completions", body)) == ("poet", "explicit", None)


def test_a_model_that_no_expert_has_gets_the_results_of_its_calls_too(tmp_path: Path, ollama: FakeOllama) -> None:
    config = {"expert_runner": {"ollama_url": ollama.url, "retries": 0, "breaker_failures": 1000}}
    alone = {**POET, "fallback": ""}
    with live_server(tmp_path, config=config, experts=(alone, FALLBACK)) as server:
        for node in server.gateway.catalog.all_nodes():
            node.refresh(wait=True)
        first, messages = ask_openai(server.url, [{"role": "user", "content": QUESTION}])
        second, _ = ask_openai(server.url, messages)
    assert told(first) == ("eye:4b", "keyword", "poet")
    assert told(second) == ("eye:4b", "context", None)


# Pictures of tools


@pytest.mark.parametrize("offers", [True, False])
def test_a_picture_that_a_tool_gives_goes_to_an_expert_that_sees(
    server: Live, ollama: FakeOllama, offers: bool
) -> None:
    ollama.script("eye:4b", [answer("Rain.")])
    called = {"function": {"name": "get_weather", "arguments": {"city": "Bonn"}}}
    messages = [{"role": "user", "content": QUESTION}, {"role": "assistant", "content": "", "tool_calls": [called]},
                {"role": "tool", "tool_name": "get_weather", "content": "see", "images": [PNG]}]
    for _ in range(3):
        reply = post(f"{server.url}/api/chat", {"messages": messages, "tools": [WEATHER] if offers else []})
        assert told(reply) == ("eye", "vision", None)
    assert not any(request.path == "/api/chat" for request in ollama.requests_for("poet:4b"))
