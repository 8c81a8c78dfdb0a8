"""A response as it is written, whole or in the events of a stream: its items, what it took, how it ended."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..core import Chunk, Done, Refusal, Text, Thinking, ToolCall, Usage
from ..errors import MoeError
from ..replies import Ending, Head, Whole
from .logprobs import write_entries
from .responses_tools import Toolbox, box_of, free_text
from .responses_wire import Asked
from .wire import call_id, explain

SERVER_ERROR = "server_error"
_CUT = {"length": "max_output_tokens", "content_filter": "content_filter"}


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


def finished(head: Head, output: list[dict[str, Any]], ending: Ending) -> dict[str, Any]:
    """A response that is over."""
    status = status_of(ending.done)
    is_cut = status == "incomplete"
    body = response(head, output, status) | {
        "completed_at": None if is_cut else int(head.created + ending.elapsed_ns / 1e9),
        "incomplete_details": {"reason": _CUT[ending.done.finish]} if is_cut else None,
        "usage": _usage(ending.done),
    }
    return body | ({"x_moe": ending.extras} if ending.extras else {})


def status_of(done: Done) -> str:
    return "incomplete" if done.finish in _CUT else "completed"


def write_output(whole: Whole, head: Head, status: str) -> list[dict[str, Any]]:
    """The items of a whole answer."""
    box = box_of(head.asked)
    output: list[dict[str, Any]] = []
    if whole.thinking:
        part = write_part(Thinking, whole.thinking, [])
        output.append(write_spoken(Thinking, f"rs_{head.request_id}_0", part, "completed"))
    if whole.said or not (whole.tool_calls or whole.refusal):
        part = write_part(Text, whole.said, write_entries(whole.logprobs))
        said = "completed" if whole.refusal else status
        output.append(write_spoken(Text, f"msg_{head.request_id}_{len(output)}", part, said))
    if whole.refusal:
        part = write_part(Refusal, whole.refusal, [])
        output.append(write_spoken(Refusal, f"msg_{head.request_id}_{len(output)}", part, status))
    for place, call in enumerate(whole.tool_calls):
        output.append(write_call(call, head, box, call_index=place, index=len(output)))
    return output


def write_part(kind: type[Chunk], text: str, logprobs: list[dict[str, Any]]) -> dict[str, Any]:
    """The one part of an item of text, refusal or thinking."""
    if kind is Text:
        return {"type": "output_text", "text": text, "annotations": [], "logprobs": logprobs}
    return {"type": "refusal", "refusal": text} if kind is Refusal else {"type": "summary_text", "text": text}


def write_spoken(kind: type[Chunk], name: str, part: dict[str, Any] | None, status: str) -> dict[str, Any]:
    """The item itself; without a `part` as it begins."""
    parts = [] if part is None else [part]
    if kind is Thinking:
        return {"id": name, "type": "reasoning", "status": status, "summary": parts}
    return {"id": name, "type": "message", "status": status, "role": "assistant", "content": parts}


def write_call(call: ToolCall, head: Head, box: Toolbox, *, call_index: int, index: int) -> dict[str, Any]:
    """The item of a call: the `call_index`th, and of all items the `index`th."""
    known = box.named_by(call.name)
    name, called = f"fc_{head.request_id}_{index}", call_id(call, head, call_index)
    if known.is_custom:
        given = {"call_id": called, "name": known.name, "input": free_text(call.arguments)}
        return {"id": name.replace("fc_", "ctc_", 1), "type": "custom_tool_call", "status": "completed", **given}
    item = {"id": name, "type": "function_call", "status": "completed", "call_id": called, "name": known.name,
            "arguments": call.arguments or "{}"}
    return item | ({"namespace": known.namespace} if known.namespace else {})


def write_error(error: MoeError) -> dict[str, str]:
    return {"code": SERVER_ERROR if error.status >= 500 else error.code, "message": explain(error)}


def _usage(done: Done) -> dict[str, Any]:
    usage = done.usage or Usage()
    return {
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {"cached_tokens": usage.cached_tokens or 0, "cache_write_tokens": 0},
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens or 0},
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
    }
