"""A Responses request: bytes -> ChatRequest."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct, field

from ..core import Message, Sampling, Text
from ..errors import BadRequest
from .body import Count, read
from .openai_sampling import EFFORTS
from .responses_items import Item, Reading
from .responses_tools import Equipped, read_choice, read_tools
from .tool import name_results

MOST_LOGPROBS = 20
LOGPROBS = "message.output_text.logprobs"
# What cannot be done without, and what nothing here can do.
_UNSUPPORTED = {
    "background": "answers are given at once, or not at all",
    "conversation": "no conversations are kept here: send the items, or a previous_response_id",
    "prompt": "no prompts are kept here: send instructions and input",
}
_ECHOED = (
    "instructions", "max_output_tokens", "max_tool_calls", "parallel_tool_calls", "previous_response_id",
    "prompt_cache_key", "safety_identifier", "service_tier", "temperature", "tool_choice", "tools", "top_logprobs",
    "top_p", "truncation", "user", "metadata",
)

_LONGEST_NAME = 80
_ADVICE = "Answers are remembered for a while, none with store: false, and none beyond a restart. Send"

Kept = list[dict[str, Any]]
Recall = Callable[[str], Kept]


class Asked(Equipped, frozen=True, kw_only=True):
    """A request with what its reply repeats of it. `items` are those that the model reads, None where neither they nor
    the answer may be remembered; `is_kept`: for good."""

    echo: dict[str, Any] = field(default_factory=dict)
    items: Kept | None = None
    is_kept: bool = False


class Memory(Struct, frozen=True, kw_only=True):
    """What is known of former responses: `conversation` gives the items up to the end of one by its id, `item` one of
    its items by its own, as a list of one. They raise Forgotten and ItemForgotten. `keeps`: for good, if asked to."""

    conversation: Recall
    item: Recall
    keeps: bool = False


class Forgotten(BadRequest):
    """OpenAI's code and first words, by which some clients know to send all again."""

    code = "previous_response_not_found"

    def __init__(self, name: str) -> None:
        message = f"Previous response with id '{name[:_LONGEST_NAME]}' not found. {_ADVICE} all items instead."
        super().__init__(message, param="previous_response_id")


class ItemForgotten(BadRequest):
    """An item that is named by its id alone."""

    code = "item_not_found"

    def __init__(self, name: str) -> None:
        message = f"Item with id '{name[:_LONGEST_NAME]}' not found. {_ADVICE} the item itself instead."
        super().__init__(message, param="input")


class _Format(Struct):
    type: str = "text"
    name: str | None = None
    schema: dict[str, Any] | None = None
    strict: bool | None = None


class _TextOptions(Struct):
    format: _Format | None = None
    verbosity: Any = None


class _Reasoning(Struct):
    effort: str | None = None
    summary: str | None = None


class _Body(Struct):
    input: str | list[Item] | None = None
    model: str | None = None
    instructions: str | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    max_output_tokens: Count | None = None
    max_tool_calls: int | None = None
    reasoning: _Reasoning | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=MOST_LOGPROBS)] | None = None
    text: _TextOptions | None = None
    stream: bool | None = None
    truncation: str | None = None
    include: list[str] | None = None
    metadata: dict[str, Any] | None = None
    store: bool | None = None
    previous_response_id: str | None = None
    prompt_cache_key: str | None = None
    safety_identifier: str | None = None
    service_tier: str | None = None
    user: str | None = None
    background: bool | None = None
    conversation: Any = None
    prompt: Any = None
    tools_inline: bool | None = None


class _Input(Struct):
    input: Any = None


_decoder = msgspec.json.Decoder(_Body)
_input_decoder = msgspec.json.Decoder(_Input)


def parse_responses(body: bytes, memory: Memory | None = None) -> Asked:
    """`memory` is what may be recalled, None for nothing. Raises BadRequest."""
    asked = read(body, _decoder)
    _refuse_unsupported(asked)
    given = _as_items(asked, body)
    former = _recall(asked.previous_response_id, memory)
    items = [*former, *(_recall_item(item, memory, f"input[{i}]") for i, item in enumerate(given))]
    is_kept = bool(asked.store) and memory is not None and memory.keeps
    box = read_tools(asked.tools)
    choice, tools = read_choice(asked.tool_choice, box)
    effort = _effort(asked.reasoning)
    wanted = asked.text.format if asked.text is not None else None
    messages, left_out = _messages(asked.instructions, items, first=-len(former))
    return Asked(
        model=asked.model or "",
        messages=messages,
        tools=tools,
        tools_inline=asked.tools_inline is not False,
        tool_choice=choice,
        parallel_tool_calls=asked.parallel_tool_calls,
        sampling=Sampling(temperature=asked.temperature, top_p=asked.top_p, max_tokens=asked.max_output_tokens),
        format=_format(wanted),
        format_name=(wanted.name or "") if wanted else "",
        format_strict=wanted.strict if wanted else None,
        think=EFFORTS.get(effort),
        effort=effort,
        logprobs=(asked.top_logprobs or 0) if asked.top_logprobs or LOGPROBS in (asked.include or ()) else None,
        beside=_beside(asked),
        unheeded=(*box.left_out, *left_out),
        stream=bool(asked.stream),
        echo=_echo(asked, is_kept=is_kept),
        box=box,
        items=None if memory is None or asked.store is False else items,
        is_kept=is_kept,
    )


