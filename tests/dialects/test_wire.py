"""JSON that survives every line reader, and errors that tell no secrets."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moe.core import ChatRequest, Done, Text, Thinking, ToolCall
from moe.dialects import ollama, openai
from moe.dialects.base import Dialect
from moe.dialects.wire import encode
from moe.errors import (
    BackendError,
    BadAnswer,
    BadArguments,
    BadRequest,
    BrokenStream,
    Busy,
    ConfigError,
    Crowded,
    Forbidden,
    HeadersTooLarge,
    InvalidAnswer,
    MethodNotAllowed,
    ModelNotFound,
    MoeError,
    NotFound,
    NotReady,
    RequestTimeout,
    TimedOut,
    TooLarge,
    ToolError,
    ToolTimeout,
    TooManyRequests,
    Unanswered,
    Unavailable,
    UnknownEncoding,
    UnknownTool,
    Unreachable,
    UpstreamFailure,
    UpstreamRefusal,
)
from moe.replies import Ending, Head, Whole

DIALECTS: list[Dialect] = [openai.CHAT, ollama.CHAT, ollama.GENERATE]
HEAD = Head(request_id="r1", model="m", created=0)
ENDING = Ending(done=Done(), elapsed_ns=1, first_token_ns=1)
UNICODE = st.text(st.characters(exclude_categories=("Cs",)) | st.sampled_from("\x00\x0b\x1c\x85\u2028\u2029\uffff😀"))
ANY_TEXT = st.text(st.characters() | st.sampled_from("\ud83d\udfff\ude00\x85\u2028"))  # half surrogate pairs too


@given(UNICODE)
def test_every_text_comes_back_from_one_line(text: str) -> None:
    line = encode({"a": text}).decode()
    assert len(line.splitlines()) == 1
    assert json.loads(line) == {"a": text}


@given(ANY_TEXT)
def test_no_text_stops_a_writer(text: str) -> None:
    for dialect in DIALECTS:
        writer = dialect.writer(ChatRequest(), HEAD)
        chunks = (Text(text), Thinking(text), ToolCall(text, text, text))
        stream = b"".join(writer.chunk(chunk) for chunk in chunks) + writer.end(ENDING)
        assert stream.decode().splitlines() == stream.decode().split("\n")[:-1]
        whole = Whole(text=text, thinking=text, tool_calls=(ToolCall(text, text, text),))
        assert json.loads(dialect.reply(whole, HEAD, ENDING))


SECRET = "http://10.0.0.7:11434 token sk-123 /home/ann"
ERRORS: list[tuple[MoeError, str, str]] = [
    (BadRequest("bad n", param="n"), "bad n", "invalid_request_error"),
    (Forbidden("not here"), "not here", "permission_error"),
    (NotFound("no such page"), "no such page", "not_found_error"),
    (ModelNotFound("x"), "model 'x' not found", "not_found_error"),
    (MethodNotAllowed("use POST"), "use POST", "invalid_request_error"),
    (RequestTimeout("too slow"), "too slow", "invalid_request_error"),
    (TooLarge("too large"), "too large", "invalid_request_error"),
    (HeadersTooLarge("too many headers"), "too many headers", "invalid_request_error"),
    (TooManyRequests("slow down", retry_after_s=3), "slow down", "rate_limit_error"),
    (Busy(), "server busy, please try again.  maximum pending requests exceeded", "server_error"),
    (Unavailable("shutting down"), "shutting down", "server_error"),
    (ToolError("no answer"), "no answer", "invalid_request_error"),
    (BadArguments((("$.n", "missing"),)), "$.n: missing", "invalid_request_error"),
    (UnknownTool("saw"), "there is no tool 'saw'", "not_found_error"),
    (ToolTimeout("too slow"), "too slow", "server_error"),
    (Unanswered((("math", "timed out"),)), "no expert could answer (math: timed out)", "server_error"),
    (BackendError(SECRET), "failed", "server_error"),
    (Unreachable(SECRET), "unreachable", "server_error"),
    (TimedOut(SECRET), "timed out", "server_error"),
    (BadAnswer(SECRET), "unusable answer", "server_error"),
    (BrokenStream(SECRET), "the answer broke off", "server_error"),
    (UpstreamFailure(SECRET, upstream_status=401), "upstream status 401", "server_error"),
    (UpstreamRefusal("context is too long", status=413), "context is too long", "invalid_request_error"),
    (NotReady(SECRET), "not ready", "server_error"),
    (ConfigError((SECRET,)), "the server's configuration cannot be used", "server_error"),
    (MoeError(), "internal error", "server_error"),
    (UnknownEncoding("no brotli here"), "no brotli here", "invalid_request_error"),
    (InvalidAnswer("not the form", said=SECRET, fault=SECRET), "not the form", "server_error"),
    (Crowded(SECRET), "too many are waiting", "server_error"),
]


def family(error: type[MoeError]) -> set[type[MoeError]]:
    return {error}.union(*(family(kind) for kind in error.__subclasses__()))


@pytest.mark.parametrize(("error", "message", "kind"), ERRORS, ids=lambda value: type(value).__name__)
def test_every_error_is_told_in_both_dialects(error: MoeError, message: str, kind: str) -> None:
    param = getattr(error, "param", None)
    told = {"message": message, "type": kind, "param": param, "code": error.code}
    assert json.loads(openai.CHAT.error(error)) == {"error": told}
    assert json.loads(ollama.CHAT.error(error)) == {"error": message}


def test_no_error_is_forgotten_here() -> None:
    assert {type(error) for error, _, _ in ERRORS} >= {
        kind for kind in family(MoeError) if kind.__module__ == "moe.errors" and kind.__name__ != "RequestError"
    }
