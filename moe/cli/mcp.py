"""The exact tools for a program that starts this one and speaks the Model Context Protocol over its two pipes."""

from __future__ import annotations

import argparse
import logging
import os
import signal
from functools import partial
from typing import Any

import anyio
import anyio.to_thread
import mcp_types as types
from mcp.server.lowlevel import Server
from mcp.shared.exceptions import MCPError

from .. import __version__
from ..errors import UnknownTool
from ..log import set_up
from ..tools.base import Language
from ..tools.mcp import INSTRUCTIONS, NAME, call_tool, list_tools
from ..tools.toolbox import Toolbox
from . import INTERRUPTED
from .line import read_settings
from .mcp_lines import open_lines
from .terminal import Terminal
from .toolbox import open_tools

CALLS_AT_ONCE = 4


def run(options: argparse.Namespace, terminal: Terminal) -> int:
    """Serves until standard input ends. Nothing but the protocol is written to standard output; the log has a file."""
    settings = read_settings(options)
    with open_tools(options) as toolbox:
        log = set_up(settings.logs_folder, level=settings.log_level, echoes=False)
        # Python's own way would wait for the thread that reads standard input, and so for another line.
        signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPTED))
        log.info("mcp serves %d tools", sum(1 for _ in toolbox))
        try:
            anyio.run(_serve, make_server(toolbox, language=options.language))
            log.info("mcp ended")
        except Exception as error:
            if not _is_of_pipe(error):
                raise
            log.warning("mcp ended: nobody reads standard output any more")
        logging.shutdown()
    return 0


def make_server(toolbox: Toolbox, *, language: Language = "en") -> Server[Any]:
    """The protocol's server over the tools, each call in a thread of its own."""
    places = anyio.CapacityLimiter(CALLS_AT_ONCE)

    async def list_them(_: Any, params: types.PaginatedRequestParams | None) -> types.ListToolsResult:
        if params is not None and params.cursor is not None:
            raise MCPError(types.INVALID_PARAMS, "there is only one page, so no cursor leads anywhere")
        return list_tools(toolbox)

    async def call(_: Any, params: types.CallToolRequestParams) -> types.CallToolResult:
        work = partial(call_tool, toolbox, params.name, params.arguments, language=language)
        try:
            return await anyio.to_thread.run_sync(work, limiter=places)
        except UnknownTool as error:
            raise MCPError(types.INVALID_PARAMS, error.message) from error

    return Server(NAME, version=__version__, instructions=INSTRUCTIONS, on_list_tools=list_them, on_call_tool=call)


async def _serve(server: Server[Any]) -> None:
    async with open_lines() as (incoming, outgoing):
        await server.run(incoming, outgoing, server.create_initialization_options())


def _is_of_pipe(error: Exception) -> bool:
    """Whether it says, in however many groups, that nobody reads what is written."""
    inner = getattr(error, "exceptions", None)
    return all(map(_is_of_pipe, inner)) if inner else isinstance(error, BrokenPipeError)
