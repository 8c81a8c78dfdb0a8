"""What an API's stream says: LiteLLM's pieces, and the events of a bare completion -> chunks."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from msgspec import Struct, structs

from ..core import Chunk, Done, Finish, Refusal, Text, Thinking, TokenLogprob, ToolCall, ToolCallPiece, Usage
from ..errors import BadAnswer, BrokenStream
from .logprobs import MOST_TOP, bound, field, read_logprobs, spell
from .ollama_wire import digest

_FINISH: dict[str, Finish] = {
    "length": "length", "content_filter": "content_filter", "tool_calls": "tool_calls", "function_call": "tool_calls",
}
# However many calls there were, an answer that was cut or taken away is no whole one.
_UNFINISHED = ("length", "content_filter")
_BYTES = re.compile(r"bytes:((?:\\x[0-9a-f]{2})+)")


class _Call(Struct):
    """A call that is being gathered. `shown` is the id under which pieces of it were passed on, "" for none, and `said`
    how much of its arguments they were."""

    id: str = ""
    name: str = ""
    arguments: str = ""
    shown: str = ""
    said: int = 0


class ChunkReader:
    """Reads the pieces of one stream; tool calls arrive in parts, which are passed on, and leave whole."""

    def __init__(self, names: Collection[str] = (), asked: Sequence[Any] = (), *, most: int | None = None) -> None:
        """`names`: the tools there are; `asked`: the conversation, in which the id of no call may come twice; `most`:
        how many tokens the answer may have."""
        self._names = names
        self._most = most
        self._asked = asked
        self._calls: list[_Call] = []
        self._places: dict[int, int] = {}
        self._told = 0
        self._finish = ""
        self._usage: Usage | None = None

    def read(self, piece: Any) -> Iterator[Chunk]:
        usage = getattr(piece, "usage", None)
        if usage is not None:
            self._usage = read_usage(usage)
        for choice in piece.choices or ():
            self._finish = choice.finish_reason or self._finish
            delta = choice.delta
            thinking, refusal = (getattr(delta, name, None) for name in ("reasoning_content", "refusal"))
            if thinking:
                yield Thinking(thinking)
            if delta.content:
                odds = getattr(choice, "logprobs", None)
                told = odds.get("content") if isinstance(odds, dict) else getattr(odds, "content", None)
                yield Text(delta.content, read_logprobs(told))
            if refusal and isinstance(refusal, str):
                yield Refusal(refusal)
            for part in delta.tool_calls or ():
                yield from self._show(self._gather(part))

    def finish(self, stream: Any) -> Iterator[Chunk]:
        """The calls that are left and the Done; `stream` is LiteLLM's wrapper, read to its end.

        LiteLLM closes every stream with a finish and a usage of its own; whether the upstream sent one too is
        known to the wrapper. Raises BrokenStream when the upstream did not say that it had finished.
        """
        if not (stream.received_finish_reason or stream.intermittent_finish_reason):
            raise BrokenStream("the stream ended without its end mark")
        finish = "length" if self._is_cut_call() else _FINISH.get(self._finish, "stop")
        is_cut = finish in _UNFINISHED
        while self._told < len(self._calls):
            is_whole = _is_whole(self._calls[self._told].arguments)
            call = self._end_call()
            if is_whole or not is_cut:
                yield call
        if self._calls and not is_cut:
            finish = "tool_calls"
        yield Done(finish=finish, usage=self._usage and _settle(self._usage, stream.chunks))

    def _is_cut_call(self) -> bool:
        """Whether the limit was reached within a call: some servers tell it as whole all the same."""
        said = self._usage.completion_tokens if self._usage is not None else 0
        return bool(self._most and said >= self._most and any(not _is_whole(c.arguments or "{}") for c in self._calls))

    def _gather(self, part: Any) -> int:
        """The place of the call that `part` belongs to. Some servers number every call 0: a new id there begins one."""
        index = part.index or 0
        place = self._places.setdefault(index, len(self._calls))
        known = self._calls[place].id if place < len(self._calls) else ""
        if part.id and known and part.id != known:
            place = self._places[index] = len(self._calls)
        if place == len(self._calls):
            self._calls.append(_Call())
        call = self._calls[place]
        call.id = call.id or part.id or ""
        call.name += part.function.name or ""
        call.arguments += part.function.arguments or ""
        return place

    def _show(self, place: int) -> Iterator[Chunk]:
        """What is new of the first call that is not over; a later one waits until that is whole."""
        if place < self._told and (part := self._calls[place].arguments[self._calls[place].said:]).strip():
            raise BadAnswer(f"a call went on after its end: {part[:40]!r}")
        while place > self._told and _is_whole(self._calls[self._told].arguments):
            yield self._end_call()
        call = self._calls[place]
        new = call.arguments[call.said:]
        is_sure = bool(new) or (not call.shown and call.name in self._names)  # a name alone might go on
        if place == self._told and call.name and is_sure:
            call.shown = call.shown or call.id or self._invent_id(place)
            call.said = len(call.arguments)
            yield ToolCallPiece(call.shown, call.name, new)

    def _end_call(self) -> ToolCall:
        call, place = self._calls[self._told], self._told
        self._told += 1
        call.said = len(call.arguments)
        return ToolCall(call.shown or call.id or self._invent_id(place), call.name, call.arguments or "{}")

    def _invent_id(self, place: int) -> str:
        return f"call_{place}_{digest(repr(self._asked)):08x}"


class TextReader:
    """Reads the events of a bare completion, which carry text and nothing else."""

    def __init__(self) -> None:
        self._finish = ""
        self._usage: Usage | None = None

    def read(self, event: dict[str, Any]) -> Iterator[Chunk]:
        if event.get("usage"):
            self._usage = read_usage(event["usage"])
        choices = event.get("choices")
        for choice in choices if isinstance(choices, list) else ():
            finish, text = field(choice, "finish_reason"), field(choice, "text")
            if isinstance(finish, str):
                self._finish = finish
            if isinstance(text, str) and text:
                yield Text(text, read_columns(field(choice, "logprobs")))

    def finish(self, *, is_marked: bool) -> Done:
        """`is_marked`: the stream said that it is over. Raises BrokenStream where neither it nor an answer did."""
        if not (self._finish or is_marked):
            raise BrokenStream("the stream ended without its end mark")
        found = _FINISH.get(self._finish, "stop")
        return Done(finish="stop" if found == "tool_calls" else found, usage=self._usage)


def _settle(usage: Usage, pieces: Sequence[Any]) -> Usage:
    """LiteLLM's sum, with nothing in it that only LiteLLM says: it counts where nobody did, and takes what is not told
    for none."""
    told = [read_usage(each) for piece in pieces if (each := getattr(piece, "usage", None)) is not None]
    known = {name: max((count for each in told if (count := getattr(each, name)) is not None), default=None)
             for name in ("cached_tokens", "reasoning_tokens")}
    return structs.replace(usage, estimated=not told, **known)


def read_usage(told: Any) -> Usage:
    """Counts in OpenAI's words; what is no count is not known."""
    cached = _count(field(field(told, "prompt_tokens_details"), "cached_tokens"))
    thought = _count(field(field(told, "completion_tokens_details"), "reasoning_tokens"))
    return Usage(
        prompt_tokens=_count(field(told, "prompt_tokens")) or 0,
        completion_tokens=_count(field(told, "completion_tokens")) or 0, cached_tokens=cached, reasoning_tokens=thought,
    )


