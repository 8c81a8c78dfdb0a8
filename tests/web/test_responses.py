"""The Responses API over a live server: answers, streams, refusals, compressed bodies, and what is kept."""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import openai
import pytest
import zstandard
from openai.types.responses import ResponseStreamEvent
from pydantic import TypeAdapter

from tests.adversarial.kit import CHATS, Reply, becomes_true, call, connect, post, write_prompt, write_request
from tests.dialects.golden import GOLDEN
from tests.fakes import FakeModel, FakeOllama, Step, answer, error_line, fake_ollama, http_error, stall
from tests.live import Live, live_server, write_config

PATH = "/v1/responses"
MODEL = "thinker:4b"
EXPERTS = (
    {"id": 0, "label": "fallback", "model_name": MODEL},
    {"id": 1, "label": "eyes", "model_name": "seer:4b", "vision": True},
)
USAGE = {"prompt_eval_count": 11, "eval_count": 7}
TOOL = {"type": "function", "name": "weather", "parameters": {"type": "object", "properties": {}}}
SPACE = {"type": "namespace", "name": "mcp__clock__", "tools": [{**TOOL, "name": "now"}]}
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
PACKERS = {"zstd": zstandard.compress, "gzip": gzip.compress, "deflate": zlib.compress}


def config_for(ollama: FakeOllama, *, keep_text: bool = False) -> dict[str, Any]:
    return {
        "expert_runner": {"ollama_url": ollama.url, "retries": 0, "breaker_failures": 1000},
        "server": {"max_body_bytes": 100_000, "max_body_bytes_media": 300_000},
        "privacy": {"keep_text": keep_text},
    }


@pytest.fixture(scope="module")
def ollama() -> Iterator[FakeOllama]:
    models = [FakeModel(MODEL, loaded=True, capabilities=("completion", "tools", "thinking"), context_length=8192),
              FakeModel("seer:4b", capabilities=("completion", "tools", "vision"), context_length=8192)]
    with fake_ollama(models) as fake:
        yield fake


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, ollama: FakeOllama) -> Iterator[Live]:
    with live_server(tmp_path_factory.mktemp("live"), config=config_for(ollama), experts=EXPERTS) as live:
        assert becomes_true(lambda: live.gateway.catalog.find(MODEL) is not None)
        yield live


@pytest.fixture(scope="module")
def keeper(tmp_path_factory: pytest.TempPathFactory, ollama: FakeOllama) -> Iterator[Live]:
    config = config_for(ollama, keep_text=True)
    with live_server(tmp_path_factory.mktemp("keeper"), config=config, experts=EXPERTS) as live:
        assert becomes_true(lambda: live.gateway.catalog.find(MODEL) is not None)
        yield live


@pytest.fixture(autouse=True)
def _well(ollama: FakeOllama) -> Iterator[None]:
    ollama.forget_requests()
    yield
    ollama.script(MODEL, [])


def ask(server: Live, given: Any = "hello", **more: Any) -> Reply:
    return post(server, PATH, {"input": given, **more})


def read(body: bytes) -> list[dict[str, Any]]:
    events = []
    for frame in body.decode().removesuffix("\n\n").split("\n\n"):
        if not frame.startswith(":"):
            name, data = frame.split("\n")
            events.append(json.loads(data.removeprefix("data: ")))
            assert name == f"event: {events[-1]['type']}"
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    return events


def stream(server: Live, given: Any = "hello", **more: Any) -> list[dict[str, Any]]:
    reply = ask(server, given, stream=True, **more)
    assert reply.headers["content-type"] == "text/event-stream; charset=utf-8"
    return read(reply.body)


def received(ollama: FakeOllama) -> dict[str, Any]:
    """The body of the last chat that reached the upstream."""
    body: dict[str, Any] = json.loads(ollama.requests_to("/api/chat")[-1].body)
    return body


def client(server: Live) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0)


