"""OpenAI's chat request: bytes -> ChatRequest."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from ..core import Message, Part, Refusal, Sampling, Text, Thinking, ToolResult
from ..errors import BadRequest
from .body import Count, Int64, read
from .file import read_file
from .image import read_url
from .openai_sampling import EFFORTS, read_biases, read_effort, read_stops
from .openai_tools import (
    Call,
    Function,
    read_call_of,
    read_calls,
    read_choice,
    read_function_choice,
    read_functions,
    read_tools,
)
from .responses_tools import Equipped
from .tool import name_results, role_of

MOST_ANSWERS = 8

Penalty = Annotated[float, Meta(ge=-2, le=2)]
# Dropping these would give an answer that is not the one asked for; without the others it is only a little different.
_UNSUPPORTED = ("audio", "web_search_options")
_BESIDE = ("prediction", "service_tier", "verbosity")


class _ImageUrl(Struct):
    url: str
    detail: str | None = None


class _File(Struct):
    file_data: str | None = None
    filename: str | None = None


class _ContentPart(Struct):
    type: str
    text: str | None = None
    refusal: str | None = None
    image_url: _ImageUrl | str | None = None
    file: _File | None = None


class _Turn(Struct):
    role: str
    content: str | list[_ContentPart] | None = None
    name: str | None = None
    tool_calls: list[Call] | None = None
    function_call: Function | None = None
    tool_call_id: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None


class StreamOptions(Struct):
    include_usage: bool | None = None


class _JsonSchema(Struct):
    name: str | None = None
    strict: bool | None = None
    schema: dict[str, Any] | None = None


class _ResponseFormat(Struct):
    type: str
    json_schema: _JsonSchema | None = None


class _Reasoning(Struct):
    effort: str | None = None


class _Body(Struct):
    model: str | None = None
    messages: list[_Turn] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: Count | None = None
    max_completion_tokens: Count | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    seed: Int64 | None = None
    stop: str | list[str] | None = None
    n: Annotated[int, Meta(ge=1, le=MOST_ANSWERS)] | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    response_format: _ResponseFormat | None = None
    reasoning_effort: str | None = None
    reasoning: _Reasoning | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    logit_bias: dict[str, float] | None = None
    functions: list[dict[str, Any]] | None = None
    function_call: str | dict[str, Any] | None = None
    modalities: list[str] | None = None
    audio: Any = None
    web_search_options: Any = None
    prediction: Any = None
    service_tier: Any = None
    verbosity: Any = None
    tools_inline: bool | None = None


_decoder = msgspec.json.Decoder(_Body)


def parse_chat(body: bytes) -> Equipped:
    asked = read(body, _decoder)
    _refuse_unsupported(asked)
    if not asked.messages:
        raise BadRequest("[] is too short - 'messages'", param="messages")
    options = asked.stream_options
    schema = _schema(asked.response_format)
    reasoning = asked.reasoning or _Reasoning()
    effort = read_effort(asked.reasoning_effort or reasoning.effort)
    is_old = bool(asked.functions or asked.function_call) and not asked.tools
    box = read_functions(asked.functions) if is_old else read_tools(asked.tools)
    choice, tools = read_choice(None if is_old else asked.tool_choice, box)
    return Equipped(
        model=asked.model or "",
        messages=name_results([_message(turn, f"messages[{i}]") for i, turn in enumerate(asked.messages)]),
        tools=tools,
        tool_choice=read_function_choice(asked.function_call, box) if is_old else choice,
        parallel_tool_calls=False if is_old else asked.parallel_tool_calls,
        sampling=_sampling(asked),
        format=_format(asked.response_format),
        format_name=(schema.name or "") if schema else "",
        format_strict=schema.strict if schema else None,
        think=EFFORTS.get(effort),
        effort=effort,
        logprobs=_logprobs(asked),
        n=asked.n or 1,
        beside={name: value for name in _BESIDE if (value := getattr(asked, name)) is not None},
        calls_functions=is_old,
        box=box,
        tools_inline=asked.tools_inline is not False,
        stream=bool(asked.stream),
        include_usage=options is not None and bool(options.include_usage),
    )


def _refuse_unsupported(asked: _Body) -> None:
    for name in _UNSUPPORTED:
        if getattr(asked, name) is not None:
            raise BadRequest(f"{name} is not supported", param=name)
    if "audio" in (asked.modalities or ()):
        raise BadRequest("modalities: answers are text, not audio", param="modalities")


def _sampling(asked: _Body) -> Sampling:
    most = asked.max_completion_tokens
    return Sampling(
        temperature=asked.temperature,
        top_p=asked.top_p,
        presence_penalty=asked.presence_penalty,
        frequency_penalty=asked.frequency_penalty,
        seed=asked.seed,
        max_tokens=asked.max_tokens if most is None else most,
        stop=read_stops(asked.stop),
        logit_bias=read_biases(asked.logit_bias),
    )


def _logprobs(asked: _Body) -> int | None:
    if asked.logprobs:
        return asked.top_logprobs or 0
    if asked.top_logprobs:
        raise BadRequest("top_logprobs: it takes logprobs to be true", param="top_logprobs")
    return None


def _format(asked: _ResponseFormat | None) -> Literal["json"] | dict[str, Any] | None:
    if asked is None or asked.type == "text":
        return None
    if asked.type == "json_object":
        return "json"
    if asked.type != "json_schema":
        message = f"response_format.type: expected text, json_object or json_schema, got '{asked.type[:40]}'"
        raise BadRequest(message, param="response_format.type")
    if asked.json_schema is None or asked.json_schema.schema is None:
        where = "response_format.json_schema.schema"
        raise BadRequest(f"{where}: a JSON schema is missing", param=where)
    return asked.json_schema.schema


def _schema(asked: _ResponseFormat | None) -> _JsonSchema | None:
    return asked.json_schema if asked is not None and asked.type == "json_schema" else None


def _message(turn: _Turn, where: str) -> Message:
    role = role_of(turn.role, where)
    if role == "assistant":
        return Message(role, _assistant_parts(turn, where), turn.name or "")
    if turn.content is None:
        raise BadRequest(f"invalid '{where}.content': expected str or array, got null", param=f"{where}.content")
    if role == "tool":
        return Message(role, _result_parts(turn, where))
    return Message(role, _content(turn.content, where), turn.name or "")


def _assistant_parts(turn: _Turn, where: str) -> tuple[Part, ...]:
    thinking = turn.reasoning_content or turn.reasoning
    thoughts = (Thinking(thinking),) if thinking else ()
    said = _content(turn.content or "", where, may_refuse=True)
    if turn.refusal and not any(isinstance(part, Refusal) for part in said):
        said = (*said, Refusal(turn.refusal))
    calls = read_calls(turn.tool_calls, f"{where}.tool_calls")
    if turn.function_call is not None:  # from the time before tools
        calls.append(read_call_of(turn.function_call))
    return (*thoughts, *said, *calls)


def _result_parts(turn: _Turn, where: str) -> tuple[Part, ...]:
    parts = _content(turn.content or "", where)
    text = "\n".join(part.text for part in parts if isinstance(part, Text))
    others = tuple(part for part in parts if not isinstance(part, Text))
    return (ToolResult(turn.tool_call_id or "", turn.name or "", text), *others)


def _content(content: str | list[_ContentPart], where: str, *, may_refuse: bool = False) -> tuple[Part, ...]:
    """The parts as they came, empty texts left out."""
    if isinstance(content, str):
        return (Text(content),) if content else ()
    parts = [_refusal(part, f"{where}.content[{i}]") if may_refuse and part.type == "refusal"
             else _part(part, f"{where}.content[{i}]") for i, part in enumerate(content)]
    return tuple(part for part in parts if not isinstance(part, Text) or part.text)


def _refusal(part: _ContentPart, where: str) -> Part:
    if part.refusal is None:
        raise BadRequest(f"invalid '{where}.refusal': expected str, got null", param=f"{where}.refusal")
    return Refusal(part.refusal)


def _part(part: _ContentPart, where: str) -> Part:
    if part.type == "text":
        if part.text is None:
            raise BadRequest(f"invalid '{where}.text': expected str, got null", param=f"{where}.text")
        return Text(part.text)
    if part.type == "image_url":
        if part.image_url is None:
            raise BadRequest(f"invalid '{where}.image_url': expected object, got null", param=f"{where}.image_url")
        link = _ImageUrl(part.image_url) if isinstance(part.image_url, str) else part.image_url
        return read_url(link.url, f"{where}.image_url", detail=link.detail)
    if part.type == "file":
        file = part.file or _File()
        return read_file(file.file_data, file.filename, f"{where}.file")
    kind = part.type[:40]
    raise BadRequest(f"invalid '{where}.type': parts of type '{kind}' are not supported", param=f"{where}.type")
