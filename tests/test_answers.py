"""What upstreams answer beside plain text, as clients of every dialect get to see it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from msgspec import structs

from moe.core import ChatRequest, Message, Started, Text
from tests.adversarial.kit import Reply, post, write_prompt
from tests.backends.test_api_answers import delta, events
from tests.fakes import (
    FakeModel,
    FakeOllama,
    FakeOpenAI,
    answer,
    empty,
    error_line,
    fake_ollama,
    fake_openai,
    hang,
    http_error,
)
from tests.live import NOWHERE, Live, live_server

OPENAI, MESSAGES, CHAT, COMPLETIONS = "/v1/chat/completions", "/v1/messages", "/api/chat", "/v1/completions"
MODELS = Path(__file__).parent / "models"
NODE, CLOUD, SPARE = "node:4b", "cloud:4b", "spare:4b"
WEATHER, SLEEP = ({"type": "function", "function": {"name": name, "parameters": {"type": "object", "properties": {}}}}
                  for name in ("weather", "sleep"))
SLEEP_ONLY = {"type": "function", "function": {"name": "sleep"}}


@pytest.fixture(scope="module")
def node() -> Iterator[FakeOllama]:
    with fake_ollama([FakeModel(NODE, loaded=True, capabilities=("completion", "tools"))]) as fake:
        yield fake


@pytest.fixture(scope="module")
def cloud() -> Iterator[FakeOpenAI]:
    with fake_openai([CLOUD, SPARE]) as fake:
        yield fake


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, node: FakeOllama, cloud: FakeOpenAI) -> Iterator[Live]:
    experts = (
        {"id": 0, "label": "fallback", "type": "api", "model_name": SPARE, "api_base": cloud.api_base},
        {"id": 1, "label": "node", "model_name": NODE},
        {"id": 2, "label": "cloud", "type": "api", "model_name": CLOUD, "api_base": cloud.api_base},
    )
    runner = {"ollama_url": node.url, "retries": 0, "breaker_failures": 1000, "first_token_timeout_s": 30}
    with live_server(tmp_path_factory.mktemp("answers"), config={"expert_runner": runner}, experts=experts) as live:
        yield live


@pytest.fixture(autouse=True)
def _well(node: FakeOllama, cloud: FakeOpenAI) -> Iterator[None]:
    yield
    for upstream in (node, cloud):
        for model in (NODE, CLOUD, SPARE):
            upstream.script(model, [])
        upstream.forget_requests()


def ask(server: Live, path: str = OPENAI, text: str = "x", **more: Any) -> Reply:
    return post(server, path, {"prompt": text, **more} if path == COMPLETIONS else write_prompt(path, text, **more))


def rows(reply: Reply) -> list[Any]:
    found = [row.removeprefix(b"data: ") for row in reply.body.split(b"\n") if row.startswith((b"data: ", b"{"))]
    return [json.loads(row) for row in found if row != b"[DONE]"]


def message(reply: Reply) -> Any:
    return json.loads(reply.body)["choices"][0]["message"]


# Log probabilities


def test_the_tokens_of_an_answer_spell_it_also_where_it_begins_within_a_character(tmp_path: Path) -> None:
    pytest.importorskip("llama_cpp", reason="the set `local` is not installed")
    local = {"id": 0, "label": "local", "type": "local", "format": "gguf", "model_path": "general.gguf"}
    asked = {"text": "Send me a smile.", "model": "local", "temperature": 0, "logprobs": True}
    with live_server(tmp_path, experts=[local], models_folder=MODELS) as server:
        for stream in (False, True) * 4:
            reply = ask(server, stream=stream, **asked)
            choices = [choice for row in rows(reply) for choice in row["choices"]]
            text = "".join(choice.get("delta", choice.get("message", {})).get("content") or "" for choice in choices)
            told = [entry for choice in choices for entry in (choice["logprobs"] or {}).get("content", ())]
            assert b"".join(bytes(entry["bytes"]) for entry in told).decode() == text == "🙂👍🏽"


# Calls


@pytest.mark.parametrize("model", ["node", "cloud"])
@pytest.mark.parametrize("stream", [False, True])
def test_only_the_call_that_was_asked_for_is_one(
    server: Live, node: FakeOllama, cloud: FakeOpenAI, model: str, stream: bool
) -> None:
    upstream, name = (node, NODE) if model == "node" else (cloud, CLOUD)
    upstream.script(name, [answer(tool_calls=[("nope", {"a": 1})]), answer(tool_calls=[("sleep", {})])])
    reply = ask(server, model=model, tools=[WEATHER, SLEEP], tool_choice=SLEEP_ONLY, stream=stream)
    assert reply.status == 200 and b"nope" not in reply.body and b'"sleep"' in reply.body
    assert b'"tool_calls"' in reply.body


@pytest.mark.parametrize("model", ["node", "cloud"])
@pytest.mark.parametrize("stream", [False, True])
def test_a_call_that_nobody_makes_is_an_error_that_no_client_tries_again(
    server: Live, node: FakeOllama, cloud: FakeOpenAI, model: str, stream: bool
) -> None:
    node.script(NODE, [answer("I would rather not.")])
    for name in (CLOUD, SPARE):
        cloud.script(name, [answer("I would rather not.")])
    reply = ask(server, model=model, tools=[WEATHER, SLEEP], tool_choice="required", stream=stream)
    assert reply.status == 502
    assert "without calling a function" in json.loads(reply.body)["error"]["message"]
    assert reply.headers["x-should-retry"] == "false"


def test_a_call_is_told_to_begin_long_before_it_is_whole(server: Live, cloud: FakeOpenAI) -> None:
    """The status line goes out with the call's first part, and its arguments as they come."""
    cloud.script(CLOUD, [answer(tool_calls=[("sleep", {"note": "z" * 60})], chunk_delay_s=0.2)])
    body = {"model": "cloud", "max_tokens": 99, "stream": True, "messages": [{"role": "user", "content": "x"}],
            "tools": [{"name": "sleep", "input_schema": {"type": "object"}}]}
    began = time.monotonic()
    with requests.post(server.url + MESSAGES, json=body, stream=True, timeout=30) as reply:
        headers_s = time.monotonic() - began
        assert reply.headers["x-moe-expert"] == "cloud"
        told = [(time.monotonic() - began, json.loads(line[6:])) for line in reply.iter_lines()
                if line.startswith(b"data: ")]
    pieces = [(at, event["delta"]["partial_json"]) for at, event in told
              if event.get("delta", {}).get("type") == "input_json_delta"]
    total_s = time.monotonic() - began
    assert headers_s < total_s / 2
    assert len(pieces) > 3 and pieces[0][0] < total_s / 2
    assert json.loads("".join(text for _, text in pieces)) == {"note": "z" * 60}
    assert [event["type"] for _, event in told].count("content_block_start") == 1


