"""The Responses API: /v1/responses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from msgspec import structs

from ..core import ChatRequest, Chunk, Done, Text, Thinking, TokenLogprob, ToolCall, Usage
from ..errors import MoeError, RequestError
from ..replies import Ending, Head, Whole
from . import openai
from .logprobs import write_entries
from .responses_tools import Toolbox, free_text
from .responses_wire import Asked, Memory, parse_responses
from .wire import call_id, encode, explain

__all__ = ["RESPONSES", "Asked", "Events", "Memory", "Responses", "list_items", "parse_responses", "response"]

SERVER_ERROR = "server_error"
# By the kind of chunk: what its item's id begins with, its event, the place in its item, what closes its event.
_SAID = {
    Text: ("msg", "response.output_text.delta", "content_index", b',"logprobs":[]}\n\n'),
    Thinking: ("rs", "response.reasoning_summary_text.delta", "summary_index", b"}\n\n"),
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
        self._box = request.box if isinstance(request, Asked) else Toolbox()
        self._number = 0
        self._has_begun = False
        self._output: list[dict[str, Any]] = []
        self._open: type[Chunk] | None = None
        self._pieces: list[str] = []
        self._logprobs: list[dict[str, Any]] = []
        self._calls = 0
        self._delta = (b"", b"")

    def chunk(self, chunk: Chunk) -> bytes:
        if isinstance(chunk, Text):
            return self._say(Text, chunk.text, chunk.logprobs)
        if isinstance(chunk, Thinking):
            return self._say(Thinking, chunk.text)
        if isinstance(chunk, ToolCall):
            return self._call(chunk)
        return b""

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
        at = {"item_id": self._item_id(prefix), "output_index": len(self._output), place: 0}
        item = self._spoken("in_progress") | ({"content": []} if kind is Text else {"summary": []})
        opened = self._event("response.output_item.added", output_index=len(self._output), item=item)
        opened += self._event(_part_event(kind, "added"), **at, part=self._part())
        before = encode({"type": event, **at})[:-1]
        self._delta = (b"".join((b"event: ", event.encode(), b"\ndata: ", before, b',"sequence_number":')), tail)
        return opened

    def _part(self) -> dict[str, Any]:
        """The open item's one part, as far as it goes."""
        text = "".join(self._pieces)
        return _text_part(text, self._logprobs) if self._open is Text else {"type": "summary_text", "text": text}

    def _spoken(self, status: str) -> dict[str, Any]:
        """The open item, with its part."""
        if self._open is Text:
            return _message(self._item_id("msg"), self._part(), status)
        return _reasoning(self._item_id("rs"), self._part(), status)

    def _close(self, status: str = "completed") -> bytes:
        if self._open is None:
            return b""
        kind, part, item = self._open, self._part(), self._spoken(status)
        at = {"item_id": item["id"], "output_index": len(self._output), _SAID[kind][2]: 0}
        told = {"text": part["text"]} | ({"logprobs": part["logprobs"]} if kind is Text else {})
        closed = self._event(_SAID[kind][1].replace(".delta", ".done"), **at, **told)
        closed += self._event(_part_event(kind, "done"), **at, part=part)
        self._open = None
        return closed + self._finish_item(item)

    def _call(self, call: ToolCall) -> bytes:
        """One call: its arguments are whole, so they leave in one piece."""
        before = self._begin() + self._close()
        index = len(self._output)
        item = _call(call, self._head, self._box, call_index=self._calls, index=index)
        self._calls += 1
        is_custom = item["type"] == "custom_tool_call"
        name = "input" if is_custom else "arguments"
        event = "response.custom_tool_call_input" if is_custom else "response.function_call_arguments"
        blank = {**item, name: ""} | ({} if is_custom else {"status": "in_progress"})
        at = {"item_id": item["id"], "output_index": index}
        told = {name: item[name]} | ({} if is_custom else {"name": item["name"]})
        return b"".join((
            before,
            self._event("response.output_item.added", output_index=index, item=blank),
            self._event(f"{event}.delta", **at, delta=item[name]),
            self._event(f"{event}.done", **at, **told),
            self._finish_item(item),
        ))

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
        if self._open is not Text and not any(item["type"] != "reasoning" for item in self._output):
            events += [self._close(), self._open_item(Text)]  # an answer without a word is still an answer
        status = _status(ending.done)
        events.append(self._close(status))
        final = _finished(self._head, self._output, ending)
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
        failed = response(self._head, self._output, "failed") | {"error": _error(error)}
        return b"".join((
            self._begin(),
            self._event("error", **told, error=openai.error_of(error)),
            self._event("response.failed", response=failed),
        ))

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
        return _finished(head, _output(whole, head, _status(ending.done)), ending)

    def error(self, error: MoeError) -> bytes:
        return openai.error_body(error)


