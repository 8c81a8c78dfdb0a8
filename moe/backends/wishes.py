"""What a request asks beside its prompt, as far as several backends have to see to it themselves."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from typing import Any

from ..core import ChatRequest, Chunk, ToolCall, ToolCallPiece
from .base import BEAT, Chunks

_SAMPLING = ("seed", "presence_penalty", "frequency_penalty", "repeat_penalty", "top_k", "min_p", "logit_bias", "stop")


def find_asked(request: ChatRequest, *names: str) -> tuple[str, ...]:
    """Those of `names` that the request asks for: of the sampling, `logprobs`, `reasoning_effort`, `tool_choice`,
    `truncate`, `shift`."""
    return tuple(name for name in names if _is_asked(request, name))


def _is_asked(request: ChatRequest, name: str) -> bool:
    if name in _SAMPLING:
        return getattr(request.sampling, name) not in (None, (), {})
    if name == "logprobs":
        return request.logprobs is not None
    if name in ("truncate", "shift"):
        return getattr(request, name) is True
    if name == "reasoning_effort":
        return bool(request.think)
    return name == "tool_choice" and must_call(request)


def chosen_name(request: ChatRequest) -> str:
    """The one function that has to be called, "" where none is named."""
    choice = request.tool_choice
    function = choice.get("function") if isinstance(choice, dict) else None
    return str(function.get("name", "")) if isinstance(function, dict) else ""


def offer_tools(request: ChatRequest) -> tuple[dict[str, Any], ...]:
    """The tools that may be called: none, or the one that was chosen, or all."""
    if request.tool_choice == "none":
        return ()
    name = chosen_name(request)
    return tuple(tool for tool in request.tools if tool["function"]["name"] == name) if name else request.tools


def must_call(request: ChatRequest) -> bool:
    """Whether only a call is an answer."""
    return bool(offer_tools(request)) and (request.tool_choice == "required" or isinstance(request.tool_choice, dict))


def forbids_calls(request: ChatRequest) -> bool:
    """Whether a call is no answer."""
    return request.tool_choice == "none" and request.completion is None


def obey(chunks: Chunks, request: ChatRequest) -> Chunks:
    """`chunks` with the first call only where no two may be made at once; closes them."""
    return _keep_first_call(chunks) if request.parallel_tool_calls is False and request.tools else chunks


def _keep_first_call(chunks: Chunks) -> Generator[Chunk, None, None]:
    has_called = False
    with closing(chunks):
        for chunk in chunks:
            if isinstance(chunk, (ToolCall, ToolCallPiece)):
                if has_called:
                    yield BEAT
                    continue
                has_called = isinstance(chunk, ToolCall)
            yield chunk


def call_schema(request: ChatRequest) -> dict[str, Any]:
    """A JSON schema of one call of a tool on offer."""
    tools = [tool["function"] for tool in offer_tools(request)]
    named = [(function["name"], function.get("parameters") or {"type": "object"}) for function in tools]
    shared: dict[str, Any] = {}
    calls = []
    for name, parameters in named:
        own = {key: parameters[key] for key in ("$defs", "definitions") if isinstance(parameters.get(key), dict)}
        if _clash(shared, own):
            parameters, own = {"type": "object"}, {}
        for key, definitions in own.items():
            shared[key] = {**shared.get(key, {}), **definitions}
        calls.append({
            "type": "object", "properties": {"name": {"const": name}, "arguments": parameters},
            "required": ["name", "arguments"], "additionalProperties": False,
        })
    return {**(calls[0] if len(calls) == 1 else {"anyOf": calls}), **shared}


def _clash(shared: dict[str, Any], own: dict[str, Any]) -> bool:
    """Whether two tools mean different things by one name of their definitions."""
    return any(name in shared.get(key, {}) and shared[key][name] != value
               for key, definitions in own.items() for name, value in definitions.items())

