"""What became of requests, over a live server: every dialect, streamed and whole, good and bad ends."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from moe.store.requests import MOST_REQUESTS
from tests.adversarial.kit import Reply, becomes_true, call, connect, open_stream, post, read_all, write_request
from tests.fakes import (
    FakeModel,
    FakeOllama,
    answer,
    cut,
    error_line,
    fake_ollama,
    garbage,
    hang,
    http_error,
)
from tests.live import Live, live_server, write_config

MATH, SPARE = "math:4b", "spare:4b"
OPENAI, COMPLETIONS, RESPONSES, MESSAGES = "/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/messages"
CHAT, GENERATE = "/api/chat", "/api/generate"
PATHS = (OPENAI, COMPLETIONS, RESPONSES, MESSAGES, CHAT, GENERATE)
LAST = {OPENAI: b"[DONE]", COMPLETIONS: b"[DONE]", RESPONSES: b"response.completed", MESSAGES: b"message_stop",
        CHAT: b'"done":true', GENERATE: b'"done":true'}
EXPERTS = (
    {"id": 0, "label": "fallback", "model_name": SPARE},
    {"id": 1, "label": "math", "tools": [], "model_name": MATH, "keywords": ["integral", "matrix"],
     "aliases": ["maths"]},
)
QUESTION = "the secret integral of a matrix"
BILL = "My invoice says 847*23.7 in the end; how shall I explain that to a customer?"
USAGE = {"prompt_eval_count": 11, "eval_count": 7}
SCHEMA = {"type": "json_schema", "json_schema": {"name": "x", "schema": {
    "type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}}}


@pytest.fixture(scope="module")
def ollama() -> Iterator[FakeOllama]:
    with fake_ollama([FakeModel(name, loaded=True) for name in (MATH, SPARE)]) as fake:
        yield fake


def config_for(ollama: FakeOllama, *, keep_text: bool = False, **runner: Any) -> dict[str, Any]:
    runner = {"ollama_url": ollama.url, "retries": 0, "breaker_failures": 1000, **runner}
    return {"expert_runner": runner, "privacy": {"keep_text": keep_text}}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, ollama: FakeOllama) -> Iterator[Live]:
    with live_server(tmp_path_factory.mktemp("live"), config=config_for(ollama), experts=EXPERTS) as live:
        assert becomes_true(lambda: live.gateway.catalog.find(MATH) is not None)
        yield live


@pytest.fixture(autouse=True)
def _well(ollama: FakeOllama) -> Iterator[None]:
    yield
    for name in (MATH, SPARE):
        ollama.script(name, [])


def body_of(path: str, text: str = QUESTION, **more: Any) -> dict[str, Any]:
    asked: dict[str, Any] = {"messages": [{"role": "user", "content": text}]}
    if path in (COMPLETIONS, GENERATE):
        asked = {"prompt": text}
    elif path == RESPONSES:
        asked = {"input": text}
    return {"model": "maths", "stream": False, **asked, **({"max_tokens": 500} if path == MESSAGES else {}), **more}


def ask(server: Live, path: str = OPENAI, text: str = QUESTION, **more: Any) -> Reply:
    return post(server, path, body_of(path, text, **more))


def trace(server: Live, reply: Reply) -> dict[str, Any]:
    """What is told of it right after its reply."""
    told = call(server, "GET", f"/v1/requests/{reply.headers['x-request-id']}")
    assert told.status == 200, told
    assert isinstance(told.json, dict)
    return told.json


def steps(told: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [(span["stage"], span["name"], span["outcome"]) for span in told["spans"]]


def listed(server: Live, **query: Any) -> list[dict[str, Any]]:
    asked = "&".join(f"{name}={value}" for name, value in query.items())
    rows = call(server, "GET", f"/v1/requests?{asked}").json["data"]
    assert isinstance(rows, list)
    return rows


# Good answers


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("path", PATHS)
def test_every_dialect_leaves_the_same_trace(server: Live, ollama: FakeOllama, path: str, stream: bool) -> None:
    ollama.script(MATH, [answer("one two three", usage=USAGE, chunk_delay_s=0.01)])
    reply = ask(server, path, stream=stream)
    told = trace(server, reply)
    wanted = {"object": "request", "id": reply.headers["x-request-id"], "path": path, "asked": "maths",
              "stream": stream, "strategy": "direct", "calls": 1, "stage": "explicit", "expert": "math",
              "model": MATH, "confidence": 1.0, "answer_confidence": None, "status": 200, "outcome": "done",
              "error": "", "finish": "stop", "prompt_tokens": 11, "completion_tokens": 7, "estimated": False,
              "left_off": 0}
    assert {name: told[name] for name in wanted} == wanted
    assert told.keys() - wanted.keys() == {"created", "first_ms", "elapsed_ms", "spans"}
    assert steps(told) == [("planner", "router", "done"), ("workers", "math", "done")]
    router, worker = told["spans"]
    assert (router["reason"], router["confidence"]) == ("math: the client named the expert", 1.0)
    assert (worker["model"], worker["prompt_tokens"], worker["completion_tokens"]) == (MATH, 11, 7)
    assert 0 <= router["started_ms"] <= router["ended_ms"] <= worker["started_ms"] < worker["ended_ms"]
    assert worker["ended_ms"] <= told["elapsed_ms"]
    assert (told["first_ms"] is None, worker["first_ms"] is None) == (not stream, not stream)
    if stream:
        assert worker["started_ms"] < told["first_ms"] < worker["ended_ms"]
    assert abs(told["created"] - time.time()) < 60


@pytest.mark.parametrize("path", PATHS)
def test_it_is_there_before_the_last_byte(server: Live, path: str) -> None:
    for number in range(10):
        name = f"last-{path.replace('/', '-')}-{number}"
        request = write_request("POST", path, json.dumps(body_of(path, stream=True)).encode(),
                                headers={"X-Request-Id": name}, host="localhost")
        with connect(server) as sock:
            sock.sendall(request)
            seen = b""
            while LAST[path] not in seen:
                seen += sock.recv(65536)
            assert server.service.requests.find(name) is not None


def test_the_router_s_choice_comes_with_its_scores(server: Live) -> None:
    told = trace(server, ask(server, model="lemoe"))
    router = told["spans"][0]
    assert router["reason"] == "math: by its words; direct: one expert answers"
    assert router["scores"] == {"math": router["confidence"]}
    assert (told["stage"], told["confidence"], told["asked"]) == ("keyword", router["confidence"], "lemoe")
    raw = trace(server, ask(server, model=SPARE))
    assert (raw["stage"], raw["expert"], raw["spans"][0]["reason"]) == (
        "raw", SPARE, f"{SPARE}: the client named the model")


def test_a_tool_in_a_model_s_place_asks_nobody(server: Live) -> None:
    told = trace(server, ask(server, model="lemoe", text="Was sind 15 % von 239,99?"))
    assert steps(told) == [("mcp", "calculate", "done")]
    assert (told["calls"], told["stage"], told["expert"], told["model"]) == (0, "tool", "tools", "calculate")


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("path", [OPENAI, RESPONSES, MESSAGES, CHAT])
def test_the_calls_of_a_model_are_steps_of_their_own(
    server: Live, ollama: FakeOllama, path: str, stream: bool
) -> None:
    sums = [("calculate", {"expression": "847*23.7"}), ("calculate", {"expression": "("})]
    ollama.script(MATH, [answer(tool_calls=sums, chunks=(), usage=USAGE), answer("Much.", usage=USAGE)])
    told = trace(server, ask(server, path, BILL, stream=stream))
    assert steps(told) == [
        ("planner", "router", "done"), ("mcp", "grounding", "done"), ("workers", "math", "done"),
        ("mcp", "calculate", "done"), ("mcp", "calculate", "failed"), ("workers", "math", "done"),
    ]
    assert (told["calls"], told["prompt_tokens"], told["completion_tokens"]) == (2, 22, 14)
    assert [span["prompt_tokens"] for span in told["spans"] if span["model"]] == [11, 11]


def test_a_tool_that_a_model_made_up_has_no_name(server: Live, ollama: FakeOllama) -> None:
    ollama.script(MATH, [answer(tool_calls=[("a_private_word", {})], chunks=()), answer("So.")])
    told = trace(server, ask(server, text=BILL))
    assert ("mcp", "unknown", "failed") in steps(told)
    assert "private" not in json.dumps(told)


def test_several_answers_are_one_request(server: Live) -> None:
    reply = ask(server, n=3)
    assert trace(server, reply)["calls"] == 3
    assert len([row for row in listed(server, limit=1000) if row["id"] == reply.headers["x-request-id"]]) == 1


def test_loading_a_model_is_a_request_too(server: Live) -> None:
    told = trace(server, post(server, CHAT, {"model": MATH}))
    assert (told["finish"], told["calls"], told["status"]) == ("load", 1, 200)


# Failover and failures


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("path", PATHS)
def test_who_failed_is_told_with_the_reason_and_the_time(
    server: Live, ollama: FakeOllama, path: str, stream: bool
) -> None:
    ollama.script(MATH, [http_error(500, {"error": "quotes the secret prompt"}, delay_s=0.1)])
    reply = ask(server, path, stream=stream)
    told = trace(server, reply)
    assert steps(told)[1:] == [("workers", "math", "failed"), ("workers", "fallback", "done")]
    failed, spoke = told["spans"][1:]
    assert (failed["reason"], spoke["reason"]) == ("upstream status 500", "in place of math")
    assert 100 <= failed["ended_ms"] - failed["started_ms"] < 5000
    assert failed["ended_ms"] <= spoke["started_ms"]
    assert (told["calls"], told["expert"], told["status"], told["outcome"]) == (2, "fallback", 200, "done")


def test_one_that_rests_was_not_asked(tmp_path: Path, ollama: FakeOllama) -> None:
    config = config_for(ollama, breaker_failures=1)
    with live_server(tmp_path, config=config, experts=EXPERTS) as live:
        ollama.script(MATH, [http_error(500)])
        trace(live, ask(live))
        told = trace(live, ask(live))
    assert steps(told)[1:] == [("workers", "math", "skipped"), ("workers", "fallback", "done")]
    assert (told["calls"], told["spans"][1]["reason"]) == (1, "it failed before, and is left alone for a while")


def test_when_nobody_can_answer_the_status_and_everybody_s_reason_are_there(server: Live, ollama: FakeOllama) -> None:
    for name in (MATH, SPARE):
        ollama.script(name, [http_error(500), garbage()])
    reply = ask(server)
    told = trace(server, reply)
    assert (reply.status, told["status"], told["outcome"]) == (503, 503, "failed")
    assert (told["error"], told["expert"], told["finish"]) == ("no_expert_available", "", "")
    assert {span["outcome"] for span in told["spans"] if span["stage"] == "workers"} == {"failed"}


def test_the_built_in_answer_is_told_as_such(server: Live, ollama: FakeOllama) -> None:
    for name in (MATH, SPARE):
        ollama.script(name, [http_error(500)] * 4)
    told = trace(server, ask(server, model="lemoe"))
    assert (told["status"], told["model"], told["spans"][-1]["reason"]) == (
        200, "builtin", "says that nobody can answer")
    assert told["calls"] == len([span for span in told["spans"] if span["outcome"] == "failed"])


@pytest.mark.parametrize(("path", "body", "status", "error"), [
    (OPENAI, b"{broken", 400, "bad_request"), (CHAT, b'{"messages": 3}', 400, "bad_request"),
    (MESSAGES, b"{}", 400, "bad_request"),
    (OPENAI, body_of(OPENAI, model="a-secret-name"), 404, "model_not_found"),
    (CHAT, body_of(CHAT, model=MATH, think=True), 400, "bad_request"),
])
def test_a_refused_request_is_there_too(server: Live, path: str, body: Any, status: int, error: str) -> None:
    reply = post(server, path, body)
    told = trace(server, reply)
    assert reply.status == told["status"] == status
    assert (told["outcome"], told["error"], told["path"], told["calls"]) == ("failed", error, path, 0)
    assert "secret" not in json.dumps(told)


def test_an_upstream_s_refusal_has_its_status(server: Live, ollama: FakeOllama) -> None:
    ollama.script(MATH, [http_error(400, {"error": "the secret prompt is odd"})])
    reply = ask(server)
    told = trace(server, reply)
    assert (reply.status, told["status"], told["spans"][1]["reason"]) == (400, 400, "request refused")
    assert "odd" not in json.dumps(told)


def test_an_answer_that_breaks_its_form_is_not_quoted(server: Live, ollama: FakeOllama) -> None:
    for name in (MATH, SPARE):
        ollama.script(name, [answer("no JSON but a private answer")] * 3)
    told = trace(server, ask(server, response_format=SCHEMA))
    assert told["outcome"] == "failed"
    assert "the answer breaks its form" in {span["reason"] for span in told["spans"]}
    assert "private" not in json.dumps(told)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("fault", [cut(after=2), error_line(after=2)], ids=["cut", "error"])
def test_an_answer_that_breaks_off_says_so(server: Live, ollama: FakeOllama, path: str, fault: Any) -> None:
    ollama.script(MATH, [fault])
    told = trace(server, ask(server, path, stream=True))
    assert (told["status"], told["outcome"], told["error"]) == (200, "failed", "upstream_error")
    assert steps(told)[1:] == [("workers", "math", "failed")]
    assert told["first_ms"] is not None


@pytest.mark.parametrize("path", [OPENAI, MESSAGES, CHAT])
def test_a_client_that_leaves_is_told_with_what_it_left(server: Live, ollama: FakeOllama, path: str) -> None:
    ollama.script(MATH, [answer(chunks=("first ", "second"), chunk_delay_s=20)])
    name = f"left{path.replace('/', '-')}"
    request = write_request("POST", path, json.dumps(body_of(path, stream=True)).encode(),
                            headers={"X-Request-Id": name}, host="localhost")
    with connect(server) as sock:
        sock.sendall(request)
        seen = b""
        while b"first " not in seen:
            seen += sock.recv(65536)
        assert server.service.requests.find(name) is None
    assert becomes_true(lambda: server.service.requests.find(name) is not None)
    told = call(server, "GET", f"/v1/requests/{name}").json
    assert (told["status"], told["outcome"], told["error"]) == (499, "left", "client_closed_request")
    assert steps(told)[1:] == [("workers", "math", "cut")]


def test_a_client_that_leaves_before_the_first_word_too(server: Live, ollama: FakeOllama) -> None:
    ollama.script(MATH, [hang()])
    for stream in (False, True):
        name = f"early-{stream}"
        request = write_request("POST", OPENAI, json.dumps(body_of(OPENAI, stream=stream)).encode(),
                                headers={"X-Request-Id": name}, host="localhost")
        before = len(ollama.requests_to(CHAT))
        with connect(server) as sock:
            sock.sendall(request)
            assert becomes_true(lambda before=before: len(ollama.requests_to(CHAT)) > before)
        assert becomes_true(lambda name=name: server.service.requests.find(name) is not None)
        told = call(server, "GET", f"/v1/requests/{name}").json
        assert (told["outcome"], steps(told)[1:]) == ("left", [("workers", "math", "cut")])


def test_what_runs_when_the_server_ends_is_kept(tmp_path: Path, ollama: FakeOllama) -> None:
    ollama.script(MATH, [answer(chunks=("first ", "second"), chunk_delay_s=20)])
    with live_server(tmp_path, config=config_for(ollama), experts=EXPERTS) as live:
        trace(live, ask(live, model=SPARE))
        with open_stream(live, path=CHAT, model="maths") as sock:
            seen = b""
            while b"first " not in seen:
                seen += sock.recv(65536)
            live.server.close(drain_s=0)
            read_all(sock)
    with live_server(tmp_path, config=config_for(ollama), experts=EXPERTS) as live:
        newest, before = listed(live)
    assert (newest["model"], newest["status"], newest["outcome"]) == (MATH, 200, "failed")
    assert (before["model"], before["outcome"]) == (SPARE, "done")


# The list


def test_the_newest_come_first_and_no_more_than_asked_for(server: Live) -> None:
    sent = [ask(server).headers["x-request-id"] for _ in range(22)][::-1]
    assert [row["id"] for row in listed(server, limit=3)] == sent[:3]
    assert [row["id"] for row in listed(server)] == sent[:20]
    assert not any(row.keys() & {"spans", "prompt", "answer"} for row in listed(server))
    assert [row["id"] for row in listed(server, limit=1000)][:22] == sent


@pytest.mark.parametrize("limit", ["0", "-1", "1001", "x", "", "1.5", "%C2%B2", "9" * 5000])
def test_a_limit_that_is_none_is_refused(server: Live, limit: str) -> None:
    reply = call(server, "GET", f"/v1/requests?limit={limit}".encode())
    assert (reply.status, reply.json["error"]["param"]) == (400, "limit")


@pytest.mark.parametrize("name", ["nobody", "..", "%00", "%ff", "a%2Fb", "x" * 5000, "';--"])
def test_one_that_is_not_known_is_a_404(server: Live, name: str) -> None:
    assert call(server, "GET", f"/v1/requests/{name}").status == 404


def test_what_is_no_request_of_a_model_is_not_listed(server: Live) -> None:
    before = listed(server, limit=1)
    for path in ("/health", "/v1/models", "/api/tags", "/v1/requests", "/v1/route?text=x"):
        call(server, "GET", path)
    post(server, "/v1/tools/calculate", {"expression": "1+1"})
    assert listed(server, limit=1) == before


def test_the_same_id_twice_is_two_requests(server: Live) -> None:
    for model in (MATH, SPARE):
        post(server, OPENAI, body_of(OPENAI, model=model), headers={"X-Request-Id": "chosen"})
    assert call(server, "GET", "/v1/requests/chosen").json["model"] == SPARE
    assert [row["model"] for row in listed(server, limit=2)] == [SPARE, MATH]


def test_of_1001_requests_the_last_1000_are_kept_over_a_restart(tmp_path: Path, ollama: FakeOllama) -> None:
    experts = ({"id": 0, "label": "fallback", "type": "echo"},)
    with live_server(tmp_path, config=config_for(ollama), experts=experts) as live:
        def put(number: int) -> int:
            headers = {"X-Request-Id": f"r{number}"}
            return post(live, CHAT, body_of(CHAT, str(number), model="lemoe"), headers=headers).status

        assert put(0) == 200
        with ThreadPoolExecutor(8) as pool:
            assert set(pool.map(put, range(1, MOST_REQUESTS + 1))) == {200}
        rows = listed(live, limit=1000)
        assert {row["id"] for row in rows} == {f"r{number}" for number in range(1, MOST_REQUESTS + 1)}
    with live_server(tmp_path, config=config_for(ollama), experts=experts) as live:
        assert listed(live, limit=1000) == rows
        assert call(live, "GET", "/v1/requests/r0").status == 404
        assert put(2000) == 200
        assert len(listed(live, limit=1000)) == MOST_REQUESTS
        assert call(live, "GET", "/v1/requests/r2000").status == 200


def test_many_at_once_do_not_mix(server: Live) -> None:
    def put(number: int) -> tuple[str, str]:
        path, model = PATHS[number % len(PATHS)], (MATH, SPARE)[number % 2]
        reply = ask(server, path, model=model, stream=number % 3 == 0)
        told = trace(server, reply)
        assert (told["path"], told["model"], told["status"], told["calls"]) == (path, model, 200, 1)
        assert len(told["spans"]) == 2
        return told["id"], told["model"]

    with ThreadPoolExecutor(16) as pool:
        assert len(set(pool.map(put, range(120)))) == 120


# What was said


def test_no_word_is_on_the_disk_or_told(tmp_path: Path, ollama: FakeOllama) -> None:
    ollama.script(MATH, [answer("a secret answer"), http_error(500, {"error": "a secret error"}), answer("secret")])
    with live_server(tmp_path, config=config_for(ollama), experts=EXPERTS) as live:
        for path in (OPENAI, CHAT, MESSAGES):
            assert "secret" not in json.dumps(trace(live, ask(live, path, model="lemoe")))
        ask(live, model="gpt-secret")
        assert "secret" not in json.dumps(listed(live))
    assert b"secret" not in (tmp_path / "data" / "moe.sqlite").read_bytes()


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_with_leave_it_is_told_until_it_is_withdrawn(tmp_path: Path, ollama: FakeOllama, stream: bool) -> None:
    file = tmp_path / "data" / "moe.sqlite"
    sums = [("calculate", {"expression": "847*23.7"})]
    ollama.script(MATH, [answer("a secret answer"), answer(tool_calls=sums, chunks=()), answer("A secret sum.")])
    with live_server(tmp_path, config=config_for(ollama, keep_text=True), experts=EXPERTS) as live:
        reply = ask(live, stream=stream)
        told = trace(live, reply)
        assert (told["prompt"], told["answer"]) == (QUESTION, "a secret answer")
        summed = trace(live, ask(live, text=BILL, stream=stream))
        assert summed["spans"][3]["text"] == 'calculate(expression="847*23.7") → 20073.9'
        refused = trace(live, ask(live, model="a-secret-name"))
        assert (refused["complaint"], refused["asked"]) == ("model 'a-secret-name' not found", "a-secret-name")
        assert "secret integral" not in json.dumps(listed(live))
        assert becomes_true(lambda: file.exists() and b"secret answer" in file.read_bytes())
        write_config(tmp_path, config=config_for(ollama), experts=EXPERTS)
        assert live.service.reload()
        again = trace(live, reply)
        assert not again.keys() & {"prompt", "answer"}
        assert again["spans"] == told["spans"]
        assert b"secret" not in file.read_bytes().replace(b"a-secret-name", b"")
        assert "prompt" not in trace(live, ask(live))
    assert b"secret integral" not in file.read_bytes()


def test_an_answer_under_way_when_leave_is_withdrawn_leaves_no_text(tmp_path: Path, ollama: FakeOllama) -> None:
    ollama.script(MATH, [answer(chunks=("secret ", "word"), chunk_delay_s=1)])
    with live_server(tmp_path, config=config_for(ollama, keep_text=True), experts=EXPERTS) as live:
        with open_stream(live, path=CHAT, model="maths") as sock:
            write_config(tmp_path, config=config_for(ollama), experts=EXPERTS)
            assert live.service.reload()
            assert b'"done":true' in read_all(sock)
        (row,) = listed(live)
        told = call(live, "GET", f"/v1/requests/{row['id']}").json
    assert not told.keys() & {"prompt", "answer"}
    assert b"secret" not in (tmp_path / "data" / "moe.sqlite").read_bytes()


def test_nobody_s_key_is_kept(server: Live) -> None:
    reply = post(server, OPENAI, body_of(OPENAI), headers={"Authorization": "Bearer sk-12345", "X-Api-Key": "sk-678"})
    assert "sk-" not in json.dumps(trace(server, reply))


# The disk


@pytest.mark.parametrize("state", ["a file where the folder should be", "no database"])
def test_a_disk_that_fails_breaks_no_answer(tmp_path: Path, ollama: FakeOllama, state: str) -> None:
    with live_server(tmp_path, config=config_for(ollama), experts=EXPERTS) as live:
        data = live.service.settings.data_folder
        if state == "no database":
            data.mkdir(exist_ok=True)
            (data / "moe.sqlite").write_bytes(b"no database at all" * 100)
        else:
            data.rmdir() if data.exists() else None
            data.write_text("in the way")
        for path in PATHS:
            for stream in (False, True):
                reply = ask(live, path, stream=stream)
                assert (reply.status, trace(live, reply)["status"]) == (200, 200)
        time.sleep(1)
        assert len(listed(live)) == 2 * len(PATHS)
        assert ask(live).status == 200


def test_a_disk_that_is_slow_holds_nobody_up(tmp_path: Path, ollama: FakeOllama) -> None:
    """Another process has the file locked for itself."""
    with live_server(tmp_path, config=config_for(ollama), experts=EXPERTS) as live:
        ask(live)
        file = tmp_path / "data" / "moe.sqlite"
        assert becomes_true(file.exists)
        other = sqlite3.connect(file, timeout=30, isolation_level=None)
        other.execute("BEGIN EXCLUSIVE")
        began = time.monotonic()
        for _ in range(10):
            reply = ask(live)
            assert trace(live, reply)["status"] == 200
        assert time.monotonic() - began < 3
        other.execute("COMMIT")
        other.close()
        assert becomes_true(lambda: len(listed(live)) == 11)
