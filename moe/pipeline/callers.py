"""Who called which tool: the results go back there, even if that one only stood in for another."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Generator
from contextlib import closing
from typing import Any

import msgspec

from ..core import ChatRequest, Chunk, Message, Started, ToolCall
from ..routing.names import Caller

MOST_CALLS = 4096


class CallerMemory:
    """The newest calls of all conversations, as hashes only. Thread-safe.

    Some models number their calls from 0 in every conversation, so an id counts together with what its conversation
    began with. Ollama's clients send no ids back: there a call is known by its name and arguments, who asked, and all
    that was asked before it. Two who made the same call then are told apart by nothing, and so neither is known. Both
    ways the asked model counts: what one model said is nothing to a conversation with another.
    """

    def __init__(self, *, most: int = MOST_CALLS) -> None:
        self._most_keys = 2 * most
        self._callers: OrderedDict[int, Caller | None] = OrderedDict()
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
        """`call` is one of the newest that the conversation shows."""
        key = _hash_id(call, request) if call.id else _hash_words(call, request, _find_asked(request))
        with self._lock:
            return self._callers.get(key)

    def _add(self, call: ToolCall, request: ChatRequest, caller: Caller) -> None:
        by_words = _hash_words(call, request, request.messages)
        with self._lock:
            known = self._callers.get(by_words, caller)
            self._put(_hash_id(call, request), caller)
            self._put(by_words, caller if known == caller else None)
            while len(self._callers) > self._most_keys:
                self._callers.popitem(last=False)

    def _put(self, key: int, caller: Caller | None) -> None:
        self._callers[key] = caller
        self._callers.move_to_end(key)


def _find_asked(request: ChatRequest) -> tuple[Message, ...]:
    """What the newest answer that the conversation shows was an answer to."""
    places = (place for place in reversed(range(len(request.messages))) if request.messages[place].role == "assistant")
    return request.messages[:next(places, len(request.messages))]


def _hash_id(call: ToolCall, request: ChatRequest) -> int:
    beginning = next((message.own_words for message in request.messages if message.role == "user"), "")
    return hash((request.model, beginning, call.id))


def _hash_words(call: ToolCall, request: ChatRequest, asked: tuple[Message, ...]) -> int:
    told = tuple((message.role, message.own_words) for message in asked if message.role in ("system", "user"))
    return hash((request.model, request.client, told, call.name, _spell(call.arguments)))


def _spell(arguments: str) -> str:
    """The same for the same values, however a client wrote them."""
    try:
        value: Any = msgspec.json.decode(arguments or "{}")
        return msgspec.json.encode(value, order="sorted").decode()
    except (ValueError, RecursionError):
        return arguments
