"""What stands between standard input and output and the protocol's server: no line that was read goes unanswered."""

from __future__ import annotations

import io
import json
import logging
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import mcp_types as types
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.server.stdio import stdio_server
from mcp.shared.message import SessionMessage
from pydantic import ValidationError

log = logging.getLogger("moe.tools")

Incoming = SessionMessage | Exception
CANCELLED = "notifications/cancelled"


class Lines:
    """The server gets what was read through `incoming`, and says through `outgoing` what it has to say."""

    def __init__(self) -> None:
        self._to_server, self.incoming = anyio.create_memory_object_stream[Incoming](0)
        self.outgoing, self._from_server = anyio.create_memory_object_stream[SessionMessage](0)
        self._open: Counter[Any] = Counter()
        self._all_answered = anyio.Event()
        self._has_ended = False

    async def take_in(self, source: Any, out: MemoryObjectSendStream[SessionMessage]) -> None:
        """Until the input ends and all that it asked is answered; what is no message is answered here."""
        async with self._to_server:
            async for item in source:
                if isinstance(item, Exception):
                    told = _refuse(item)
                    if told is not None:
                        await out.send(told)
                    continue
                self._note(item.message)
                await self._to_server.send(item)
            self._has_ended = True
            self._check()
            await self._all_answered.wait()

    async def give_out(self, out: MemoryObjectSendStream[SessionMessage]) -> None:
        async with self._from_server:
            async for said in self._from_server:
                await out.send(said)
                if isinstance(said.message, (types.JSONRPCResponse, types.JSONRPCError)):
                    self._open[said.message.id] -= 1
                    self._check()

    def _note(self, message: Any) -> None:
        if isinstance(message, types.JSONRPCRequest):
            self._open[message.id] += 1
        elif isinstance(message, types.JSONRPCNotification) and message.method == CANCELLED:
            self._open[(message.params or {}).get("requestId")] = 0  # whoever cancels one gets no answer to it

    def _check(self) -> None:
        if self._has_ended and not any(count > 0 for count in self._open.values()):
            self._all_answered.set()


@asynccontextmanager
async def open_lines() -> AsyncIterator[tuple[MemoryObjectReceiveStream[Incoming],
                                              MemoryObjectSendStream[SessionMessage]]]:
    """Standard input, read to the letter, and standard output."""
    text = io.TextIOWrapper(sys.stdin.buffer, encoding="utf-8", errors="surrogateescape")
    lines = Lines()
    async with stdio_server(stdin=anyio.wrap_file(text)) as (source, out):
        async with anyio.create_task_group() as group:
            group.start_soon(lines.take_in, source, out)
            group.start_soon(lines.give_out, out)
            yield lines.incoming, lines.outgoing
        await out.aclose()


def _refuse(error: Exception) -> SessionMessage | None:
    """The answer to a line that is no message; None for an empty one."""
    if not isinstance(error, ValidationError):
        log.error("a line cannot be read: %s", type(error).__name__)
        return _tell(types.INTERNAL_ERROR, "the line cannot be read", "")
    first = error.errors(include_url=False, include_context=False)[0]
    if first["type"] not in ("json_invalid", "string_unicode"):
        return _tell(types.INVALID_REQUEST, "this is no JSON-RPC request or notification", "")
    line = str(first["input"])
    return _tell(types.PARSE_ERROR, "this is no JSON that can be read", line) if line.strip() else None


def _tell(code: int, message: str, line: str) -> SessionMessage:
    told = types.ErrorData(code=code, message=message)
    return SessionMessage(types.JSONRPCError(jsonrpc="2.0", id=_find_id(line), error=told))


def _find_id(line: str) -> str | int | None:
    """Of a request that another reader can make out, so that nobody waits for its answer."""
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        return None
    found = message.get("id") if isinstance(message, dict) else None
    is_plain = isinstance(found, str | int) and not isinstance(found, bool)
    return found if is_plain and str(found).isprintable() else None
