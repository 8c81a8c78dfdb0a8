"""The chat endpoints over a live server: statuses, headers and streams, and what becomes of clients that leave."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.adversarial.kit import (
    CHATS,
    Reply,
    ask,
    assert_refused,
    becomes_true,
    call,
    connect,
    open_stream,
    post,
    read_all,
    read_reply,
    read_text,
    write_prompt,
    write_request,
)
from tests.fakes import FakeModel, FakeOllama, answer, cut, empty, error_line, fake_ollama, hang, http_error
from tests.live import Live, live_server

OPENAI, CHAT, GENERATE = CHATS
SSE, NDJSON, JSON = "text/event-stream; charset=utf-8", "application/x-ndjson", "application/json; charset=utf-8"
TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}
EXPERTS = (
    {"id": 0, "label": "fallback", "model_name": "general:4b", "system_prompt": "Be brief."},
    {"id": 1, "label": "math", "tools": [], "model_name": "math:4b", "aliases": ["adder"],
     "keywords": ["integral", "matrix"], "first_token_timeout_s": 5.4},
    {"id": 2, "label": "late", "model_name": "late:4b", "first_token_timeout_s": 60},
)


@pytest.fixture(scope="module")
def ollama() -> Iterator[FakeOllama]:
    names = ("general:4b", "math:4b", "late:4b", "thinker:4b")
    models = [FakeModel(name, loaded=name == "general:4b", capabilities=("completion", "tools", "thinking", "insert"))
              for name in names]
    with fake_ollama(models) as fake:
        yield fake


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, ollama: FakeOllama) -> Iterator[Live]:
    runner = {"ollama_url": ollama.url, "retries": 0, "breaker_failures": 1000}
    with live_server(tmp_path_factory.mktemp("live"), config={"expert_runner": runner}, experts=EXPERTS) as live:
        yield live


@pytest.fixture(autouse=True)
def _well(ollama: FakeOllama) -> Iterator[None]:
    yield
    for name in ("general:4b", "math:4b", "late:4b"):
        ollama.script(name, [])


def stream(server: Live, path: str, text: str = "x", **more: Any) -> tuple[Reply, list[Any]]:
    body = json.dumps(write_prompt(path, text, **more) | {"stream": True}).encode()
    reply = call(server, "POST", path, body)
    return reply, read_rows(reply.body)


def read_rows(body: bytes) -> list[Any]:
    """The values of a streamed body, comments left out; [DONE] is the string."""
    rows = [row.removeprefix(b"data: ") for row in body.split(b"\n") if row.strip() and not row.startswith(b":")]
    return ["[DONE]" if row == b"[DONE]" else json.loads(row) for row in rows]


# Whole answers and streams

@pytest.mark.parametrize("path", CHATS)
def test_a_whole_answer_says_who_gave_it_and_why(server: Live, path: str) -> None:
    reply = ask(server, "solve the integral of a matrix", path=path)
    assert reply.status == 200
    assert reply.headers["content-type"] == JSON
    assert reply.headers["x-moe-expert"] == reply.json["model"] == "math"
    assert reply.headers["x-moe-model"] == "math:4b"
    assert reply.headers["x-moe-stage"] == "keyword"
    assert 0 < float(reply.headers["x-moe-confidence"]) <= 1
    assert "x-moe-fallback" not in reply.headers
    assert "[math:4b] you said: solve the integral" in read_text(reply)


@pytest.mark.parametrize(("path", "kind"), [(OPENAI, SSE), (CHAT, NDJSON), (GENERATE, NDJSON)])
def test_a_stream_carries_the_same_headers(server: Live, path: str, kind: str) -> None:
    whole = ask(server, "the integral", path=path)
    reply, rows = stream(server, path, "the integral")
    assert reply.headers["content-type"] == kind
    assert reply.headers["cache-control"] == "no-cache"
    for name in ("x-moe-expert", "x-moe-model", "x-moe-stage", "x-moe-confidence"):
        assert reply.headers[name] == whole.headers[name]
    assert all(row["model"] == "math" for row in rows if row != "[DONE]")


@pytest.mark.parametrize("path", CHATS)
def test_the_text_of_a_stream_is_that_of_the_whole_answer(server: Live, path: str) -> None:
    _, rows = stream(server, path, "say it twice")
    if path == OPENAI:
        assert rows.pop() == "[DONE]"
        pieces = [choice["delta"].get("content") or "" for row in rows for choice in row["choices"]]
    else:
        assert [row["done"] for row in rows] == [False] * (len(rows) - 1) + [True]
        pieces = [row["message"]["content"] if path == CHAT else row["response"] for row in rows]
    assert "".join(pieces) == read_text(ask(server, "say it twice", path=path))


def test_a_streams_first_chunk_does_not_wait_for_the_second(server: Live, ollama: FakeOllama) -> None:
    ollama.script("math:4b", [answer(chunks=("first ", "second"), chunk_delay_s=20)])
    for path in CHATS:
        with open_stream(server, path=path, model="math") as sock:
            seen = b""
            while b"first " not in seen:
                seen += sock.recv(65536)
            assert b"second" not in seen


def test_one_id_names_the_request_the_reply_and_each_of_its_chunks(server: Live) -> None:
    whole = ask(server)
    assert whole.json["id"] == f"chatcmpl-{whole.headers['x-request-id']}"
    reply, rows = stream(server, OPENAI)
    assert {row["id"] for row in rows[:-1]} == {f"chatcmpl-{reply.headers['x-request-id']}"}
    named = post(server, OPENAI, write_prompt(OPENAI, "x"), headers={"X-Request-Id": "my-own_id-1"})
    assert (named.headers["x-request-id"], named.json["id"]) == ("my-own_id-1", "chatcmpl-my-own_id-1")


def test_usage_is_the_models_own(server: Live, ollama: FakeOllama) -> None:
    ollama.script("general:4b", [answer("one two", usage={"prompt_eval_count": 11, "eval_count": 7})])
    assert ask(server).json["usage"] == {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
    _, rows = stream(server, OPENAI, stream_options={"include_usage": True})
    assert rows[-2]["choices"] == []
    assert rows[-2]["usage"]["total_tokens"] == 18
    assert "usage" not in stream(server, OPENAI)[1][-2]
    told = ask(server, path=CHAT).json
    assert (told["prompt_eval_count"], told["eval_count"]) == (11, 7)
    assert told["x_moe"] == {"strategy": "direct", "calls": 1}


@pytest.mark.parametrize("path", CHATS)
def test_an_estimated_usage_is_marked_as_one(server: Live, ollama: FakeOllama, path: str) -> None:
    ollama.script("general:4b", [answer("one two three", usage=None)])
    reply = ask(server, "a prompt of some words", path=path)
    marked = {"strategy": "direct", "calls": 1, "usage_estimated": True}
    assert reply.json["x_moe"] == marked
    _, rows = stream(server, path, "a prompt of some words")
    assert [row["x_moe"] for row in rows if row != "[DONE]" and "x_moe" in row] == [marked]


def test_the_reply_names_the_model_that_was_asked_for_where_the_config_says_so(
    tmp_path: Path, ollama: FakeOllama
) -> None:
    config = {"server": {"port": 0, "reply_model": "requested"}, "expert_runner": {"ollama_url": ollama.url}}
    with live_server(tmp_path, config=config, experts=EXPERTS) as live:
        for path in CHATS:
            reply = ask(live, path=path, model="gpt-4o")
            assert (reply.json["model"], reply.headers["x-moe-expert"]) == ("gpt-4o", "fallback")
            assert ask(live, path=path).json["model"] == "fallback"


# Names

@pytest.mark.parametrize(("model", "stage", "expert"), [
    ("math", "explicit", "math"), ("MATH:latest", "explicit", "math"), ("adder", "explicit", "math"),
    ("thinker:4b", "raw", "thinker:4b"), ("lemoe", "fallback", "fallback"), ("auto", "fallback", "fallback"),
    ("", "fallback", "fallback"), ("gpt-4o", "fallback", "fallback"), ("claude-x", "fallback", "fallback"),
])
def test_a_name_leads_where_it_should_in_every_dialect(server: Live, model: str, stage: str, expert: str) -> None:
    for path in CHATS:
        reply = ask(server, "hello", path=path, model=model)
        assert (reply.headers["x-moe-stage"], reply.headers["x-moe-expert"]) == (stage, expert)


@pytest.mark.parametrize("path", CHATS)
def test_an_unknown_name_is_a_404_before_anything_is_streamed(server: Live, path: str) -> None:
    for streams in (False, True):
        reply = ask(server, path=path, model="nobody:7b", stream=streams)
        assert_refused(reply, path, 404)
        assert "'nobody:7b' not found" in reply.message
    if path == OPENAI:
        assert (reply.json["error"]["code"], reply.json["error"]["param"]) == ("model_not_found", "model")


# What else a request carries

def test_tools_go_there_and_calls_come_back(server: Live) -> None:
    message = ask(server, "weather?", tools=[TOOL]).json["choices"][0]
    assert message["finish_reason"] == "tool_calls"
    assert message["message"]["tool_calls"][0]["function"] == {"name": "weather", "arguments": "{}"}
    told = ask(server, "weather?", path=CHAT, tools=[TOOL]).json["message"]
    assert told["tool_calls"][0]["function"]["arguments"] == {}


def test_thinking_is_told_apart_from_the_answer(server: Live, ollama: FakeOllama) -> None:
    told = ask(server, path=CHAT, model="thinker:4b", think=True).json["message"]
    assert told["thinking"]
    assert told["thinking"] not in told["content"]
    assert ask(server, model="thinker:4b", reasoning_effort="high").json["choices"][0]["message"]["reasoning_content"]
    assert ollama.requests_for("thinker:4b")[-1].json["think"] == "high"


def test_the_experts_own_prompt_is_there_unless_the_client_brought_one(server: Live, ollama: FakeOllama) -> None:
    ask(server)
    assert ollama.requests_for("general:4b")[-1].json["messages"][0] == {"role": "system", "content": "Be brief."}
    messages = [{"role": "system", "content": "Rhyme."}, {"role": "user", "content": "x"}]
    post(server, CHAT, {"stream": False, "messages": messages})
    assert ollama.requests_for("general:4b")[-1].json["messages"] == messages


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize(("keep_alive", "reason"), [("5m", "load"), (0, "unload")])
def test_nothing_asked_only_loads_the_model_in_one_plain_object(
    server: Live, streams: bool, keep_alive: str | int, reason: str
) -> None:
    for path, body in ((CHAT, {"messages": []}), (GENERATE, {"prompt": ""}), (CHAT, {}), (GENERATE, {})):
        reply = post(server, path, {"model": "math", "stream": streams, "keep_alive": keep_alive, **body})
        assert (reply.status, reply.headers["content-type"]) == (200, JSON)
        assert (reply.json["done"], reply.json["done_reason"]) == (True, reason)


def test_a_raw_completion_reaches_the_model_as_it_is(server: Live, ollama: FakeOllama) -> None:
    for body in ({"prompt": "<s>x", "raw": True}, {"prompt": "def f(", "suffix": "return 1"}):
        reply = post(server, GENERATE, {"model": "math", "stream": False, **body})
        assert reply.status == 200, reply
        sent = ollama.requests_for("math:4b")[-1]
        assert sent.path == "/api/generate"
        assert body.items() <= sent.json.items()


# Failures before the first byte

@pytest.mark.parametrize("path", CHATS)
@pytest.mark.parametrize("streams", [False, True])
def test_a_failure_before_the_first_byte_is_mended_in_silence(
    server: Live, ollama: FakeOllama, path: str, streams: bool
) -> None:
    ollama.script("math:4b", [http_error(500), empty(), error_line(after=0), cut(after=0)])
    for _ in range(4):
        reply = ask(server, path=path, model="math", stream=streams)
        assert reply.status == 200
        assert reply.headers["x-moe-fallback"] == "math"
        assert reply.headers["x-moe-expert"] == "fallback"
        assert reply.headers["x-moe-model"] == "general:4b"
        assert reply.headers["x-moe-stage"] == "explicit"
        assert b"[general:4b]" in reply.body


@pytest.mark.parametrize("path", CHATS)
@pytest.mark.parametrize("streams", [False, True])
def test_when_all_fail_the_status_says_so_and_the_body_what_was_tried(
    server: Live, ollama: FakeOllama, path: str, streams: bool
) -> None:
    for name in ("general:4b", "math:4b", "late:4b", "thinker:4b"):
        ollama.script(name, [http_error(500, {"error": "CUDA out of memory at 0x7f"})])
    reply = ask(server, path=path, model="math", stream=streams)
    ollama.script("thinker:4b", [])
    assert_refused(reply, path, 503)
    assert "math: upstream status 500; fallback: upstream status 500" in reply.message
    assert "CUDA" not in reply.message


@pytest.mark.parametrize("path", CHATS)
@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_refused_request_is_passed_on_and_not_sent_again(
    server: Live, ollama: FakeOllama, path: str, status: int
) -> None:
    ollama.script("math:4b", [http_error(status, {"error": "that is too much"})])
    before = len(ollama.requests_for("math:4b"))
    for streams in (False, True):
        reply = ask(server, path=path, model="math", stream=streams)
        assert_refused(reply, path, status)
        assert reply.message == "that is too much"
    assert len(ollama.requests_for("math:4b")) == before + 2


def test_without_any_model_a_plain_chat_gets_advice_and_a_program_gets_an_error(tmp_path: Path) -> None:
    with live_server(tmp_path, experts=[{"id": 0, "label": "fallback", "model_name": "auto"}]) as live:
        for path in CHATS:
            for streams in (False, True):
                reply = ask(live, path=path, stream=streams)
                assert (reply.status, reply.headers["x-moe-expert"]) == (200, "builtin")
                assert b"Next step" in reply.body
            assert_refused(ask(live, path=path, model="fallback"), path, 503)
        for more in ({"tools": [TOOL]}, {"response_format": {"type": "json_object"}}):
            assert_refused(ask(live, **more), OPENAI, 503)
        assert_refused(ask(live, path=CHAT, format="json"), CHAT, 503)
        assert_refused(ask(live, path=GENERATE, raw=True), GENERATE, 503)


# Failures after it

@pytest.mark.parametrize("path", CHATS)
def test_a_stream_that_breaks_off_ends_in_an_error_and_nothing_else(
    server: Live, ollama: FakeOllama, path: str
) -> None:
    ollama.script("math:4b", [cut(after=3)])
    reply, rows = stream(server, path, model="math")
    assert reply.status == 200
    error = rows[-1]["error"]
    assert (error["message"] if path == OPENAI else error) == "the answer broke off"
    assert len(rows) > 2
    assert not [row for row in rows if row == "[DONE]" or row.get("done")]
    whole = ask(server, path=path, model="math")  # nothing was said to this client: another one answers
    assert whole.status == 200
    assert whole.headers["x-moe-fallback"] == "math"


# An answer that keeps its client waiting: after five seconds the status is settled and the line kept alive.
# All of these wait at the same time.

class Waited(NamedTuple):
    reply: Reply
    rows: list[Any]
    first_bytes: bytes
    began_after_s: float


def _wait(server: Live, path: str, model: str) -> Waited:
    body = json.dumps(write_prompt(path, "x", model=model) | {"stream": True}).encode()
    with connect(server) as sock:
        began = time.monotonic()
        sock.sendall(write_request("POST", path, body, host="localhost"))
        first = sock.recv(65536)
        began_after_s = time.monotonic() - began
        raw = first + read_all(sock)
    body = b"".join(_dechunk(raw.partition(b"\r\n\r\n")[2]))
    status, *heads = raw.partition(b"\r\n\r\n")[0].decode().split("\r\n")
    headers = dict(head.lower().split(": ", 1) for head in heads)
    reply = Reply(int(status.split(" ")[1]), headers, body)
    return Waited(reply, read_rows(body), body.split(b"data:" if path == OPENAI else b"{")[0], began_after_s)


def _dechunk(data: bytes) -> Iterator[bytes]:
    while data:
        size, _, data = data.partition(b"\r\n")
        yield data[: int(size, 16)]
        data = data[int(size, 16) + 2:]


def _leave_while_waiting(server: Live, ollama: FakeOllama) -> bool:
    with open_stream(server, path=CHAT, model="late"):
        pass
    return becomes_true(lambda: any(r.closed_early_at is not None for r in ollama.requests_for("late:4b")))


@pytest.fixture(scope="module")
def waits(server: Live, ollama: FakeOllama) -> dict[str, Any]:
    """By name: what came of each wait."""
    ollama.script("math:4b", [answer("worth waiting for", first_token_delay_s=5.2)])
    ollama.script("late:4b", [hang()])
    with ThreadPoolExecutor(8) as pool:
        left = pool.submit(_leave_while_waiting, server, ollama)
        late = {path: pool.submit(_wait, server, path, "math") for path in CHATS}
        whole = pool.submit(ask, server, path=CHAT, model="math")
        time.sleep(2.0)  # their requests have arrived, and take the step above
        ollama.script("math:4b", [hang()])
        fallen = pool.submit(_wait, server, CHAT, "math")
        broken = pool.submit(_wait_for_nobody, server)
        found = {"late": {path: each.result() for path, each in late.items()}, "whole": whole.result(),
                 "fallen": fallen.result(), "broken": broken.result(), "left": left.result()}
    for name in ("math:4b", "late:4b"):
        ollama.script(name, [])
    return found


def _wait_for_nobody(server: Live) -> dict[str, Waited]:
    """Everybody is silent: a server of its own, whose experts all hang."""
    with fake_ollama(["mute:1b"]) as mute:
        mute.script("mute:1b", [hang()])
        experts = [{"id": 0, "label": "fallback", "model_name": "mute:1b", "first_token_timeout_s": 5.4}]
        config = {"expert_runner": {"ollama_url": mute.url, "retries": 0}}
        with live_server(server.folder / "mute", config=config, experts=experts) as live, ThreadPoolExecutor(2) as pool:
            waits = {path: pool.submit(_wait, live, path, "fallback") for path in (OPENAI, CHAT)}
            return {path: each.result() for path, each in waits.items()}


@pytest.mark.parametrize("path", CHATS)
def test_after_five_seconds_the_line_is_kept_alive_with_what_clients_ignore(waits: dict[str, Any], path: str) -> None:
    waited = waits["late"][path]
    assert waited.reply.status == 200
    assert waited.began_after_s > 4.5
    assert waited.first_bytes.strip(b" \n") == (b": keep-alive" if path == OPENAI else b"")
    assert waited.first_bytes
    assert b"\n" not in waited.first_bytes or path == OPENAI  # an empty line would stop ollama's own client


@pytest.mark.parametrize("path", CHATS)
def test_what_the_headers_could_not_say_yet_comes_with_the_end(waits: dict[str, Any], path: str) -> None:
    reply, rows, *_ = waits["late"][path]
    assert not {"x-moe-model", "x-moe-expert"} & reply.headers.keys()
    told = next(row["x_moe"] for row in rows if row != "[DONE]" and "x_moe" in row)
    assert told == {"expert": "math", "model": "math:4b", "stage": "explicit", "confidence": 1.0,
                    "strategy": "direct", "calls": 1}
    assert "worth waiting for" in "".join(
        row["choices"][0]["delta"].get("content") or "" if path == OPENAI else (row.get("message") or row)[
            "content" if path == CHAT else "response"] for row in rows if row != "[DONE]")


def test_a_whole_answer_is_awaited_without_a_byte(waits: dict[str, Any]) -> None:
    assert waits["whole"].status == 200
    assert read_text(waits["whole"]) == "worth waiting for"
    assert waits["whole"].headers["x-moe-model"] == "math:4b"


def test_a_fallback_after_the_status_is_told_with_the_end(waits: dict[str, Any]) -> None:
    reply, rows, *_ = waits["fallen"]
    assert "x-moe-fallback" not in reply.headers
    assert rows[-1]["x_moe"] == {"expert": "fallback", "model": "general:4b", "stage": "explicit", "confidence": 1.0,
                                 "fallback": "math", "strategy": "direct", "calls": 2}
    assert {row["model"] for row in rows} == {"fallback"}


def test_a_failure_after_the_status_is_told_in_the_stream(waits: dict[str, Any]) -> None:
    for path, waited in waits["broken"].items():
        assert waited.reply.status == 200
        assert len(waited.rows) == 1
        error = waited.rows[0]["error"]
        assert "fallback: timed out" in (error["message"] if path == OPENAI else error)


def test_a_client_that_leaves_while_it_waits_is_noticed(waits: dict[str, Any]) -> None:
    assert waits["left"]


# Clients that leave

@pytest.mark.parametrize("path", CHATS)
@pytest.mark.parametrize("streams", [False, True])
def test_a_client_that_leaves_before_the_first_word_ends_the_models_work(
    server: Live, ollama: FakeOllama, path: str, streams: bool
) -> None:
    ollama.script("late:4b", [hang()])
    before = len(ollama.requests_for("late:4b"))
    body = json.dumps(write_prompt(path, "x", model="late") | {"stream": streams}).encode()
    with connect(server) as sock:
        sock.sendall(write_request("POST", path, body, host="localhost"))
        assert becomes_true(lambda: len(ollama.requests_for("late:4b")) > before)
    request = ollama.requests_for("late:4b")[before]
    request.wait_until_over()
    assert request.closed_early_at is not None


@pytest.mark.parametrize("path", CHATS)
def test_a_client_that_leaves_in_the_answer_ends_the_models_work_within_a_chunk(
    server: Live, ollama: FakeOllama, path: str
) -> None:
    ollama.script("late:4b", [answer(chunks=["word "] * 400, chunk_delay_s=0.05)])
    before = len(ollama.requests_for("late:4b"))
    with open_stream(server, path=path, model="late") as sock:
        sock.recv(1000)
    request = ollama.requests_for("late:4b")[before]
    request.wait_until_over()
    assert request.closed_early_at is not None


def test_a_client_that_leaves_during_a_whole_answer_ends_the_models_work(server: Live, ollama: FakeOllama) -> None:
    ollama.script("late:4b", [answer(chunks=["word "] * 400, chunk_delay_s=0.05)])
    before = len(ollama.requests_for("late:4b"))
    with connect(server) as sock:
        body = json.dumps(write_prompt(CHAT, "x", model="late")).encode()
        sock.sendall(write_request("POST", CHAT, body, host="localhost"))
        assert becomes_true(lambda: len(ollama.requests_for("late:4b")) > before)
        time.sleep(0.2)
    request = ollama.requests_for("late:4b")[before]
    request.wait_until_over()
    assert request.closed_early_at is not None


def test_a_connection_serves_one_dialect_after_the_other(server: Live) -> None:
    def one(path: str) -> bytes:
        body = json.dumps(write_prompt(path, f"by {path}", model="math")).encode()
        return write_request("POST", path, body, headers={"Connection": "keep-alive"}, host="localhost")

    texts: list[str] = []
    with connect(server) as sock:
        for path in CHATS:
            sock.sendall(one(path))
            texts.append(read_text(read_reply(sock)))
    assert texts == [f"[math:4b] you said: by {path}" for path in CHATS]


def test_each_stage_of_a_reply_is_a_value_of_the_contract(server: Live) -> None:
    prompts: dict[str, Callable[[], Reply]] = {
        "explicit": lambda: ask(server, model="math"), "raw": lambda: ask(server, model="thinker:4b"),
        "keyword": lambda: ask(server, "an integral"), "fallback": lambda: ask(server, "good morning"),
    }
    assert {name: asked().headers["x-moe-stage"] for name, asked in prompts.items()} == {name: name for name in prompts}