def test_a_whole_answer(server: Live, ollama: FakeOllama) -> None:
    ollama.script(MODEL, [answer("Hello to you", thinking="hm hm", usage=USAGE)])
    reply = ask(server, instructions="Be brief.", reasoning={"effort": "high"}, max_output_tokens=50)
    told = reply.json
    assert reply.status == 200
    assert (told["object"], told["status"], told["store"]) == ("response", "completed", False)
    assert told["model"] == "fallback"
    assert [item["type"] for item in told["output"]] == ["reasoning", "message"]
    assert told["output"][0]["summary"] == [{"type": "summary_text", "text": "hm hm"}]
    assert told["output"][1]["content"][0]["text"] == "Hello to you"
    assert (told["usage"]["input_tokens"], told["usage"]["output_tokens"], told["usage"]["total_tokens"]) == (11, 7, 18)
    assert reply.headers["x-request-id"] not in told["id"]
    sent = received(ollama)
    assert [message["role"] for message in sent["messages"]] == ["system", "user"]
    assert (sent["think"], sent["options"]["num_predict"]) == ("high", 50)


def test_a_stream_with_thinking_text_and_two_calls(server: Live, ollama: FakeOllama) -> None:
    calls: Any = [("weather", {"at": "Rom"}), ("mcp__clock__now", {})]
    ollama.script(MODEL, [answer("I look.", thinking="hm", tool_calls=calls, usage=USAGE)])
    events = stream(server, tools=[TOOL, SPACE])
    final = events[-1]["response"]
    assert events[-1]["type"] == "response.completed"
    kinds = [item["type"] for item in final["output"]]
    assert sorted(kinds) == ["function_call", "function_call", "message", "reasoning"]
    made = [item for item in final["output"] if item["type"] == "function_call"]
    assert [(item.get("namespace"), item["name"]) for item in made] == [(None, "weather"), ("mcp__clock__", "now")]
    assert len({item["call_id"] for item in made}) == 2
    assert final["usage"]["output_tokens"] == 7
    assert [tool["function"]["name"] for tool in received(ollama)["tools"]] == ["weather", "mcp__clock__now"]


def test_an_answer_cut_by_its_limit_says_so(server: Live) -> None:
    told = ask(server, "one two three four five", max_output_tokens=2).json
    assert (told["status"], told["incomplete_details"]) == ("incomplete", {"reason": "max_output_tokens"})
    last = stream(server, "one two three four five", max_output_tokens=2)[-1]
    assert (last["type"], last["response"]["status"]) == ("response.incomplete", "incomplete")


def test_a_stream_that_breaks_ends_with_a_failure(server: Live, ollama: FakeOllama) -> None:
    ollama.script(MODEL, [error_line(after=1, message="CUDA out of memory", chunks=("one ", "two"))])
    events = stream(server)
    assert [event["type"] for event in events[-2:]] == ["error", "response.failed"]
    assert events[-1]["response"]["error"]["code"] == "server_error"
    assert "response.completed" not in [event["type"] for event in events]
    assert events[-1]["response"]["error"]["message"].endswith("CUDA out of memory")


def test_a_client_that_waits_is_kept_alive_by_comments(server: Live, ollama: FakeOllama) -> None:
    ollama.script(MODEL, [stall(after=1, for_s=6, chunks=("one ", "two"))])
    reply = ask(server, stream=True)
    assert b"\n: keep-alive\n\n" in reply.body
    assert read(reply.body)[-1]["type"] == "response.completed"


def test_a_picture_goes_to_an_expert_that_sees(server: Live) -> None:
    picture = {"type": "input_image", "image_url": f"data:image/png;base64,{PIXEL}"}
    reply = ask(server, [{"role": "user", "content": [picture, {"type": "input_text", "text": "?"}]}])
    assert (reply.status, reply.headers["x-moe-expert"]) == (200, "eyes")


