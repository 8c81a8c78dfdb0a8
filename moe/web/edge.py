"""What every view shares: the current gateway and guard, the body, the request's id."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable

from flask import g, request

from ..config import Config
from ..pipeline.gateway import Gateway
from .guard import Guard, check_encoding

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


class Edge:
    """The way from Flask to the line behind it; `gateway` and `guard` give the current ones after a reload."""

    def __init__(self, *, gateway: Callable[[], Gateway], guard: Callable[[], Guard]) -> None:
        self.gateway = gateway
        self.guard = guard

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


def name_request() -> None:
    """Gives the request its id: the client's own where it is sane, else a new one."""
    given = request.headers.get("X-Request-Id", "")
    g.request_id = given if _ID.fullmatch(given) else secrets.token_hex(12)


def request_id() -> str:
    name: str = g.request_id
    return name
