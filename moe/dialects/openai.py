"""OpenAI's dialect: /v1/chat/completions and the model list."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..core import ChatRequest, Chunk, Done, Refusal, Text, Thinking, TokenLogprob, ToolCall, ToolCallPiece, Usage
from ..errors import MoeError, RequestError
from ..replies import Ending, Head, ModelCard, Whole
from .logprobs import write_entries
from .openai_wire import parse_chat
from .responses_tools import Toolbox, box_of, free_text
from .wire import call_id, encode, explain

FINGERPRINT = "fp_moe"

_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}


def error_body(error: MoeError) -> bytes:
    return encode({"error": error_of(error)})


def error_of(error: MoeError) -> dict[str, Any]:
    kind = _TYPES.get(error.status, "invalid_request_error" if error.status < 500 else "server_error")
    param = error.param if isinstance(error, RequestError) else None
    return {"message": explain(error), "type": kind, "param": param, "code": error.code}


def list_models(cards: Sequence[ModelCard]) -> dict[str, Any]:
    return {"object": "list", "data": [model(card) for card in cards]}


def model(card: ModelCard) -> dict[str, Any]:
    about = {"kind": card.kind, "description": card.description, "routes_to": card.routes_to}
    return {
        "id": card.name,
        "object": "model",
        "created": int(card.modified),
        "owned_by": "library" if card.kind == "model" else "moe",
        "x_moe": {**about, "capabilities": card.capabilities},
    }


class Events:
    """A streamed reply as server-sent events. The role goes ahead in a chunk of its own, as OpenAI sends it."""

    def __init__(self, request: ChatRequest, head: Head) -> None:
        self._head = head
        self._box = box_of(request)
        self._calls_functions = request.calls_functions
        self._include_usage = request.include_usage
        usage = b',"usage":null' if request.include_usage else b""
        self._open = b"data: " + encode(_stamp(head, "chat.completion.chunk"))[:-1] + b',"choices":['
        self._end = b',"finish_reason":null}]' + usage + b"}\n\n"
        self._close = b',"logprobs":null' + self._end
        self._begin(0)

    def _begin(self, index: int) -> None:
        self._index = index
        self._calls = 0
        self._grown: str | None = None  # what is written of the arguments of a call under way
        self._delta = self._open + b'{"index":%d,"delta":' % index
        self._text = self._delta + b'{"content":'
        self._text_close = b"}" + self._close
        self._role = self._delta + b'{"role":"assistant","content":"","refusal":null}' + self._close

    def chunk(self, chunk: Chunk) -> bytes:
        if isinstance(chunk, Text):
            event = self._refuse(chunk.text) if isinstance(chunk, Refusal) else self._write_text(chunk)
        elif isinstance(chunk, Thinking):
            event = b"".join((self._delta, encode(_reasoning(chunk.text)), self._close))
        elif isinstance(chunk, ToolCall):
            event = self._write_call(chunk)
        elif isinstance(chunk, ToolCallPiece):
            event = self._write_piece(chunk)
        else:
            return b""
        return self._take_role() + event if self._role else event

    def _write_text(self, chunk: Text) -> bytes:
        text = encode(chunk.text)
        if not chunk.logprobs:
            return b"".join((self._text, text, self._text_close))
        return b"".join((self._text, text, b'},"logprobs":', encode(_logprobs(chunk.logprobs)), self._end))

    def _refuse(self, text: str) -> bytes:
        return b"".join((self._delta, encode({"refusal": text}), self._close))

    def _write_piece(self, piece: ToolCallPiece) -> bytes:
        if self._box.named_by(piece.name).is_custom:
            return b""  # its text is wrapped in JSON: only the whole of it can be unwrapped
        told: dict[str, Any] = {"function": {"arguments": piece.arguments}}
        if self._grown is None:
            told = _call(ToolCall(piece.id, piece.name, piece.arguments), self._head, self._calls, self._box)
        self._grown = (self._grown or "") + piece.arguments
        return self._show(told)

    def _write_call(self, call: ToolCall) -> bytes:
        if self._grown is None:
            event = self._show(_call(call, self._head, self._calls, self._box))
        else:
            rest = call.arguments.removeprefix(self._grown)
            event = self._show({"function": {"arguments": rest}}) if rest else b""
        self._calls += 1
        self._grown = None
        return event

    def _show(self, told: dict[str, Any]) -> bytes:
        """A call, or what is new of one, in a delta."""
        delta = {"function_call": told["function"]} if self._calls_functions else {
            "tool_calls": [{"index": self._calls, **told}]}
        return b"".join((self._delta, encode(delta), self._close))

    def _take_role(self) -> bytes:
        role, self._role = self._role, b""
        return role

    def turn(self, done: Done) -> bytes:
        last = self._finish(done, {})
        self._begin(self._index + 1)
        return last

    def _finish(self, done: Done, extras: dict[str, Any]) -> bytes:
        reason = _finish(done, self._calls > 0, self._calls_functions)
        finish = {"index": self._index, "delta": {}, "logprobs": None, "finish_reason": reason}
        tail: dict[str, Any] = {"usage": None} if self._include_usage else {}
        if extras:
            tail["x_moe"] = extras
        events = [self._take_role(), self._open, encode(finish), b"]"]
        if tail:
            events += [b",", encode(tail)[1:-1]]
        return b"".join((*events, b"}\n\n"))

    def end(self, ending: Ending) -> bytes:
        events = [self._finish(ending.done, ending.extras)]
        if self._include_usage:
            events += [self._open, b'],"usage":', encode(usage_of(ending.done)), b"}\n\n"]
        return b"".join((*events, b"data: [DONE]\n\n"))

    def fail(self, error: MoeError) -> bytes:
        return b"data: " + error_body(error) + b"\n\n"


class Chat:
    """The Dialect of /v1/chat/completions."""

    stream_type: str = "text/event-stream; charset=utf-8"
    keep_alive: bytes = b": keep-alive\n\n"

    def parse(self, body: bytes) -> ChatRequest:
        return parse_chat(body)

    def writer(self, request: ChatRequest, head: Head) -> Events:
        return Events(request, head)

    def reply(self, whole: Whole, head: Head, ending: Ending) -> bytes:
        choices = [_choice(index, each, head) for index, each in enumerate((whole, *whole.others))]
        body = {**_stamp(head, "chat.completion"), "choices": choices, "usage": usage_of(ending.done)}
        if ending.extras:
            body["x_moe"] = ending.extras
        return encode(body)

    def error(self, error: MoeError) -> bytes:
        return error_body(error)


def _choice(index: int, whole: Whole, head: Head) -> dict[str, Any]:
    return {
        "index": index,
        "message": _message(whole, head),
        "logprobs": _logprobs(whole.logprobs) if whole.logprobs else None,
        "finish_reason": _finish(whole.done, bool(whole.tool_calls), head.asked.calls_functions),
    }


def _logprobs(tokens: tuple[TokenLogprob, ...]) -> dict[str, Any]:
    return {"content": write_entries(tokens), "refusal": None}


def _stamp(head: Head, kind: str) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{head.request_id}",
        "object": kind,
        "created": int(head.created),
        "model": head.model,
        "system_fingerprint": FINGERPRINT,
    }


def _message(whole: Whole, head: Head) -> dict[str, Any]:
    content = None if not whole.said and (whole.tool_calls or whole.refusal) else whole.said
    message: dict[str, Any] = {"role": "assistant", "content": content, "refusal": whole.refusal or None}
    if whole.thinking:
        message |= _reasoning(whole.thinking)
    if whole.tool_calls and head.asked.calls_functions:
        message["function_call"] = _call(whole.tool_calls[0], head, 0, Toolbox())["function"]
    elif whole.tool_calls:
        box = box_of(head.asked)
        message["tool_calls"] = [_call(call, head, i, box) for i, call in enumerate(whole.tool_calls)]
    return message


def _reasoning(text: str) -> dict[str, str]:
    """Under both names in use: OpenAI itself has none."""
    return {"reasoning_content": text, "reasoning": text}


def _call(call: ToolCall, head: Head, index: int, box: Toolbox) -> dict[str, Any]:
    name = call_id(call, head, index)
    if box.named_by(call.name).is_custom:
        return {"id": name, "type": "custom", "custom": {"name": call.name, "input": free_text(call.arguments)}}
    return {"id": name, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


def _finish(done: Done, has_calls: bool, calls_functions: bool) -> str:
    if done.finish in ("length", "content_filter"):
        return done.finish
    if not has_calls and done.finish != "tool_calls":
        return "stop"
    return "function_call" if calls_functions else "tool_calls"


def usage_of(done: Done) -> dict[str, Any]:
    usage = done.usage or Usage()
    told: dict[str, Any] = {
        "prompt_tokens": usage.prompt_tokens, "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
    }
    if usage.cached_tokens is not None:
        told["prompt_tokens_details"] = {"cached_tokens": usage.cached_tokens}
    if usage.reasoning_tokens is not None:
        told["completion_tokens_details"] = {"reasoning_tokens": usage.reasoning_tokens}
    return told


CHAT = Chat()
