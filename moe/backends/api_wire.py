"""LiteLLM's form of a chat (OpenAI's), and OpenAI's own of a bare completion: ChatRequest -> arguments."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any

from msgspec import structs

from ..core import ChatRequest, Completion, Extract, Image, Message, Part, Text, Thinking, ToolCall, ToolResult

_STREAMED: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}}
_SAMPLING = ("temperature", "top_p", "presence_penalty", "frequency_penalty", "seed", "max_tokens")


def write_request(request: ChatRequest, *, recalls: bool = False) -> dict[str, Any]:
    """The keyword arguments of a streamed completion, model and credentials left out. `recalls`: what the model thought
    since the user last spoke is told it again."""
    call: dict[str, Any] = {"messages": _write_messages(request, recalls=recalls), **_STREAMED, **request.beside}
    call |= _write_sampling(request)
    if request.tools:
        call["tools"] = list(request.tools)
        for name in ("tool_choice", "parallel_tool_calls"):
            if getattr(request, name) is not None:
                call[name] = getattr(request, name)
    effort = request.effort or request.think
    if isinstance(effort, str):
        call["reasoning_effort"] = effort
    if request.logprobs is not None:
        call |= {"logprobs": True, "top_logprobs": request.logprobs}  # some servers insist on the number
    return call | _write_format(request)


def write_completion(request: ChatRequest, completion: Completion) -> dict[str, Any]:
    """The body of a streamed bare completion, its model left out. An echo is put before the answer elsewhere."""
    body = {"prompt": completion.prompt, **_STREAMED, **_write_sampling(request), **_write_format(request)}
    if completion.suffix:
        body["suffix"] = completion.suffix
    if request.logprobs is not None:
        body["logprobs"] = request.logprobs
    return body


def _write_format(request: ChatRequest) -> dict[str, Any]:
    if request.format is None:
        return {}
    if request.format == "json":
        return {"response_format": {"type": "json_object"}}
    return {"response_format": {"type": "json_schema", "json_schema": _write_schema(request)}}


def _write_sampling(request: ChatRequest) -> dict[str, Any]:
    sampling = request.sampling
    call = {name: value for name in _SAMPLING if (value := getattr(sampling, name)) is not None}
    if sampling.stop:
        call["stop"] = list(sampling.stop)
    if sampling.logit_bias:
        call["logit_bias"] = sampling.logit_bias
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


def _write_schema(request: ChatRequest) -> dict[str, Any]:
    schema: dict[str, Any] = {"name": request.format_name or "answer", "schema": request.format}
    return schema if request.format_strict is None else schema | {"strict": request.format_strict}


def _write_messages(request: ChatRequest, *, recalls: bool) -> list[dict[str, Any]]:
    messages = list(number_calls(message for message in request.messages if message.role != "control"))
    last = max((place for place, message in enumerate(messages) if message.role == "user"), default=-1)
    return [_write_message(message, recalls=recalls and place > last) for place, message in enumerate(messages)]


def _write_message(message: Message, *, recalls: bool) -> dict[str, Any]:
    if message.role == "tool":
        result = next((part for part in message.parts if isinstance(part, ToolResult)), None)
        if result is not None:
            return {"role": "tool", "tool_call_id": result.call_id, "content": result.content}
    written: dict[str, Any] = {"role": message.role, "content": _write_content(message)}
    if message.name:
        written["name"] = message.name
    calls = [part for part in message.parts if isinstance(part, ToolCall)]
    if calls:
        written["content"] = message.text or None
        written["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in calls
        ]
    thought = "".join(part.text for part in message.parts if isinstance(part, Thinking))
    return written | ({"reasoning_content": thought} if thought and recalls else {})


def _write_content(message: Message) -> str | list[dict[str, Any]]:
    """One text as such, since not every server takes a list; of a user several parts as they came. Some servers put the
    parts of a list together without a gap, so what was read from files stays one text with what stands beside it."""
    parts: list[Text | Image] = []
    for is_text, run in groupby(filter(_says, message.parts), lambda part: isinstance(part, Text)):
        texts: list[Any] = list(run)
        is_read = is_text and any(isinstance(part, Extract) for part in texts)
        parts += [Text("\n".join(part.text for part in texts))] if is_read else texts
    if any(isinstance(part, Image) for part in parts) or (message.role == "user" and len(parts) > 1):
        return [_write_part(part) for part in parts]
    return "\n".join(part.text for part in parts if isinstance(part, Text))


def _says(part: Part) -> bool:
    return bool(part.text) if isinstance(part, Text) else isinstance(part, Image)


def _write_part(part: Text | Image) -> dict[str, Any]:
    if isinstance(part, Text):
        return {"type": "text", "text": part.text}
    shown = {"url": f"data:{part.media_type};base64,{part.data}"}
    return {"type": "image_url", "image_url": shown | ({"detail": part.detail} if part.detail else {})}
