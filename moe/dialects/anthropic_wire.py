"""Anthropic's Messages request: bytes -> ChatRequest."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct, structs

from ..core import ChatRequest, Message, Sampling
from ..errors import BadRequest
from .anthropic_blocks import Block, Content, name_left_out, read_system, read_turn
from .anthropic_tools import Choice, read_choice, read_tools
from .body import Count, read
from .tool import name_results

MOST_STOPS = 64

# How long a client lets a model think, in the three steps that upstreams know.
_LOW_TOKENS, _MEDIUM_TOKENS = 8_000, 24_000
_DISPLAYS = ("summarized", "omitted")
_EFFORTS: dict[str, str] = {"low": "low", "medium": "medium", "high": "high", "xhigh": "high", "max": "high"}


class Asked(ChatRequest, frozen=True, kw_only=True):
    """A request, and whether its client wants to read what is thought, or only to see that there was thinking."""

    shows_thoughts: bool = True

    @property
    def needs_objects(self) -> bool:
        return True


class _Turn(Struct):
    role: str
    content: Content = None


class _Thinking(Struct):
    type: str = "enabled"
    budget_tokens: int | None = None
    display: str | None = None


class _Format(Struct):
    type: str
    schema: dict[str, Any] | None = None


class _OutputConfig(Struct):
    effort: str | None = None
    format: _Format | None = None


class _Prompt(Struct):
    """What both endpoints take."""

    model: str | None = None
    messages: list[_Turn] | None = None
    system: str | list[Block] | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: Choice | None = None
    thinking: _Thinking | None = None
    output_config: _OutputConfig | None = None
    output_format: _Format | None = None
    mcp_servers: Any = None
    container: Any = None


class _Body(_Prompt):
    max_tokens: Count | None = None
    stream: bool | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    top_k: Annotated[int, Meta(ge=0, le=2**31 - 1)] | None = None
    stop_sequences: list[str] | None = None
    tools_inline: bool | None = None


_decoder = msgspec.json.Decoder(_Body)
_prompt_decoder = msgspec.json.Decoder(_Prompt)


def parse_messages(body: bytes) -> Asked:
    asked = read(body, _decoder)
    if asked.max_tokens is None:
        raise BadRequest("max_tokens: field required", param="max_tokens")
    sampling = Sampling(
        temperature=asked.temperature,
        top_p=asked.top_p,
        top_k=asked.top_k,
        max_tokens=asked.max_tokens,
        stop=_stop(asked.stop_sequences),
    )
    request = _make(asked, sampling, stream=bool(asked.stream))
    return structs.replace(request, tools_inline=asked.tools_inline is not False)


def parse_count(body: bytes) -> Asked:
    """The request whose prompt is to be counted: the same but for what only matters to the answer."""
    return _make(read(body, _prompt_decoder), Sampling(), stream=False)


def _make(asked: _Prompt, sampling: Sampling, *, stream: bool) -> Asked:
    tools, unheeded = read_tools(asked.tools)
    choice, in_parallel = read_choice(asked.tool_choice, tools)
    schema = _format(asked)
    think, effort = _think(asked), _effort(asked)
    return Asked(
        model=asked.model or "",
        messages=_messages(asked),
        tools=tools,
        tool_choice=choice,
        parallel_tool_calls=in_parallel,
        sampling=sampling,
        format=schema,
        format_strict=None if schema is None else True,
        think=think,
        effort=effort if think else "",
        unheeded=unheeded + _name_unheeded(asked) + (("output_config.effort",) if effort and not think else ()),
        stream=stream,
        shows_thoughts=_shows_thoughts(asked.thinking),
    )


def _name_unheeded(asked: _Prompt) -> tuple[str, ...]:
    contents = (asked.system, *(turn.content for turn in asked.messages or ()))
    blocks = dict.fromkeys(kind for content in contents for kind in name_left_out(content))
    fields = (name for name in ("mcp_servers", "container") if getattr(asked, name))
    return (*fields, *(f"messages.{kind}" for kind in blocks))


def _messages(asked: _Prompt) -> tuple[Message, ...]:
    if not asked.messages:
        raise BadRequest("messages: at least one message is required", param="messages")
    messages = read_system(asked.system, "system")
    for index, turn in enumerate(asked.messages):
        messages += read_turn(turn.role, turn.content, f"messages[{index}]")
    return name_results(messages)


def _stop(stops: list[str] | None) -> tuple[str, ...]:
    if stops and len(stops) > MOST_STOPS:
        message = f"stop_sequences: at most {MOST_STOPS} sequences, got {len(stops)}"
        raise BadRequest(message, param="stop_sequences")
    if stops and "" in stops:
        raise BadRequest("stop_sequences: an empty string cannot be a stop sequence", param="stop_sequences")
    return tuple(stops or ())


def _think(asked: _Prompt) -> bool | str:
    """Who does not ask for thinking gets none; a budget becomes a step, as does an effort that stands beside it."""
    if asked.thinking is None or asked.thinking.type == "disabled":
        return False
    effort, budget = _effort(asked), asked.thinking.budget_tokens
    if effort:
        return _EFFORTS[effort]
    if budget is None:
        return True
    return "low" if budget < _LOW_TOKENS else "medium" if budget < _MEDIUM_TOKENS else "high"


def _shows_thoughts(thinking: _Thinking | None) -> bool:
    display = (thinking.display if thinking is not None else None) or _DISPLAYS[0]
    if display not in _DISPLAYS:
        message = f"thinking.display: '{display[:40]}' is not one of {', '.join(_DISPLAYS)}"
        raise BadRequest(message, param="thinking.display")
    return display != "omitted"


def _effort(asked: _Prompt) -> str:
    effort = (asked.output_config.effort if asked.output_config is not None else None) or ""
    if effort and effort not in _EFFORTS:
        message = f"output_config.effort: '{effort[:40]}' is not one of {', '.join(_EFFORTS)}"
        raise BadRequest(message, param="output_config.effort")
    return effort


def _format(asked: _Prompt) -> Literal["json"] | dict[str, Any] | None:
    """The schema under either of its names: the field was moved when it left its trial."""
    where, asked_format = "output_format", asked.output_format
    if asked.output_config is not None and asked.output_config.format is not None:
        where, asked_format = "output_config.format", asked.output_config.format
    if asked_format is None:
        return None
    if asked_format.type != "json_schema":
        message = f"{where}.type: expected json_schema, got '{asked_format.type[:40]}'"
        raise BadRequest(message, param=f"{where}.type")
    if asked_format.schema is None:
        raise BadRequest(f"{where}.schema: a JSON schema is missing", param=f"{where}.schema")
    return asked_format.schema
