"""A prompt in each of the three dialects, streamed or whole, and strictly what its client is shown."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import requests

GUARD_S = 30.0
Dialect = Literal["openai", "ollama", "anthropic"]
DIALECTS: tuple[Dialect, ...] = ("openai", "ollama", "anthropic")
PATHS: dict[Dialect, str] = {"openai": "/v1/chat/completions", "ollama": "/api/chat", "anthropic": "/v1/messages"}


@dataclass
class Heard:
    """`pieces` are the texts as they came, `ends` counts the marks of an end; `usage` is the prompt's tokens and the
    answer's, None where nobody said."""

    status: int
    headers: Any
    raw: str
    pieces: list[str] = field(default_factory=list)
    thoughts: list[str] = field(default_factory=list)
    finishes: list[str] = field(default_factory=list)
    ends: int = 0
    usage: tuple[int, int] | None = None
    extras: dict[str, Any] = field(default_factory=dict)

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    @property
    def thought(self) -> str:
        return "".join(self.thoughts)


class Caller:
    """Keeps its connection, as most clients do; close it."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._session = requests.Session()

    def close(self) -> None:
        self._session.close()

    def ask(self, text: str, *, dialect: Dialect, model: str, stream: bool, **body: Any) -> Heard:
        asked: dict[str, Any] = {"model": model, "messages": [{"role": "user", "content": text}], "stream": stream}
        if dialect == "anthropic":
            asked["max_tokens"] = 4000
        elif dialect == "openai" and stream:
            asked["stream_options"] = {"include_usage": True}
        reply = self._session.post(self._url + PATHS[dialect], json=asked | body, timeout=GUARD_S)
        reply.encoding = "utf-8"
        heard = Heard(reply.status_code, reply.headers, reply.text)
        if reply.status_code == requests.codes.ok:
            {"openai": _hear_openai, "ollama": _hear_ollama, "anthropic": _hear_anthropic}[dialect](heard, stream)
        return heard


def _events(raw: str) -> Iterator[str]:
    for row in raw.splitlines():
        if row.startswith("data: "):
            yield row.removeprefix("data: ")


def _hear_openai(heard: Heard, stream: bool) -> None:
    rows = list(_events(heard.raw)) if stream else [heard.raw]
    for row in rows:
        if row == "[DONE]":
            heard.ends += 1
            continue
        item = json.loads(row)
        assert "error" not in item, item
        heard.extras |= item.get("x_moe", {})
        if item.get("usage"):
            heard.usage = (item["usage"]["prompt_tokens"], item["usage"]["completion_tokens"])
        for choice in item["choices"]:
            said = choice["delta" if stream else "message"]
            heard.pieces += [said["content"]] if said.get("content") else []
            heard.thoughts += [said["reasoning_content"]] if said.get("reasoning_content") else []
            heard.finishes += [choice["finish_reason"]] if choice["finish_reason"] else []
    heard.ends += not stream


def _hear_ollama(heard: Heard, stream: bool) -> None:
    for row in heard.raw.splitlines() if stream else [heard.raw]:
        line = json.loads(row)
        assert "error" not in line, line
        heard.extras |= line.get("x_moe", {})
        heard.pieces += [line["message"]["content"]] if line["message"]["content"] else []
        heard.thoughts += [line["message"]["thinking"]] if line["message"].get("thinking") else []
        if line["done"]:
            heard.ends += 1
            heard.finishes.append(line["done_reason"])
            heard.usage = (line["prompt_eval_count"], line["eval_count"])


def _hear_anthropic(heard: Heard, stream: bool) -> None:
    if not stream:
        body = json.loads(heard.raw)
        heard.extras |= body.get("x_moe", {})
        heard.pieces += [part["text"] for part in body["content"] if part["type"] == "text"]
        heard.thoughts += [part["thinking"] for part in body["content"] if part["type"] == "thinking"]
        heard.finishes.append(body["stop_reason"])
        heard.usage = (body["usage"]["input_tokens"], body["usage"]["output_tokens"])
        heard.ends += 1
        return
    for row in _events(heard.raw):
        event = json.loads(row)
        assert event["type"] != "error", event
        delta = event.get("delta", {})
        heard.extras |= event.get("x_moe", {})
        heard.pieces += [delta["text"]] if delta.get("text") else []
        heard.thoughts += [delta["thinking"]] if delta.get("thinking") else []
        if event["type"] == "message_delta":
            heard.finishes.append(delta["stop_reason"])
            told = event["usage"]
            heard.usage = (told.get("input_tokens", 0), told["output_tokens"])
        heard.ends += event["type"] == "message_stop"