def response(head: Head, output: list[dict[str, Any]], status: str) -> dict[str, Any]:
    """A response as it stands now."""
    echo = head.asked.echo if isinstance(head.asked, Asked) else {}
    return {
        "id": f"resp_{head.request_id}",
        "object": "response",
        "created_at": int(head.created),
        "status": status,
        "completed_at": None,
        "error": None,
        "incomplete_details": None,
        "model": head.model,
        "output": output,
        "usage": None,
        **echo,
    }


def list_items(items: Sequence[dict[str, Any]], *, has_more: bool = False) -> dict[str, Any]:
    """A page of input items."""
    names = [item.get("id") for item in items] or [None]
    return {"object": "list", "data": list(items), "first_id": names[0], "last_id": names[-1], "has_more": has_more}


def _finished(head: Head, output: list[dict[str, Any]], ending: Ending) -> dict[str, Any]:
    status = _status(ending.done)
    is_cut = status == "incomplete"
    body = response(head, output, status) | {
        "completed_at": None if is_cut else int(head.created + ending.elapsed_ns / 1e9),
        "incomplete_details": {"reason": "max_output_tokens"} if is_cut else None,
        "usage": _usage(ending.done),
    }
    return body | ({"x_moe": ending.extras} if ending.extras else {})


def _status(done: Done) -> str:
    return "incomplete" if done.finish == "length" else "completed"


def _output(whole: Whole, head: Head, status: str) -> list[dict[str, Any]]:
    box = head.asked.box if isinstance(head.asked, Asked) else Toolbox()
    output: list[dict[str, Any]] = []
    if whole.thinking:
        part = {"type": "summary_text", "text": whole.thinking}
        output.append(_reasoning(f"rs_{head.request_id}_0", part, "completed"))
    if whole.text or not whole.tool_calls:
        part = _text_part(whole.text, write_entries(whole.logprobs))
        output.append(_message(f"msg_{head.request_id}_{len(output)}", part, status))
    for place, call in enumerate(whole.tool_calls):
        output.append(_call(call, head, box, call_index=place, index=len(output)))
    return output


def _text_part(text: str, logprobs: list[dict[str, Any]]) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": logprobs}


def _message(name: str, part: dict[str, Any], status: str) -> dict[str, Any]:
    return {"id": name, "type": "message", "status": status, "role": "assistant", "content": [part]}


def _reasoning(name: str, part: dict[str, Any], status: str) -> dict[str, Any]:
    return {"id": name, "type": "reasoning", "status": status, "summary": [part]}


def _call(call: ToolCall, head: Head, box: Toolbox, *, call_index: int, index: int) -> dict[str, Any]:
    known = box.named_by(call.name)
    name, called = f"fc_{head.request_id}_{index}", call_id(call, head, call_index)
    if known.is_custom:
        given = {"call_id": called, "name": known.name, "input": free_text(call.arguments)}
        return {"id": name.replace("fc_", "ctc_", 1), "type": "custom_tool_call", "status": "completed", **given}
    item = {"id": name, "type": "function_call", "status": "completed", "call_id": called, "name": known.name,
            "arguments": call.arguments or "{}"}
    return item | ({"namespace": known.namespace} if known.namespace else {})


def _part_event(kind: type[Chunk], step: str) -> str:
    return f"response.{'content' if kind is Text else 'reasoning_summary'}_part.{step}"


def _error(error: MoeError) -> dict[str, str]:
    return {"code": SERVER_ERROR if error.status >= 500 else error.code, "message": explain(error)}


def _usage(done: Done) -> dict[str, Any]:
    usage = done.usage or Usage()
    return {
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
    }


RESPONSES = Responses()
