"""Upstreams that lie, flood or drip: the client gets another's answer or an honest error, and nothing hangs."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.adversarial.kit import (
    ask,
    assert_serves,
    call,
    connect,
    post,
    read_text,
    write_prompt,
    write_request,
)
from tests.adversarial.wire import CHUNKED, DONE, END, HEAD, chunk, for_ever, lines, raw, said
from tests.fakes import FakeOllama, answer, fake_ollama
from tests.fakes.port import Listener
from tests.fakes.reply import Step
from tests.live import Live, live_server

BAD, GOOD = "bad:1b", "good:1b"
LIMIT_S = 0.6
EXPERTS = (
    {"id": 0, "label": "fallback", "model_name": GOOD},
    {"id": 1, "label": "bad", "model_name": BAD},
    {"id": 2, "label": "hasty", "model_name": BAD, "first_token_timeout_s": LIMIT_S},
)
NO_BODY = b"Content-Length: 0\r\n\r\n"


@pytest.fixture(scope="module")
def ollama() -> Iterator[FakeOllama]:
    with fake_ollama([BAD, GOOD]) as fake:
        yield fake


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, ollama: FakeOllama) -> Iterator[Live]:
    runner = {"ollama_url": ollama.url, "retries": 0, "idle_timeout_s": 0.8, "breaker_failures": 1000}
    folder = tmp_path_factory.mktemp("live")
    with live_server(folder, config={"expert_runner": runner}, experts=EXPERTS) as live:
        yield live


@pytest.fixture(autouse=True)
def _still_serves(server: Live, ollama: FakeOllama) -> Iterator[None]:
    ollama.script(GOOD, [answer("from the good one")])
    yield
    ollama.script(BAD, [])
    assert read_text(ask(server, model="bad"))
    assert_serves(server)


def stream(server: Live, *, path: str = "/api/chat", model: str = "bad") -> list[Any]:
    """The values of a streamed reply, to the end of the body; [DONE] is the string."""
    body = json.dumps(write_prompt(path, "x", model=model) | {"stream": True}).encode()
    reply = call(server, "POST", path, body)
    assert reply.status == 200, reply
    rows = [row.removeprefix(b"data: ") for row in reply.body.split(b"\n") if row.strip() and not row.startswith(b":")]
    return [row.decode() if row == b"[DONE]" else json.loads(row) for row in rows]


# Answers that never begin

HEADS = {
    "not HTTP": b"220 smtp.example ESMTP\r\n\r\n",
    "nothing": b"",
    "a NUL": b"\0",
    "half a head": b"HTTP/1.1 200 OK\r\nContent-Ty",
    "status of five digits": b"HTTP/1.1 20000 OK\r\n" + NO_BODY,
    "status of letters": b"HTTP/1.1 abc OK\r\n" + NO_BODY,
    "switching protocols": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nxx",
    "no content": b"HTTP/1.1 204 No Content\r\n\r\n",
    "not modified": b"HTTP/1.1 304 Not Modified\r\n\r\n",
    "reset content": b"HTTP/1.1 205 Reset Content\r\n" + NO_BODY,
    "partial content": b"HTTP/1.1 206 Partial Content\r\nContent-Length: 2\r\n\r\n{}",
    "an empty 200": b"HTTP/1.1 200 OK\r\n" + NO_BODY,
    "a header of 1 MB": HEAD + b"X-Bomb: " + b"a" * 1_000_000 + b"\r\n\r\n",
    "50,000 headers": HEAD + b"".join(b"X-%d: a\r\n" % i for i in range(50_000)) + b"\r\n",
    "a header without a name": HEAD + b": x\r\n\r\n",
    "a length of letters": HEAD + b"Content-Length: many\r\n\r\n",
    "a negative length": HEAD + b"Content-Length: -5\r\n\r\nhello",
    "a length too long for any number": HEAD + b"Content-Length: " + b"9" * 50 + b"\r\n\r\nhello",
    "two lengths": HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}\n",
    "a length and chunks": HEAD + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
    "a length that is never reached": HEAD + b"Content-Length: 5000\r\n\r\n{\"message\":",
    "a chunk size of letters": CHUNKED + b"zz\r\nhello\r\n",
    "a chunk size beyond any memory": CHUNKED + b"fffffffffffffffff\r\nhello",
    "a chunk that is cut": CHUNKED + b"ff\r\n{",
    "a page": b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 13\r\n\r\n<html></html>",
    "gzip that nobody asked for": HEAD + b"Content-Encoding: gzip\r\n\r\n" + gzip.compress(json.dumps(DONE).encode()),
    "gzip by its name only": HEAD + b"Content-Encoding: gzip\r\n\r\n<html>",
    "invalid UTF-8": HEAD + b'\r\n{"message":{"content":"\xff\xfe"},"done":false}\n',
    "NULs": HEAD + b"\r\n" + b"\0" * 100_000,
    "UTF-16": HEAD + b"\r\n" + json.dumps(DONE).encode("utf-16"),
}


@pytest.mark.parametrize("answered", HEADS.values(), ids=HEADS.keys())
def test_an_answer_that_is_none_is_given_by_another(server: Live, ollama: FakeOllama, answered: bytes) -> None:
    ollama.script(BAD, [raw(answered)])
    whole = ask(server, path="/api/chat", model="bad")
    assert (whole.status, read_text(whole)) == (200, "from the good one")
    assert whole.headers["x-moe-fallback"] == "bad"
    assert whole.headers["x-moe-expert"] == whole.json["model"] == "fallback"
    assert stream(server)[-1]["done"] is True


VALUES: dict[str, Any] = {
    "null": None, "a number": 5, "a string": "x", "an array": [], "an empty object": {},
    "done as a word": {"done": "yes"},
    "done as a number": {**DONE, "done": 1}, "message as an array": {"message": [], "done": True},
    "message as a string": {"message": "hello", "done": True}, "content as a number": said(5),  # type: ignore[arg-type]
    "content as an array": said([{"text": "x"}]), "thinking as an object": said("", thinking={}),  # type: ignore[arg-type]
    "tool calls as an object": said("", tool_calls={}), "a tool call as a string": said("", tool_calls=["x"]),
    "a tool call without a function": said("", tool_calls=[{"function": None}]),
    "a tool's name as a number": said("", tool_calls=[{"function": {"name": 5}}]),
    "done at once": DONE, "only white space": b" \r\n\t\n\n", "a message of 100,000 levels": b"[" * 100_000 + b"\n",
    "an error as text": {"error": "no"}, "an error as an object": {"error": {"message": {"a": [1]}, "code": 5}},
    "an error as a list": {"error": ["a", "b"]}, "an empty error": {"error": ""},
    "an error that is false": {"error": False},
    "an error beside an answer": {**said("x"), "error": "no"}, "an error of 1 MB": {"error": "e" * 1_000_000},
    "a count of letters": {**DONE, "eval_count": "many"}, "duplicate keys": b'{"done":false,"done":true}\n',
}


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES.keys())
def test_a_line_of_wrong_types_is_no_answer(server: Live, ollama: FakeOllama, value: Any) -> None:
    ollama.script(BAD, [lines(value)])
    whole = ask(server, path="/api/chat", model="bad")
    assert (whole.status, read_text(whole)) == (200, "from the good one")
    assert stream(server)[-1]["done"] is True


FLOODS: dict[str, Step] = {
    "empty lines": for_ever(chunk(b"\n"), 0.01, after=CHUNKED),
    "empty lines without a pause": for_ever(chunk(b"\n" * 1_000), after=CHUNKED),
    "empty texts": for_ever(chunk(json.dumps(said("")).encode() + b"\n"), 0.01, after=CHUNKED),
    "garbage lines": for_ever(chunk(b"garbage\n"), 0.01, after=CHUNKED),
    "a line that never ends, slowly": for_ever(chunk(b"x"), 0.01, after=CHUNKED),
    "a head that never ends, slowly": for_ever(b"a", 0.01, after=HEAD + b"X-Slow: "),
    "heads that never end": for_ever(b"HTTP/1.1 100 Continue\r\n\r\n", 0.01),
    "heads that never end, without a pause": for_ever(b"HTTP/1.1 103 Early Hints\r\nX: " + b"a" * 500 + b"\r\n\r\n"),
    "a chunk extension that never ends": for_ever(b"x" * 100, 0.01, after=CHUNKED + b"5;"),
    "a status error whose text never ends": for_ever(
        b"x", 0.01, after=b"HTTP/1.1 500 Oh\r\nContent-Length: 100000000\r\n\r\n"),
    "silence after the head": raw(CHUNKED, 30.0),
    "silence": raw(30.0),
}


@pytest.mark.parametrize("flood", FLOODS.values(), ids=FLOODS.keys())
def test_a_flood_without_a_word_is_given_up_when_the_first_token_is_due(
    server: Live, ollama: FakeOllama, flood: Step
) -> None:
    ollama.script(BAD, [flood])
    reply = ask(server, path="/api/chat", model="hasty")
    assert (reply.status, read_text(reply)) == (200, "from the good one")
    assert reply.headers["x-moe-fallback"] == "hasty"
    request = ollama.requests_for(BAD)[-1]
    request.wait_until_over()
    assert not request.finished  # we closed it


def test_a_client_that_leaves_during_a_flood_without_a_word_ends_it(server: Live, ollama: FakeOllama) -> None:
    ollama.script(BAD, [for_ever(chunk(b"\n"), 0.01, after=CHUNKED)])
    ollama.script(GOOD, [for_ever(chunk(b"\n"), 0.01, after=CHUNKED)])
    before = len(ollama.requests_for(GOOD))
    with connect(server) as sock:
        body = json.dumps(write_prompt("/api/chat", "x", model=GOOD)).encode()
        sock.sendall(write_request("POST", "/api/chat", body, host="localhost"))
        request = wait_for(ollama, GOOD, before + 1)
    request.wait_until_over(5.0)
    assert request.closed_early_at is not None


def wait_for(ollama: FakeOllama, model: str, count: int) -> Any:
    arrived = threading.Event()
    ollama.observe(lambda _: arrived.set())
    for _ in range(100):
        found = ollama.requests_for(model)
        if len(found) >= count:
            return found[count - 1]
        arrived.wait(0.1)
        arrived.clear()
    raise TimeoutError


def test_a_line_of_a_hundred_megabytes_is_cut_off_and_costs_little_memory(server: Live, ollama: FakeOllama) -> None:
    start, megabyte, end = b'{"message":{"content":"', chunk(b"x" * (1 << 20)), b'"},"done":true}\n'
    ollama.script(BAD, [raw(CHUNKED, chunk(start), *[megabyte] * 100, chunk(end), END)])
    before = _resident_bytes()
    reply = ask(server, path="/api/chat", model="bad")
    assert (reply.status, read_text(reply)) == (200, "from the good one")
    assert _resident_bytes() - before < 80 << 20
    assert not ollama.requests_for(BAD)[-1].finished


def _resident_bytes() -> int:
    for row in Path("/proc/self/status").read_text().splitlines():
        if row.startswith("VmRSS:"):
            return int(row.split()[1]) << 10
    pytest.skip("no /proc here")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308, 300])
def test_a_redirect_is_never_followed(server: Live, ollama: FakeOllama, status: int) -> None:
    with Listener() as elsewhere:
        for target in (elsewhere.url, "http://169.254.169.254/latest", "file:///etc/passwd", "//[::1]:1/", "\0"):
            head = f"HTTP/1.1 {status} Moved\r\nLocation: {target}/api/chat\r\n".encode()
            ollama.script(BAD, [raw(head + NO_BODY)])
            reply = ask(server, path="/api/chat", model="bad")
            assert (reply.status, read_text(reply)) == (200, "from the good one")
            assert target.encode() not in reply.body
        assert elsewhere.connections == 0


# Answers that begin well

BROKEN: dict[str, tuple[bytes | float, ...]] = {
    "closed": (),
    "ended without its mark": (END,),
    "not HTTP any more": (0.05, b"garbage\r\n"),
    "a line of 20 MB": tuple(chunk(b"x" * (1 << 20)) for _ in range(20)),
    "an error": (chunk(b'{"error":{"message":"cannot open /srv/secret/x"}}\n'), END),
    "empty lines for ever": (*([chunk(b"\n"), 0.05] * 100),),
    "one byte now and then": (*([chunk(b"x"), 0.05] * 100),),
    "silence": (30.0,),
}


@pytest.mark.parametrize("rest", BROKEN.values(), ids=BROKEN.keys())
def test_a_stream_that_turns_bad_ends_in_an_error_and_never_in_a_good_end(
    server: Live, ollama: FakeOllama, rest: tuple[bytes | float, ...]
) -> None:
    ollama.script(BAD, [lines(said("half "), said("an answer"), then=rest)])
    rows = stream(server)
    assert "".join(row["message"]["content"] for row in rows[:-1]) == "half an answer"
    assert set(rows[-1]) == {"error"}
    assert "secret" not in rows[-1]["error"]
    events = stream(server, path="/v1/chat/completions")
    assert "error" in events[-1]
    assert not [event for event in events if event == "[DONE]" or _finish(event)]
    whole = ask(server, path="/api/chat", model="bad")  # it has heard nothing yet, so another expert answers it
    assert whole.status == 200
    assert whole.headers["x-moe-fallback"] == "bad"
    assert b"secret" not in whole.body


def _finish(event: dict[str, Any]) -> str | None:
    return (event.get("choices") or [{}])[0].get("finish_reason")


def test_bad_lines_between_good_ones_are_harmless_only_where_nothing_is_missing(
    server: Live, ollama: FakeOllama
) -> None:
    deep = b"[" * 100_000 + b"\n"
    bad = (b"\xff\xfe\n", b"[}\n", b"\n", b"\r\n", deep, b"5\n", b'"done"\n', b"null\n", b"\0\n")
    told = [line for i in range(9) for line in (said(str(i)), bad[i])]
    ollama.script(BAD, [lines(*told, DONE | {"eval_count": count}) for count in (9, 10)])
    reply = ask(server, path="/api/chat", model="bad")
    assert read_text(reply) == "012345678"
    assert "error" in stream(server)[-1]


def test_what_follows_the_end_is_ignored(server: Live, ollama: FakeOllama) -> None:
    ollama.script(BAD, [lines(said("all"), DONE, said(" and more"), DONE, {"error": "late"})])
    assert read_text(ask(server, path="/api/chat", model="bad")) == "all"
    assert [row["done"] for row in stream(server)] == [False, True]


@pytest.mark.parametrize("count", [-5, -(10**18), 10**18, 2**63, 10**30, 0, 1.5, None, "7", [], 1e300])
def test_counts_out_of_all_reason_reach_no_client(server: Live, ollama: FakeOllama, count: Any) -> None:
    names = ("eval_count", "prompt_eval_count", "load_duration", "eval_duration", "prompt_eval_duration")
    ollama.script(BAD, [lines(said("x"), DONE | dict.fromkeys(names, count))])
    for path in ("/api/chat", "/v1/chat/completions"):
        reply = ask(server, path=path, model="bad")
        if reply.status != 200:
            assert reply.status in (502, 503)
            continue
        body = reply.json
        numbers = [value for value in [*body.get("usage", {}).values(), *body.values()] if type(value) in (int, float)]
        assert numbers
        assert all(0 <= value < 2**63 for value in numbers), body
    assert call(server, "GET", "/health").status == 200


@pytest.mark.parametrize("arguments", [None, {}, "text", "{", "null", [], [1], 5, True, {"a": {"b": [None]}},
                                       {"a": "\ud800"}, '{"a":NaN}', "[" * 500, {"__proto__": 1}, {"": ""}], ids=repr)
def test_arguments_of_any_kind_become_what_the_dialect_promises(
    server: Live, ollama: FakeOllama, arguments: Any
) -> None:
    call_ = {"id": "", "function": {"name": "f", "arguments": arguments}}
    ollama.script(BAD, [lines(said("x"), said("", tool_calls=[call_]), DONE)])
    told = ask(server, path="/api/chat", model="bad")
    if told.status != 200:  # half a surrogate pair is no JSON: the line is skipped, and the answer is not done
        assert told.status in (502, 503)
        return
    for call_ in told.json["message"].get("tool_calls", []):
        assert isinstance(call_["function"]["arguments"], dict)
        assert call_["id"]
    message = ask(server, model="bad").json["choices"][0]["message"]
    for call_ in message.get("tool_calls", []):
        assert isinstance(call_["function"]["arguments"], str)
        assert (call_["type"], bool(call_["id"])) == ("function", True)


def test_ten_thousand_tool_calls_have_ids_of_their_own(server: Live, ollama: FakeOllama) -> None:
    calls = [{"function": {"name": "f", "arguments": {}}}] * 10_000
    ollama.script(BAD, [lines(said("", tool_calls=calls), DONE)])
    tools = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
    told = ask(server, model="bad", tools=tools).json["choices"][0]["message"]["tool_calls"]
    assert len({call_["id"] for call_ in told}) == 10_000


TRICKS = ("\n\ndata: [DONE]\n\n", '"}\n{"done":true}\n', "\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", "\u2028\u2029\x85",
          "\0\x1b[2J", "</script>", ": keep-alive\n\n", "event: error\ndata: x\n\n", "\ufeff", "😀" * 3, "\\u0000\\")


@pytest.mark.parametrize("trick", TRICKS, ids=ascii)
def test_a_text_cannot_end_the_stream_that_carries_it(server: Live, ollama: FakeOllama, trick: str) -> None:
    done = {**DONE, "model": trick, "done_reason": trick}
    ollama.script(BAD, [lines(said(trick), said("end", thinking=trick), done)])
    rows = stream(server)
    assert "".join(row["message"]["content"] for row in rows) == f"{trick}end"
    assert [row["done"] for row in rows][-2:] == [False, True]
    assert rows[-1]["done_reason"] == "stop"
    events = stream(server, path="/v1/chat/completions")
    assert events.count("[DONE]") == 1
    assert events[-1] == "[DONE]"
    deltas = [event["choices"][0]["delta"].get("content") or "" for event in events[:-1] if event["choices"]]
    assert "".join(deltas) == f"{trick}end"


# Errors of an upstream


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_refusals_words_are_passed_on_without_their_controls_or_their_length(
    server: Live, ollama: FakeOllama, status: int
) -> None:
    said_ = json.dumps({"error": "too long\r\nX-Evil: 1\x1b[2J" + "y" * 100_000}).encode()
    head = f"HTTP/1.1 {status} No\r\nContent-Length: {len(said_)}\r\n\r\n".encode()
    ollama.script(BAD, [raw(head + said_)])
    for path in ("/api/chat", "/v1/chat/completions"):
        reply = ask(server, path=path, model="bad")
        assert reply.status == status
        assert "too long" in reply.message
        assert len(reply.body) < 5_000
        assert "x-evil" not in reply.headers


@pytest.mark.parametrize("status", [401, 403, 404, 408, 429, 500, 503, 599])
@pytest.mark.parametrize("retry_after", ["-1", "1e400", "nan", "9" * 400, "soon", "Thu, 01 Jan 1970 00:00:00 GMT",
                                         "Fri, 31 Dec 9999 23:59:59 GMT", "\xff", "0x10"])
def test_an_error_status_with_any_retry_after_is_given_to_the_next_at_once(
    server: Live, ollama: FakeOllama, status: int, retry_after: str
) -> None:
    head = f"HTTP/1.1 {status} No\r\nRetry-After: {retry_after}\r\n".encode("latin-1")
    ollama.script(BAD, [raw(head + NO_BODY)])
    reply = ask(server, path="/api/chat", model="bad")
    assert (reply.status, read_text(reply)) == (200, "from the good one")


# What a node says of itself

PAGES: dict[str, Any] = {
    "no JSON": b"<html>", "null": b"null", "a list": b"[]", "models as a number": {"models": 5},
    "models as an object": {"models": {"a": 1}}, "models of anything": {"models": [None, 5, "x", [], {}]},
    "a name as a number": {"models": [{"name": 5, "model": []}]},
    "sizes of anything": {"models": [{"name": "a:1b", "size": "big"}, {"name": "b:1b", "size": []},
                                     {"name": "c:1b", "size": -5}, {"name": "d:1b", "size": 1e300}]},
    "details of anything": {"models": [{"name": "a:1b", "details": 5},
                                       {"name": "b:1b", "details": {"context_length": "long", "family": []}}]},
    "capabilities of anything": {"models": [{"name": "a:1b", "capabilities": 5},
                                            {"name": "b:1b", "capabilities": [5]}]},
    "times of anything": {"models": [{"name": "a:1b", "modified_at": t, "expires_at": t}
                                     for t in (5, "x", "9999-99-99", "0001-01-01T00:00:00Z", "-1")]},
    "names that would break a header or a terminal": {"models": [{"name": "a\r\nX-Evil: 1"}, {"name": "b\x1b[2J"},
                                                                 {"name": "\u202ec"}, {"name": "n" * 100_000}]},
    "ten thousand models": {"models": [{"name": f"m{i}:1b", "capabilities": ["completion"]} for i in range(10_000)]},
}


@pytest.mark.parametrize("path", ["/api/tags", "/api/ps", "/api/show"])
@pytest.mark.parametrize("page", PAGES.values(), ids=PAGES.keys())
def test_a_node_may_say_anything_of_itself(tmp_path: Path, path: str, page: Any) -> None:
    body = page if isinstance(page, bytes) else json.dumps(page).encode()
    if path == "/api/show" and isinstance(page, dict) and isinstance(page["models"], list) and page["models"]:
        body = json.dumps({"capabilities": 5, "details": [], "model_info": {"x.context_length": -5}}).encode()
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
    with fake_ollama([GOOD]) as node:
        node.script(path, [raw(head + body)])
        with live_server(tmp_path, config={"expert_runner": {"ollama_url": node.url}},
                         experts=[{"id": 0, "label": "fallback", "model_name": "auto"}]) as live:
            reply = ask(live, path="/api/chat")
            assert reply.status == 200, reply
            assert "x-evil" not in reply.headers
            for page_path in ("/health", "/v1/models", "/api/tags", "/api/ps", "/v1/route?text=x"):
                assert call(live, "GET", page_path).status == 200
            names = [model["model"] for model in call(live, "GET", "/api/tags").json["models"]]
            for name in names[:20]:
                shown = post(live, "/api/show", {"model": name})
                assert shown.status in (200, 404)


NODE_FLOODS: dict[str, Step] = {
    "a body that never ends": for_ever(b"[" * 65_536, after=b"HTTP/1.1 200 OK\r\n\r\n"),
    "a body that never ends, slowly": for_ever(b"[", 0.01, after=b"HTTP/1.1 200 OK\r\n\r\n"),
    "a gzip bomb": raw(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + gzip.compress(bytes(300 << 20), 1)),
    "a redirect": raw(b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\n" + NO_BODY),
}


@pytest.mark.parametrize("flood", NODE_FLOODS.values(), ids=NODE_FLOODS.keys())
def test_a_node_that_floods_us_with_what_it_has_is_given_up(tmp_path: Path, flood: Step) -> None:
    before = _resident_bytes()
    with fake_ollama([GOOD]) as node:
        node.script("/api/tags", [flood])
        with live_server(tmp_path, config={"expert_runner": {"ollama_url": node.url}},
                         experts=[{"id": 0, "label": "fallback", "model_name": "auto"}]) as live:
            assert call(live, "GET", "/health").status == 200
            assert ask(live, path="/api/chat").status == 200  # by the builtin, which says that nobody answers
            assert _resident_bytes() - before < 100 << 20
            node.script("/api/tags", [])
