"""Calls that have to be made, where the model's server does not see to it: asked again once, then an error."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing

from msgspec import structs

from ..core import ChatRequest, Chunk, Done, Heartbeat, Message, Text, ToolCall, Usage
from ..errors import BadAnswer
from .base import BEAT, Chunks
from .dialogue.calls import read_calls
from .wishes import call_schema, chosen_name, must_call, offer_tools

_ONE, _ANY = 'Answer by calling the function "{}", and with nothing else.', "Answer by calling one of the functions."


def insist(chat: Callable[[ChatRequest], Chunks], request: ChatRequest, *, takes_format: bool) -> Chunks:
    """The answer of `chat`; where it has to be a call, its text is held back until one comes.

    The second time an instruction stands at the end and, if the server `takes_format`, the answer is bound to the form
    of a call. Raises BadAnswer when that is none either.
    """
    return _insist(chat, request, takes_format=takes_format) if must_call(request) else chat(request)


def _insist(chat: Callable[[ChatRequest], Chunks], request: ChatRequest, *, takes_format: bool) -> Chunks:
    first = yield from _hear(chat(request), request, takes_text=False)
    if not isinstance(first, Done):
        return
    again = structs.replace(request, messages=(*request.messages, Message("user", (Text(_instruct(request)),))))
    if takes_format:
        again = structs.replace(again, format=call_schema(request))
    second = yield from _hear(chat(again), request, takes_text=True, spent=first.usage)
    if isinstance(second, Done):
        error = BadAnswer("the model answered without calling a function", reason="no call was made")
        error.is_worth_a_retry = False
        raise error


def _hear(
    chunks: Chunks, request: ChatRequest, *, takes_text: bool, spent: Usage | None = None
) -> Generator[Chunk, None, Done | None]:
    """Passes the answer on from its first call; the Done of one that has none is given back instead.

    `takes_text`: a text that is the JSON of a call is one.
    """
    held: list[Chunk] = []
    has_called = False
    with closing(chunks):
        for chunk in chunks:
            if isinstance(chunk, Done):
                calls = _read(held, request) if takes_text and not has_called else []
                if not has_called and not calls:
                    return chunk
                yield from calls
                yield _add(structs.replace(chunk, finish="tool_calls") if calls else chunk, spent)
            elif has_called or isinstance(chunk, Heartbeat):
                yield chunk
            elif isinstance(chunk, ToolCall):
                has_called = True
                yield from held
                yield chunk
            else:
                held.append(chunk)
                yield BEAT
    return None


def _read(held: list[Chunk], request: ChatRequest) -> list[ToolCall]:
    names = [tool["function"]["name"] for tool in offer_tools(request)]
    return read_calls("".join(chunk.text for chunk in held if isinstance(chunk, Text)), names)


def _instruct(request: ChatRequest) -> str:
    name = chosen_name(request)
    return _ONE.format(name) if name else _ANY


def _add(done: Done, spent: Usage | None) -> Done:
    """`done` with what the first time took."""
    usage = done.usage
    if usage is None or spent is None:
        return done
    sums = {name: getattr(usage, name) + getattr(spent, name)
            for name in ("prompt_tokens", "completion_tokens", "load_ns", "prompt_ns", "completion_ns")}
    return structs.replace(done, usage=structs.replace(usage, **sums))