@pytest.mark.parametrize(("body", "status", "code"), [
    ({"input": [{"type": "nonsense"}]}, 400, "bad_request"),
    ({"model": "nobody"}, 404, "model_not_found"),
    ({"input": "x" * 150_000}, 413, "request_too_large"),
    ({"previous_response_id": "resp_1"}, 400, "previous_response_not_found"),
    ({"input": [{"type": "item_reference", "id": "msg_1_0"}]}, 400, "item_not_found"),
])
def test_a_refusal_is_told_in_openai_s_words(server: Live, body: dict[str, Any], status: int, code: str) -> None:
    reply = post(server, PATH, {"input": "hi", **body})
    assert (reply.status, reply.json["error"]["code"]) == (status, code)


def test_when_nobody_can_answer_the_status_says_so(server: Live, ollama: FakeOllama) -> None:
    ollama.script(MODEL, [http_error(500)] * 9)
    for streams in (False, True):
        assert ask(server, model=MODEL, stream=streams).status >= 500


def test_codex_is_served(server: Live, ollama: FakeOllama) -> None:
    body = json.loads((GOLDEN / "responses" / "codex.request.json").read_bytes()) | {"model": "fallback"}
    headers = {f"X-Codex-{name}": "x" * 15_000 for name in ("Turn-Metadata", "Window", "State")}
    packed = zstandard.compress(json.dumps(body).encode())
    reply = post(server, PATH, packed, headers={**headers, "Content-Encoding": "zstd", "Accept": "text/event-stream"})
    assert reply.status == 200
    assert read(reply.body)[-1]["type"] == "response.completed"
    assert "tools.web_search" in reply.headers["x-moe-ignored"]
    sent = received(ollama)
    roles = [message["role"] for message in sent["messages"]]
    assert roles == ["system", "system", "user", "assistant", "tool", "user"]
    assert [tool["function"]["name"] for tool in sent["tools"]] == ["exec_command", "agents__start"]


def test_the_client_s_own_types_hold(server: Live, ollama: FakeOllama) -> None:
    ollama.script(MODEL, [answer("Hello", thinking="hm", tool_calls=[("weather", {"a": 1})], usage=USAGE)])
    with client(server) as own:
        tools: Any = [TOOL]
        whole = own.responses.create(model="fallback", input="hi", tools=tools)
        assert whole.output_text == "Hello"
        with own.responses.stream(model="fallback", input="hi", tools=tools) as events:
            kinds = [event.type for event in events]
            final = events.get_final_response()
        assert final.output_text == "Hello"
        assert {item.type for item in final.output} == {item.type for item in whole.output}
        assert "response.function_call_arguments.done" in kinds
        ollama.script(MODEL, [error_line(after=1, chunks=("one ", "two"))])
        with pytest.raises(openai.APIError, match="broke|failed|upstream"):
            list(own.responses.create(model="fallback", input="hi", stream=True))


@pytest.mark.parametrize("step", [
    answer("Hello", thinking="hm", tool_calls=[("weather", {"a": 1})], usage=USAGE), answer("Hello"),
    error_line(after=1, chunks=("one ", "two")),
])
def test_every_event_is_one_that_openai_s_types_allow(server: Live, ollama: FakeOllama, step: Step) -> None:
    known = TypeAdapter[Any](ResponseStreamEvent)
    ollama.script(MODEL, [step])
    for event in stream(server, tools=[TOOL], text={"format": {"type": "text"}}, metadata={"a": "b"}):
        assert known.validate_python(event).type == event["type"]


def test_a_prompt_s_length_can_be_asked(server: Live) -> None:
    reply = post(server, f"{PATH}/input_tokens", {"input": "Why is the sky blue?"})
    assert reply.json["object"] == "response.input_tokens"
    assert 4 < reply.json["input_tokens"] < 30


def test_what_a_model_is_not_told_is_named(server: Live) -> None:
    call_of_theirs = {"type": "mcp_call", "id": "mcp_1", "name": "f", "arguments": "{}", "server_label": "s"}
    reply = ask(server, [call_of_theirs, {"role": "user", "content": "hi"}])
    assert (reply.status, reply.headers["x-moe-ignored"]) == (200, "input.mcp_call")