def read_columns(told: Any) -> tuple[TokenLogprob, ...]:
    """Log probabilities as completions tell them: a list of tokens, and beside it one of each thing about them."""
    tokens, logprobs, tops = (field(told, name) for name in ("tokens", "token_logprobs", "top_logprobs"))
    if not (isinstance(tokens, list) and isinstance(logprobs, list) and len(tokens) == len(logprobs)):
        return ()
    rows = tops if isinstance(tops, list) and len(tops) == len(tokens) else [None] * len(tokens)
    return tuple(
        TokenLogprob(_exact(token), bound(logprob), _read_top(top))
        for token, logprob, top in zip(tokens, logprobs, rows, strict=True)
        if isinstance(token, str) and _is_number(logprob)
    )


def _read_top(row: Any) -> tuple[TokenLogprob, ...]:
    entries = row.items() if isinstance(row, dict) else ()
    found = [TokenLogprob(_exact(token), bound(logprob)) for token, logprob in entries if _is_number(logprob)]
    return tuple(sorted(found, key=lambda entry: -entry.logprob)[:MOST_TOP])


def _exact(token: str) -> str:
    """A token that is no whole character is spelled out there, byte by byte."""
    spelled = _BYTES.fullmatch(token)
    return spell(bytes.fromhex(spelled[1].replace("\\x", ""))) if spelled else token


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _count(told: Any) -> int | None:
    return int(told) if _is_number(told) and 0 <= told <= 2**53 else None


def _is_whole(arguments: str) -> bool:
    if not arguments.rstrip().endswith("}"):
        return False
    try:
        return isinstance(json.loads(arguments), dict)
    except (ValueError, RecursionError):
        return False
