"""The whole house in this process: what the command line uses where no server runs."""

from __future__ import annotations

import secrets
from collections.abc import Generator, Sequence
from typing import Any, cast

from .. import __version__
from ..config import Settings
from ..core import ChatRequest, Chunk, Message
from ..log import set_up
from ..service import Service
from .bar import await_head
from .reply import Reply
from .terminal import Terminal


class Inside:
    """A service that listens nowhere; its log goes to the file alone. Raises ConfigError."""

    def __init__(self, settings: Settings) -> None:
        self._service = Service(settings)
        set_up(settings.logs_folder, level=settings.log_level, echoes=False)
        self._service.start(own=(self._service.host, self._service.port))
        self._gateway = self._service.gateway()

    def answer(self, messages: Sequence[Message], *, model: str) -> Reply:
        request = ChatRequest(model=model, messages=tuple(messages), stream=True)
        answer = self._gateway.answer(request, request_id=secrets.token_hex(12))
        decision = answer.decision
        chunks = cast("Generator[Chunk, None, None]", answer.chunks)
        return Reply(decision.expert.label, decision.stage, decision.confidence, chunks)

    def route(self, messages: Sequence[Message], *, model: str) -> dict[str, Any]:
        self._ask_nodes()
        await_head(self._service.heads, Terminal())
        return self._gateway.route(ChatRequest(model=model, messages=tuple(messages)))

    def health(self) -> dict[str, Any]:
        self._ask_nodes()
        told = self._gateway.health()
        return {"status": told.pop("status"), "version": __version__, **told}

    def close(self) -> None:
        self._service.close()

    def _ask_nodes(self) -> None:
        """A server has long known its nodes; here nobody has asked them yet."""
        for node in self._gateway.catalog.all_nodes():
            node.refresh(wait=True)
