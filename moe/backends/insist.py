"""Calls that have to be made, or may not be, where the model's server does not see to it: asked again once, then an
error."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing

from msgspec import structs

from ..core import ChatRequest, Chunk, Done, Heartbeat, Message, Refusal, Text, ToolCall, ToolCallPiece, Usage
from ..errors import BadAnswer
from .base import Chunks
from .dialogue.calls import read_calls
from .wishes import call_schema, chosen_name, forbids_calls, must_call, offer_tools

_ONE, _ANY = 'Answer by calling the function "{}", and with nothing else.', "Answer by calling one of the functions."
_NONE = "Answer in words, without calling a function."
_HELD = Heartbeat(is_held=True)


def insist(chat: Callable[[ChatRequest], Chunks], request: ChatRequest, *, takes_format: bool) -> Chunks:
    """The answer of `chat`; where it has to be a call, its text is held back until one comes that was asked for, and no
    other is passed on; where none may be made, none is.

    The second time an instruction stands at the end and, if the server `takes_format`, the answer is bound to the form
    of a call. Raises BadAnswer when that is none either, or nothing but calls.
    """
    if must_call(request):
        return _demand(chat, request, takes_format=takes_format)
    return _forbid(chat, request) if forbids_calls(request) else chat(request)


def _demand(chat: Callable[[ChatRequest], Chunks], request: ChatRequest, *, takes_format: bool) -> Chunks:
    first = yield from _hear(chat(request), request, takes_text=False)
    if not isinstance(first, Done):
        return
    again = structs.replace(_tell(request, _instruct(request)), tools=offer_tools(request))
    if takes_format:
        again = structs.replace(again, format=call_schema(request))
    second = yield from _hear(chat(again), request, takes_text=True, spent=first.usage)
    if isinstance(second, Done):
        raise _give_up("the model answered without calling a function, though it had to")


def _hear(
    chunks: Chunks, request: ChatRequest, *, takes_text: bool, spent: Usage | None = None
) -> Generator[Chunk, None, Done | None]:
    """Passes the answer on from its first call on; the Done of one that has none is given back instead.

    `takes_text`: a text that is the JSON of a call is one, and half of it nothing. A refusal, or what a filter or a
    limit took away, is an answer too.
    """
    names = {tool["function"]["name"] for tool in offer_tools(request)}
    held: list[Chunk] = []
    has_begun = False
    with closing(chunks):
        for chunk in chunks:
            if isinstance(chunk, Done):
                calls = _read(held, names) if takes_text and not has_begun else []
                if not (has_begun or calls or chunk.finish in ("content_filter", "length")):
                    return chunk
                if takes_text and chunk.finish == "length":
                    held = [each for each in held if not isinstance(each, Text)]
                yield from calls or ([] if has_begun else held)
                yield _add(structs.replace(chunk, finish="tool_calls") if calls else chunk, spent)
            elif isinstance(chunk, (ToolCall, ToolCallPiece)) and chunk.name not in names:
                yield _HELD
            elif has_begun or isinstance(chunk, Heartbeat):
                yield chunk
            elif isinstance(chunk, (ToolCall, ToolCallPiece, Refusal)):
                has_begun = True
                yield from held
                yield chunk
            else:
                held.append(chunk)
                yield _HELD
    return None


def _read(held: list[Chunk], names: set[str]) -> list[ToolCall]:
    return read_calls("".join(chunk.text for chunk in held if isinstance(chunk, Text)), names)


def _instruct(request: ChatRequest) -> str:
    name = chosen_name(request)
    return _ONE.format(name) if name else _ANY


def _forbid(chat: Callable[[ChatRequest], Chunks], request: ChatRequest) -> Chunks:
    first = yield from _silence(chat(request))
    if isinstance(first, Done):
        second = yield from _silence(chat(_tell(request, _NONE)), spent=first.usage)
        if isinstance(second, Done):
            raise _give_up("the model only called functions, though it may call none")


def _silence(chunks: Chunks, *, spent: Usage | None = None) -> Generator[Chunk, None, Done | None]:
    """Passes the answer on without its calls; the Done of one that was nothing else is given back instead."""
    has_called = has_said = False
    with closing(chunks):
        for chunk in chunks:
            if isinstance(chunk, (ToolCall, ToolCallPiece)):
                has_called = True
                yield _HELD
                continue
            has_said = has_said or (isinstance(chunk, Text) and bool(chunk.text.strip()))
            if isinstance(chunk, Done):
                if has_called and not has_said and chunk.finish != "content_filter":
                    return chunk
                chunk = _add(structs.replace(chunk, finish="stop") if chunk.finish == "tool_calls" else chunk, spent)
            yield chunk
    return None


def _tell(request: ChatRequest, words: str) -> ChatRequest:
    return structs.replace(request, messages=(*request.messages, Message("user", (Text(words),))))


def _give_up(reason: str) -> BadAnswer:
    error = BadAnswer(reason=reason)
    error.is_worth_a_retry = False
    return error


def _add(done: Done, spent: Usage | None) -> Done:
    """`done` with what the first time took."""
    return structs.replace(done, usage=done.usage.plus(spent)) if done.usage is not None else done