@pytest.mark.parametrize("path", [OPENAI, CHAT])
def test_the_pieces_of_a_call_spoil_no_dialect(server: Live, cloud: FakeOpenAI, path: str) -> None:
    cloud.script(CLOUD, [answer(tool_calls=[("sleep", {"note": "z" * 60}), ("weather", {"city": "Bonn"})])])
    for stream in (False, True):
        reply = ask(server, path, model="cloud", tools=[WEATHER, SLEEP], stream=stream)
        said: dict[int, str] = {}
        for row in rows(reply):
            told = row["message"] if path == CHAT else (
                row["choices"][0].get("delta") or row["choices"][0].get("message") or {}) if row["choices"] else {}
            for place, call in enumerate(told.get("tool_calls") or ()):
                place, given = call.get("index", place), call["function"]["arguments"]
                place = call["function"].get("index", place)
                said[place] = said.get(place, "") + (given if isinstance(given, str) else json.dumps(given))
        assert {place: json.loads(text) for place, text in said.items()} == {
            0: {"note": "z" * 60}, 1: {"city": "Bonn"}}


# Filters and refusals


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("said", ["", "The fir"])
def test_what_a_filter_took_away_is_told_in_each_dialects_word(
    server: Live, cloud: FakeOpenAI, said: str, stream: bool
) -> None:
    cloud.script(CLOUD, [events(delta(content=said), delta("content_filter"))])
    for path, word in ((OPENAI, b'"finish_reason":"content_filter"'), (CHAT, b'"done_reason":"content_filter"'),
                       (MESSAGES, b'"stop_reason":"refusal"')):
        reply = ask(server, path, model="cloud", stream=stream, max_tokens=9)
        assert (reply.status, reply.headers["x-moe-expert"], word in reply.body) == (200, "cloud", True), path
        assert said.encode() in reply.body
    assert not cloud.requests_for(SPARE)


