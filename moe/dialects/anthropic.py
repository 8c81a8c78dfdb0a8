"""Anthropic's dialect: /v1/messages and, for whoever speaks it, the model list."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any

from ..core import ChatRequest, Chunk, Done, Refusal, Text, Thinking, ToolCall, ToolCallPiece, Usage
from ..errors import BadRequest, MoeError
from ..replies import Ending, Head, ModelCard, Whole
from .anthropic_tokens import estimate, guess
from .anthropic_wire import Asked, parse_count, parse_messages
from .tool import read_arguments
from .wire import call_id, encode, explain

__all__ = ["MESSAGES", "VERSION_HEADER", "Events", "Messages", "error_body", "estimate", "list_models", "model",
           "parse_count"]

VERSION_HEADER = "anthropic-version"
MOST_MODELS = 1000
TOO_LONG = "context_length_exceeded"

_TYPES = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_PING = b'event: ping\ndata: {"type":"ping"}\n\n'


def error_body(error: MoeError, request_id: str = "") -> bytes:
    return encode({"type": "error", "error": _error(error), "request_id": request_id or None})


def _error(error: MoeError) -> dict[str, str]:
    kind = _TYPES.get(error.status, "invalid_request_error" if error.status < 500 else "api_error")
    text = explain(error)
    # In these words: Claude Code shortens a conversation when it reads them.
    return {"type": kind, "message": f"prompt is too long: {text}" if error.code == TOO_LONG else text}


def list_models(cards: Sequence[ModelCard], *, limit: str = "", after: str = "", before: str = "") -> dict[str, Any]:
    """A page of the list, as the query asks for it. Raises BadRequest."""
    if limit and not (limit.isascii() and limit.isdecimal() and 1 <= int(limit[:9]) <= MOST_MODELS):
        raise BadRequest(f"limit: expected a number from 1 to {MOST_MODELS}", param="limit")
    first, last = 0, len(cards)
    if after:
        first = _place(cards, after, "after_id") + 1
    if before:
        last = _place(cards, before, "before_id")
    found = cards[first:last]
    most = int(limit or MOST_MODELS)
    page = found[-most:] if before and not after else found[:most]
    return {
        "data": [model(card) for card in page],
        "has_more": len(page) < len(found),
        "first_id": page[0].name if page else None,
        "last_id": page[-1].name if page else None,
    }


def _place(cards: Sequence[ModelCard], name: str, param: str) -> int:
    found = next((index for index, card in enumerate(cards) if card.name == name), None)
    if found is None:
        raise BadRequest(f"{param}: no model is called '{name[:80]}'", param=param)
    return found


def model(card: ModelCard) -> dict[str, Any]:
    created = datetime.fromtimestamp(int(card.modified), timezone.utc).isoformat().replace("+00:00", "Z")
    shown = f"{card.name}: {card.description}" if card.kind == "virtual" and card.description else card.name
    return {
        "type": "model",
        "id": card.name,
        "display_name": shown,
        "created_at": created,
        "lifecycle": "active",
        "max_input_tokens": card.context_length or None,
    }


class Events:
    """A streamed reply as named server-sent events: blocks in rising order, one open at a time."""

    def __init__(self, request: ChatRequest, head: Head) -> None:
        self._request = request
        self._head = head
        self._has_begun = False
        self._block = -1
        self._open: type[Chunk] | None = None
        self._calls = 0
        self._delta = b""
        self._call_id = ""
        self._written = 0
        self._refuses = False
        self._has_text = False

    def chunk(self, chunk: Chunk) -> bytes:
        if isinstance(chunk, Text):
            self._refuses = self._refuses or isinstance(chunk, Refusal)
            # a later block is a paragraph of its own anyway
            text = chunk.text.lstrip("\n") if self._has_text and self._open is not Text else chunk.text
            self._has_text = self._has_text or bool(text)
            return self._say(Text, text) if text else b""
        if isinstance(chunk, Thinking):
            if self._request.think is False:
                return _PING  # nobody asked for thoughts, but to hear nothing for long would look like a fault
            if not _shows_thoughts(self._request):
                return _PING if self._open is Thinking else self._switch(Thinking)
            return self._say(Thinking, chunk.text) if chunk.text else b""
        if isinstance(chunk, ToolCallPiece):
            return self._grow(chunk)
        if isinstance(chunk, ToolCall):
            return self._call(chunk)
        return b""

    def _say(self, kind: type[Chunk], text: str) -> bytes:
        opening = b"" if self._open is kind else self._switch(kind)
        return b"".join((opening, self._delta, encode(text), b"}}\n\n"))

    def _switch(self, kind: type[Chunk]) -> bytes:
        """Closes what is open and opens a block of text or thinking."""
        before = self._begin() + self._close()
        word, field = ("text", b"text") if kind is Text else ("thinking", b"thinking")
        block = {"type": word, word: ""} | ({"signature": ""} if kind is Thinking else {})
        opened = self._open_block(kind, block)
        self._delta = b"".join((
            b'event: content_block_delta\ndata: {"type":"content_block_delta","index":', str(self._block).encode(),
            b',"delta":{"type":"', field, b'_delta","', field, b'":',
        ))
        return before + opened

    def _grow(self, piece: ToolCallPiece) -> bytes:
        """A call that is not over yet: its block stays open."""
        opened = b""
        if self._open is not ToolCall:
            opened = self._open_call(piece.id, piece.name)
            self._call_id, self._written = piece.id, 0
        self._written += len(piece.arguments)
        return opened + (self._say_arguments(piece.arguments) if piece.arguments else b"")

    def _call(self, call: ToolCall) -> bytes:
        """One call, or the rest of it."""
        if self._open is ToolCall and call.id == self._call_id:
            rest = call.arguments[self._written:]
            return (self._say_arguments(rest) if rest else b"") + self._close()
        opened = self._open_call(call_id(call, self._head, self._calls), call.name)
        arguments = encode(read_arguments(call.arguments)).decode()
        return b"".join((opened, self._say_arguments(arguments), self._close()))

    def _open_call(self, name: str, function: str) -> bytes:
        before = self._begin() + self._close()
        self._calls += 1
        return before + self._open_block(ToolCall, {"type": "tool_use", "id": name, "name": function, "input": {}})

    def _say_arguments(self, text: str) -> bytes:
        delta = {"type": "input_json_delta", "partial_json": text}
        return _event("content_block_delta", index=self._block, delta=delta)

    def _open_block(self, kind: type[Chunk], block: dict[str, Any]) -> bytes:
        self._block += 1
        self._open = kind
        return _event("content_block_start", index=self._block, content_block=block)

    def _close(self) -> bytes:
        if self._open is None:
            return b""
        delta = {"type": "signature_delta", "signature": ""}
        signed = _event("content_block_delta", index=self._block, delta=delta) if self._open is Thinking else b""
        self._open = None
        return signed + _event("content_block_stop", index=self._block)

    def _begin(self) -> bytes:
        if self._has_begun:
            return b""
        self._has_begun = True
        told = Usage(prompt_tokens=guess(self._head.sent or self._request), completion_tokens=1)
        message = _message(self._head, []) | {"usage": _usage(Done(usage=told))}
        return _event("message_start", message=message) + _PING

    def end(self, ending: Ending) -> bytes:
        done = ending.done
        delta = _stop(done, has_calls=self._calls > 0, refuses=self._refuses)
        extras = {"x_moe": ending.extras} if ending.extras else {}
        return b"".join((
            self._begin(), self._close(), _event("message_delta", delta=delta, usage=_usage(done), **extras),
            _event("message_stop"),
        ))

    def fail(self, error: MoeError) -> bytes:
        return b"event: error\ndata: " + error_body(error, self._head.request_id) + b"\n\n"


class Messages:
    """The Dialect of /v1/messages."""

    stream_type: str = "text/event-stream; charset=utf-8"
    keep_alive: bytes = _PING

    def parse(self, body: bytes) -> ChatRequest:
        return parse_messages(body)

    def writer(self, request: ChatRequest, head: Head) -> Events:
        return Events(request, head)

    def reply(self, whole: Whole, head: Head, ending: Ending) -> bytes:
        body = _message(head, _content(whole, head)) | _stop(
            ending.done, has_calls=bool(whole.tool_calls), refuses=bool(whole.refusal))
        extras = {"x_moe": ending.extras} if ending.extras else {}
        return encode(body | {"usage": _usage(ending.done)} | extras)

    def error(self, error: MoeError) -> bytes:
        return error_body(error)


def _event(name: str, **fields: Any) -> bytes:
    return b"".join((b"event: ", name.encode(), b"\ndata: ", encode({"type": name, **fields}), b"\n\n"))


def _message(head: Head, content: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "id": f"msg_{head.request_id}",
        "type": "message",
        "role": "assistant",
        "model": head.model,
        "content": content,
        "stop_reason": None,
        "stop_sequence": None,
    }


def _shows_thoughts(request: ChatRequest) -> bool:
    return not isinstance(request, Asked) or request.shows_thoughts


def _content(whole: Whole, head: Head) -> list[dict[str, Any]]:
    content: list[dict[str, Any]] = []
    if whole.thinking:
        thought = whole.thinking if _shows_thoughts(head.asked) else ""
        content.append({"type": "thinking", "thinking": thought, "signature": ""})
    if whole.text:
        content.append({"type": "text", "text": whole.text})
    for index, call in enumerate(whole.tool_calls):
        used = {"type": "tool_use", "id": call_id(call, head, index), "name": call.name}
        content.append({**used, "input": read_arguments(call.arguments)})
    return content


def _stop(done: Done, *, has_calls: bool, refuses: bool) -> dict[str, str | None]:
    if done.finish == "length":
        reason = "max_tokens"
    elif done.finish == "content_filter" or refuses:
        reason = "refusal"
    elif has_calls or done.finish == "tool_calls":
        reason = "tool_use"
    else:
        reason = "stop_sequence" if done.stop_sequence else "end_turn"
    return {"stop_reason": reason, "stop_sequence": done.stop_sequence if reason == "stop_sequence" else None}


def _usage(done: Done) -> dict[str, int]:
    """What was read from a cache is counted by itself."""
    usage = done.usage or Usage()
    cached = min(usage.cached_tokens or 0, usage.prompt_tokens)
    return {
        "input_tokens": usage.prompt_tokens - cached,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": cached,
        "output_tokens": usage.completion_tokens,
    }


MESSAGES = Messages()
