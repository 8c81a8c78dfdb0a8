"""Who called which tool: the results go back there, even if that one only stood in for another."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Generator
from contextlib import closing
from typing import Any

import msgspec

from ..core import ChatRequest, Chunk, Started, ToolCall
from ..routing.names import Caller

MOST_CALLS = 4096


class CallerMemory:
    """The newest calls of all conversations, as hashes only. Thread-safe.

    Some models number their calls from 0 in every conversation, so an id counts together with what its conversation
    began with. Ollama's clients send no ids back: there a call is known by its name and arguments.
    """

    def __init__(self, *, most: int = MOST_CALLS) -> None:
        self._most_keys = 2 * most
        self._callers: OrderedDict[int, Caller] = OrderedDict()
        self._lock = threading.Lock()

    def note(self, chunks: Generator[Chunk, None, None], request: ChatRequest) -> Generator[Chunk, None, None]:
        """Passes `chunks` on and closes them; what they call is remembered."""
        caller: Caller | None = None
        with closing(chunks):
            for chunk in chunks:
                if isinstance(chunk, Started):
                    caller = Caller(chunk.expert, chunk.model)
                elif isinstance(chunk, ToolCall) and caller is not None:
                    self._add(chunk, request, caller)
                yield chunk

    def find(self, call: ToolCall, request: ChatRequest) -> Caller | None:
        beginning = _find_beginning(request)
        key = _hash_id(call, beginning) if call.id else _hash_words(call, beginning)
        with self._lock:
            return self._callers.get(key)

    def _add(self, call: ToolCall, request: ChatRequest, caller: Caller) -> None:
        beginning = _find_beginning(request)
        with self._lock:
            for key in (_hash_id(call, beginning), _hash_words(call, beginning)):
                self._callers[key] = caller
                self._callers.move_to_end(key)
            while len(self._callers) > self._most_keys:
                self._callers.popitem(last=False)


def _find_beginning(request: ChatRequest) -> str:
    return next((message.own_words for message in request.messages if message.role == "user"), "")


def _hash_id(call: ToolCall, beginning: str) -> int:
    return hash((beginning, call.id))


def _hash_words(call: ToolCall, beginning: str) -> int:
    return hash((beginning, call.name, _spell(call.arguments)))


def _spell(arguments: str) -> str:
    """The same for the same values, however a client wrote them."""
    try:
        value: Any = msgspec.json.decode(arguments or "{}")
        return msgspec.json.encode(value, order="sorted").decode()
    except (ValueError, RecursionError):
        return arguments