def _refuse_unsupported(asked: _Body) -> None:
    for name, reason in _UNSUPPORTED.items():
        if getattr(asked, name):
            raise BadRequest(f"{name} is not supported: {reason}", param=name)
    if asked.truncation not in (None, "auto", "disabled"):
        raise BadRequest("truncation: expected auto or disabled", param="truncation")


def _as_items(asked: _Body, body: bytes) -> Kept:
    """The items as the client sent them, checked in kind already."""
    if not asked.input and not asked.previous_response_id:
        raise BadRequest("input: a text or at least one item is required", param="input")
    if isinstance(asked.input, str):
        return [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": asked.input}]}]
    items: Kept = read(body, _input_decoder).input or []
    return items


def _recall(previous: str | None, memory: Memory | None) -> Kept:
    if not previous:
        return []
    if memory is None:
        raise Forgotten(previous)
    return memory.conversation(previous)


def _recall_item(item: dict[str, Any], memory: Memory | None, where: str) -> dict[str, Any]:
    name: str = item.get("id") or ""
    if item.get("type") != "item_reference" and (item.get("type") or item.get("role") or not name):
        return item
    if not name:
        raise BadRequest(f"invalid '{where}.id': field required", param=f"{where}.id")
    if memory is None:
        raise ItemForgotten(name)
    return memory.item(name)[0]


def _beside(asked: _Body) -> dict[str, Any]:
    told = {"service_tier": asked.service_tier, "verbosity": asked.text.verbosity if asked.text else None}
    return {name: value for name, value in told.items() if value is not None}


def _messages(instructions: str | None, items: Kept, *, first: int) -> tuple[tuple[Message, ...], tuple[str, ...]]:
    """The messages, and the kinds of items that are none here; `first` is the number of the first item: below 0 they
    were sent with former requests."""
    reading = Reading()
    for place, item in enumerate(msgspec.convert(items, list[Item]), first):
        reading.take(item, f"input[{place}]" if place >= 0 else "previous_response_id")
    told = [Message("system", (Text(instructions),))] if instructions else []
    return name_results(told + reading.finish()), tuple(dict.fromkeys(reading.left_out))


def _effort(reasoning: _Reasoning | None) -> str:
    effort = (reasoning.effort if reasoning is not None else None) or ""
    if effort and effort not in EFFORTS:
        message = f"reasoning.effort: '{effort[:40]}' is not one of {', '.join(EFFORTS)}"
        raise BadRequest(message, param="reasoning.effort")
    return effort


def _format(wanted: _Format | None) -> Literal["json"] | dict[str, Any] | None:
    if wanted is None or wanted.type == "text":
        return None
    if wanted.type == "json_object":
        return "json"
    if wanted.type != "json_schema":
        message = f"text.format.type: expected text, json_object or json_schema, got '{wanted.type[:40]}'"
        raise BadRequest(message, param="text.format.type")
    if wanted.schema is None:
        raise BadRequest("text.format.schema: a JSON schema is missing", param="text.format.schema")
    return wanted.schema


def _echo(asked: _Body, *, is_kept: bool) -> dict[str, Any]:
    """What a reply says of its request, what was not asked at its default."""
    reasoning = asked.reasoning or _Reasoning()
    wanted = asked.text.format if asked.text and asked.text.format else _Format()
    form = {name: value for name, value in msgspec.to_builtins(wanted).items() if value is not None}
    verbosity = asked.text.verbosity if asked.text else None
    defaults = {"parallel_tool_calls": True, "tool_choice": "auto", "tools": [], "truncation": "disabled",
                "metadata": {}}
    told = {name: getattr(asked, name) for name in _ECHOED}
    return {
        **{name: defaults.get(name) if value is None else value for name, value in told.items()},
        "background": False,
        "service_tier": "default",  # whichever was asked for: there is but one here
        "reasoning": {"effort": reasoning.effort, "summary": reasoning.summary},
        "store": is_kept,
        "text": {"format": form, **({} if verbosity is None else {"verbosity": verbosity})},
    }
