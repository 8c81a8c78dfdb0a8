"""An OpenAI-compatible server without a model, over a real socket."""

from __future__ import annotations

import base64
import itertools
import json
import struct
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from tests.fakes.reply import Complaint, Voice
from tests.fakes.speech import Ask, Part, Speech, Text, Thinking, ToolCall, count_tokens, embed, read_content, weigh
from tests.fakes.upstream import Document, Refusal, Upstream
from tests.fakes.wire import Request, to_json

ARGUMENT_PART_CHARS = 8
EMBEDDING_SIZE = 16
JSON_SCHEMA = {"type": "object", "properties": {"answer": {"type": "string"}}}
TYPES_BY_STATUS = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}

Body = Mapping[str, Any]


class FakeOpenAI(Upstream):
    """With `require_key` every request needs it as its bearer token."""

    def __init__(
        self,
        models: Iterable[str] = ("gpt-4o-mini",),
        *,
        require_key: str | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self.models = list(models)
        self.require_key = require_key
        self._numbers = itertools.count(1)
        super().__init__(host=host, port=port)

    @property
    def api_base(self) -> str:
        return f"{self.url}/v1"

    def complain(self, status: int, message: str, code: str | None) -> object:
        default = "server_error" if status >= 500 else "invalid_request_error"
        kind = TYPES_BY_STATUS.get(status, default)
        return {"error": {"message": message, "type": kind, "param": None, "code": code}}

    def voice_for(self, request: Request) -> Voice:
        self._check_key(request)
        routes: dict[str, Callable[[Body], Voice]] = {
            "POST /v1/chat/completions": self._chat,
            "POST /v1/completions": self._complete,
            "POST /v1/embeddings": self._embed,
        }
        handle = routes.get(f"{request.method} {request.path}")
        if handle is not None:
            return handle(_read_body(request))
        if request.method == "GET" and request.path == "/v1/models":
            return Document(self.complain, {"object": "list", "data": [_to_card(name) for name in self.models]})
        if request.method == "GET" and request.path.startswith("/v1/models/"):
            return Document(self.complain, _to_card(self._find({"model": request.path.removeprefix("/v1/models/")})))
        raise Refusal(404, f"Invalid URL ({request.method} {request.path})")

    def _check_key(self, request: Request) -> None:
        given = request.headers.get("authorization", "").removeprefix("Bearer ")
        if self.require_key is not None and given != self.require_key:
            raise Refusal(401, "Incorrect API key provided.", code="invalid_api_key")

    def _find(self, body: Body) -> str:
        name = body.get("model")
        if not name or not isinstance(name, str):
            raise Refusal(400, "you must provide a model parameter")
        if name not in self.models and not self.is_scripted(name):
            message = f"The model `{name}` does not exist or you do not have access to it."
            raise Refusal(404, message, code="model_not_found")
        return name

    def _chat(self, body: Body) -> Voice:
        self._find(body)
        if not body.get("messages"):
            raise Refusal(400, "[] is too short - 'messages'")
        return ChatVoice(self.complain, body, _read_chat(body), next(self._numbers))

    def _complete(self, body: Body) -> Voice:
        self._find(body)
        prompt = body.get("prompt") or ""
        text = prompt if isinstance(prompt, str) else " ".join(map(str, prompt))
        ask = Ask(text, count_tokens(text), model=body["model"], token_limit=body.get("max_tokens"))
        return CompletionVoice(self.complain, body, ask, next(self._numbers))

    def _embed(self, body: Body) -> Voice:
        name = self._find(body)
        inputs = _split_inputs(body.get("input"))
        vectors = [embed(text, body.get("dimensions") or EMBEDDING_SIZE) for text in inputs]
        as_base64 = body.get("encoding_format") == "base64"
        data = [
            {"object": "embedding", "index": index, "embedding": _to_base64(vector) if as_base64 else vector}
            for index, vector in enumerate(vectors)
        ]
        tokens = count_tokens(*inputs)
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        return Document(self.complain, {"object": "list", "model": name, "data": data, "usage": usage}, key=name)


class OpenAIVoice(Voice):
    """Server-sent events; a subclass says what a choice looks like."""

    id_prefix = ""
    whole_object = ""
    chunk_object = ""

    def __init__(self, complain: Complaint, body: Body, ask: Ask, number: int) -> None:
        super().__init__(complain)
        self.ask: Ask = ask
        self._body = body
        self.key = body["model"]
        self.is_streamed = bool(body.get("stream"))
        self.media_type = "text/event-stream" if self.is_streamed else "application/json"
        self._wants_usage = bool((body.get("stream_options") or {}).get("include_usage"))
        self._head = {"id": f"{self.id_prefix}-{number}", "created": int(time.time()), "model": body["model"]}

    def write_part(self, delta: Body) -> Body:
        """The content of a streamed choice."""
        raise NotImplementedError

    def write_whole(self, parts: Sequence[Part]) -> Body:
        """The content of a choice in one piece."""
        raise NotImplementedError

    def frame(self, payload: bytes) -> bytes:
        return b"data: " + payload + b"\n\n"

    def say(self, part: Part) -> list[bytes]:
        if isinstance(part, ToolCall):
            raise NotImplementedError
        name = "content" if isinstance(part, Text) else "reasoning_content"
        return [self.to_chunk({name: part.text})]

    def end(self, speech: Speech) -> list[bytes]:
        usage = self._count(speech)
        frames = [self.to_chunk({}, finish=speech.finish)]
        if self._wants_usage and usage is not None:
            frames.append(self._frame_chunk({"choices": [], "usage": usage}))
        return [*frames, self.frame(b"[DONE]")]

    def tell(self, speech: Speech) -> bytes:
        content = self.write_whole(list(speech))
        choice = {"index": 0, **content, "logprobs": None, "finish_reason": speech.finish}
        usage = self._count(speech)
        whole = {**self._head, "object": self.whole_object, "choices": [choice]}
        return to_json(whole if usage is None else {**whole, "usage": usage})

    def to_chunk(self, delta: Body, *, finish: str | None = None) -> bytes:
        choice = {"index": 0, **self.write_part(delta), "finish_reason": finish}
        return self._frame_chunk({"choices": [choice], **({"usage": None} if self._wants_usage else {})})

    def _frame_chunk(self, rest: Body) -> bytes:
        return self.frame(to_json({**self._head, "object": self.chunk_object, **rest}))

    def _count(self, speech: Speech) -> Body | None:
        if speech.usage != "counted":
            return speech.usage
        prompt = self.ask.prompt_tokens
        counts = {"prompt_tokens": prompt, "completion_tokens": speech.count}
        return {**counts, "total_tokens": prompt + speech.count}


class ChatVoice(OpenAIVoice):
    id_prefix = "chatcmpl"
    whole_object = "chat.completion"
    chunk_object = "chat.completion.chunk"

    def open(self) -> list[bytes]:
        self._call_index = itertools.count()
        return [self.to_chunk({"role": "assistant", "content": ""})]

    def say(self, part: Part) -> list[bytes]:
        if not isinstance(part, ToolCall):
            return super().say(part)
        index = next(self._call_index)
        call = _to_call(index, part)
        arguments = call["function"]["arguments"]
        opening = {"index": index, **call, "function": {"name": part.name, "arguments": ""}}
        pieces = [arguments[i : i + ARGUMENT_PART_CHARS] for i in range(0, len(arguments), ARGUMENT_PART_CHARS)]
        deltas = [opening, *({"index": index, "function": {"arguments": piece}} for piece in pieces)]
        return [self.to_chunk({"tool_calls": [delta]}) for delta in deltas]

    def write_part(self, delta: Body) -> Body:
        if not (self._body.get("logprobs") and delta.get("content")):
            return {"delta": delta}
        odds = weigh(delta["content"], self._body.get("top_logprobs") or 0)
        return {"delta": delta, "logprobs": {"content": odds, "refusal": None}}

    def write_whole(self, parts: Sequence[Part]) -> Body:
        texts = [part.text for part in parts if isinstance(part, Text)]
        thinking = "".join(part.text for part in parts if isinstance(part, Thinking))
        calls = [part for part in parts if isinstance(part, ToolCall)]
        message: dict[str, Any] = {"role": "assistant", "content": "".join(texts) if texts or not calls else None}
        if thinking:
            message["reasoning_content"] = thinking
        if calls:
            message["tool_calls"] = [_to_call(*numbered) for numbered in enumerate(calls)]
        return {"message": message}


class CompletionVoice(OpenAIVoice):
    id_prefix = "cmpl"
    whole_object = chunk_object = "text_completion"

    def write_part(self, delta: Body) -> Body:
        return {"text": delta.get("content", ""), "logprobs": None}

    def write_whole(self, parts: Sequence[Part]) -> Body:
        return {"text": "".join(part.text for part in parts if isinstance(part, Text))}


def _read_body(request: Request) -> Body:
    if not isinstance(request.json, dict):
        raise Refusal(400, "We could not parse the JSON body of your request.")
    return request.json


def _read_chat(body: Body) -> Ask:
    messages = body["messages"]
    last = messages[-1]
    users = [message.get("content") for message in messages if message.get("role") == "user"]
    content = users[-1] if users else ""
    may_call = bool(body.get("tools")) and last.get("role") == "user" and body.get("tool_choice") != "none"
    return Ask(
        text=read_content(content),
        prompt_tokens=count_tokens(*(read_content(message.get("content")) for message in messages)),
        model=body["model"],
        image_count=sum(part.get("type") == "image_url" for part in content) if isinstance(content, list) else 0,
        tool=body["tools"][0].get("function") if may_call else None,
        tool_said=read_content(last.get("content")) if last.get("role") == "tool" else None,
        schema=_read_format(body),
        token_limit=body.get("max_completion_tokens") or body.get("max_tokens"),
    )


def _read_format(body: Body) -> Body | None:
    wanted = body.get("response_format") or {}
    if wanted.get("type") == "json_schema":
        return wanted["json_schema"].get("schema") or {}
    return JSON_SCHEMA if wanted.get("type") == "json_object" else None


def _split_inputs(given: object) -> list[str]:
    """A text, texts, tokens or lists of tokens: one string for each vector."""
    if not given or not isinstance(given, str | list):
        raise Refusal(400, "'$.input' is invalid.")
    if isinstance(given, str):
        return [given]
    if isinstance(given[0], int):
        return [" ".join(map(str, given))]
    return [item if isinstance(item, str) else " ".join(map(str, item)) for item in given]


def _to_card(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 1767225600, "owned_by": "fake"}


def _to_call(index: int, call: ToolCall) -> dict[str, Any]:
    function = {"name": call.name, "arguments": json.dumps(call.arguments, ensure_ascii=False)}
    return {"id": f"call_{index}_{call.name}", "type": "function", "function": function}


def _to_base64(vector: Sequence[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


@contextmanager
def fake_openai(models: Iterable[str] = ("gpt-4o-mini",), *, require_key: str | None = None) -> Iterator[FakeOpenAI]:
    with FakeOpenAI(models, require_key=require_key) as fake:
        yield fake