@pytest.mark.parametrize("stream", [False, True])
def test_a_refusal_is_an_answer(server: Live, cloud: FakeOpenAI, stream: bool) -> None:
    cloud.script(CLOUD, [events(delta(content="", refusal=None), delta(refusal="I won't."), delta("stop"))])
    for path in (OPENAI, CHAT, MESSAGES):
        reply = ask(server, path, model="cloud", stream=stream, max_tokens=9)
        assert (reply.status, reply.headers["x-moe-expert"]) == (200, "cloud")
        assert b"I won't." in reply.body
        assert (path == MESSAGES) == (b'"stop_reason":"refusal"' in reply.body)
    schema = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}
    reply = ask(server, model="cloud", stream=stream, response_format=schema)
    assert (reply.status, b'"refusal":"I won\'t."' in reply.body) == (200, True)
    assert not cloud.requests_for(SPARE)


def test_what_was_cached_is_counted_apart_for_anthropics_clients(server: Live, cloud: FakeOpenAI) -> None:
    usage = {"prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 14,
             "prompt_tokens_details": {"cached_tokens": 6}}
    cloud.script(CLOUD, [events(delta(content="hi"), delta("stop"), usage=usage)])
    told = json.loads(ask(server, MESSAGES, model="cloud", max_tokens=9).body)["usage"]
    assert (told["input_tokens"], told["cache_read_input_tokens"], told["output_tokens"]) == (3, 6, 5)


# Bare completions


@pytest.mark.parametrize("stream", [False, True])
def test_an_api_goes_on_with_a_bare_prompt(server: Live, cloud: FakeOpenAI, stream: bool) -> None:
    cloud.script(CLOUD, [answer(chunks=["x):", "\n"])])
    reply = ask(server, COMPLETIONS, "def f(", model="cloud", suffix="return", echo=True, stream=stream)
    assert "".join(row["choices"][0]["text"] for row in rows(reply) if row["choices"]) == "def f(x):\n"
    (request,) = cloud.requests_for(CLOUD)
    assert (request.path, request.json["suffix"], "echo" in request.json) == ("/v1/completions", "return", False)


def test_an_api_that_has_no_such_thing_says_which_field_it_is(tmp_path: Path) -> None:
    claude = {"id": 0, "label": "claude", "type": "api", "provider": "anthropic", "model_name": "claude-x"}
    with live_server(tmp_path, experts=[claude]) as server:
        told = json.loads(ask(server, COMPLETIONS, model="claude").body)["error"]
    assert (told["message"], told["param"]) == ('"claude-x" does not support raw completions', "model")


def test_what_only_an_api_understands_is_named_by_everybody_else(server: Live) -> None:
    asked = ChatRequest(messages=(Message("user", (Text("x"),)),), beside={"service_tier": "flex"})
    for model, ignored in (("node", ("service_tier",)), ("cloud", ())):
        chunks = list(server.gateway.answer(structs.replace(asked, model=model), request_id="x").chunks)
        assert next(chunk for chunk in chunks if isinstance(chunk, Started)).ignored == ignored


# Thoughts of which only the end is told


@pytest.mark.parametrize("model", ["node", "cloud"])
def test_a_thought_that_the_prompt_opened_is_told_apart(
    server: Live, node: FakeOllama, cloud: FakeOpenAI, model: str
) -> None:
    upstream, name = (node, NODE) if model == "node" else (cloud, CLOUD)
    upstream.script(name, [answer(chunks=["rea", "soning</thi", "nk>answer"])])
    said = message(ask(server, model=model))
    assert (said["content"], said["reasoning_content"]) == ("answer", "reasoning")
    streamed = [row["choices"][0]["delta"] for row in rows(ask(server, model=model, stream=True)) if row["choices"]]
    assert "".join(part.get("content") or "" for part in streamed) == "reasoning</think>answer"


@pytest.mark.parametrize("said", ["The user is a fool.\n</think>\n\nForty-two.", "A fool.</think>Forty-two."])
def test_one_that_is_not_wanted_is_left_out(server: Live, node: FakeOllama, said: str) -> None:
    node.script(NODE, [answer(chunks=[said])])

    def whole(prompt: str) -> Any:
        body = {"model": "node", "messages": [{"role": "user", "content": prompt}], "think": False, "stream": False}
        return requests.post(f"{server.url}/api/chat", json=body, timeout=30).json()["message"]

    assert whole("What is it?") == {"role": "assistant", "content": "Forty-two."}
    assert whole("What does </think> do?")["content"] == said