def test_conversations_are_not_compacted_here(server: Live) -> None:
    for method, body in (("POST", b'{"input":"hi"}'), ("GET", None), ("PUT", b"{}")):
        reply = call(server, method, f"{PATH}/compact", body)
        assert (reply.status, reply.json["error"]["code"]) == (404, "not_found")
        assert "allow" not in reply.headers
    assert call(server, "POST", f"{PATH}/resp_1", b"{}").status == 405


# Compressed bodies


@pytest.mark.parametrize("encoding", PACKERS)
@pytest.mark.parametrize("path", [*CHATS, PATH, "/v1/route", "/api/show", "/v1/messages"])
def test_a_compressed_body_is_read_everywhere(server: Live, path: str, encoding: str) -> None:
    named = {PATH: {"input": "hi"}, "/v1/route": {"text": "hi"}}
    body = {"model": "fallback", "max_tokens": 9, **named.get(path, write_prompt(path, "hi"))}
    packed = PACKERS[encoding](json.dumps(body).encode())
    assert post(server, path, packed, headers={"Content-Encoding": encoding}).status == 200


@pytest.mark.parametrize("encoding", PACKERS)
def test_a_bomb_is_refused_before_it_bursts(server: Live, encoding: str) -> None:
    for size, path in ((300_001, PATH), (50_000_000, "/api/chat")):
        packed = PACKERS[encoding](b'{"input":"' + b"x" * size)
        assert post(server, path, packed, headers={"Content-Encoding": encoding}).status == 413


def test_many_bombs_at_once_are_all_refused(server: Live) -> None:
    packed = zstandard.compress(b'{"input":"' + b"x" * 200_000)
    with ThreadPoolExecutor(16) as pool:
        replies = list(pool.map(lambda _: post(server, PATH, packed, headers={"Content-Encoding": "zstd"}), range(64)))
    assert {reply.status for reply in replies} == {413}
    assert ask(server).status == 200


def test_a_body_that_is_not_what_it_says_is_refused(server: Live) -> None:
    assert post(server, PATH, b'{"input":"hi"}', headers={"Content-Encoding": "zstd"}).status == 400
    reply = post(server, "/v1/messages", b"{}", headers={"Content-Encoding": "br"})
    assert (reply.status, reply.json["error"]["type"]) == (415, "invalid_request_error")
    assert post(server, "/api/chat", b"{}", headers={"Content-Encoding": "gzip, zstd"}).status == 415


# What is kept


def test_nothing_is_kept_unless_the_config_says_so(server: Live) -> None:
    told = ask(server, store=True).json
    assert told["store"] is False
    for path in ("", "/input_items"):
        reply = call(server, "GET", f"{PATH}/{told['id']}{path}")
        assert (reply.status, "privacy.keep_text" in reply.message) == (404, True)
    file = server.folder / "data" / "moe.sqlite"
    assert not file.exists() or b"hello" not in file.read_bytes()


def test_what_a_client_does_not_ask_to_keep_is_not_kept(keeper: Live) -> None:
    for more in ({}, {"store": False}):
        assert call(keeper, "GET", f"{PATH}/{ask(keeper, **more).json['id']}").status == 404


def test_a_conversation_goes_on_from_what_is_kept(keeper: Live, ollama: FakeOllama) -> None:
    ollama.script(MODEL, [answer("Nice to meet you."), answer("You are Ada."), answer("Bye.")])
    first = ask(keeper, "I am Ada.", store=True, instructions="Be brief.").json
    assert first["store"] is True
    second = ask(keeper, "Who am I?", store=True, previous_response_id=first["id"]).json
    assert second["previous_response_id"] == first["id"]
    assert [(m["role"], m["content"]) for m in received(ollama)["messages"]] == [
        ("user", "I am Ada."), ("assistant", "Nice to meet you."), ("user", "Who am I?")]
    assert call(keeper, "DELETE", f"{PATH}/{first['id']}").json["deleted"] is True
    assert ask(keeper, "x", previous_response_id=first["id"]).status == 400
    assert ask(keeper, "Bye", previous_response_id=second["id"]).status == 200
    assert len(received(ollama)["messages"]) == 5


