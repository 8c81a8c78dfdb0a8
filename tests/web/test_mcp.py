"""The Model Context Protocol over HTTP, with its own client."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client, ClientSession, MCPError
from mcp.client.streamable_http import streamable_http_client
from mcp_types import CallToolResult, TextContent

from moe import __version__
from tests.adversarial.kit import ECHO
from tests.live import Live, live_server, write_config

ERAS = ("legacy", "auto")
LATER = "2026-07-28"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    config = {"tools": {"disabled": ["roman_numeral"]}}
    with live_server(tmp_path_factory.mktemp("live"), config=config, experts=[ECHO]) as live:
        yield live


# The protocol's own client

def converse(server: Live, mode: str, talk: Callable[[Client], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        with anyio.fail_after(30):
            async with Client(f"{server.url}/mcp", mode=mode) as client:
                return await talk(client)

    return anyio.run(run)


def texts(result: CallToolResult) -> list[str]:
    return [part.text for part in result.content if isinstance(part, TextContent)]


@pytest.mark.parametrize(("mode", "version"), [("legacy", "2025-11-25"), ("auto", LATER), (LATER, LATER)])
def test_the_client_agrees_on_a_version_and_lists_the_tools(server: Live, mode: str, version: str) -> None:
    async def talk(client: Client) -> tuple[str, list[Any]]:
        return str(client.protocol_version), (await client.list_tools()).tools

    agreed, tools = converse(server, mode, talk)
    assert agreed == version
    named = {tool.name: tool for tool in server.gateway.tools.toolbox}
    assert [tool.name for tool in tools] == list(named)
    assert "roman_numeral" not in named
    for tool in tools:
        assert (tool.description, tool.input_schema) == (named[tool.name].description, named[tool.name].schema)
        assert tool.annotations.read_only_hint is True


@pytest.mark.parametrize("mode", ERAS)
def test_the_client_s_call_is_answered(server: Live, mode: str) -> None:
    result = converse(server, mode, lambda client: client.call_tool("calculate", {"expression": "15% of 239.99"}))
    assert not result.is_error
    assert texts(result) == ["15% of 239.99 = 35.9985"]
    assert result.structured_content == {"result": "35.9985", "text": "15% of 239.99 = 35.9985"}


@pytest.mark.parametrize("mode", ERAS)
def test_the_working_stands_under_the_line_that_answers(server: Live, mode: str) -> None:
    asked = {"principal": "200000", "annual_rate": "3.5", "years": "30"}
    result = converse(server, mode, lambda client: client.call_tool("loan_payment", asked))
    answer, working = texts(result)
    assert "\n" not in answer and result.structured_content["text"] == answer
    assert working.strip()


@pytest.mark.parametrize("mode", ERAS)
@pytest.mark.parametrize(("arguments", "told"), [
    ({}, "$.expression: missing"), ({"expression": [1], "y": 2}, "$.y: unknown argument"),
    ({"expression": "1/0"}, "division by zero"),
])
def test_what_a_tool_refuses_is_told_to_the_model(
    server: Live, mode: str, arguments: dict[str, Any], told: str
) -> None:
    result = converse(server, mode, lambda client: client.call_tool("calculate", arguments))
    assert result.is_error
    assert told in texts(result)[0]


@pytest.mark.parametrize("mode", ERAS)
@pytest.mark.parametrize("name", ["roman_numeral", "nothing", "größe"])
def test_a_tool_that_is_not_there_is_an_error_of_the_protocol(server: Live, mode: str, name: str) -> None:
    async def talk(client: Client) -> MCPError:
        with pytest.raises(MCPError) as caught:
            await client.call_tool(name, {"value": "5"})
        return caught.value

    error = converse(server, mode, talk).error
    assert (error.code, name in error.message) == (-32602, True)


@pytest.mark.parametrize("mode", ERAS)
def test_any_letters_come_and_go(server: Live, mode: str) -> None:
    text = "Grüße, 世界 🎉 \u2028 \x01"
    there = converse(server, mode, lambda client: client.call_tool("base64_codec", {"text": text}))
    back = converse(server, mode, lambda client: client.call_tool(
        "base64_codec", {"text": there.structured_content["result"], "mode": "decode"}))
    assert back.structured_content["result"] == text


def test_a_bare_session_shakes_hands_and_pings(server: Live) -> None:
    async def run() -> None:
        async with streamable_http_client(f"{server.url}/mcp") as streams, ClientSession(*streams[:2]) as session:
            told = await session.initialize()
            assert (told.server_info.name, told.server_info.version) == ("moe", __version__)
            assert told.instructions and told.capabilities.tools is not None
            assert told.capabilities.prompts is None and told.capabilities.resources is None
            await session.send_ping()
            assert (await session.call_tool("day_of_week", {"date_str": "1969-07-20"})).is_error is False

    anyio.run(run)


def test_many_calls_of_one_client_at_once_are_told_apart(server: Live) -> None:
    async def talk(client: Client) -> dict[int, str]:
        found: dict[int, str] = {}

        async def one(number: int) -> None:
            result = await client.call_tool("calculate", {"expression": f"{number}^2"})
            found[number] = result.structured_content["result"]

        async with anyio.create_task_group() as group:
            for number in range(40):
                group.start_soon(one, number)
        return found

    assert converse(server, "auto", talk) == {number: str(number**2) for number in range(40)}


# What it costs

def test_the_protocol_s_package_is_not_read_before_somebody_asks(tmp_path: Path) -> None:
    write_config(tmp_path, experts=[ECHO])
    code = """
import sys
from pathlib import Path
from app import create_app
from moe.config import Settings
from moe.service import Service
folder = Path(sys.argv[1])
service = Service(Settings(config_folder=folder / "config", data_folder=folder, models_folder=folder,
                           logs_folder=folder))
app = create_app(service)
service.start()
before = {name.partition(".")[0] for name in sys.modules}
ping = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
assert app.test_client().post("/mcp", json=ping).json["result"] == {}
after = {name.partition(".")[0] for name in sys.modules}
service.close()
print(*sorted(before & {"mcp_types", "pydantic", "mcp", "starlette"}), "|",
      *sorted(after & {"mcp_types", "pydantic", "mcp", "starlette"}))
"""
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, timeout=60,
                          check=True, cwd=Path(__file__).parents[2])
    assert done.stdout.strip() == "| mcp_types pydantic"
