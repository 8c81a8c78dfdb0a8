"""The exact tools over HTTP, from a live server."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from moe.errors import ToolError
from moe.tools.known import TOOLS
from tests.adversarial.kit import ECHO, Reply, assert_refused, assert_serves, becomes_true, call, post
from tests.live import Live, live_server, write_config

CASES = Path(__file__).parents[1] / "tools" / "cases"
SAFE = 2**53


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    config = {"tools": {"disabled": ["roman_numeral"]}}
    with live_server(tmp_path_factory.mktemp("live"), config=config, experts=[ECHO]) as live:
        yield live


def use(server: Live, name: str, arguments: object = None, **headers: str) -> Reply:
    body = b"" if arguments is None else arguments if isinstance(arguments, bytes) else json.dumps(arguments).encode()
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    return post(server, f"/v1/tools/{name}", body, headers=named)


# The list

def test_every_enabled_tool_is_listed_with_what_it_takes(server: Live) -> None:
    told = call(server, "GET", "/v1/tools").json
    assert told["object"] == "list"
    assert [tool["name"] for tool in told["data"]] == [tool.name for tool in TOOLS if tool.name != "roman_numeral"]
    for tool in told["data"]:
        assert set(tool) == {"name", "description", "family", "inputSchema"}
        assert tool["description"].strip()
        jsonschema.Draft202012Validator.check_schema(tool["inputSchema"])
        assert set(tool["inputSchema"]["required"]) <= set(tool["inputSchema"]["properties"])


def test_a_list_is_only_got(server: Live) -> None:
    for method in ("POST", "DELETE", "PUT"):
        reply = call(server, method, "/v1/tools", b"{}")
        assert_refused(reply, "/v1", 405)
        assert "GET" in reply.headers["allow"]


# Answers

def test_the_arguments_are_the_body_and_the_answer_is_typed(server: Live) -> None:
    reply = use(server, "calculate", {"expression": "15% of 239.99"})
    assert (reply.status, reply.headers["content-type"]) == (200, "application/json; charset=utf-8")
    assert reply.json == {"tool": "calculate", "result": "35.9985", "text": "15% of 239.99 = 35.9985"}
    assert reply.headers["x-moe-tool"] == "calculate"


def test_the_working_and_the_source_stand_beside_it_where_there_are_any(server: Live) -> None:
    told = use(server, "loan_payment", {"principal": "200000", "annual_rate": "3.5", "years": "30"}).json
    assert set(told) == {"tool", "result", "text", "steps"}
    assert all(isinstance(step, str) for step in told["steps"])


def test_the_working_is_left_out_where_there_is_none(server: Live) -> None:
    assert set(use(server, "day_of_week", {"date_str": "1969-07-20"}).json) == {"tool", "result", "text"}


@pytest.mark.parametrize(("asked", "word"), [
    ("", "Sunday"), ("de", "Sonntag"), ("de-AT", "Sonntag"), ("es-MX,es;q=0.9", "domingo"), ("fr", "Sunday"),
    ("fr, es;q=0.4, de;q=0.6", "Sonntag"), ("en;q=0.1, de;q=0", "Sunday"), ("*", "Sunday"), ("DE", "Sonntag"),
    ("de;q=x", "Sunday"), (";;;,", "Sunday"),
])
def test_it_speaks_the_language_that_the_client_likes_best(server: Live, asked: str, word: str) -> None:
    headers = {"Accept_Language": asked} if asked else {}
    assert word in use(server, "day_of_week", {"date_str": "1969-07-20"}, **headers).json["text"]


def test_what_is_beyond_floats_stays_exact(server: Live) -> None:
    told = use(server, "calculate", {"expression": "2^200 + 1"}).json
    assert told["result"] == str(2**200 + 1)
    told = use(server, "prime_factorize", b'{"n": %d}' % (2**67 - 1)).json
    assert [factor["prime"] for factor in told["result"]["factors"]] == [193707721, 761838257287]


def test_half_a_character_is_refused_rather_than_replaced(server: Live) -> None:
    reply = post(server, "/v1/tools/hash_text", b'{"text": "\\ud800"}')
    assert (reply.status, "half a character" in reply.message) == (400, True)


def test_a_megabyte_of_text_passes_and_no_more(server: Live) -> None:
    text = "a" * 1_000_000
    assert use(server, "hash_text", {"text": text}).json["result"] == hashlib.sha256(text.encode()).hexdigest()
    longer = use(server, "hash_text", {"text": text + "x"})
    assert (longer.status, longer.json["error"]["param"]) == (400, "$.text")
    assert use(server, "hash_text", {"text": text + "x" * 50_000}).status == 413
    assert_serves(server)


def test_every_case_is_answered_over_http_as_it_is_in_process(server: Live) -> None:
    toolbox = server.gateway.tools.toolbox
    count = 0
    for file in sorted(CASES.glob("*.jsonl")):
        for case in map(json.loads, file.read_text("utf-8").splitlines()):
            if case.get("tool") not in toolbox:
                continue
            try:
                outcome = toolbox.call(case["tool"], case["args"], language=case["lang"])
            except ToolError:
                continue
            reply = use(server, case["tool"], case["args"], Accept_Language=case["lang"])
            told = json.loads(reply.body, parse_constant=pytest.fail)
            assert told["result"] == json.loads(json.dumps(outcome.result)), case
            assert told["text"] == outcome.text
            assert find_unsafe(told["result"]) == [], case
            count += 1
    assert count > 500


def find_unsafe(value: Any) -> list[Any]:
    """Numbers that a reader of JSON may not keep exactly."""
    if isinstance(value, dict):
        return [each for inner in value.values() for each in find_unsafe(inner)]
    if isinstance(value, list):
        return [each for inner in value for each in find_unsafe(inner)]
    return [value] if isinstance(value, float) or (isinstance(value, int) and abs(value) > SAFE) else []


# Errors

def test_every_wrong_argument_is_named_with_its_path(server: Live) -> None:
    reply = use(server, "gcd_lcm", {"a": "many", "operation": "sum", "c": 1})
    assert reply.status == 400
    error = reply.json["error"]
    assert (error["type"], error["code"]) == ("invalid_request_error", "invalid_arguments")
    paths = [each["path"] for each in error["details"]]
    assert sorted(paths) == ["$.a", "$.b", "$.c", "$.operation"]
    assert error["param"] == paths[0]
    assert all(f"{each['path']}: {each['message']}" in error["message"] for each in error["details"])
    assert "x-moe-tool" not in reply.headers


def test_no_body_is_no_arguments(server: Live) -> None:
    for body in (None, b"", b" \n", b"{}"):
        error = use(server, "calculate", body).json["error"]
        assert (error["code"], error["details"]) == (
            "invalid_arguments", [{"path": "$.expression", "message": "missing"}])


@pytest.mark.parametrize("body", [b"[1]", b'"x"', b"5", b"null", b"{", b"\xff", b'{"expression": 1e999}', b"[" * 5000,
                                  b'{"expression":' * 100 + b"1" + b"}" * 100])
def test_a_body_that_is_no_object_is_a_bad_request(server: Live, body: bytes) -> None:
    assert_refused(use(server, "calculate", body), "/v1", 400)


def test_what_has_no_answer_is_a_422_that_says_why(server: Live) -> None:
    reply = use(server, "calculate", {"expression": "1/0"})
    assert_refused(reply, "/v1", 422)
    assert reply.json["error"] == {
        "message": "division by zero", "type": "invalid_request_error", "param": None, "code": "tool_error"}


def test_what_takes_too_long_is_a_504(server: Live) -> None:
    reply = use(server, "prime_factorize", {"n": (10**24 + 7) * (10**25 + 13)})
    assert_refused(reply, "/v1", 504)
    assert (reply.json["error"]["code"], reply.json["error"]["type"]) == ("tool_timeout", "server_error")


@pytest.mark.parametrize("name", ["nothing", "roman_numeral", "Calculate", "calculate%0A", "%2e%2e", "__class__"])
def test_what_is_no_tool_or_disabled_is_a_404(server: Live, name: str) -> None:
    reply = use(server, name, {"value": "5"})
    assert_refused(reply, "/v1", 404)
    assert reply.json["error"]["code"] == "unknown_tool"


def test_a_tool_is_only_posted_to(server: Live) -> None:
    reply = call(server, "GET", "/v1/tools/calculate")
    assert_refused(reply, "/v1", 405)
    assert "POST" in reply.headers["allow"]


@pytest.mark.parametrize(("method", "path"), [("GET", "/v1/tools"), ("POST", "/v1/tools/calculate"), ("POST", "/mcp")])
def test_foreign_pages_and_names_are_kept_out(server: Live, method: str, path: str) -> None:
    for headers in ({"Origin": "https://evil.example"}, {"Host": "evil.example"}):
        assert call(server, method, path, b"{}", headers=headers).status == 403


@pytest.mark.parametrize("path", ["/v1/tools", "/v1/tools/calculate", "/mcp"])
def test_a_page_that_is_allowed_may_ask_and_read(server: Live, path: str) -> None:
    asked = {"Origin": "http://localhost:3000", "Access-Control-Request-Method": "POST",
             "Access-Control-Request-Headers": "content-type, mcp-protocol-version"}
    reply = call(server, "OPTIONS", path, headers=asked)
    assert reply.status == 204
    assert reply.headers["access-control-allow-origin"] == "http://localhost:3000"
    allowed = reply.headers["access-control-allow-headers"].lower().split(", ")
    assert {"content-type", "mcp-protocol-version", "mcp-method", "mcp-name"} <= set(allowed)
    assert "X-MoE-Tool" in reply.headers["access-control-expose-headers"].split(", ")


def test_calls_count_against_the_rate_and_the_list_does_not(tmp_path: Path) -> None:
    config = {"rate_limit": {"requests_per_minute": 2, "exempt": []}}
    with live_server(tmp_path, config=config, experts=[ECHO]) as live:
        assert {call(live, "GET", "/v1/tools").status for _ in range(5)} == {200}
        replies = [use(live, "calculate", {"expression": "1+1"}) for _ in range(3)]
        assert [reply.status for reply in replies] == [200, 200, 429]
        assert int(replies[-1].headers["retry-after"]) >= 1
        batch = [{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "calculate"}}]
        assert post(live, "/mcp", batch).status == 429
        assert post(live, "/mcp", {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}).status == 200


def test_a_reload_takes_a_tool_away_and_gives_it_back(tmp_path: Path) -> None:
    with live_server(tmp_path, experts=[ECHO]) as live:
        assert use(live, "calculate", {"expression": "1+1"}).status == 200
        write_config(tmp_path, config={"tools": {"disabled": ["calculate"]}}, experts=[ECHO])
        assert live.service.reload()
        assert becomes_true(lambda: use(live, "calculate", {"expression": "1+1"}).status == 404)
        assert "calculate" not in [tool["name"] for tool in call(live, "GET", "/v1/tools").json["data"]]
        write_config(tmp_path, experts=[ECHO])
        assert live.service.reload()
        assert use(live, "calculate", {"expression": "1+1"}).status == 200
