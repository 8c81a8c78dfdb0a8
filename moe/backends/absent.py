"""The way to an expert that cannot run here: it says why, and what to do, instead of answering."""

from __future__ import annotations

from collections.abc import Generator

from ..core import ChatRequest, Chunk
from ..errors import NotReady


class Absent:
    """Refuses every call with `message`, which names the next step; `reason` is the short public form."""

    routes = 1

    def __init__(self, message: str, *, reason: str) -> None:
        self._message = message
        self._reason = reason

    def chat(self, request: ChatRequest) -> Generator[Chunk, None, None]:
        raise NotReady(self._message, reason=self._reason)
        yield  # a generator like every other backend: the refusal comes with the first pull

    def misfit(self, request: ChatRequest) -> str:
        return ""

    def ignores(self, request: ChatRequest) -> tuple[str, ...]:
        return ()

    def is_remote(self, model: str) -> bool:
        return False

    def trouble(self, model: str) -> str:
        return self._message

    def context_tokens(self, model: str) -> int:
        return 0

    def first_token_limit_s(self, request: ChatRequest) -> float:
        return 1.0

    def idle_limit_s(self, model: str) -> float:
        return 1.0
