"""Anthropic's endpoints over a live server: answers, streams, refusals, counts and the model list."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.adversarial.kit import Reply, becomes_true, call, post, send
from tests.backends.tiny import MODELS, answers
from tests.fakes import FakeModel, FakeOllama, answer, error_line, fake_ollama, http_error, stall
from tests.live import Live, live_server

PATH, COUNT = "/v1/messages", "/v1/messages/count_tokens"
VERSION = {"anthropic-version": "2023-06-01"}
MODEL = "thinker:4b"
EXPERTS = (
    {"id": 0, "label": "fallback", "model_name": MODEL, "system_prompt": "Be brief."},
    {"id": 1, "label": "eyes", "model_name": "seer:4b", "vision": True},
)
TOOLS = [{"name": f"tool_{i}", "description": "Does a thing.", "input_schema": {"type": "object", "properties": {}}}
         for i in range(25)]
USAGE = {"prompt_eval_count": 11, "eval_count": 7}


@pytest.fixture(scope="module")
def ollama() -> Iterator[FakeOllama]:
    models = [FakeModel(MODEL, loaded=True, capabilities=("completion", "tools", "thinking"), context_length=8192),
              FakeModel("seer:4b", capabilities=("completion", "tools", "vision"), context_length=8192)]
    with fake_ollama(models) as fake:
        yield fake


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, ollama: FakeOllama) -> Iterator[Live]:
    config = {"expert_runner": {"ollama_url": ollama.url, "retries": 0, "breaker_failures": 1000},
              "server": {"max_body_bytes": 100_000, "max_body_bytes_media": 300_000}}
    with live_server(tmp_path_factory.mktemp("live"), config=config, experts=EXPERTS) as live:
        assert becomes_true(lambda: live.gateway.catalog.find(MODEL) is not None)
        yield live


@pytest.fixture(autouse=True)
def _well(ollama: FakeOllama) -> Iterator[None]:
    ollama.forget_requests()
    yield
    ollama.script(MODEL, [])


def ask(server: Live, text: str = "hello", path: str = PATH, **more: Any) -> Reply:
    return post(server, path, {"max_tokens": 99, "messages": [{"role": "user", "content": text}], **more})


def stream(server: Live, **more: Any) -> list[dict[str, Any]]:
    reply = ask(server, stream=True, **more)
    assert reply.headers["content-type"] == "text/event-stream; charset=utf-8"
    events = []
    for frame in reply.body.decode().removesuffix("\n\n").split("\n\n"):
        name, data = frame.split("\n")
        events.append(json.loads(data.removeprefix("data: ")))
        assert name == f"event: {events[-1]['type']}"
    return events


def received(ollama: FakeOllama) -> dict[str, Any]:
    """The body of the one chat that reached the upstream."""
    (request,) = ollama.requests_to("/api/chat")
    body: dict[str, Any] = json.loads(request.body)
    return body


def assert_error(reply: Reply, status: int, kind: str) -> str:
    assert reply.status == status, reply
    told = reply.json
    assert (told["type"], told["error"]["type"]) == ("error", kind)
    assert told["request_id"] == reply.headers["x-request-id"]
    assert reply.headers["request-id"] == told["request_id"]
    return str(told["error"]["message"])


def test_a_whole_answer(server: Live, ollama: FakeOllama) -> None:
    ollama.script(MODEL, [answer("Hello to you", thinking="hm hm", usage=USAGE)])
    reply = ask(server, thinking={"type": "enabled", "budget_tokens": 2048})
    assert reply.status == 200
    told = reply.json
    assert told["content"] == [{"type": "thinking", "thinking": "hm hm", "signature": ""},
                               {"type": "text", "text": "Hello to you"}]
    assert (told["role"], told["model"], told["stop_reason"]) == ("assistant", "fallback", "end_turn")
    assert told["id"] == f"msg_{reply.headers['request-id']}"
    assert (told["usage"]["input_tokens"], told["usage"]["output_tokens"]) == (11, 7)
    assert received(ollama)["think"] == "low"


def test_thoughts_are_shown_only_to_those_who_asked_for_them(server: Live, ollama: FakeOllama) -> None:
    ollama.script(MODEL, [answer("Hello", thinking="hm hm"), answer("Hello", thinking="hm hm")])
    assert ask(server).json["content"] == [{"type": "text", "text": "Hello"}]
    assert "hm" not in str(stream(server, thinking={"type": "disabled"}))
    assert [json.loads(request.body)["think"] for request in ollama.requests_to("/api/chat")] == [False, False]


def test_a_stream_with_thinking_text_and_two_calls(server: Live, ollama: FakeOllama) -> None:
    calls = [("tool_1", {"at": "Rom"}), ("tool_2", {})]
    ollama.script(MODEL, [answer("I look.", thinking="hm", tool_calls=calls, usage=USAGE)])
    events = stream(server, tools=TOOLS, thinking={"type": "adaptive"})
    blocks = {event["index"]: event["content_block"] for event in events if event["type"] == "content_block_start"}
    assert sorted(block["type"] for block in blocks.values()) == ["text", "thinking", "tool_use", "tool_use"]
    assert list(blocks) == [0, 1, 2, 3]
    said = [(blocks[event["index"]]["name"], json.loads(event["delta"]["partial_json"]))
            for event in events if event.get("delta", {}).get("type") == "input_json_delta"]
    assert said == calls
    assert events[-2]["delta"]["stop_reason"] == "tool_use"
    assert events[-2]["usage"]["output_tokens"] == 7
    assert len({block["id"] for block in blocks.values() if block["type"] == "tool_use"}) == 2


def test_an_answer_cut_by_its_limit_says_so(server: Live) -> None:
    assert ask(server, "one two three four five", max_tokens=2).json["stop_reason"] == "max_tokens"
    assert stream(server, max_tokens=2)[-2]["delta"]["stop_reason"] == "max_tokens"


def test_a_stream_that_breaks_ends_with_an_error_and_nothing_else(server: Live, ollama: FakeOllama) -> None:
    ollama.script(MODEL, [error_line(after=1, message="CUDA out of memory", chunks=("one ", "two"))])
    events = stream(server)
    assert events[-1]["type"] == "error"
    assert events[-1]["error"]["type"] == "api_error"
    assert events[-1]["request_id"]
    assert "message_stop" not in [event["type"] for event in events]
    assert events[-1]["error"]["message"] == "upstream error: CUDA out of memory"


def test_a_client_that_waits_is_kept_alive_by_pings(server: Live, ollama: FakeOllama) -> None:
    ollama.script(MODEL, [stall(after=1, for_s=6, chunks=("one ", "two"))])
    kinds = [event["type"] for event in stream(server)]
    assert kinds.count("ping") >= 2
    assert kinds[-1] == "message_stop"


def test_claude_code_is_served(server: Live, ollama: FakeOllama) -> None:
    bill = "x-anthropic-billing-header: cc_version=2.1.197; cch={};"
    heard = []
    for number in (1, 2):
        body = {
            "model": "claude-opus-5", "max_tokens": 32000, "stream": True, "tools": TOOLS,
            "system": [{"type": "text", "text": bill.format(number)},
                       {"type": "text", "text": "You are a helper.", "cache_control": {"type": "ephemeral"}}],
            "messages": [{"role": "user", "content": [{"type": "text", "text": "List the files."}]},
                         {"role": "system", "content": "The user has opened a file."}],
            "thinking": {"type": "adaptive"}, "output_config": {"effort": "high"},
            "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
            "metadata": {"user_id": "x"},
        }
        headers = {**VERSION, "Authorization": "Bearer any", "anthropic-beta": "a-2025-01-01,b-2026-01-01"}
        reply = post(server, f"{PATH}?beta=true", body, headers=headers)
        assert reply.status == 200
        assert b"event: message_stop" in reply.body
        heard.append(received(ollama))
        ollama.forget_requests()
    assert heard[0]["messages"] == heard[1]["messages"]
    assert [m["role"] for m in heard[0]["messages"]] == ["system", "user", "system"]
    assert len(heard[0]["tools"]) == 25


def test_the_results_of_calls_reach_the_model_with_their_ids(server: Live, ollama: FakeOllama) -> None:
    turns = [
        {"role": "user", "content": "Look."},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "a", "name": "tool_1", "input": {"x": 1}},
                                          {"type": "tool_use", "id": "b", "name": "tool_2", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "content": "one"},
                                     {"type": "tool_result", "tool_use_id": "b", "content": "two", "is_error": True}]},
    ]
    assert ask(server, messages=turns, tools=TOOLS).status == 200
    calls, *results = received(ollama)["messages"][-3:]
    assert [(call["id"], call["function"]["arguments"]) for call in calls["tool_calls"]] == [("a", {"x": 1}), ("b", {})]
    assert [(m["tool_call_id"], m["tool_name"], m["content"]) for m in results] == [
        ("a", "tool_1", "one"), ("b", "tool_2", "Error: two")]


def test_a_picture_goes_to_an_expert_that_sees(server: Live) -> None:
    data = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
    content = [{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}},
               {"type": "text", "text": "What is this?"}]
    reply = ask(server, messages=[{"role": "user", "content": content}])
    assert (reply.status, reply.headers["x-moe-expert"]) == (200, "eyes")


@pytest.mark.parametrize(("body", "status", "kind"), [
    ({"max_tokens": 0}, 400, "invalid_request_error"),
    ({"model": "nobody"}, 404, "not_found_error"),
    ({"messages": [{"role": "user", "content": "x" * 150_000}]}, 413, "request_too_large"),
])
def test_a_refusal_is_told_in_its_words(server: Live, body: dict[str, Any], status: int, kind: str) -> None:
    for path in (PATH, COUNT) if "max_tokens" not in body else (PATH,):
        assert assert_error(ask(server, path=path, **body), status, kind)


def test_what_flask_and_the_guard_refuse_is_told_in_its_words_too(server: Live) -> None:
    assert_error(call(server, "GET", PATH), 405, "invalid_request_error")
    assert_error(call(server, "GET", f"{PATH}/batches"), 404, "not_found_error")
    assert_error(call(server, "POST", PATH, b"{}", headers={"Host": "evil.example"}), 403, "permission_error")
    assert_error(call(server, "POST", PATH, b"{}", headers={"Origin": "https://evil.example"}), 403,
                 "permission_error")
    assert_error(call(server, "POST", PATH, b"{"), 400, "invalid_request_error")
    assert_error(call(server, "POST", PATH, b""), 400, "invalid_request_error")


@pytest.mark.parametrize("path", ["/v1/complete", "/v1/files/a", "/v1/organizations/b/users"])
def test_a_path_that_nobody_serves_is_told_in_the_words_of_whoever_asks(server: Live, path: str) -> None:
    for method, body in (("GET", None), ("POST", b"{}")):
        reply = call(server, method, path, body, headers=VERSION)
        assert_error(reply, 404, "not_found_error")
        assert reply.headers["request-id"] == reply.headers["x-request-id"]
        assert call(server, method, path, body).json["error"]["code"] == "not_found"
    assert call(server, "GET", "/v1/chat/completions", headers=VERSION).json["error"]["code"] == "method_not_allowed"
    assert call(server, "GET", "/api/complete", headers=VERSION).body == b"404 page not found"


def test_what_is_refused_before_the_application_is_told_in_its_words(server: Live) -> None:
    reply = send(server, b"POST /v1/messages HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n")
    assert reply.status == 413
    assert reply.json["error"]["type"] == "request_too_large"


def test_when_nobody_can_answer_the_server_is_overloaded(tmp_path: Path) -> None:
    with fake_ollama([FakeModel(MODEL)]) as lone:
        config = {"expert_runner": {"ollama_url": lone.url, "retries": 0}}
        with live_server(tmp_path, config=config, experts=EXPERTS[:1]) as server:
            lone.script(MODEL, [http_error(500)] * 9)
            assert_error(ask(server, model="fallback"), 503, "overloaded_error")
            assert_error(ask(server, model="fallback", stream=True), 503, "overloaded_error")


def test_a_prompt_beyond_the_context_is_told_as_too_long(server: Live) -> None:
    message = assert_error(ask(server, "word " * 19_000, model="seer:4b"), 400, "invalid_request_error")
    assert message.startswith("prompt is too long: ")


def test_a_rate_limit_is_told_in_its_words(tmp_path: Path) -> None:
    config = {"rate_limit": {"requests_per_minute": 1, "exempt": []}}
    with live_server(tmp_path, config=config, experts=[{"id": 0, "label": "fallback", "type": "echo"}]) as server:
        assert ask(server).status == 200
        for path in (PATH, COUNT):
            reply = ask(server, path=path)
            assert_error(reply, 429, "rate_limit_error")
            assert int(reply.headers["retry-after"]) > 0


def test_pictures_do_not_count_as_text_for_the_size_of_a_body(server: Live) -> None:
    source = {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgoA" + "A" * 200_000}
    content = [{"type": "image", "source": source}, {"type": "text", "text": "hi"}]
    for path in (PATH, COUNT):
        assert ask(server, path=path, messages=[{"role": "user", "content": content}]).status == 200


def test_a_count_is_an_estimate_where_the_model_cannot_be_asked(server: Live, ollama: FakeOllama) -> None:
    short = ask(server, "Why is the sky blue?", path=COUNT).json["input_tokens"]
    assert ask(server, "Why is the sky blue?" * 100, path=COUNT).json["input_tokens"] > 20 * short
    assert ask(server, "Why is the sky blue?", path=COUNT, tools=TOOLS).json["input_tokens"] > short + 25 * 10
    assert 6 < short < 25  # the expert's own system prompt counts too
    assert ollama.requests_to("/api/chat") == ()


def test_a_stream_begins_with_the_estimate_that_a_count_would_give(tmp_path: Path) -> None:
    expert = {"id": 0, "label": "fallback", "type": "echo", "system_prompt": "Be brief."}
    with live_server(tmp_path, experts=[expert]) as server:
        counted = ask(server, "Why is the sky blue?" * 100, path=COUNT).json["input_tokens"]
        begun = stream(server, messages=[{"role": "user", "content": "Why is the sky blue?" * 100}])[0]
    assert begun["message"]["usage"]["input_tokens"] == counted > 500


def test_a_count_is_exact_where_the_model_is_in_memory(tmp_path: Path) -> None:
    expert = {"id": 0, "label": "fallback", "type": "local", "format": "onnx", "model_path": "general-onnx"}
    with live_server(tmp_path, experts=[expert], models_folder=MODELS) as server:
        before = ask(server, "What is a cat?", path=COUNT).json["input_tokens"]
        assert before > 0
        assert call(server, "GET", "/api/ps").json["models"] == []  # to count loads nothing
        told = ask(server, "What is a cat?", max_tokens=3)
        assert told.status == 200
        exact = ask(server, "What is a cat?", path=COUNT).json["input_tokens"]
        assert exact == told.json["usage"]["input_tokens"]


def test_the_stop_sequence_that_ended_an_answer_is_told(tmp_path: Path) -> None:
    expert = {"id": 0, "label": "fallback", "type": "local", "model_path": "general.gguf"}
    question, text = next((question, text) for question, text in answers("general") if len(text.split()) > 4)
    stop = text.split()[3]
    with live_server(tmp_path, experts=[expert], models_folder=MODELS) as server:
        told = ask(server, question, stop_sequences=["@@", stop], temperature=0).json
        assert (told["stop_reason"], told["stop_sequence"]) == ("stop_sequence", stop)
        assert told["content"] == [{"type": "text", "text": text.partition(stop)[0]}]
        last = stream(server, messages=[{"role": "user", "content": question}], stop_sequences=[stop])[-2]
        assert last["delta"] == {"stop_reason": "stop_sequence", "stop_sequence": stop}


def test_what_was_left_out_is_named(server: Live) -> None:
    tools = [*TOOLS, {"type": "web_search_20250305", "name": "web_search"}]
    content = [{"type": "container_upload", "file_id": "f"}, {"type": "text", "text": "hi"}]
    reply = ask(server, tools=tools, messages=[{"role": "user", "content": content}], output_config={"effort": "high"})
    assert reply.headers["x-moe-ignored"] == (
        "tools.web_search_20250305, messages.container_upload, output_config.effort")


def test_thoughts_are_omitted_for_who_says_so_and_thought_all_the_same(server: Live, ollama: FakeOllama) -> None:
    ollama.script(MODEL, [answer("Hello", thinking="hm hm"), answer("Hello", thinking="hm hm")])
    thinking = {"type": "adaptive", "display": "omitted"}
    assert ask(server, thinking=thinking).json["content"] == [
        {"type": "thinking", "thinking": "", "signature": ""}, {"type": "text", "text": "Hello"}]
    assert "hm" not in str(stream(server, thinking=thinking))
    assert [json.loads(request.body)["think"] for request in ollama.requests_to("/api/chat")] == [True, True]


def test_an_endless_schema_is_refused_and_nobody_asked(server: Live, ollama: FakeOllama) -> None:
    config = {"format": {"type": "json_schema", "schema": {"$ref": "#"}}}
    assert "circle" in assert_error(ask(server, output_config=config), 400, "invalid_request_error")
    assert ollama.requests_to("/api/chat") == ()


def test_the_model_list_speaks_to_whoever_asks(server: Live) -> None:
    own = call(server, "GET", "/v1/models").json
    assert own["object"] == "list"
    theirs = call(server, "GET", "/v1/models", headers=VERSION).json
    assert [model["id"] for model in theirs["data"]] == [model["id"] for model in own["data"]]
    assert {"type", "id", "display_name", "created_at"} < set(theirs["data"][0])
    names = []
    page: dict[str, Any] = {"last_id": "", "has_more": True}
    while page["has_more"]:
        after = f"&after_id={page['last_id']}" if page["last_id"] else ""
        page = call(server, "GET", f"/v1/models?limit=2{after}", headers=VERSION).json
        names += [model["id"] for model in page["data"]]
    assert names == [model["id"] for model in own["data"]]
    assert call(server, "GET", f"/v1/models/{MODEL}", headers=VERSION).json["type"] == "model"
    assert_error(call(server, "GET", "/v1/models/nobody", headers=VERSION), 404, "not_found_error")
    assert_error(call(server, "GET", "/v1/models?limit=0", headers=VERSION), 400, "invalid_request_error")
    assert call(server, "GET", "/v1/models/nobody").json["error"]["code"] == "model_not_found"


def test_the_root_answers_a_head(server: Live) -> None:
    reply = call(server, "HEAD", "/", headers=VERSION)
    assert (reply.status, reply.body) == (200, b"")
