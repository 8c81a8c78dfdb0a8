"""LiteLLM's form of a chat (OpenAI's): ChatRequest -> call arguments, streamed pieces -> chunks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msgspec import structs

from ..core import ChatRequest, Chunk, Done, Finish, Image, Message, Text, Thinking, ToolCall, ToolResult, Usage
from ..errors import BrokenStream

_SAMPLING = ("temperature", "top_p", "presence_penalty", "frequency_penalty", "seed", "max_tokens")
_FINISH: dict[str, Finish] = {"length": "length", "tool_calls": "tool_calls", "function_call": "tool_calls"}


def write_request(request: ChatRequest) -> dict[str, Any]:
    """The keyword arguments of a streamed completion, model and credentials left out."""
    call: dict[str, Any] = {
        "messages": [_write_message(message) for message in request.messages],
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    for name in _SAMPLING:
        value = getattr(request.sampling, name)
        if value is not None:
            call[name] = value
    if request.sampling.stop:
        call["stop"] = list(request.sampling.stop)
    if request.tools:
        call["tools"] = list(request.tools)
        for name in ("tool_choice", "parallel_tool_calls"):
            if getattr(request, name) is not None:
                call[name] = getattr(request, name)
    if request.format == "json":
        call["response_format"] = {"type": "json_object"}
    elif request.format is not None:
        call["response_format"] = {"type": "json_schema", "json_schema": _write_schema(request)}
    if isinstance(request.think, str):
        call["reasoning_effort"] = request.think
    return call


def write_extras(request: ChatRequest) -> dict[str, Any]:
    """What OpenAI's API lacks, in the names of vLLM and llama.cpp; each skips the other's."""
    sampling = request.sampling
    extras = {
        "top_k": sampling.top_k,
        "min_p": sampling.min_p,
        "repeat_penalty": sampling.repeat_penalty,
        "repetition_penalty": sampling.repeat_penalty,
    }
    return {name: value for name, value in extras.items() if value is not None}


class ChunkReader:
    """Reads the pieces of one stream; tool calls arrive in parts and leave whole."""

    def __init__(self) -> None:
        self._calls: dict[int, dict[str, str]] = {}
        self._finish = ""
        self._usage: Usage | None = None

    def read(self, piece: Any) -> Iterator[Chunk]:
        usage = getattr(piece, "usage", None)
        if usage is not None:
            self._usage = Usage(prompt_tokens=usage.prompt_tokens or 0, completion_tokens=usage.completion_tokens or 0)
        for choice in piece.choices or ():
            self._finish = choice.finish_reason or self._finish
            delta = choice.delta
            thinking = getattr(delta, "reasoning_content", None)
            if thinking:
                yield Thinking(thinking)
            if delta.content:
                yield Text(delta.content)
            for part in delta.tool_calls or ():
                self._gather(part)

    def finish(self, stream: Any) -> Iterator[Chunk]:
        """The gathered tool calls and the Done; `stream` is LiteLLM's wrapper, read to its end.

        LiteLLM closes every stream with a finish and a usage of its own; whether the upstream sent one too is
        known to the wrapper. Raises BrokenStream when the upstream did not say that it had finished.
        """
        if not (stream.received_finish_reason or stream.intermittent_finish_reason):
            raise BrokenStream("the stream ended without its end mark")
        for index, call in sorted(self._calls.items()):
            yield ToolCall(call["id"] or f"call_{index}", call["name"], call["arguments"] or "{}")
        finish = "tool_calls" if self._calls else _FINISH.get(self._finish, "stop")
        is_counted = any(getattr(piece, "usage", None) is not None for piece in stream.chunks)
        usage = self._usage if self._usage is None or is_counted else structs.replace(self._usage, estimated=True)
        yield Done(finish=finish, usage=usage)

    def _gather(self, part: Any) -> None:
        call = self._calls.setdefault(part.index or 0, {"id": "", "name": "", "arguments": ""})
        call["id"] = call["id"] or part.id or ""
        call["name"] += part.function.name or ""
        call["arguments"] += part.function.arguments or ""


def _write_schema(request: ChatRequest) -> dict[str, Any]:
    schema: dict[str, Any] = {"name": request.format_name or "answer", "schema": request.format}
    return schema if request.format_strict is None else schema | {"strict": request.format_strict}


def _write_message(message: Message) -> dict[str, Any]:
    if message.role == "tool":
        result = next((part for part in message.parts if isinstance(part, ToolResult)), None)
        if result is not None:
            return {"role": "tool", "tool_call_id": result.call_id, "content": result.content}
    written: dict[str, Any] = {"role": message.role, "content": message.text}
    images = [part for part in message.parts if isinstance(part, Image)]
    if images:
        written["content"] = [{"type": "text", "text": message.text}] + [
            {"type": "image_url", "image_url": {"url": f"data:{image.media_type};base64,{image.data}"}}
            for image in images
        ]
    calls = [part for part in message.parts if isinstance(part, ToolCall)]
    if calls:
        written["content"] = message.text or None
        written["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in calls
        ]
    return written
