"""A chat with a running server in any dialect, streamed or whole, told in neutral words."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import requests

GUARD_S = 30.0
Dialect = Literal["openai", "ollama", "generate"]
PATHS: dict[Dialect, str] = {"openai": "/v1/chat/completions", "ollama": "/api/chat", "generate": "/api/generate"}


@dataclass
class Told:
    """What a client got. `has_ended` = the protocol's own mark of a good end was there."""

    status: int
    headers: Mapping[str, str]
    text: str = ""
    error: str = ""
    code: str | None = None
    has_ended: bool = False
    usage: tuple[int, int] | None = None
    model: str = ""
    finish: str | None = None
    extras: dict[str, Any] = field(default_factory=dict)
    raw: str = ""

    @property
    def is_good(self) -> bool:
        return self.status == 200 and self.has_ended and not self.error

    @property
    def expert(self) -> str | None:
        return self.headers.get("X-MoE-Expert")

    @property
    def fallback(self) -> str | None:
        return self.headers.get("X-MoE-Fallback")


def talk(url: str, text: str = "hello", *, dialect: Dialect = "ollama", stream: bool = True, **body: Any) -> Told:
    """One user turn; `body` is laid over the request."""
    question: dict[str, Any] = {"stream": stream}
    if dialect == "generate":
        question["prompt"] = text
    else:
        question["messages"] = [{"role": "user", "content": text}]
    if dialect == "openai" and stream:
        question["stream_options"] = {"include_usage": True}
    with requests.post(url + PATHS[dialect], json=question | body, stream=True, timeout=GUARD_S) as reply:
        told = Told(reply.status_code, reply.headers)
        told.raw = reply.content.decode()
        if reply.status_code != 200:
            _read_error(told, json.loads(told.raw))
        elif dialect == "openai":
            _read_openai(told, _events(told.raw) if stream else [json.loads(told.raw)])
        else:
            _read_ollama(told, [json.loads(line) for line in told.raw.splitlines() if line.strip()])
    return told


def _events(raw: str) -> Iterator[Any]:
    for event in raw.split("\n\n"):
        if event.startswith("data: "):
            data = event.removeprefix("data: ")
            yield None if data == "[DONE]" else json.loads(data)


def _read_openai(told: Told, objects: Any) -> None:
    for item in objects:
        if item is None:
            told.has_ended = True
            continue
        if "error" in item:
            _read_error(told, item)
            continue
        told.model = item["model"]
        told.extras |= item.get("x_moe", {})
        if item.get("usage"):
            told.usage = (item["usage"]["prompt_tokens"], item["usage"]["completion_tokens"])
        for choice in item["choices"]:
            told.text += choice.get("delta", choice.get("message", {})).get("content") or ""
            told.finish = choice["finish_reason"] or told.finish
            told.has_ended |= "message" in choice


def _read_ollama(told: Told, lines: list[Any]) -> None:
    for line in lines:
        if "error" in line:
            _read_error(told, line)
            continue
        told.model = line["model"]
        told.extras |= line.get("x_moe", {})
        told.text += line["response"] if "response" in line else line["message"]["content"]
        if line["done"]:
            told.has_ended, told.finish = True, line["done_reason"]
            told.usage = (line.get("prompt_eval_count", 0), line.get("eval_count", 0))


def _read_error(told: Told, body: Any) -> None:
    error = body["error"]
    told.error = error if isinstance(error, str) else error["message"]
    told.code = None if isinstance(error, str) else error["code"]