def test_a_kept_response_is_the_one_that_was_sent(keeper: Live) -> None:
    told = ask(keeper, store=True).json
    assert call(keeper, "GET", f"{PATH}/{told['id']}").json == told
    streamed = stream(keeper, store=True)
    assert streamed[0]["response"]["id"] == streamed[-1]["response"]["id"]
    assert call(keeper, "GET", f"{PATH}/{streamed[-1]['response']['id']}").json == streamed[-1]["response"]


def test_a_kept_response_is_not_streamed(keeper: Live) -> None:
    name = ask(keeper, store=True).json["id"]
    reply = call(keeper, "GET", f"{PATH}/{name}?stream=true")
    assert (reply.status, reply.json["error"]["param"]) == (400, "stream")
    assert call(keeper, "GET", f"{PATH}/{name}?stream=false").status == 200
    assert call(keeper, "GET", f"{PATH}/resp_x?stream=true").status == 404


def test_no_client_can_choose_the_id_that_its_response_is_kept_under(keeper: Live) -> None:
    replies = [post(keeper, PATH, {"input": "hi", "store": True}, headers={"X-Request-Id": "mine"}) for _ in range(2)]
    assert len({reply.json["id"] for reply in replies}) == 2
    assert "resp_mine" not in [reply.json["id"] for reply in replies]


def test_a_broken_answer_is_not_kept(keeper: Live, ollama: FakeOllama) -> None:
    ollama.script(MODEL, [error_line(after=1, chunks=("one ", "two"))])
    name = stream(keeper, store=True)[-1]["response"]["id"]
    assert call(keeper, "GET", f"{PATH}/{name}").status == 404


def test_the_items_of_a_request_can_be_read_page_by_page(keeper: Live) -> None:
    turns = [{"role": "user", "content": f"turn {i}"} for i in range(5)]
    path = f"{PATH}/{ask(keeper, turns, store=True).json['id']}/input_items"
    page = call(keeper, "GET", f"{path}?order=asc&limit=2").json
    texts = [item["content"] for item in page["data"]]
    while page["has_more"]:
        page = call(keeper, "GET", f"{path}?order=asc&limit=2&after={page['last_id']}").json
        texts += [item["content"] for item in page["data"]]
    assert texts == [f"turn {i}" for i in range(5)]
    assert call(keeper, "GET", path).json["data"][0]["content"] == "turn 4"
    for bad in ("limit=0", "limit=x", "order=up", "after=nobody"):
        assert call(keeper, "GET", f"{path}?{bad}").status == 400


def test_an_item_can_be_named_by_its_id(keeper: Live, ollama: FakeOllama) -> None:
    ollama.script(MODEL, [answer("Nice to meet you."), answer("Ada.")])
    told = ask(keeper, "I am Ada.", store=True).json
    (asked,) = call(keeper, "GET", f"{PATH}/{told['id']}/input_items").json["data"]
    items = [{"type": "item_reference", "id": asked["id"]}, {"type": "item_reference", "id": told["output"][-1]["id"]},
             {"role": "user", "content": "Who?"}]
    assert ask(keeper, items).status == 200
    assert [m["content"] for m in received(ollama)["messages"]] == ["I am Ada.", "Nice to meet you.", "Who?"]
    for name in ("msg_x_0", "nonsense", "a_b_c_d"):
        assert ask(keeper, [{"type": "item_reference", "id": name}]).status == 400


