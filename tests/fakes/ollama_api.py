"""An Ollama without a model: its native API over a real socket."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

from tests.fakes.inventory import DEFAULT_NUM_CTX, FakeModel, Inventory, add_tag, read_seconds, to_key
from tests.fakes.managing import BLOBS, ROUTES, Shop
from tests.fakes.reply import Complaint, Voice
from tests.fakes.speech import Ask, Part, Speech, Text, Thinking, ToolCall, count_tokens, embed, weigh
from tests.fakes.upstream import Document, Refusal, Upstream
from tests.fakes.wire import Request, to_json

VERSION = "0.33.0"
NS_PER_TOKEN = 1_000_000
JSON_SCHEMA = {"type": "object", "properties": {"answer": {"type": "string"}}}

Body = Mapping[str, Any]


class FakeOllama(Upstream):
    """Models are given as FakeModel or as a bare name; `models` can change while it runs."""

    def __init__(
        self, models: Iterable[FakeModel | str] = ("gemma3:4b",), *, host: str = "127.0.0.1", port: int = 0
    ) -> None:
        self.models = Inventory(models)
        self.shop = Shop(self.models, self.complain)
        super().__init__(host=host, port=port)

    def canonical(self, name: str) -> str:
        return to_key(name)

    def complain(self, status: int, message: str, code: str | None) -> object:
        return {"error": message}

    def voice_for(self, request: Request) -> Voice:
        routes: dict[str, tuple[str, Callable[[Request], Voice]]] = {
            "/": ("GET", lambda _: self._document(b"Ollama is running")),
            "/api/version": ("GET", lambda _: self._document({"version": VERSION})),
            "/api/tags": ("GET", lambda _: self._document({"models": [model.tag for model in self.models]})),
            "/api/ps": ("GET", lambda _: self._document({"models": self.models.running()})),
            "/api/show": ("POST", self._show),
            "/api/chat": ("POST", self._chat),
            "/api/generate": ("POST", self._generate),
            "/api/embed": ("POST", self._embed),
            "/api/embeddings": ("POST", self._embed_one),
        }
        if request.path in ROUTES or request.path.startswith(BLOBS):
            return self.shop.serve(request)
        if request.path not in routes:
            raise Refusal(404, body="404 page not found")
        method, handle = routes[request.path]
        if method != ("GET" if request.method == "HEAD" else request.method):
            raise Refusal(405, body="405 method not allowed")
        return handle(request)

    def _document(self, payload: object, *, key: str | None = None) -> Document:
        return Document(self.complain, payload, key=key)

    def _show(self, request: Request) -> Voice:
        model = self._find(_read_body(request), 'model "{}" not found')
        return self._document(model.card)

    def _chat(self, request: Request) -> Voice:
        body = _read_body(request)
        model = self._find(body, "model '{}' not found")
        messages = body.get("messages") or []
        if not isinstance(messages, list) or not all(isinstance(message, dict) for message in messages):
            raise Refusal(400, "json: cannot unmarshal into Go struct field ChatRequest.messages of type api.Message")
        if not messages:
            return self._load_only(body, model, {"message": {"role": "assistant", "content": ""}})
        _check(body, model, "chat")
        return self._speak(body, model, ChatVoice(self.complain, model, body, _read_chat(body)))

    def _generate(self, request: Request) -> Voice:
        body = _read_body(request)
        model = self._find(body, "model '{}' not found")
        if body.get("raw") and (body.get("template") or body.get("system") or body.get("context")):
            raise Refusal(400, "raw mode does not support template, system, or context")
        if not body.get("prompt"):
            return self._load_only(body, model, {"response": ""})
        _check(body, model, "generate")
        return self._speak(body, model, GenerateVoice(self.complain, model, body, _read_prompt(body)))

    def _speak(self, body: Body, model: FakeModel, voice: OllamaVoice) -> Voice:
        voice.key = model.name
        voice.load_s = self._load(body, model)
        return voice

    def _load_only(self, body: Body, model: FakeModel, said: Body) -> Voice:
        reason = "load" if _read_keep_alive(body) else "unload"
        head = {"model": body["model"], "created_at": _now()}
        voice = self._document({**head, **said, "done": True, "done_reason": reason})
        if reason == "unload":
            self.models.unload(model.name)
        else:
            voice.load_s = self._load(body, model)
        return voice

    def _load(self, body: Body, model: FakeModel) -> float:
        return self.models.load(model, num_ctx=_read_num_ctx(body), keep_s=_read_keep_alive(body))

    def _embed(self, request: Request) -> Voice:
        body = _read_body(request)
        model = self._find(body, 'model "{}" not found, try pulling it first')
        texts = body.get("input")
        texts = [texts] if isinstance(texts, str) else texts or []
        if not all(isinstance(text, str) for text in texts):
            raise Refusal(400, "invalid input type")
        size = body.get("dimensions") or model.embedding_length
        answer = {"model": body["model"], "embeddings": [embed(text, size) for text in texts]}
        counts = {"total_duration": NS_PER_TOKEN, "load_duration": 1, "prompt_eval_count": count_tokens(*texts)}
        return self._document({**answer, **counts}, key=model.name)

    def _embed_one(self, request: Request) -> Voice:
        body = _read_body(request)
        model = self._find(body, 'model "{}" not found, try pulling it first')
        text = body.get("prompt")
        return self._document({"embedding": embed(text, model.embedding_length) if text else []}, key=model.name)

    def _find(self, body: Body, not_found: str) -> FakeModel:
        name = body.get("model") or body.get("name")
        if not name or not isinstance(name, str):
            raise Refusal(400, "model is required")
        model = self.models.get(name)
        if model is None and self.is_scripted(name):
            model = FakeModel(add_tag(name))
        if model is None:
            raise Refusal(404, not_found.format(name))
        return model


class OllamaVoice(Voice):
    """NDJSON lines; a subclass says where in the line the text stands."""

    def __init__(self, complain: Complaint, model: FakeModel, body: Body, ask: Ask) -> None:
        super().__init__(complain)
        thinks = model.can("thinking") and body.get("think") is not False
        self.ask: Ask = replace(ask, model=model.name, thinks=thinks)
        self.is_streamed = body.get("stream") is not False
        self.media_type = "application/x-ndjson" if self.is_streamed else "application/json; charset=utf-8"
        self._body = body
        self._remote = model.remote

    def wrap(self, text: str, *, thinking: str = "", tool_calls: Sequence[Body] = ()) -> dict[str, Any]:
        raise NotImplementedError

    def frame(self, payload: bytes) -> bytes:
        return payload + b"\n"

    def say(self, part: Part) -> list[bytes]:
        return [self._to_line([part], {"done": False})]

    def end(self, speech: Speech) -> list[bytes]:
        return [self._to_line([], self.summarize(speech))]

    def tell(self, speech: Speech) -> bytes:
        return self._to_line(list(speech), self.summarize(speech)).rstrip()

    def summarize(self, speech: Speech) -> dict[str, Any]:
        reason = "stop" if speech.finish == "tool_calls" else speech.finish
        usage = self._count(speech.count) if speech.usage == "counted" else speech.usage or {}
        return {"done": True, "done_reason": reason, **usage}

    def _to_line(self, parts: Sequence[Part], rest: Body) -> bytes:
        text = "".join(part.text for part in parts if isinstance(part, Text))
        thinking = "".join(part.text for part in parts if isinstance(part, Thinking))
        calls = [part for part in parts if isinstance(part, ToolCall)]
        said = self.wrap(text, thinking=thinking, tool_calls=[_to_call(*numbered) for numbered in enumerate(calls)])
        head = {"model": self._body["model"], **self._remote, "created_at": _now()}
        odds = weigh(text, self._body.get("top_logprobs") or 0) if text and self._body.get("logprobs") else []
        return self.frame(to_json({**head, **said, **({"logprobs": odds} if odds else {}), **rest}))

    def _count(self, eval_count: int) -> dict[str, int]:
        """A prompt that does not fit the context is cut without a word, as Ollama does."""
        prompt_count = min(self.ask.prompt_tokens, _read_num_ctx(self._body))
        load_ns = int(self.load_s * 1e9) + NS_PER_TOKEN
        prompt_ns, eval_ns = (max(count, 1) * NS_PER_TOKEN for count in (prompt_count, eval_count))
        return {
            "total_duration": load_ns + prompt_ns + eval_ns,
            "load_duration": load_ns,
            "prompt_eval_count": prompt_count,
            "prompt_eval_duration": prompt_ns,
            "eval_count": eval_count,
            "eval_duration": eval_ns,
        }


class ChatVoice(OllamaVoice):
    def wrap(self, text: str, *, thinking: str = "", tool_calls: Sequence[Body] = ()) -> dict[str, Any]:
        extra = {"thinking": thinking, "tool_calls": list(tool_calls)}
        said = {key: value for key, value in extra.items() if value}
        return {"message": {"role": "assistant", "content": text, **said}}


class GenerateVoice(OllamaVoice):
    def wrap(self, text: str, *, thinking: str = "", tool_calls: Sequence[Body] = ()) -> dict[str, Any]:
        return {"response": text, **({"thinking": thinking} if thinking else {})}

    def summarize(self, speech: Speech) -> dict[str, Any]:
        context = [*(self._body.get("context") or []), *range(1, speech.count + 1)]
        return {**super().summarize(speech), **({} if self._body.get("raw") else {"context": context})}


def _read_body(request: Request) -> Body:
    if not request.body:
        raise Refusal(400, "missing request body")
    if not isinstance(request.json, dict):
        raise Refusal(400, "invalid character looking for beginning of value")
    return request.json


def _read_chat(body: Body) -> Ask:
    messages = body["messages"]
    last = messages[-1]
    users = [message for message in messages if message.get("role") == "user"]
    user = users[-1] if users else {}
    tools = body.get("tools") or []
    return Ask(
        text=user.get("content") or "",
        prompt_tokens=count_tokens(*(message.get("content") or "" for message in messages)),
        image_count=len(user.get("images") or []),
        tool=tools[0].get("function") if tools and last.get("role") == "user" else None,
        tool_said=last.get("content") if last.get("role") == "tool" else None,
        schema=_read_format(body),
        token_limit=_read_limit(body),
    )


def _read_prompt(body: Body) -> Ask:
    return Ask(
        text=body["prompt"],
        prompt_tokens=count_tokens(body["prompt"], body.get("system") or "", body.get("suffix") or ""),
        image_count=len(body.get("images") or []),
        schema=_read_format(body),
        token_limit=_read_limit(body),
    )


def _check(body: Body, model: FakeModel, verb: str) -> None:
    long_name = f"registry.ollama.ai/library/{model.name}"
    if not model.can("completion"):
        raise Refusal(400, f'"{body["model"]}" does not support {verb}')
    if body.get("tools") and not model.can("tools"):
        raise Refusal(400, f"{long_name} does not support tools")
    if body.get("suffix") and not model.can("insert"):
        raise Refusal(400, f"{long_name} does not support insert")
    if body.get("think") and not model.can("thinking"):
        raise Refusal(400, f'"{body["model"]}" does not support thinking')


def _read_format(body: Body) -> Body | None:
    wanted = body.get("format")
    return JSON_SCHEMA if wanted == "json" else wanted or None


def _read_limit(body: Body) -> int | None:
    limit = _read_integer(body, "num_predict")
    return limit if limit is not None and limit >= 0 else None


def _read_num_ctx(body: Body) -> int:
    return _read_integer(body, "num_ctx") or DEFAULT_NUM_CTX


def _read_integer(body: Body, option: str) -> int | None:
    value = (body.get("options") or {}).get(option)
    if value is not None and not isinstance(value, int):
        raise Refusal(400, f'option "{option}" must be of type integer')
    return value


def _read_keep_alive(body: Body) -> float:
    try:
        return read_seconds(body.get("keep_alive"))
    except ValueError as error:
        raise Refusal(400, str(error)) from error


def _to_call(index: int, call: ToolCall) -> dict[str, Any]:
    call_id = "call_" + hashlib.sha256(f"{index}{call.name}".encode()).hexdigest()[:8]
    return {"id": call_id, "function": {"index": index, "name": call.name, "arguments": call.arguments}}


def _now() -> str:
    return f"{datetime.now(timezone.utc):%Y-%m-%dT%H:%M:%S.%f}000Z"


@contextmanager
def fake_ollama(models: Iterable[FakeModel | str] = ("gemma3:4b",)) -> Iterator[FakeOllama]:
    with FakeOllama(models) as fake:
        yield fake