@pytest.mark.parametrize("kind", ["ollama", "api"])
def test_also_in_a_stream_of_a_model_that_is_known_for_it(tmp_path: Path, kind: str) -> None:
    name = "deepseek-r1:8b"
    fake: Any = fake_ollama([FakeModel(name, loaded=True)]) if kind == "ollama" else fake_openai([name])
    with fake as upstream:
        way = {"type": "ollama"} if kind == "ollama" else {"type": "api", "api_base": upstream.api_base}
        config = {"expert_runner": {"ollama_url": upstream.url if kind == "ollama" else NOWHERE}}
        upstream.script(name, [answer(chunks=["rea", "soning\n</thi", "nk>\n\nanswer", " at", " last"])])
        with live_server(tmp_path, config=config, experts=[{"id": 0, "label": "r", "model_name": name, **way}]) as live:
            reply = ask(live, model="r", stream=True)
    parts = [row["choices"][0]["delta"] for row in rows(reply) if row["choices"]]
    assert "".join(part.get("content") or "" for part in parts) == "answer at last"
    assert "".join(part.get("reasoning_content") or "" for part in parts) == "reasoning"


# Errors


@pytest.mark.parametrize("stream", [False, True])
def test_an_error_within_an_answer_keeps_its_words(
    server: Live, node: FakeOllama, cloud: FakeOpenAI, stream: bool
) -> None:
    for upstream, name in ((node, NODE), (cloud, CLOUD), (cloud, SPARE)):
        upstream.script(name, [error_line(after=1, text="one two", message="kaboom at /usr/lib/x.so on 10.0.0.7:80")])
    for model in ("node", "cloud"):
        reply = ask(server, model=model, stream=stream)
        assert b"kaboom at \xe2\x80\xa6 on \xe2\x80\xa6" in reply.body
        assert b"/usr" not in reply.body and b"10.0" not in reply.body


@pytest.fixture
def clouds(tmp_path: Path, cloud: FakeOpenAI) -> Iterator[Live]:
    """Two experts behind an API, and no model in the house."""
    ways = [{"id": number, "label": label, "type": "api", "model_name": name, "api_base": cloud.api_base}
            for number, label, name in ((1, "cloud", CLOUD), (0, "fallback", SPARE))]
    with live_server(tmp_path, config={"expert_runner": {"retries": 0}}, experts=ways) as live:
        yield live


@pytest.mark.parametrize("path", [OPENAI, CHAT, MESSAGES])
def test_a_provider_that_takes_no_more_says_when_it_will(clouds: Live, cloud: FakeOpenAI, path: str) -> None:
    for name in (CLOUD, SPARE):
        cloud.script(name, [http_error(429, headers={"Retry-After": "17"}, message="slow down, org-1234")])
    for model, stream in (("cloud", False), ("cloud", True), ("lemoe", False)):
        reply = ask(clouds, path, model=model, stream=stream, max_tokens=9)
        assert (reply.status, reply.headers["retry-after"]) == (429, "17")
        assert b"org-1234" not in reply.body and "x-should-retry" not in reply.headers
    cloud.script(SPARE, [http_error(503, headers={"Retry-After": "5"})])
    reply = ask(clouds, path, model="fallback", max_tokens=9)
    assert (reply.status, reply.headers["retry-after"]) == (503, "5")


@pytest.mark.parametrize("status", [401, 402, 403, 404])
def test_what_an_api_refuses_for_good_is_not_told_as_a_busy_server(
    clouds: Live, cloud: FakeOpenAI, status: int
) -> None:
    cloud.script(CLOUD, [http_error(status, message="secret words")])
    cloud.script(SPARE, [http_error(500)])
    reply = ask(clouds, model="cloud")
    assert (reply.status, reply.headers["x-should-retry"]) == (502, "false")
    told = json.loads(reply.body)["error"]["message"]
    assert told == f"no expert could answer (cloud: upstream status {status}; fallback: upstream status 500)"
    cloud.script(SPARE, [answer("Here I am.")])
    assert ask(clouds, model="cloud").headers["x-moe-expert"] == "fallback"


