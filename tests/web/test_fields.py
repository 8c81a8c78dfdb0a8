"""The fields of a request over a live server, with an upstream of each kind and a model of this process behind it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ollama
import openai
import pytest

from tests.adversarial.kit import Reply, assert_refused, becomes_true, call, connect, post, write_prompt, write_request
from tests.fakes import FakeModel, FakeOllama, FakeOpenAI, answer, error_line, fake_ollama, fake_openai, hang
from tests.live import Live, live_server

OPENAI, COMPLETIONS, CHAT, GENERATE = "/v1/chat/completions", "/v1/completions", "/api/chat", "/api/generate"
MODELS = Path(__file__).parents[1] / "models"
WEATHER, SLEEP = ({"type": "function", "function": {"name": name, "parameters": {"type": "object", "properties": {}}}}
                  for name in ("weather", "sleep"))
NODE, CLOUD = "node:4b", "cloud:4b"


@pytest.fixture(scope="module")
def node() -> Iterator[FakeOllama]:
    thinker = FakeModel("thinker:4b", capabilities=("completion", "thinking"))
    with fake_ollama([FakeModel(NODE, loaded=True, capabilities=("completion", "tools", "insert")), thinker]) as fake:
        yield fake


@pytest.fixture(scope="module")
def cloud() -> Iterator[FakeOpenAI]:
    with fake_openai([CLOUD]) as fake:
        yield fake


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, node: FakeOllama, cloud: FakeOpenAI) -> Iterator[Live]:
    experts = (
        {"id": 0, "label": "fallback", "model_name": NODE}, {"id": 1, "label": "node", "model_name": NODE},
        {"id": 2, "label": "cloud", "type": "api", "model_name": CLOUD, "api_base": cloud.api_base},
        {"id": 3, "label": "local", "type": "local", "format": "gguf", "model_path": "general.gguf"},
        {"id": 4, "label": "echo", "type": "echo"},
    )
    runner = {"ollama_url": node.url, "retries": 0, "breaker_failures": 1000}
    with live_server(tmp_path_factory.mktemp("fields"), config={"expert_runner": runner}, experts=experts,
                     models_folder=MODELS) as live:
        yield live


@pytest.fixture(autouse=True)
def _well(node: FakeOllama, cloud: FakeOpenAI) -> Iterator[None]:
    yield
    node.script(NODE, [])
    cloud.script(CLOUD, [])


def ask(server: Live, path: str, text: str = "x", **more: Any) -> Reply:
    return post(server, path, {"prompt": text, **more} if path == COMPLETIONS else write_prompt(path, text, **more))


def stream(server: Live, path: str, text: str = "x", **more: Any) -> tuple[Reply, list[Any]]:
    reply = ask(server, path, text, **{**more, "stream": True})
    rows = [row.removeprefix(b"data: ") for row in reply.body.split(b"\n") if row.strip() and not row.startswith(b":")]
    return reply, ["[DONE]" if row == b"[DONE]" else json.loads(row) for row in rows]


def choices(rows: list[Any]) -> list[Any]:
    return [choice for row in rows if row != "[DONE]" for choice in row["choices"]]


# Log probabilities

ODDS = {OPENAI: {"logprobs": True, "top_logprobs": 2}, COMPLETIONS: {"logprobs": 2},
        CHAT: {"logprobs": True, "top_logprobs": 2}, GENERATE: {"logprobs": True, "top_logprobs": 2}}


def read_tokens(path: str, body: Any) -> list[Any]:
    """(token, log probability, number of others) of a whole reply or a piece of a stream."""
    if path == COMPLETIONS:
        told = body["choices"][0]["logprobs"] or {"tokens": [], "token_logprobs": [], "top_logprobs": []}
        return list(zip(told["tokens"], told["token_logprobs"], map(len, told["top_logprobs"]), strict=True))
    rows = ((body["choices"][0]["logprobs"] or {}).get("content", []) if path == OPENAI else body.get("logprobs", []))
    return [(row["token"], row["logprob"], len(row["top_logprobs"])) for row in rows]


@pytest.mark.parametrize(("expert", "path"), [
    (expert, path) for expert in ("node", "cloud", "local") for path in ODDS
    if (expert, path) != ("cloud", COMPLETIONS)
])
def test_log_probabilities_go_from_every_backend_to_every_client(server: Live, expert: str, path: str) -> None:
    asked: dict[str, Any] = {"model": expert, **ODDS[path]}
    asked |= {"temperature": 0} if path.startswith("/v1") else {"options": {"temperature": 0}}
    text = "Who are you?"
    whole = ask(server, path, text, **asked)
    assert whole.status == 200, whole
    tokens = read_tokens(path, whole.json)
    assert tokens and all(logprob <= 0 and others == 2 for _, logprob, others in tokens)
    _, rows = stream(server, path, text, **asked)
    assert [token for row in rows if row != "[DONE]" and row.get("choices", True)
            for token in read_tokens(path, row)] == tokens
    assert "x-moe-ignored" not in whole.headers


def test_the_offsets_of_a_completions_tokens_point_into_the_text(server: Live) -> None:
    asked = {"model": "local", "logprobs": 0, "max_tokens": 5, "temperature": 0}
    choice = ask(server, COMPLETIONS, "<|im_start|>user", **asked).json["choices"][0]
    told = choice["logprobs"]
    assert [choice["text"][at:at + len(token)] for at, token in zip(told["text_offset"], told["tokens"], strict=True)
            if "\ufffd" not in token] == [token for token in told["tokens"] if "\ufffd" not in token]
    assert told["text_offset"][0] == 0


# What cannot be had

def test_what_a_model_cannot_give_is_named_and_the_rest_answered(server: Live) -> None:
    asked = {"logit_bias": {"5": 1}, "verbosity": "low", "reasoning_effort": "low", "service_tier": "flex",
             "prediction": {"type": "content", "content": "x"}}
    whole = ask(server, OPENAI, model="node", **asked)
    assert whole.status == 200
    assert sorted(whole.headers["x-moe-ignored"].split(", ")) == sorted(asked)
    assert sorted(whole.json["x_moe"]["ignored"]) == sorted(asked)
    reply, rows = stream(server, OPENAI, model="node", **asked)
    assert reply.headers["x-moe-ignored"] == whole.headers["x-moe-ignored"]
    assert not [row for row in rows if row != "[DONE]" and "ignored" in row.get("x_moe", {})]
    assert "x-moe-ignored" not in ask(server, OPENAI, model="cloud", **asked).headers
    assert ask(server, OPENAI, model="echo", logprobs=True).headers["x-moe-ignored"] == "logprobs"
    unsaid = {"user": "u", "metadata": {"a": "b"}, "store": True}
    assert "x-moe-ignored" not in ask(server, OPENAI, model="node", **unsaid).headers


def test_an_api_gets_the_clients_own_word_for_effort_and_ollama_its_own(
    server: Live, node: FakeOllama, cloud: FakeOpenAI
) -> None:
    ask(server, OPENAI, model="cloud", reasoning_effort="minimal")
    assert cloud.requests[-1].json["reasoning_effort"] == "minimal"
    assert ask(server, OPENAI, model="thinker:4b", reasoning_effort="minimal").status == 200
    assert node.requests_for("thinker:4b")[-1].json["think"] == "low"


# Several answers

def test_several_answers_to_one_question(server: Live, node: FakeOllama) -> None:
    node.script(NODE, [answer("one"), answer("two two"), answer("three", finish="length")])
    before = len(node.requests_for(NODE))
    reply = ask(server, OPENAI, model="node", n=3, seed=40)
    assert [choice["index"] for choice in reply.json["choices"]] == [0, 1, 2]
    assert [choice["message"]["content"] for choice in reply.json["choices"]] == ["one", "two two", "three"]
    assert [choice["finish_reason"] for choice in reply.json["choices"]] == ["stop", "stop", "length"]
    assert reply.json["usage"] == {"prompt_tokens": 1, "completion_tokens": 4, "total_tokens": 5}
    assert [request.json["options"]["seed"] for request in node.requests_for(NODE)[before:]] == [40, 41, 42]


def test_several_answers_streamed_come_one_after_the_other(server: Live, cloud: FakeOpenAI) -> None:
    cloud.script(CLOUD, [answer("one one"), answer(tool_calls=[("sleep", {})]), answer("three")])
    _, rows = stream(server, OPENAI, model="cloud", n=3, tools=[SLEEP], stream_options={"include_usage": True})
    told = choices(rows)
    assert [choice["index"] for choice in told] == sorted(choice["index"] for choice in told)
    for index, (text, finish) in enumerate([("one one", "stop"), ("", "tool_calls"), ("three", "stop")]):
        own = [choice for choice in told if choice["index"] == index]
        assert own[0]["delta"]["role"] == "assistant"
        assert "".join(choice["delta"].get("content") or "" for choice in own) == text
        assert [choice["finish_reason"] for choice in own if choice["finish_reason"]] == [finish]
    assert rows.count("[DONE]") == 1 and rows[-1] == "[DONE]"
    usages = [row["usage"] for row in rows if row != "[DONE]" and row["usage"]]
    assert usages == [{"prompt_tokens": 1, "completion_tokens": 4, "total_tokens": 5}]
    assert rows[-2]["choices"] == []


@pytest.mark.parametrize("expert", ["node", "cloud"])
def test_when_a_later_answer_breaks_the_stream_says_so(
    server: Live, node: FakeOllama, cloud: FakeOpenAI, expert: str
) -> None:
    for fake, name in ((node, NODE), (cloud, CLOUD)):
        fake.script(name, [answer("one"), error_line(after=1, text="two and more")])
    _, rows = stream(server, OPENAI, model=expert, n=2)
    assert rows[-1]["error"]["message"] and "[DONE]" not in rows
    assert [choice["finish_reason"] for choice in choices(rows[:-1]) if choice["finish_reason"]] == ["stop"]


@pytest.mark.parametrize("streams", [False, True])
def test_a_client_that_leaves_ends_all_of_them(server: Live, node: FakeOllama, streams: bool) -> None:
    node.script(NODE, [answer("one"), hang()])
    before = len(node.requests_for(NODE))
    body = json.dumps({**write_prompt(OPENAI, "x", model="node"), "n": 4, "stream": streams}).encode()
    with connect(server) as sock:
        sock.sendall(write_request("POST", OPENAI, body, host="localhost"))
        assert becomes_true(lambda: len(node.requests_for(NODE)) == before + 2)
    node.requests_for(NODE)[before + 1].wait_until_over()
    assert node.requests_for(NODE)[before + 1].closed_early_at is not None
    assert len(node.requests_for(NODE)) == before + 2


# Completions

def test_a_completion_goes_on_from_its_prompt_as_it_stands(server: Live, node: FakeOllama) -> None:
    reply = ask(server, COMPLETIONS, "def add(a, b):", model="node")
    assert reply.status == 200
    assert reply.json["object"] == "text_completion" and reply.json["id"].startswith("cmpl-")
    choice, usage = reply.json["choices"][0], reply.json["usage"]
    assert "def add(a, b):" in choice["text"]
    assert (choice["index"], choice["logprobs"], choice["finish_reason"]) == (0, None, "stop")
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    sent = node.requests_for(NODE)[-1]
    assert sent.path == "/api/generate"
    assert (sent.json["raw"], sent.json["prompt"]) == (True, "def add(a, b):")
    assert sent.json["options"]["num_predict"] == 16
    assert "system" not in sent.json


def test_a_gap_is_filled_in_the_models_own_form_without_asking_the_router(server: Live, node: FakeOllama) -> None:
    reply = ask(server, COMPLETIONS, "def add(a, b):", suffix="print(add(1, 2))", model="lemoe", max_tokens=64)
    assert reply.status == 200
    sent = node.requests_for(NODE)[-1].json
    assert (sent["suffix"], sent.get("raw"), sent["options"]["num_predict"]) == ("print(add(1, 2))", None, 64)
    assert reply.headers["x-moe-stage"] == "raw"


def test_each_of_several_prompts_gets_its_answers(server: Live, node: FakeOllama) -> None:
    node.script(NODE, [answer(word) for word in ("a", "b", "c", "d")])
    asked = {"model": "node", "prompt": ["one", "two"], "n": 2, "seed": 1, "echo": True}
    before = len(node.requests_for(NODE))
    body = post(server, COMPLETIONS, asked).json
    assert [(choice["index"], choice["text"]) for choice in body["choices"]] == [
        (0, "onea"), (1, "oneb"), (2, "twoc"), (3, "twod")]
    sent = [request.json for request in node.requests_for(NODE)[before:]]
    assert [(one["prompt"], one["options"]["seed"]) for one in sent] == [("one", 1), ("one", 2), ("two", 1), ("two", 2)]
    assert body["usage"] == {"prompt_tokens": 2, "completion_tokens": 4, "total_tokens": 6}
    node.script(NODE, [answer(word) for word in ("a", "b", "c", "d")])
    _, rows = stream(server, COMPLETIONS, **{**asked, "text": "", "stream_options": {"include_usage": True}})
    texts = ["".join(choice["text"] for choice in choices(rows) if choice["index"] == index) for index in range(4)]
    assert texts == ["onea", "oneb", "twoc", "twod"]
    assert [choice["finish_reason"] for choice in choices(rows) if choice["finish_reason"]] == ["stop"] * 4
    assert rows[-2]["usage"] == body["usage"] and rows[-1] == "[DONE]"


@pytest.mark.parametrize(("fields", "param"), [
    ({"prompt": [1, 2, 3]}, "prompt"), ({"prompt": [[1, 2], [3]]}, "prompt"), ({"prompt": []}, "prompt"),
    ({"prompt": ""}, "prompt"), ({"prompt": None}, "prompt"), ({"prompt": ["a", ""]}, "prompt"),
    ({"prompt": ["a"] * 65}, "prompt"), ({"prompt": ["a"] * 9, "n": 8}, "prompt"), ({"prompt": {}}, "prompt"),
    ({"logprobs": 6}, "logprobs"), ({"logprobs": True}, "logprobs"), ({"best_of": 2}, "best_of"), ({"n": 9}, "n"),
    ({"max_tokens": 0}, "max_tokens"), ({"max_tokens": -1, "echo": True}, "max_tokens"),
    ({"echo": True, "logprobs": 0}, "logprobs"), ({"echo": "yes"}, "echo"), ({"suffix": 5}, "suffix"),
    ({"stop": [""]}, "stop"), ({"logit_bias": {"x": 1}}, "logit_bias"),
])
def test_a_wrong_field_of_a_completion_is_refused_by_its_name(server: Live, fields: Any, param: str) -> None:
    reply = post(server, COMPLETIONS, {"model": "node", "prompt": "x", **fields})
    assert_refused(reply, COMPLETIONS, 400)
    assert reply.json["error"]["param"] == param
    assert param in reply.message


@pytest.mark.parametrize("streams", [False, True])
def test_a_prompt_can_be_given_back_without_asking_anybody(server: Live, node: FakeOllama, streams: bool) -> None:
    asked = {"model": "node", "prompt": ["one", "two two"], "n": 2, "echo": True, "max_tokens": 0,
             "stream_options": {"include_usage": True}}
    before = len(node.requests_for(NODE))
    reply = post(server, COMPLETIONS, {**asked, "stream": streams})
    assert reply.status == 200 and reply.headers["x-moe-model"] == NODE
    rows = [reply.json] if not streams else [
        json.loads(row.removeprefix(b"data: ")) for row in reply.body.split(b"\n\n") if row.startswith(b"data: {")]
    told = choices(rows)
    assert ["".join(choice["text"] for choice in told if choice["index"] == index) for index in range(4)] == [
        "one", "one", "two two", "two two"]
    assert [choice["finish_reason"] for choice in told if choice["finish_reason"]] == ["length"] * 4
    assert rows[-1]["usage"] == {"prompt_tokens": 3, "completion_tokens": 0, "total_tokens": 3}
    assert len(node.requests_for(NODE)) == before


def test_a_completion_of_a_model_that_only_chats_is_refused(server: Live, node: FakeOllama) -> None:
    assert ask(server, COMPLETIONS, "x", model="nowhere").status == 404


# Tools

def test_a_call_that_must_be_made_is_made_by_this_model_or_the_next(server: Live, node: FakeOllama) -> None:
    node.script(NODE, [answer("no"), answer('{"name": "sleep", "arguments": {"h": 8}}')])
    reply = ask(server, OPENAI, model="node", tools=[WEATHER, SLEEP], tool_choice="required")
    (made,) = reply.json["choices"][0]["message"]["tool_calls"]
    assert (made["function"], reply.json["choices"][0]["finish_reason"]) == (
        {"name": "sleep", "arguments": '{"h": 8}'}, "tool_calls")
    for streams in (False, True):
        node.script(NODE, [answer("no")])
        reply = ask(server, OPENAI, model="node", tools=[WEATHER], tool_choice="required", stream=streams)
        assert reply.status == 200 and reply.headers["x-moe-fallback"] == "node"
        assert b'"name":"weather"' in reply.body


@pytest.mark.parametrize("path", [OPENAI, CHAT])
@pytest.mark.parametrize("expert", ["node", "cloud"])
def test_parallel_calls_keep_their_order_and_form(
    server: Live, node: FakeOllama, cloud: FakeOpenAI, path: str, expert: str
) -> None:
    calls = [("weather", {"city": "Zürich"}), ("sleep", {"hours": [1, {"a": None}]})]
    for fake, name in ((node, NODE), (cloud, CLOUD)):
        fake.script(name, [answer(tool_calls=calls)])
    whole = ask(server, path, model=expert, tools=[WEATHER, SLEEP]).json
    _, rows = stream(server, path, model=expert, tools=[WEATHER, SLEEP])
    if path == OPENAI:
        told = whole["choices"][0]["message"]["tool_calls"]
        pieces = [call for choice in choices(rows) for call in choice["delta"].get("tool_calls", ())]
        streamed = [piece for piece in pieces if "id" in piece]
        assert [call["index"] for call in streamed] == [0, 1]
        arguments = [json.loads(call["function"]["arguments"]) for call in told]
        assert arguments == [json.loads("".join(piece["function"]["arguments"] for piece in pieces
                                                if piece["index"] == index)) for index in (0, 1)]
    else:
        told = whole["message"]["tool_calls"]
        streamed = [call for row in rows for call in row["message"].get("tool_calls", ())]
        assert [call["function"]["index"] for call in streamed] == [0, 1]
        arguments = [call["function"]["arguments"] for call in told]
    assert [(call["function"]["name"], value) for call, value in zip(told, arguments, strict=True)] == calls
    assert [call["id"] for call in streamed] == [call["id"] for call in told]
    assert len({call["id"] for call in told}) == 2
    one = ask(server, OPENAI, model=expert, tools=[WEATHER, SLEEP], parallel_tool_calls=False).json
    assert len(one["choices"][0]["message"]["tool_calls"]) == 1


def test_a_round_of_tools_begun_by_an_ollama_client_ends_at_an_api(server: Live, cloud: FakeOpenAI) -> None:
    messages = [
        {"role": "user", "content": "Weather?"},
        {"role": "assistant", "tool_calls": [{"function": {"name": "weather", "arguments": {"city": "Bonn"}}}]},
        {"role": "tool", "tool_name": "weather", "content": "sunny"},
    ]
    reply = post(server, CHAT, {"model": "cloud", "messages": messages, "tools": [WEATHER], "stream": False})
    assert "the tool said: sunny" in reply.json["message"]["content"]
    sent = cloud.requests[-1].json["messages"]
    assert sent[1]["tool_calls"][0]["id"] == sent[2]["tool_call_id"] != ""
    assert sent[1]["tool_calls"][0]["function"]["arguments"] == '{"city":"Bonn"}'


@pytest.mark.parametrize("streams", [False, True])
def test_a_client_from_before_there_were_tools_gets_a_function_call(server: Live, streams: bool) -> None:
    asked = {"model": "node", "functions": [WEATHER["function"]], "function_call": "auto"}
    if streams:
        _, rows = stream(server, OPENAI, **asked)
        told = next(choice["delta"]["function_call"] for choice in choices(rows) if "function_call" in choice["delta"])
        finish = choices(rows)[-1]["finish_reason"]
    else:
        choice = ask(server, OPENAI, **asked).json["choices"][0]
        told, finish = choice["message"]["function_call"], choice["finish_reason"]
        assert "tool_calls" not in choice["message"]
    assert (told["name"], json.loads(told["arguments"]), finish) == ("weather", {}, "function_call")


@pytest.mark.parametrize("expert", ["node", "cloud"])
def test_a_custom_tool_is_called_and_answered_in_its_own_form(
    server: Live, node: FakeOllama, cloud: FakeOpenAI, expert: str
) -> None:
    patch = {"type": "custom", "custom": {"name": "patch", "description": "Patches."}}
    for fake, name in ((node, NODE), (cloud, CLOUD)):
        fake.script(name, [answer(tool_calls=[("patch", {"input": "*** Begin"})])])
    asked = {"model": expert, "tools": [WEATHER, patch]}
    (whole,) = ask(server, OPENAI, **asked).json["choices"][0]["message"]["tool_calls"]
    _, rows = stream(server, OPENAI, **asked)
    (streamed,) = [call for choice in choices(rows) for call in choice["delta"].get("tool_calls", ())]
    assert (whole["type"], whole["custom"]) == ("custom", {"name": "patch", "input": "*** Begin"})
    assert streamed == {"index": 0, **whole}
    for fake, name in ((node, NODE), (cloud, CLOUD)):
        fake.script(name, [])
    messages = [{"role": "user", "content": "Go."}, {"role": "assistant", "tool_calls": [whole]},
                {"role": "tool", "tool_call_id": whole["id"], "content": "patched"}]
    reply = post(server, OPENAI, {**asked, "messages": messages})
    assert "the tool said: patched" in reply.json["choices"][0]["message"]["content"]


def test_only_allowed_tools_are_offered(server: Live, node: FakeOllama) -> None:
    allowed = {"mode": "auto", "tools": [{"type": "function", "function": {"name": "sleep"}}]}
    ask(server, OPENAI, model="node", tools=[WEATHER, SLEEP],
        tool_choice={"type": "allowed_tools", "allowed_tools": allowed})
    assert [tool["function"]["name"] for tool in node.requests_for(NODE)[-1].json["tools"]] == ["sleep"]


# Failures after the first word

@pytest.mark.parametrize("path", [OPENAI, COMPLETIONS, CHAT, GENERATE])
@pytest.mark.parametrize("expert", ["node", "cloud"])
def test_an_error_in_mid_stream_is_told_in_band(
    server: Live, node: FakeOllama, cloud: FakeOpenAI, path: str, expert: str
) -> None:
    for fake, name in ((node, NODE), (cloud, CLOUD)):
        fake.script(name, [error_line(after=2, text="one two three", message="out of memory")])
    reply, rows = stream(server, path, model=expert)
    assert reply.status == 200
    error = rows[-1]["error"]
    assert (error["message"] if path.startswith("/v1") else error).endswith("out of memory")
    assert len(rows) > 1
    assert not [row for row in rows if row == "[DONE]" or row.get("done")]


# Ollama's fields that only Ollama needs

def test_fields_that_only_concern_ollamas_inside_are_taken(server: Live) -> None:
    for path in (CHAT, GENERATE):
        reply = ask(server, path, model="node", truncate=False, shift=True, _debug_render_only=True)
        assert reply.status == 200
        durations = [reply.json[name] for name in reply.json if name.endswith("_duration")]
        assert len(durations) == 4 and all(duration > 0 for duration in durations)


def test_every_field_at_once_is_answered(server: Live) -> None:
    asked = {"n": 2, "seed": 1, "logprobs": True, "top_logprobs": 1, "logit_bias": {"9": 1}, "user": "u",
             "metadata": {"a": "b"}, "service_tier": "auto", "store": False, "modalities": ["text"],
             "prediction": {"type": "content", "content": "x"}, "presence_penalty": 0.1, "frequency_penalty": 0.1,
             "stop": ["zzz"], "max_completion_tokens": 5, "parallel_tool_calls": True, "tool_choice": "none",
             "tools": [WEATHER], "top_p": 0.5, "temperature": 0.5, "safety_identifier": "s", "prompt_cache_key": "k",
             "stream_options": {"include_usage": True, "include_obfuscation": False}}
    for expert in ("node", "cloud", "local"):
        reply, rows = stream(server, OPENAI, model=expert, **asked)
        assert reply.status == 200, rows
        assert rows[-1] == "[DONE]" and {choice["index"] for choice in choices(rows)} == {0, 1}
    assert call(server, "GET", COMPLETIONS).status == 405


# The clients themselves

def test_openais_own_client_reads_all_of_it(server: Live) -> None:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client:
        chat = client.chat.completions.create(
            model="local", messages=[{"role": "user", "content": "Who are you?"}], n=2, logprobs=True, top_logprobs=3,
            temperature=0, seed=1)
        for choice in chat.choices:
            assert choice.logprobs is not None and choice.logprobs.content is not None
            assert "".join(token.token for token in choice.logprobs.content) == choice.message.content
            assert [len(token.top_logprobs) for token in choice.logprobs.content] == [3] * len(choice.logprobs.content)
        told = client.completions.create(model="local", prompt="Hello", logprobs=1, temperature=0).choices[0]
        assert told.logprobs is not None and "".join(told.logprobs.tokens or ()) == told.text
        whole = client.completions.create(model="local", prompt=["Hello", "Who"], temperature=0, echo=True)
        assert [choice.text[:3] for choice in whole.choices] == ["Hel", "Who"]
        pieces = list(client.completions.create(
            model="local", prompt=["Hello", "Who"], temperature=0, echo=True, stream=True,
            stream_options={"include_usage": True}))
        texts = ["".join(choice.text for piece in pieces for choice in piece.choices if choice.index == index)
                 for index in (0, 1)]
        assert texts == [choice.text for choice in whole.choices]
        assert pieces[-1].usage is not None and pieces[-1].usage == whole.usage


def test_ollamas_own_client_reads_log_probabilities(server: Live) -> None:
    asked: dict[str, Any] = {"model": "local", "options": {"temperature": 0}, "logprobs": True, "top_logprobs": 2}
    with ollama.Client(server.url) as client:
        chat = client.chat(messages=[{"role": "user", "content": "Who are you?"}], **asked)
        pieces = list(client.generate(prompt="Who are you?", stream=True, **asked))
    assert chat.logprobs and "".join(token.token for token in chat.logprobs) == chat.message.content
    streamed = [token for piece in pieces for token in piece.logprobs or ()]
    assert [token.token for token in streamed] == [token.token for token in chat.logprobs]
    assert all(len(token.top_logprobs or ()) == 2 for token in streamed)
