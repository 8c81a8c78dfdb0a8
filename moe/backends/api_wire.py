"""LiteLLM's form of a chat (OpenAI's): ChatRequest -> call arguments, streamed pieces -> chunks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from msgspec import structs

from ..core import (
    ChatRequest,
    Chunk,
    Done,
    Finish,
    Image,
    Message,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Usage,
)
from ..errors import BrokenStream
from .logprobs import read_logprobs

_SAMPLING = ("temperature", "top_p", "presence_penalty", "frequency_penalty", "seed", "max_tokens")
_FINISH: dict[str, Finish] = {"length": "length", "tool_calls": "tool_calls", "function_call": "tool_calls"}


def write_request(request: ChatRequest) -> dict[str, Any]:
    """The keyword arguments of a streamed completion, model and credentials left out."""
    call: dict[str, Any] = {
        "messages": [_write_message(message) for message in number_calls(request.messages)],
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    call |= _write_sampling(request)
    if request.tools:
        call["tools"] = list(request.tools)
        for name in ("tool_choice", "parallel_tool_calls"):
            if getattr(request, name) is not None:
                call[name] = getattr(request, name)
    if request.format == "json":
        call["response_format"] = {"type": "json_object"}
    elif request.format is not None:
        call["response_format"] = {"type": "json_schema", "json_schema": _write_schema(request)}
    effort = request.effort or request.think
    if isinstance(effort, str):
        call["reasoning_effort"] = effort
    return call


def _write_sampling(request: ChatRequest) -> dict[str, Any]:
    sampling = request.sampling
    call = {name: value for name in _SAMPLING if (value := getattr(sampling, name)) is not None}
    if sampling.stop:
        call["stop"] = list(sampling.stop)
    if sampling.logit_bias:
        call["logit_bias"] = sampling.logit_bias
    if request.logprobs is not None:
        call |= {"logprobs": True, "top_logprobs": request.logprobs}  # some servers insist on the number
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


def number_calls(messages: Iterable[Message]) -> Iterator[Message]:
    """The messages with an id for every call that has none, as Ollama's clients and old ones leave it; results of calls
    get theirs in turn."""
    count = 0
    waiting: list[tuple[str, str]] = []
    for message in messages:
        parts: list[Any] = []
        for part in message.parts:
            if isinstance(part, ToolCall):
                part = structs.replace(part, id=part.id or f"call_{count}")
                waiting.append((part.name, part.id))
                count += 1
            elif isinstance(part, ToolResult):
                call_id = part.call_id or _next_call(waiting, part.name) or f"call_{count}"
                part = structs.replace(part, call_id=call_id)
                waiting = [each for each in waiting if each[1] != call_id]
            parts.append(part)
        yield structs.replace(message, parts=tuple(parts)) if message.has_tools else message


def _next_call(waiting: list[tuple[str, str]], name: str) -> str:
    """The first call without a result, of this name where one is told; "" for none."""
    return next((call_id for known, call_id in waiting if name in ("", known)), "")


class ChunkReader:
    """Reads the pieces of one stream; tool calls arrive in parts and leave whole."""

    def __init__(self) -> None:
        self._calls: dict[int, dict[str, str]] = {}
        self._places: dict[int, int] = {}
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
                odds = getattr(choice, "logprobs", None)
                told = odds.get("content") if isinstance(odds, dict) else getattr(odds, "content", None)
                yield Text(delta.content, read_logprobs(told))
            for part in delta.tool_calls or ():
                self._gather(part)

    def finish(self, stream: Any) -> Iterator[Chunk]:
        """The gathered tool calls and the Done; `stream` is LiteLLM's wrapper, read to its end.

        LiteLLM closes every stream with a finish and a usage of its own; whether the upstream sent one too is
        known to the wrapper. Raises BrokenStream when the upstream did not say that it had finished.
        """
        if not (stream.received_finish_reason or stream.intermittent_finish_reason):
            raise BrokenStream("the stream ended without its end mark")
        for index, call in self._calls.items():
            yield ToolCall(call["id"] or f"call_{index}", call["name"], call["arguments"] or "{}")
        finish = "tool_calls" if self._calls else _FINISH.get(self._finish, "stop")
        is_counted = any(getattr(piece, "usage", None) is not None for piece in stream.chunks)
        usage = self._usage if self._usage is None or is_counted else structs.replace(self._usage, estimated=True)
        yield Done(finish=finish, usage=usage)

    def _gather(self, part: Any) -> None:
        """Some servers number every call 0: a new id there begins a new call."""
        index = part.index or 0
        place = self._places.setdefault(index, len(self._calls))
        known = self._calls.get(place, {}).get("id")
        if part.id and known and part.id != known:
            place = self._places[index] = len(self._calls)
        call = self._calls.setdefault(place, {"id": "", "name": "", "arguments": ""})
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