def test_the_client_s_own_methods_find_what_is_kept(keeper: Live) -> None:
    with client(keeper) as own:
        told = own.responses.create(model="fallback", input="hi", store=True)
        assert own.responses.retrieve(told.id).output_text == told.output_text
        assert len(list(own.responses.input_items.list(told.id))) == 1
        own.responses.delete(told.id)
        with pytest.raises(openai.NotFoundError):
            own.responses.retrieve(told.id)


def test_what_was_kept_outlives_a_restart_but_not_the_permission(tmp_path: Path, ollama: FakeOllama) -> None:
    config = config_for(ollama, keep_text=True)
    with live_server(tmp_path, config=config, experts=EXPERTS) as live:
        name = ask(live, store=True).json["id"]
    with live_server(tmp_path, config=config, experts=EXPERTS) as live:
        assert call(live, "GET", f"{PATH}/{name}").status == 200
        write_config(tmp_path, config=config_for(ollama), experts=EXPERTS)
        assert live.service.reload()
        assert call(live, "GET", f"{PATH}/{name}").status == 404
        write_config(tmp_path, config=config, experts=EXPERTS)
        assert live.service.reload()
        assert call(live, "GET", f"{PATH}/{name}").status == 404
    assert b"hello" not in (tmp_path / "data" / "moe.sqlite").read_bytes()


def test_a_full_disk_is_no_good_answer(tmp_path: Path, ollama: FakeOllama) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "moe.sqlite").write_bytes(b"no database at all" * 100)
    with live_server(tmp_path, config=config_for(ollama, keep_text=True), experts=EXPERTS) as live:
        assert (ask(live, store=True).status, ask(live).status) == (500, 200)
        assert stream(live, store=True)[-1]["type"] == "response.failed"


# What is remembered


def name_of(told: dict[str, Any], kind: str) -> dict[str, Any]:
    """What stands for an item of a reply in the next request."""
    return {"type": "item_reference", "id": next(item["id"] for item in told["output"] if item["type"] == kind)}


def turn(server: Live, given: Any, *, streams: bool, **more: Any) -> dict[str, Any]:
    told: dict[str, Any] = stream(server, given, **more)[-1]["response"] if streams else ask(server, given, **more).json
    assert (told["status"], told["store"]) == ("completed", False)
    return told


def seen(ollama: FakeOllama) -> list[tuple[str, str]]:
    return [(message["role"], message["content"]) for message in received(ollama)["messages"]]


def files_with(folder: Path, text: bytes) -> list[Path]:
    return [file for file in folder.rglob("*") if file.is_file() and text in file.read_bytes()]


@pytest.fixture(params=["server", "keeper"])
def either(request: pytest.FixtureRequest) -> Live:
    """With privacy.keep_text, and without."""
    live: Live = request.getfixturevalue(request.param)
    return live


@pytest.mark.parametrize("streams", [False, True])
def test_the_steps_of_a_loop_name_what_was_said_before(either: Live, ollama: FakeOllama, streams: bool) -> None:
    ollama.script(MODEL, [answer("I look.", thinking="hm hm", tool_calls=[("weather", {"at": "Rome"})]),
                          answer("It is sunny."), answer("You are welcome.")])
    asked: list[Any] = [{"role": "user", "content": "Weather?"}]
    first = turn(either, asked, streams=streams, tools=[TOOL])
    made = next(item for item in first["output"] if item["type"] == "function_call")
    asked += [name_of(first, kind) for kind in ("reasoning", "message", "function_call")]
    asked += [{"type": "function_call_output", "call_id": made["call_id"], "output": "sunny"}]
    second = turn(either, asked, streams=streams, tools=[TOOL])
    said = received(ollama)["messages"][1]
    assert (said["content"], said["thinking"]) == ("I look.", "hm hm")
    assert said["tool_calls"][0]["function"] == {"name": "weather", "arguments": {"at": "Rome"}}
    turn(either, [*asked, name_of(second, "message"), {"role": "user", "content": "Thanks."}], streams=streams)
    assert seen(ollama) == [("user", "Weather?"), ("assistant", "I look."), ("tool", "sunny"),
                            ("assistant", "It is sunny."), ("user", "Thanks.")]
    assert files_with(either.folder, b"I look.") == []


