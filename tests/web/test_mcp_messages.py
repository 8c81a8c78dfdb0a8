"""The Model Context Protocol over HTTP, message by message."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moe import __version__
from moe.tools import rpc
from moe.tools.base import Setting
from moe.tools.known import open_toolbox
from tests.adversarial.kit import ECHO, OMIT, Reply, assert_serves, call, post
from tests.live import Live, live_server

LATER = "2026-07-28"
TOOLBOX = open_toolbox(Setting())
ENVELOPE = {"io.modelcontextprotocol/protocolVersion": LATER, "io.modelcontextprotocol/clientCapabilities": {}}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    config = {"tools": {"disabled": ["roman_numeral"]}}
    with live_server(tmp_path_factory.mktemp("live"), config=config, experts=[ECHO]) as live:
        yield live


def say(server: Live, message: object, **headers: str) -> Reply:
    return post(server, "/mcp", message, headers={key.replace("_", "-"): value for key, value in headers.items()})


def ask(server: Live, method: str, params: object = None, *, version: str = "2025-06-18", of: object = 1) -> Reply:
    message = {"jsonrpc": "2.0", "id": of, "method": method} | ({} if params is None else {"params": params})
    return say(server, message, MCP_Protocol_Version=version)


def error_code(reply: Reply) -> int:
    told = reply.json
    assert set(told) == {"jsonrpc", "id", "error"}
    assert told["jsonrpc"] == "2.0"
    assert told["error"]["message"].strip()
    return int(told["error"]["code"])


@pytest.mark.parametrize(("asked", "agreed"), [
    ("2024-11-05", "2024-11-05"), ("2025-03-26", "2025-03-26"), ("2025-06-18", "2025-06-18"),
    ("2025-11-25", "2025-11-25"), ("2026-07-28", "2025-11-25"), ("1999-01-01", "2025-11-25"), ("", "2025-11-25"),
])
def test_a_handshake_ends_in_a_version_that_is_served(server: Live, asked: str, agreed: str) -> None:
    params = {"protocolVersion": asked, "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
    reply = say(server, {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params})
    assert (reply.status, reply.json["id"]) == (200, 0)
    assert reply.json["result"]["protocolVersion"] == agreed
    assert "mcp-session-id" not in reply.headers


@pytest.mark.parametrize("headers", [{}, {"MCP_Protocol_Version": "2024-11-05"}, {"MCP_Protocol_Version": "2025-11-25"},
                                     {"Mcp_Session_Id": "whatever"}])
def test_no_request_needs_another_before_it(server: Live, headers: dict[str, str]) -> None:
    reply = say(server, {"jsonrpc": "2.0", "id": "a", "method": "tools/list"}, **headers)
    assert (reply.status, reply.json["id"]) == (200, "a")
    assert set(reply.json["result"]) == {"tools"}


def test_an_unknown_version_is_refused_with_those_that_are_served(server: Live) -> None:
    reply = ask(server, "tools/list", version="2030-01-01")
    assert (reply.status, error_code(reply)) == (400, -32022)
    assert reply.json["error"]["data"]["requested"] == "2030-01-01"
    assert LATER in reply.json["error"]["data"]["supported"]


@pytest.mark.parametrize("body", [b"", b" ", b"{", b"\xff\xfe", b"{'a': 1}", b'{"jsonrpc": "2.0"', b"[" * 500])
def test_what_is_no_json_is_a_parse_error(server: Live, body: bytes) -> None:
    reply = say(server, body)
    assert (reply.status, error_code(reply), reply.json["id"]) == (400, -32700, None)


@pytest.mark.parametrize("text", ["half a pair \\ud800", "\\udc00", "\\uD83D\\u0041"])
def test_a_text_is_taken_to_the_letter_or_not_at_all(server: Live, text: str) -> None:
    """Its digest would be that of something else."""
    body = (b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"hash_text","arguments":{"text":"'
            + text.encode() + b'"}}}')
    reply = say(server, body)
    assert (reply.status, error_code(reply)) == (400, -32700)
    assert "pair" in reply.json["error"]["message"]


def test_whole_pairs_and_escaped_backslashes_are_no_halves(server: Live) -> None:
    for text in ("\U0001f389", "\\ud800", "\ufffd"):
        reply = ask(server, "tools/call", {"name": "base64_codec", "arguments": {"text": text}})
        assert base64.b64decode(reply.json["result"]["structuredContent"]["result"]).decode() == text


def test_what_is_refused_before_it_is_read_is_refused_in_json_rpc(tmp_path: Path) -> None:
    config = {"rate_limit": {"requests_per_minute": 2, "exempt": []}, "server": {"max_body_bytes": 1_000_000}}
    with live_server(tmp_path, config=config, experts=[ECHO]) as live:
        large = say(live, b" " * 2_000_000)
        assert (large.status, error_code(large), large.json["id"]) == (413, -32600, None)
        evil = say(live, {}, Origin="http://evil.example")
        assert (evil.status, error_code(evil)) == (403, -32600)
        for _ in range(3):
            reply = ask(live, "tools/call", {"name": "calculate", "arguments": {"expression": "1+1"}})
        assert (reply.status, error_code(reply), reply.json["id"]) == (429, -32600, None)
        assert reply.headers["retry-after"]
        assert say(live, {}).headers["content-type"] == "application/json"


@pytest.mark.parametrize("message", [
    5, "x", None, True, {}, [], {"jsonrpc": "1.0", "id": 1, "method": "ping"}, {"id": 1, "method": "ping"},
    {"jsonrpc": "2.0", "id": 1}, {"jsonrpc": "2.0", "id": 1, "method": 5}, {"jsonrpc": "2.0", "id": 1, "method": None},
    {"jsonrpc": "2.0", "id": None, "method": "ping"}, {"jsonrpc": "2.0", "id": True, "method": "ping"},
    {"jsonrpc": "2.0", "id": [1], "method": "ping"}, {"jsonrpc": "2.0", "id": 1.5, "method": "ping"},
    {"jsonrpc": "2.0", "id": 1, "method": "ping", "params": [1]}, {"jsonrpc": "2.0", "method": 5},
], ids=json.dumps)
def test_what_is_no_message_is_an_invalid_request(server: Live, message: object) -> None:
    reply = say(server, message)
    assert (reply.status, error_code(reply)) == (400, -32600)


@pytest.mark.parametrize("method", ["prompts/list", "resources/list", "logging/setLevel", "server/discover", "nothing",
                                    "completion/complete", "tools/LIST", "", "__init__"])
def test_what_is_not_served_is_no_method(server: Live, method: str) -> None:
    reply = ask(server, method, {})
    assert (reply.status, error_code(reply), reply.json["id"]) == (200, -32601, 1)


@pytest.mark.parametrize(("method", "params"), [
    ("tools/call", None), ("tools/call", {}), ("tools/call", {"name": 5}), ("tools/call", {"name": None}),
    ("tools/call", {"name": "calculate", "arguments": [1]}), ("tools/call", {"name": "calculate", "arguments": "x"}),
    ("tools/call", {"name": "roman_numeral", "arguments": {}}), ("tools/call", {"name": "n" * 100_000}),
    ("tools/list", {"cursor": "2"}), ("tools/list", {"cursor": 5}), ("initialize", None), ("initialize", {}),
    ("initialize", {"protocolVersion": 1, "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}}),
])
def test_wrong_params_are_told_apart(server: Live, method: str, params: object) -> None:
    reply = ask(server, method, params, of="x")
    assert (reply.status, error_code(reply), reply.json["id"]) == (200, -32602, "x")
    assert len(reply.body) < 1000


@pytest.mark.parametrize("message", [
    {"jsonrpc": "2.0", "method": "notifications/initialized"},
    {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}},
    {"jsonrpc": "2.0", "method": "notifications/whatever", "params": {}},
    {"jsonrpc": "2.0", "id": 1, "result": {}}, {"jsonrpc": "2.0", "id": 1, "error": {"code": 1, "message": "x"}},
], ids=json.dumps)
def test_what_wants_no_answer_gets_a_202_without_a_body(server: Live, message: object) -> None:
    reply = say(server, message)
    assert (reply.status, reply.body) == (202, b"")


def test_a_batch_is_answered_in_its_order_where_the_version_has_batches(server: Live) -> None:
    asked = [{"jsonrpc": "2.0", "id": 2, "method": "ping"}, {"jsonrpc": "2.0", "method": "notifications/initialized"},
             {"jsonrpc": "2.0", "id": 1, "method": "nothing"}, 5,
             {"jsonrpc": "2.0", "id": "x", "method": "tools/call",
              "params": {"name": "calculate", "arguments": {"expression": "2^10"}}},
             {"jsonrpc": "2.0", "id": 9, "method": "initialize", "params": {}}]
    for headers in ({}, {"MCP_Protocol_Version": "2025-03-26"}):
        reply = say(server, asked, **headers)
        assert reply.status == 200
        assert [(part["id"], part.get("error", {}).get("code")) for part in reply.json] == [
            (2, None), (1, -32601), (None, -32600), ("x", None), (9, -32600)]
        assert reply.json[3]["result"]["structuredContent"]["result"] == "1024"
    assert say(server, asked[1:2]).status == 202
    assert say(server, [5, None]).status == 400


@pytest.mark.parametrize("version", ["2025-06-18", "2025-11-25", LATER])
def test_later_versions_have_no_batches(server: Live, version: str) -> None:
    reply = say(server, [{"jsonrpc": "2.0", "id": 2, "method": "ping"}], MCP_Protocol_Version=version)
    assert (reply.status, error_code(reply)) == (400, -32600)


def test_a_batch_has_an_end(server: Live) -> None:
    ping = {"jsonrpc": "2.0", "id": 2, "method": "ping"}
    assert len(say(server, [ping] * 32).json) == 32
    assert error_code(say(server, [ping] * 33)) == -32600


@pytest.mark.parametrize("method", ["GET", "DELETE", "PUT", "HEAD"])
def test_there_are_no_sessions_and_no_streams(server: Live, method: str) -> None:
    reply = call(server, method, "/mcp", headers={"Accept": "text/event-stream"})
    assert reply.status == 405
    assert "POST" in reply.headers["allow"]


@pytest.mark.parametrize(("accept", "status"), [
    (OMIT, 200), ("*/*", 200), ("application/json", 200), ("application/json, text/event-stream", 200),
    ("application/*", 200), ("text/event-stream", 406), ("text/html", 406), ("garbage", 406),
    ("application/json;q=0, text/event-stream", 406), ("*/*;q=0.1, application/json;q=0", 406),
    ("text/*, */*;q=0.1", 200),
])
def test_whoever_can_read_json_is_answered(server: Live, accept: str, status: int) -> None:
    reply = say(server, {"jsonrpc": "2.0", "id": 1, "method": "ping"}, Accept=accept)
    assert reply.status == status
    assert reply.headers["content-type"] == "application/json"


def test_the_line_is_in_the_language_that_the_client_likes(server: Live) -> None:
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call",
               "params": {"name": "day_of_week", "arguments": {"date_str": "1969-07-20"}}}
    told = say(server, message, Accept_Language="de").json["result"]["content"][0]["text"]
    assert "Sonntag" in told


# The later version, where each request stands for itself

def ask_later(server: Live, method: str, params: dict[str, Any] | None = None, **headers: str) -> Reply:
    message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {"_meta": ENVELOPE, **(params or {})}}
    said = {"MCP_Protocol_Version": LATER, "Mcp_Method": method, **headers}
    return say(server, message, **{name: value for name, value in said.items() if value})


def test_it_tells_of_itself_and_names_itself_in_each_result(server: Live) -> None:
    told = ask_later(server, "server/discover").json["result"]
    assert LATER in told["supportedVersions"]
    assert told["resultType"] == "complete"
    assert told["_meta"]["io.modelcontextprotocol/serverInfo"] == {"name": "moe", "version": __version__}
    listed = ask_later(server, "tools/list").json["result"]
    assert {"ttlMs", "cacheScope", "tools", "resultType", "_meta"} == set(listed)


@pytest.mark.parametrize("name", ["calculate", "=?base64?Y2FsY3VsYXRl?="])
def test_a_later_call_names_its_tool_in_a_header_too(server: Live, name: str) -> None:
    params = {"name": "calculate", "arguments": {"expression": "1+1"}}
    reply = ask_later(server, "tools/call", params, Mcp_Name=name)
    assert (reply.status, reply.json["result"]["structuredContent"]["result"]) == (200, "2")


@pytest.mark.parametrize("headers", [
    {"Mcp_Method": ""}, {"Mcp_Method": "ping"}, {"Mcp_Name": ""}, {"Mcp_Name": "hash_text"},
    {"Mcp_Name": "=?base64?!!!?="}, {"Mcp_Name": "=?base64?/w==?="},
])
def test_headers_that_say_something_else_are_refused(server: Live, headers: dict[str, str]) -> None:
    params = {"name": "calculate", "arguments": {"expression": "1+1"}}
    reply = ask_later(server, "tools/call", params, **{"Mcp_Name": "calculate", **headers})
    assert (reply.status, error_code(reply)) == (400, -32020)


@pytest.mark.parametrize(("method", "params", "status", "code"), [
    ("ping", {}, 404, -32601), ("initialize", {}, 404, -32601), ("subscriptions/listen", {}, 404, -32601),
    ("tools/list", {"cursor": "2"}, 400, -32602), ("tools/list", {"_meta": {}}, 400, -32602),
    ("tools/list", {"_meta": None}, 400, -32602),
    ("tools/list", {"_meta": {**ENVELOPE, "io.modelcontextprotocol/protocolVersion": "2030-01-01"}}, 400, -32020),
])
def test_later_errors_have_a_status_of_their_own(
    server: Live, method: str, params: dict[str, Any], status: int, code: int
) -> None:
    reply = ask_later(server, method, params)
    assert (reply.status, error_code(reply)) == (status, code)


def test_a_later_answer_to_nothing_is_refused_and_a_notification_taken(server: Live) -> None:
    assert say(server, {"jsonrpc": "2.0", "id": 1, "result": {}}, MCP_Protocol_Version=LATER).status == 400
    told = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}}
    assert say(server, told, MCP_Protocol_Version=LATER).status == 202
    assert_serves(server)


# Anything at all

METHODS = st.sampled_from(["ping", "initialize", "tools/list", "tools/call", "server/discover",
                           "notifications/cancelled"])
WORDS = METHODS | st.sampled_from(["2.0", "calculate", "hash_text", "2025-06-18", LATER, "1+1"]) | st.text(max_size=5)
KEYS = WORDS | st.sampled_from(["name", "arguments", "expression", "text", "_meta", "cursor", "protocolVersion",
                                "capabilities", "clientInfo", "version", *ENVELOPE])
NUMBERS = st.integers(-(2**80), 2**80) | st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=12)
PARAMS = JSON | st.fixed_dictionaries({"name": WORDS | JSON, "arguments": JSON, "_meta": st.just(ENVELOPE) | JSON})
MESSAGES = JSON | st.fixed_dictionaries(
    {"jsonrpc": st.just("2.0") | JSON, "method": METHODS | JSON},
    optional={"id": st.integers(-(2**80), 2**80) | JSON, "params": PARAMS, "result": JSON})


@given(message=MESSAGES | st.lists(MESSAGES, max_size=3), method=METHODS, name=WORDS,
       version=st.sampled_from(["", "2025-03-26", "2025-11-25", LATER]))
@settings(deadline=None, max_examples=400)
def test_any_message_gets_a_reply_that_json_can_hold(message: object, version: str, method: str, name: str) -> None:
    reply = rpc.answer(message, rpc.Headers(version=version, method=method, name=name), TOOLBOX)
    assert reply.status in (200, 202, 400, 404)
    told = json.loads(msgspec.json.encode(reply.message))
    for part in told if isinstance(told, list) else [told] if told else []:
        assert part["jsonrpc"] == "2.0"
        assert ("result" in part) != ("error" in part)
