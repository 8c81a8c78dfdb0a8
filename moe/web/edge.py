"""What every view shares: the current gateway and guard, the body, the request's id."""

from __future__ import annotations

import threading
from collections.abc import Callable

from flask import g, request

from ..config import Config
from ..pipeline.gateway import Gateway
from ..trace import Record, Trace
from .guard import Guard
from .intake import choose_id
from .unpacking import unpack

# A few bytes may become many, which all threads at once should not hold.
UNPACKED_AT_ONCE = 4
# What tells the users of one client apart.
_USER_HEADERS = ("X-OpenWebUI-User-Id", "Authorization", "X-Api-Key")


class Edge:
    """The way from Flask to the line behind it; `gateway` and `guard` give the current ones after a reload.

    Once `ending` is set, every answer that still runs is ended with an error.
    """

    def __init__(
        self, *, gateway: Callable[[], Gateway], guard: Callable[[], Guard], ending: threading.Event,
        keep: Callable[[Record], None] = lambda record: None,
    ) -> None:
        """`keep` gets each request of a model that is over."""
        self.gateway = gateway
        self.guard = guard
        self.ending = ending
        self._keep = keep
        self._unpacking = threading.BoundedSemaphore(UNPACKED_AT_ONCE)

    def log_prompts(self) -> bool:
        return self.config.log_prompts

    @property
    def config(self) -> Config:
        return self.gateway().config

    def read_body(self, *, may_carry_media: bool = False, may_be_long: bool = False) -> bytes:
        """The request's body, unpacked. Raises TooLarge, and BadRequest or UnknownEncoding for how it is packed."""
        guard = self.guard()
        body: bytes = request.get_data(cache=False)
        encoding = request.headers.get("Content-Encoding", "")
        if encoding:
            with self._unpacking:
                body = unpack(body, encoding, limit_bytes=guard.most_bytes)
        guard.check_size(body, may_carry_media=may_carry_media, may_be_long=may_be_long)
        return body

    def trace(self) -> Trace:
        """Of the request that is being answered; whoever asks for it ends it."""
        return Trace(request_id(), path=request.path, keeps_text=self.config.privacy.keep_text, on_end=self._keep)

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