@pytest.mark.parametrize("streams", [False, True])
def test_a_conversation_goes_on_from_what_is_remembered(either: Live, ollama: FakeOllama, streams: bool) -> None:
    ollama.script(MODEL, [answer("Nice to meet you."), answer("You are Bo."), answer("Bye.")])
    first = turn(either, "I am Bo.", streams=streams)
    second = turn(either, "Who am I?", streams=streams, previous_response_id=first["id"])
    for _ in range(2):  # a conversation may fork
        turn(either, "Bye", streams=streams, previous_response_id=second["id"])
        assert seen(ollama) == [("user", "I am Bo."), ("assistant", "Nice to meet you."), ("user", "Who am I?"),
                                ("assistant", "You are Bo."), ("user", "Bye")]
    assert files_with(either.folder, b"I am Bo.") == []


@pytest.mark.parametrize("streams", [False, True])
def test_with_store_off_nothing_is_remembered(either: Live, streams: bool) -> None:
    told = turn(either, "hello", streams=streams, store=False)
    assert ask(either, previous_response_id=told["id"]).json["error"]["code"] == "previous_response_not_found"
    reply = ask(either, [name_of(told, "message"), {"role": "user", "content": "And?"}])
    assert (reply.status, reply.json["error"]["code"]) == (400, "item_not_found")
    assert call(either, "DELETE", f"{PATH}/{told['id']}").status == 404


def test_what_is_remembered_is_not_kept_but_can_be_deleted(either: Live) -> None:
    told = turn(either, "hello", streams=False)
    for path in ("", "/input_items"):
        assert call(either, "GET", f"{PATH}/{told['id']}{path}").status == 404
    assert call(either, "DELETE", f"{PATH}/{told['id']}").json["deleted"] is True
    assert call(either, "DELETE", f"{PATH}/{told['id']}").status == 404
    assert ask(either, previous_response_id=told["id"]).status == 400
    assert ask(either, [name_of(told, "message")]).status == 400


def test_what_is_kept_goes_on_from_what_is_remembered_and_the_other_way_round(keeper: Live, ollama: FakeOllama) -> None:
    ollama.script(MODEL, [answer("One."), answer("Two."), answer("Three.")])
    first = turn(keeper, "1", streams=False)
    second = ask(keeper, "2", store=True, previous_response_id=first["id"]).json
    assert second["store"] is True
    turn(keeper, [name_of(first, "message"), name_of(second, "message"), {"role": "user", "content": "3"}],
         streams=False, previous_response_id=second["id"])
    assert [text for _, text in seen(ollama)] == ["1", "One.", "2", "Two.\nOne.\nTwo.", "3"]


def test_no_client_can_choose_or_guess_the_id_of_what_is_remembered(server: Live) -> None:
    replies = [post(server, PATH, {"input": "hi"}, headers={"X-Request-Id": "mine"}) for _ in range(2)]
    names = {reply.json["id"].removeprefix("resp_") for reply in replies}
    assert len(names) == 2
    assert all(len(name) == 32 and name.isalnum() and "mine" not in name for name in names)


def test_what_is_remembered_outlives_a_reload_but_no_restart(tmp_path: Path, ollama: FakeOllama) -> None:
    with live_server(tmp_path, config=config_for(ollama, keep_text=True), experts=EXPERTS) as live:
        told = turn(live, "hello", streams=False)
        write_config(tmp_path, config=config_for(ollama), experts=EXPERTS)
        assert live.service.reload()
        assert ask(live, [name_of(told, "message"), {"role": "user", "content": "And?"}]).status == 200
        assert ask(live, "And?", previous_response_id=told["id"]).status == 200
    with live_server(tmp_path, config=config_for(ollama), experts=EXPERTS) as live:
        reply = ask(live, "And?", previous_response_id=told["id"])
        assert (reply.status, reply.json["error"]["param"]) == (400, "previous_response_id")
        assert "restart" in reply.message


