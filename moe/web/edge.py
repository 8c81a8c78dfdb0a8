"""What every view shares: the current gateway and guard, the body, the request's id."""

from __future__ import annotations

import threading
from collections.abc import Callable

from flask import g, request

from ..config import Config
from ..pipeline.gateway import Gateway
from .guard import Guard, check_encoding
from .intake import choose_id

# What tells the users of one client apart.
_USER_HEADERS = ("X-OpenWebUI-User-Id", "Authorization", "X-Api-Key")


class Edge:
    """The way from Flask to the line behind it; `gateway` and `guard` give the current ones after a reload.

    Once `ending` is set, every answer that still runs is ended with an error.
    """

    def __init__(
        self, *, gateway: Callable[[], Gateway], guard: Callable[[], Guard], ending: threading.Event
    ) -> None:
        self.gateway = gateway
        self.guard = guard
        self.ending = ending

    def log_prompts(self) -> bool:
        return self.config.log_prompts

    @property
    def config(self) -> Config:
        return self.gateway().config

    def read_body(self, *, may_carry_media: bool = False) -> bytes:
        """The request's body. Raises TooLarge, and BadRequest when it is compressed."""
        check_encoding(request.headers.get("Content-Encoding", ""))
        body: bytes = request.get_data(cache=False)
        self.guard().check_size(body, may_carry_media=may_carry_media)
        return body

    def client(self) -> str:
        """Whose turn this request uses up where requests have to wait."""
        user = next(filter(None, map(request.headers.get, _USER_HEADERS)), "")
        return self.guard().name_client(request.remote_addr or "", request.headers.get("X-Forwarded-For", ""), user)


def name_request() -> None:
    """Gives the request its id."""
    g.request_id = choose_id(request.headers.get("X-Request-Id", ""))


def request_id() -> str:
    name: str = g.request_id
    return name
