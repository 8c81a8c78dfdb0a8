"""`mcp`: the exact tools over two pipes, with the protocol's own client and line by line."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest
from mcp import Client, ClientSession, MCPError, StdioServerParameters
from mcp.client.stdio import stdio_client

from moe import __version__
from moe.config.settings import ROOT
from tests.cli.house import House

ERAS = ("legacy", "auto")


@pytest.fixture
def alone(inside: House) -> House:
    """Neither a server nor an Ollama runs."""
    inside.ollama.stop()
    inside.write(config={"tools": {"disabled": ["roman_numeral"]}})
    return inside


def start(house: House, *words: str) -> StdioServerParameters:
    return StdioServerParameters(command=sys.executable, args=["-m", "moe", "mcp", *words], env=house.env,
                                 cwd=house.folder)


def converse(house: House, mode: str, talk: Callable[[Client], Awaitable[Any]], *words: str) -> Any:
    async def run() -> Any:
        with anyio.fail_after(60):
            async with Client(stdio_client(start(house, *words)), mode=mode) as client:
                return await talk(client)

    return anyio.run(run)


@pytest.mark.parametrize("mode", ERAS)
def test_the_client_lists_and_calls(alone: House, mode: str) -> None:
    async def talk(client: Client) -> None:
        assert "roman_numeral" not in (names := [tool.name for tool in (await client.list_tools()).tools])
        assert {"calculate", "solve_equation", "json_query"} <= set(names)
        good = await client.call_tool("calculate", {"expression": "15% of 239.99"})
        assert (good.is_error, good.content[0].text) == (False, "15% of 239.99 = 35.9985")
        assert good.structured_content == {"result": "35.9985", "text": "15% of 239.99 = 35.9985"}
        solved = await client.call_tool("solve_equation", {"equation": "x^2 = 9"})
        assert solved.structured_content["result"]["solutions"] == [-3, 3]
        for arguments, told in (({}, "$.expression: missing"), ({"expression": "1/0"}, "division by zero")):
            bad = await client.call_tool("calculate", arguments)
            assert (bad.is_error, bad.content[0].text) == (True, told)
        for name in ("roman_numeral", "nothing"):
            with pytest.raises(MCPError) as caught:
                await client.call_tool(name, {"value": "5"})
            assert caught.value.error.code == -32602
        text = "Grüße, 世界 🎉 \u2028 \x01"
        packed = (await client.call_tool("base64_codec", {"text": text})).structured_content["result"]
        opened = await client.call_tool("base64_codec", {"text": packed, "mode": "decode"})
        assert opened.structured_content["result"] == text

    converse(alone, mode, talk)


def test_a_bare_session_shakes_hands_and_pings(alone: House) -> None:
    async def run() -> None:
        async with stdio_client(start(alone)) as streams, ClientSession(*streams) as session:
            told = await session.initialize()
            assert (told.server_info.name, told.server_info.version) == ("moe", __version__)
            assert told.instructions
            await session.send_ping()

    anyio.run(run)


def test_it_says_things_in_the_language_asked_for(alone: House) -> None:
    said = converse(alone, "auto", lambda client: client.call_tool("day_of_week", {"date_str": "1969-07-20"}),
                    "--language", "de")
    assert "Sonntag" in said.content[0].text


def test_nothing_but_the_protocol_is_on_standard_output_and_its_end_ends_it(alone: House) -> None:
    hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
    lines = [
        json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello}), "{ no json", "",
        json.dumps({"jsonrpc": "2.0", "method": "notifications/initialized"}),
        '{"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "hash_text", "arguments": '
        '{"text": "half a pair \\ud83d"}}}',
        json.dumps({"jsonrpc": "2.0", "id": 3, "method": "prompts/list"}),
        json.dumps({"jsonrpc": "2.0", "id": 4, "method": "tools/call",
                    "params": {"name": "prime_factorize", "arguments": {"n": str((10**24 + 7) * (10**25 + 13))}}}),
        json.dumps({"jsonrpc": "2.0", "id": 5, "method": "tools/call", "params": {"name": "calculate", "arguments": {
            "expression": "2^10"}}}),
    ]
    with alone.running("mcp") as process:
        process.stdin.write(("\n".join(lines) + "\n").encode())
        process.stdin.flush()
        told: dict[object, Any] = {}
        while not {1, 3, 4, 5} <= set(told):
            message = json.loads(process.stdout.readline())
            assert message["jsonrpc"] == "2.0"
            told[message.get("id")] = message
        process.stdin.close()
        assert process.stdout.read() == b""
        assert process.wait(timeout=20) == 0
        assert b"Traceback" not in process.stderr.read()
    assert told[3]["error"]["code"] == -32601
    assert told[4]["result"]["isError"] is True
    assert told[5]["result"]["structuredContent"]["result"] == "1024"
    assert "mcp ended" in (alone.folder / "logs" / "moe.log").read_text()


HELLO = [
    {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
        "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}},
    {"jsonrpc": "2.0", "method": "notifications/initialized"},
]


def pipe(house: House, *lines: str | bytes | dict[str, Any]) -> list[Any]:
    """What comes back when all is sent at once, and nothing after it."""
    sent = (json.dumps(line) if isinstance(line, dict) else line for line in (*HELLO, *lines))
    whole = b"\n".join(line if isinstance(line, bytes) else line.encode() for line in sent) + b"\n"
    with house.running("mcp") as process:
        told, complaints = process.communicate(whole, timeout=60)
    assert (process.returncode, complaints) == (0, b"")
    first, *others = map(json.loads, told.splitlines())
    assert first["id"] == 0
    return others


def calling(name: str, number: int, **arguments: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": {"name": name, "arguments": arguments}}


def test_all_that_was_read_is_answered_before_it_ends(alone: House) -> None:
    told = pipe(alone, *(calling("calculate", number, expression=f"{number}+1") for number in range(1, 31)),
                calling("solve_equation", 31, equation="x^2=9"), {"jsonrpc": "2.0", "id": 32, "method": "nothing"})
    assert sorted(each["id"] for each in told) == list(range(1, 33))
    results = {each["id"]: each["result"] for each in told if "result" in each}
    assert all(results[number]["structuredContent"]["result"] == str(number + 1) for number in range(1, 31))


def test_a_call_that_is_cancelled_is_not_waited_for(alone: House) -> None:
    gone = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}}
    told = pipe(alone, calling("solve_equation", 1, equation="x^2=9"), gone, calling("calculate", 2, expression="1+1"))
    assert 2 in [each["id"] for each in told]


def test_a_line_that_cannot_be_read_is_told_so(alone: House) -> None:
    half = calling("hash_text", 7, text="half a pair \ud800")
    no_text = json.dumps(calling("hash_text", 8, text="?")).encode().replace(b"?", b"\xff")
    unread = ["{ no json", b"\xff", "[" * 5000, half, no_text]
    unfit = ["null", "{}", "[]", '{"jsonrpc": "1.0", "id": 3, "method": "ping"}']
    told = pipe(alone, "", *unread, " ", *unfit, calling("calculate", 5, expression="1+1"))
    assert [each["id"] for each in told if "result" in each] == [5]
    wrong = [(each["id"], each["error"]["code"]) for each in told if "error" in each]
    assert wrong == [*((of, -32700) for of in (None, None, None, 7, 8)), *[(None, -32600)] * 4]


def test_when_nobody_reads_it_ends_without_a_word(alone: House) -> None:
    with alone.running("mcp") as process:
        process.stdin.write(json.dumps(HELLO[0]).encode() + b"\n")
        process.stdin.flush()
        process.stdout.readline()
        process.stdout.close()
        process.stdin.write(json.dumps(calling("calculate", 1, expression="1+1")).encode() + b"\n")
        process.stdin.close()
        assert process.wait(timeout=20) == 0
        assert process.stderr.read() == b""


def test_an_interrupt_ends_it_although_it_waits_for_a_line(alone: House) -> None:
    ping = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    with alone.running("mcp") as process:
        process.stdin.write(json.dumps(ping).encode() + b"\n")
        process.stdin.flush()
        assert json.loads(process.stdout.readline()) == {"jsonrpc": "2.0", "id": 1, "result": {}}
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=10) == 130
        assert process.stderr.read() == b""


def test_a_refused_config_says_so_before_anything_is_served(alone: House) -> None:
    alone.write(config={"tools": {"disabled": ["abacus"]}})
    done = alone.moe("mcp")
    assert (done.returncode, done.stdout, "abacus" in done.stderr) == (2, "", True)


def test_nothing_of_it_is_bound_to_a_folder(alone: House) -> None:
    """As programs start it: from wherever they are, with hardly an environment."""
    parameters = start(alone)
    parameters.env = {"PYTHONPATH": str(ROOT), "MOE_CONFIG": f"{alone.folder}/config", "MOE_LOGS": "/proc/none"}
    parameters.cwd = "/"

    async def run() -> None:
        async with Client(stdio_client(parameters)) as client:
            assert (await client.call_tool("calculate", {"expression": "1+1"})).content[0].text == "1+1 = 2"

    anyio.run(run)
