"""A backend with the fake upstream behind it, and short ways to ask."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from typing import Any

from moe.backends.api import Api
from moe.backends.base import Backend, Chunks
from moe.backends.engine import Engine
from moe.backends.nodes import Node
from moe.backends.ollama import Ollama
from moe.backends.preference import Conversations
from moe.config import RunnerConfig
from moe.core import ChatRequest, Chunk, Done, Heartbeat, Message, Text
from moe.experts import Expert
from tests.fakes import FakeModel, FakeOllama, FakeOpenAI, Request, Step, fake_ollama, fake_openai

MODEL = "some-model:7b"
CAPABLE = FakeModel(MODEL, capabilities=("completion", "tools", "vision", "insert"), loaded=True)
CHAT_PATHS = ("/api/chat", "/api/generate", "/v1/chat/completions")


class Rig:
    """`upstream.script` decides what happens; `asked` is what the upstream saw of the chats."""

    def __init__(self, backend: Backend, upstream: FakeOllama | FakeOpenAI) -> None:
        self.backend = backend
        self.upstream = upstream

    @property
    def is_ollama(self) -> bool:
        return isinstance(self.upstream, FakeOllama)

    @property
    def asked(self) -> tuple[Request, ...]:
        return tuple(request for request in self.upstream.requests if request.path in CHAT_PATHS)

    @property
    def body(self) -> dict[str, Any]:
        """The JSON of the newest chat."""
        body: dict[str, Any] = self.asked[-1].json
        return body

    def plays(self, *steps: Step) -> None:
        self.upstream.script(MODEL, steps)

    def open(self, text: str = "hello", **fields: Any) -> Chunks:
        return self.backend.chat(ask(text, **fields))

    def chat(self, text: str = "hello", **fields: Any) -> list[Chunk]:
        """The whole answer without its heartbeats."""
        return said(self.open(text, **fields))


def ask(text: str = "hello", **fields: Any) -> ChatRequest:
    return ChatRequest(**{"model": MODEL, "messages": (Message("user", (Text(text),)),), **fields})


def said(chunks: Chunks) -> list[Chunk]:
    return [chunk for chunk in chunks if not isinstance(chunk, Heartbeat)]


def text_of(chunks: Sequence[Chunk]) -> str:
    return "".join(chunk.text for chunk in chunks if isinstance(chunk, Text))


def end_of(chunks: Sequence[Chunk]) -> Done:
    """The Done, which must be there once and last."""
    last = chunks[-1]
    assert isinstance(last, Done)
    assert sum(isinstance(chunk, Done) for chunk in chunks) == 1
    return last


@contextmanager
def ollama_rig(executor: Executor, model: FakeModel = CAPABLE, **runner: Any) -> Iterator[Rig]:
    with fake_ollama([model]) as fake:
        node = Node(fake.url, connect_timeout_s=2.0, executor=executor)
        node.refresh(wait=True)
        yield Rig(Ollama([node], RunnerConfig(**runner), Conversations()), fake)
        node.close()


@contextmanager
def api_rig(engine: Engine, **expert: Any) -> Iterator[Rig]:
    with fake_openai([MODEL]) as fake:
        given = {"id": 1, "label": "expert", "type": "api", "model_name": MODEL, "api_base": fake.api_base}
        yield Rig(Api(Expert(**{**given, "vision": True, **expert}), RunnerConfig(), engine), fake)