@pytest.mark.parametrize("path", [OPENAI, CHAT, MESSAGES])
def test_without_any_model_a_named_expert_gives_the_next_step_too(tmp_path: Path, path: str) -> None:
    experts = [{"id": 1, "label": "math", "model_name": "auto"}, {"id": 0, "label": "fallback", "model_name": "auto"}]
    tool = {"name": "sleep", "input_schema": {}} if path == MESSAGES else SLEEP
    with live_server(tmp_path, experts=experts) as server:
        reply = ask(server, path, model="math", tools=[tool], max_tokens=9)
    assert reply.status == 503
    assert b"math: unreachable" in reply.body and b"Next step: " in reply.body and b"ollama serve" in reply.body


# Models by their own names


def open_alone(tmp_path: Path, node: FakeOllama, **runner: Any) -> Any:
    """One node, and no expert of the model's."""
    told = {"ollama_url": node.url, "retries": 0, "first_token_timeout_s": 30, **runner}
    return live_server(tmp_path, config={"expert_runner": told},
                       experts=[{"id": 0, "label": "fallback", "model_name": SPARE}])


@pytest.mark.parametrize("path", [OPENAI, CHAT, MESSAGES])
def test_a_model_that_its_node_no_longer_has_is_not_found(tmp_path: Path, node: FakeOllama, path: str) -> None:
    node.script(NODE, [http_error(404, message="no such model")])
    with open_alone(tmp_path, node) as live:
        reply = ask(live, path, model=NODE, max_tokens=9)
    assert (reply.status, f"model '{NODE}' not found".encode() in reply.body) == (404, True)


@pytest.mark.parametrize("path", [OPENAI, CHAT, MESSAGES])
def test_a_model_that_rests_says_for_how_long(tmp_path: Path, node: FakeOllama, path: str) -> None:
    node.script(NODE, [hang()])
    with open_alone(tmp_path, node, breaker_failures=1, first_token_timeout_s=1, cold_load_timeout_s=1,
                    breaker_cooldown_s=40) as live:
        assert ask(live, path, model=NODE, max_tokens=9).status in (503, 504)
        reply = ask(live, path, model=NODE, max_tokens=9)
    assert (reply.status, reply.headers["retry-after"], b"left alone" in reply.body) == (503, "40", True)


@pytest.mark.parametrize("path", [OPENAI, MESSAGES])
@pytest.mark.parametrize("model", ["cloud", "fallback"])
def test_who_say_nothing_are_not_asked_for_it_again(clouds: Live, cloud: FakeOpenAI, path: str, model: str) -> None:
    for name in (CLOUD, SPARE):
        cloud.script(name, [empty()])
    reply = ask(clouds, path, model=model, max_tokens=9)
    assert (reply.status, reply.headers["x-should-retry"], b"empty answer" in reply.body) == (502, "false", True)


# Calls that cannot be read


def torn_call() -> Any:
    head = {"index": 0, "id": "c1", "type": "function", "function": {"name": "sleep", "arguments": '{"hours": '}}
    return events(delta(tool_calls=[head]), delta("tool_calls"))


@pytest.mark.parametrize("stream", [False, True])
def test_arguments_that_are_no_json_stay_as_they_are_where_they_are_text(
    server: Live, cloud: FakeOpenAI, stream: bool
) -> None:
    cloud.script(CLOUD, [torn_call()])
    reply = ask(server, model="cloud", tools=[SLEEP], stream=stream)
    assert (reply.status, b'"arguments":"{\\"hours\\": "' in reply.body) == (200, True)


def test_where_they_are_an_object_such_a_call_is_an_error(tmp_path: Path, cloud: FakeOpenAI) -> None:
    expert = {"id": 0, "label": "cloud", "type": "api", "model_name": CLOUD, "api_base": cloud.api_base}
    runner = {"retries": 1, "backoff_s": 0.01, "breaker_failures": 1000}
    with live_server(tmp_path, config={"expert_runner": runner}, experts=[expert]) as live:
        cloud.script(CLOUD, [torn_call(), answer(tool_calls=[("sleep", {"hours": 8})])])
        mended = json.loads(ask(live, CHAT, model="cloud", tools=[SLEEP]).body)
        assert mended["message"]["tool_calls"][0]["function"]["arguments"] == {"hours": 8}
        cloud.script(CLOUD, [torn_call()])
        for stream in (False, True):
            reply = ask(live, CHAT, model="cloud", tools=[SLEEP], stream=stream)
            assert b"_raw" not in reply.body and b'"error"' in reply.body
