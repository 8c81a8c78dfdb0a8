"""What every dialect writes alike: JSON that any line reader survives, call ids, words for a client's eyes."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from ..core import ToolCall
from ..errors import BackendError, ConfigError, MoeError, UpstreamRefusal
from ..replies import Head


def encode(value: Any) -> bytes:
    r"""JSON in one line even for clients that also split at U+0085, U+2028 and U+2029 (httpx's iter_lines).

    Half a surrogate pair, which UTF-8 cannot carry, becomes "?".
    """
    try:
        data = msgspec.json.encode(value)
    except UnicodeEncodeError:
        data = json.dumps(msgspec.to_builtins(value), ensure_ascii=False).encode("utf-8", "replace")
    if data.isascii():
        return data
    data = data.replace(b"\xc2\x85", b"\\u0085")
    return data.replace(b"\xe2\x80\xa8", b"\\u2028").replace(b"\xe2\x80\xa9", b"\\u2029")


def call_id(call: ToolCall, head: Head, index: int) -> str:
    """The call's own id, or one that is the same in a stream and in a whole reply."""
    return call.id or f"call_{head.request_id}_{index}"


def explain(error: MoeError) -> str:
    """The error in words for a client: nothing of an upstream but its refusal, nothing of the configuration."""
    if isinstance(error, BackendError) and not isinstance(error, UpstreamRefusal):
        return error.reason
    if isinstance(error, ConfigError):
        return "the server's configuration cannot be used"
    return error.message