def hear(server: Live, given: str, *, until: bytes) -> bytes:
    """What came of a stream whose client leaves in its midst."""
    body = json.dumps({"input": given, "stream": True}).encode()
    with connect(server) as sock:
        sock.sendall(write_request("POST", PATH, body, host=f"127.0.0.1:{server.port}"))
        heard = b""
        while until not in heard:
            part = sock.recv(65536)
            assert part, heard
            heard += part
    return heard


def test_after_an_answer_that_was_stopped_the_conversation_goes_on(server: Live, ollama: FakeOllama) -> None:
    ollama.script(MODEL, [stall(after=2, for_s=20, chunks=("One ", "two ", "three")), answer("Four.")])
    heard = hear(server, "Count.", until=b'two "').decode()
    whole, item = (re.findall(rf'"({kind}_[0-9a-f_]+)"', heard)[0] for kind in ("resp", "msg"))
    go_on = {"role": "user", "content": "Go on."}
    assert becomes_true(lambda: ask(server, "x", previous_response_id=whole).status == 200)
    assert ask(server, [{"type": "item_reference", "id": item}, go_on]).status == 200
    assert seen(ollama) == [("assistant", "One two "), ("user", "Go on.")]
    assert ask(server, [go_on], previous_response_id=whole).status == 200
    assert seen(ollama) == [("user", "Count."), ("assistant", "One two "), ("user", "Go on.")]


def test_after_an_answer_that_broke_the_conversation_goes_on(server: Live, ollama: FakeOllama) -> None:
    ollama.script(MODEL, [error_line(after=1, chunks=("one ", "two")), answer("Well.")])
    events = stream(server, "Count.")
    name = next(event["item_id"] for event in events if event["type"] == "response.output_text.delta")
    assert ask(server, [{"type": "item_reference", "id": name}, {"role": "user", "content": "So?"}]).status == 200
    assert seen(ollama) == [("assistant", "one "), ("user", "So?")]


def test_one_request_recalls_no_more_than_a_body_may_carry(server: Live, ollama: FakeOllama) -> None:
    ollama.script(MODEL, [answer("word " * 3000), answer("ok")])
    told = turn(server, "hello", streams=False)
    named, size_bytes = name_of(told, "message"), len(json.dumps(told["output"][0], separators=(",", ":")))
    fitting = [named] * (300_000 // size_bytes)
    assert ask(server, [named]).status == 200
    assert ask(server, fitting).json["error"]["code"] == "context_length_exceeded"  # it did get as far as to a model
    for reply in (ask(server, [*fitting, named]), ask(server, fitting, previous_response_id=told["id"])):
        assert (reply.status, reply.json["error"]["code"]) == (413, "request_too_large")


def test_the_length_of_what_is_remembered_can_be_asked(server: Live) -> None:
    told = turn(server, "Why is the sky blue? " * 50, streams=False)
    lengths = [post(server, f"{PATH}/input_tokens", {"input": "And?", **more}).json["input_tokens"]
               for more in ({}, {"previous_response_id": told["id"]})]
    assert lengths[1] > lengths[0] + 100


def test_the_client_s_own_way_to_go_on_works(server: Live, ollama: FakeOllama) -> None:
    ollama.script(MODEL, [answer("Nice to meet you."), answer("You are Ada.")])
    with client(server) as own:
        told = own.responses.create(model="fallback", input="I am Ada.")
        assert own.responses.create(model="fallback", input="Who?", previous_response_id=told.id).store is False
        assert [role for role, _ in seen(ollama)] == ["user", "assistant", "user"]
        with pytest.raises(openai.BadRequestError) as caught:
            own.responses.create(model="fallback", input="Who?", previous_response_id="resp_none")
        assert caught.value.code == "previous_response_not_found"
