"""Ollama's chat and generate requests: bytes -> ChatRequest."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec import Struct, structs

from ..core import ChatRequest, Completion, Image, Message, Part, Role, Text, Thinking, ToolCall, ToolResult
from ..errors import BadRequest
from ..options import KeepAlive, is_duration
from .body import read
from .image import read_base64
from .ollama_context import read_context
from .ollama_options import read_sampling
from .tool import check_tools, name_results, role_of
from .wire import encode

MOST_LOGPROBS = 20
_THINK_WORDS = ("low", "medium", "high", "max")


class _Function(Struct):
    name: str
    arguments: dict[str, Any] | None = None


class _Call(Struct):
    function: _Function
    id: str | None = None


class _Turn(Struct):
    role: str
    content: str | None = None
    thinking: str | None = None
    images: list[str] | None = None
    tool_calls: list[_Call] | None = None
    tool_name: str | None = None
    tool_call_id: str | None = None
    name: str | None = None


class _Body(Struct):
    model: str | None = None
    stream: bool | None = None
    format: str | dict[str, Any] | None = None
    think: bool | str | None = None
    keep_alive: int | float | str | None = None
    options: dict[str, Any] | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    truncate: bool | None = None
    shift: bool | None = None
    tools_inline: bool | None = None


class _ChatBody(_Body):
    messages: list[_Turn] | None = None
    tools: list[dict[str, Any]] | None = None


class _GenerateBody(_Body):
    prompt: str | None = None
    suffix: str | None = None
    system: str | None = None
    template: str | None = None
    context: list[int] | None = None
    raw: bool | None = None
    images: list[str] | None = None


class _Named(Struct):
    model: str | None = None
    name: str | None = None


_chat_decoder = msgspec.json.Decoder(_ChatBody)
_generate_decoder = msgspec.json.Decoder(_GenerateBody)
_named_decoder = msgspec.json.Decoder(_Named)


def parse_chat(body: bytes) -> ChatRequest:
    asked = read(body, _chat_decoder)
    messages = [_message(turn, f"messages[{i}]") for i, turn in enumerate(asked.messages or ())]
    return _request(asked, verb="chat", messages=name_results(messages), tools=check_tools(asked.tools))


def parse_generate(body: bytes) -> ChatRequest:
    """An ordinary prompt becomes a chat, so that it is routed as one, and goes on from the turns that its context
    holds; the rest stays a Completion, which can only go on from a model's own tokens."""
    asked = read(body, _generate_decoder)
    if asked.raw and (asked.template or asked.system or asked.context):
        raise BadRequest("raw mode does not support template, system, or context", param="raw")
    images = tuple(_images(asked.images, "images"))
    before = read_context(asked.context or ())
    tokens = tuple(asked.context or ()) if before is None else ()
    if not (asked.suffix or asked.raw or asked.template or tokens):
        return _request(asked, verb="generate", messages=_dialogue(asked, images, before or ()))
    completion = Completion(
        prompt=asked.prompt or "",
        suffix=asked.suffix or "",
        system=asked.system or None,
        template=asked.template or "",
        raw=bool(asked.raw),
        context=tokens,
        images=images,
    )
    request = _request(asked, verb="generate", completion=completion)
    return structs.replace(request, unheeded=("context",)) if before else request


def parse_show(body: bytes) -> str:
    """The model's name as asked. Raises BadRequest."""
    asked = read(body, _named_decoder)
    name = asked.model or asked.name
    if not name:
        raise BadRequest("model is required", param="model")
    return name


def _request(
    asked: _Body,
    *,
    verb: Literal["chat", "generate"],
    messages: tuple[Message, ...] = (),
    completion: Completion | None = None,
    tools: tuple[dict[str, Any], ...] = (),
) -> ChatRequest:
    return ChatRequest(
        model=asked.model or "",
        messages=messages,
        completion=completion,
        tools=tools,
        tools_inline=asked.tools_inline is not False,
        sampling=read_sampling(asked.options),
        format=_format(asked.format),
        think=_think(asked.think),
        logprobs=_logprobs(asked),
        stream=asked.stream is not False,
        keep_alive=_keep_alive(asked.keep_alive),
        truncate=asked.truncate,
        shift=asked.shift,
        verb=verb,
    )


def _logprobs(asked: _Body) -> int | None:
    if asked.top_logprobs is not None and not 0 <= asked.top_logprobs <= MOST_LOGPROBS:
        raise BadRequest(f"top_logprobs must be between 0 and {MOST_LOGPROBS}", param="top_logprobs")
    return asked.top_logprobs or 0 if asked.logprobs else None


def _format(asked: str | dict[str, Any] | None) -> Literal["json"] | dict[str, Any] | None:
    if asked == "" or asked is None:
        return None
    if asked == "json":
        return "json"
    if isinstance(asked, str):
        raise BadRequest(f"invalid format: '{asked[:40]}'; expected 'json' or a JSON schema object", param="format")
    return asked


def _think(asked: bool | str | None) -> bool | str | None:
    if isinstance(asked, str) and asked not in _THINK_WORDS:
        words = ", ".join(_THINK_WORDS)
        raise BadRequest(f"invalid think value: '{asked[:40]}' (must be {words}, true, or false)", param="think")
    return asked


def _keep_alive(asked: KeepAlive | None) -> KeepAlive | None:
    if asked == "":
        return None
    if isinstance(asked, str) and not is_duration(asked):
        raise BadRequest(f"invalid keep_alive: '{asked[:40]}' is no duration like '5m'", param="keep_alive")
    return asked


def _dialogue(
    asked: _GenerateBody, images: tuple[Image, ...], before: tuple[Message, ...]
) -> tuple[Message, ...]:
    """The turns `before`, and the prompt; a new system prompt replaces the one they began with."""
    if not asked.prompt:  # only loads the model
        return ()
    if asked.system:
        before = (Message("system", (Text(asked.system),)), *(turn for turn in before if turn.role != "system"))
    return (*before, Message("user", (Text(asked.prompt), *images)))


def _message(turn: _Turn, where: str) -> Message:
    role: Role = "control" if turn.role.lower() == "control" else role_of(turn.role, where)
    if role == "tool":
        result = ToolResult(turn.tool_call_id or "", turn.tool_name or turn.name or "", turn.content or "")
        return Message(role, (result, *_images(turn.images, f"{where}.images")))
    parts: list[Part] = []
    if turn.thinking:
        parts.append(Thinking(turn.thinking))
    if turn.content:
        parts.append(Text(turn.content))
    parts += _images(turn.images, f"{where}.images")
    parts += [_call(call) for call in turn.tool_calls or ()]
    return Message(role, tuple(parts))


def _call(call: _Call) -> ToolCall:
    return ToolCall(call.id or "", call.function.name, encode(call.function.arguments or {}).decode())


def _images(images: list[str] | None, where: str) -> list[Image]:
    return [read_base64(image, f"{where}[{i}]") for i, image in enumerate(images or ())]
