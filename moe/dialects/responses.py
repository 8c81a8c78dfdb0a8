"""The Responses API: /v1/responses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import structs

from ..core import ChatRequest, Chunk, Refusal, Text, Thinking, TokenLogprob, ToolCall, ToolCallPiece
from ..errors import MoeError, RequestError
from ..replies import Ending, Head, Whole
from . import openai
from .logprobs import write_entries
from .responses_body import (
    finished,
    list_items,
    response,
    status_of,
    write_call,
    write_error,
    write_output,
    write_part,
    write_spoken,
)
from .responses_tools import box_of
from .responses_wire import Asked, Forgotten, ItemForgotten, Kept, Memory, parse_responses
from .wire import encode, explain

__all__ = [
    "RESPONSES", "Asked", "Events", "Forgotten", "ItemForgotten", "Kept", "Memory", "Responses", "list_items",
    "parse_responses", "response",
]

# By the kind of chunk: what its item's id begins with, its event, the place in its item, what closes its event.
_SAID = {
    Text: ("msg", "response.output_text.delta", "content_index", b',"logprobs":[]}\n\n'),
    Refusal: ("msg", "response.refusal.delta", "content_index", b"}\n\n"),
    Thinking: ("rs", "response.reasoning_summary_text.delta", "summary_index", b"}\n\n"),
}

# By the type of a call's item: its field for what the tool is given, and how its events begin.
_CALLED = {
    "function_call": ("arguments", "response.function_call_arguments"),
    "custom_tool_call": ("input", "response.custom_tool_call_input"),
}


class Events:
    """A streamed reply as named server-sent events, all numbered: items in rising order, one open at a time.

    `on_end` gets the whole response before its client does; if it raises a MoeError, the stream ends with that.
    """

    def __init__(
        self, request: ChatRequest, head: Head, *, on_end: Callable[[dict[str, Any]], None] | None = None
    ) -> None:
        self._on_end = on_end
        self._head = structs.replace(head, asked=request)
        self._box = box_of(request)
        self._number = 0
        self._has_begun = False
        self._output: list[dict[str, Any]] = []
        self._open: type[Chunk] | None = None
        self._pieces: list[str] = []
        self._logprobs: list[dict[str, Any]] = []
        self._calls = 0
        self._growing: ToolCall | None = None  # with its arguments as far as they came
        self._held: list[Chunk] = []
        self._delta = (b"", b"")

    def chunk(self, chunk: Chunk) -> bytes:
        if isinstance(chunk, ToolCall):
            return self._call(chunk)
        if isinstance(chunk, ToolCallPiece):
            return self._grow(chunk)
        if self._growing is not None:  # only one item may be open
            self._held.append(chunk)
            return b""
        if isinstance(chunk, Refusal):
            return self._say(Refusal, chunk.text)
        if isinstance(chunk, Text):
            return self._say(Text, self._begin_plain(chunk.text), chunk.logprobs)
        if isinstance(chunk, Thinking):
            return self._say(Thinking, chunk.text)
        return b""

    def _begin_plain(self, text: str) -> str:
        """A later message is a paragraph of its own, so it begins with no empty line."""
        is_later = self._open is not Text and any(item["type"] == "message" for item in self._output)
        return text.lstrip("\n") if is_later else text

    def _say(self, kind: type[Chunk], text: str, logprobs: tuple[TokenLogprob, ...] = ()) -> bytes:
        if not text and not logprobs:
            return b""
        opening = b"" if self._open is kind else self._begin() + self._close() + self._open_item(kind)
        before, after = self._delta
        if logprobs:
            entries = write_entries(logprobs)
            self._logprobs += entries
            after = b',"logprobs":' + encode(entries) + b"}\n\n"
        self._pieces.append(text)
        return b"".join((opening, before, b"%d" % self._take_number(), b',"delta":', encode(text), after))

    def _open_item(self, kind: type[Chunk]) -> bytes:
        prefix, event, place, tail = _SAID[kind]
        self._open, self._pieces, self._logprobs = kind, [], []
        name = self._item_id(prefix)
        at = {"item_id": name, "output_index": len(self._output), place: 0}
        item = write_spoken(kind, name, None, "in_progress")
        opened = self._event("response.output_item.added", output_index=len(self._output), item=item)
        opened += self._event(_part_event(kind, "added"), **at, part=write_part(kind, "", []))
        before = encode({"type": event, **at})[:-1]
        self._delta = (b"".join((b"event: ", event.encode(), b"\ndata: ", before, b',"sequence_number":')), tail)
        return opened

    def _close(self, status: str = "completed") -> bytes:
        if self._open is None:
            return b""
        kind, self._open = self._open, None
        prefix, event, place, _ = _SAID[kind]
        part = write_part(kind, "".join(self._pieces), self._logprobs)
        item = write_spoken(kind, self._item_id(prefix), part, status)
        at = {"item_id": item["id"], "output_index": len(self._output), place: 0}
        told = {name: part[name] for name in ("text", "refusal", "logprobs") if name in part}
        closed = self._event(event.replace(".delta", ".done"), **at, **told)
        closed += self._event(_part_event(kind, "done"), **at, part=part)
        return closed + self._finish_item(item)

    def _grow(self, piece: ToolCallPiece) -> bytes:
        if self._box.named_by(piece.name).is_custom:
            return b""  # its text is wrapped in JSON: only the whole of it can be unwrapped
        opened, item = self._begin_call(ToolCall(piece.id, piece.name))
        before = self._growing.arguments if self._growing is not None else ""
        self._growing = ToolCall(piece.id, piece.name, before + piece.arguments)
        return opened + self._extend(item, piece.arguments)

    def _call(self, call: ToolCall, status: str = "completed") -> bytes:
        """What is left to tell of one call: mostly all of it."""
        opened, item = self._begin_call(call)
        item["status"] = status
        name, event = _CALLED[item["type"]]
        rest = item[name].removeprefix(self._growing.arguments if self._growing is not None else "")
        at = {"item_id": item["id"], "output_index": len(self._output)}
        told = {name: item[name]} | ({"name": item["name"]} if name == "arguments" else {})
        written = b"".join((
            opened, self._extend(item, rest), self._event(f"{event}.done", **at, **told), self._finish_item(item),
        ))
        self._calls += 1
        self._growing, held, self._held = None, self._held, []
        return written + b"".join(map(self.chunk, held))

    def _begin_call(self, call: ToolCall) -> tuple[bytes, dict[str, Any]]:
        """What opens its item, nothing where that is done, and the item."""
        opened = b"" if self._growing is not None else self._begin() + self._close()
        item = write_call(call, self._head, self._box, call_index=self._calls, index=len(self._output))
        if self._growing is None:
            blank = {**item, _CALLED[item["type"]][0]: "", "status": "in_progress"}
            opened += self._event("response.output_item.added", output_index=len(self._output), item=blank)
        return opened, item

    def _extend(self, item: dict[str, Any], text: str) -> bytes:
        at = {"item_id": item["id"], "output_index": len(self._output)}
        return self._event(f"{_CALLED[item['type']][1]}.delta", **at, delta=text) if text else b""

    def _finish_item(self, item: dict[str, Any]) -> bytes:
        index = len(self._output)
        self._output.append(item)
        return self._event("response.output_item.done", output_index=index, item=item)

    def _begin(self) -> bytes:
        if self._has_begun:
            return b""
        self._has_begun = True
        begun = response(self._head, [], "in_progress")
        return self._event("response.created", response=begun) + self._event("response.in_progress", response=begun)

    def end(self, ending: Ending) -> bytes:
        events = [self._begin()]
        if self._growing is not None:  # the answer was cut in its midst
            events.append(self._call(self._growing, "incomplete"))
        if self._open in (None, Thinking) and not any(item["type"] != "reasoning" for item in self._output):
            events += [self._close(), self._open_item(Text)]  # an answer without a word is still an answer
        status = status_of(ending.done)
        events.append(self._close(status))
        final = finished(self._head, self._output, ending)
        try:
            if self._on_end is not None:
                self._on_end(final)
            events.append(self._event(f"response.{status}", response=final))
        except MoeError as error:
            events.append(self.fail(error))
        return b"".join(events)

    def fail(self, error: MoeError) -> bytes:
        """Some clients know the one event for it, some the other."""
        param = error.param if isinstance(error, RequestError) else None
        told = {"code": error.code, "message": explain(error), "param": param}
        failed = response(self._head, self._output, "failed") | {"error": write_error(error)}
        return b"".join((
            self._begin(),
            self._event("error", **told, error=openai.error_of(error)),
            self._event("response.failed", response=failed),
        ))

    def so_far(self) -> list[dict[str, Any]]:
        """The items that the client has been told of, without a call that is not yet whole."""
        if self._open is None:
            return self._output
        part = write_part(self._open, "".join(self._pieces), self._logprobs)
        return [*self._output, write_spoken(self._open, self._item_id(_SAID[self._open][0]), part, "incomplete")]

    def _item_id(self, prefix: str) -> str:
        return f"{prefix}_{self._head.request_id}_{len(self._output)}"

    def _event(self, kind: str, /, **fields: Any) -> bytes:
        data = encode({"type": kind, "sequence_number": self._take_number(), **fields})
        return b"".join((b"event: ", kind.encode(), b"\ndata: ", data, b"\n\n"))

    def _take_number(self) -> int:
        number = self._number
        self._number += 1
        return number


class Responses:
    """The Dialect of /v1/responses."""

    stream_type: str = "text/event-stream; charset=utf-8"
    keep_alive: bytes = b": keep-alive\n\n"

    def parse(self, body: bytes) -> ChatRequest:
        return parse_responses(body)

    def writer(self, request: ChatRequest, head: Head) -> Events:
        return Events(request, head)

    def reply(self, whole: Whole, head: Head, ending: Ending) -> bytes:
        return encode(self.whole(whole, head, ending))

    def whole(self, whole: Whole, head: Head, ending: Ending) -> dict[str, Any]:
        """The reply before it is written."""
        return finished(head, write_output(whole, head, status_of(ending.done)), ending)

    def error(self, error: MoeError) -> bytes:
        return openai.error_body(error)


def _part_event(kind: type[Chunk], step: str) -> str:
    return f"response.{'reasoning_summary' if kind is Thinking else 'content'}_part.{step}"


RESPONSES = Responses()
