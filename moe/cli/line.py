"""The way to the experts: a running server where there is one, else the same parts in this process."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any, Protocol

from ..config import Settings, read_server
from ..core import Message, Role, Text
from .options import Misuse
from .reply import Reply

# What listens on every address is reached on this one.
_REACHED = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104


class Line(Protocol):
    """What a command needs of the experts. Every method raises MoeError; whoever takes `chunks` closes them."""

    def answer(self, messages: Sequence[Message], *, model: str) -> Reply: ...

    def route(self, messages: Sequence[Message], *, model: str) -> dict[str, Any]:
        """What /v1/route gives."""

    def health(self) -> dict[str, Any]:
        """What /health gives."""

    def close(self) -> None: ...


def open_line(options: argparse.Namespace) -> Line:
    """The line to use; close it. Raises Misuse, ConfigError, and MoeError when a server named does not answer."""
    from .server import Server, find_server, spell_base  # noqa: PLC0415 - HTTP, which only those need who are served

    settings = read_settings(options)
    if options.url is not None:
        return Server(spell_base(options.url)).greet()
    if not options.local:
        server = find_server(default_url(settings))
        if server is not None:
            return server
    from .inside import Inside  # noqa: PLC0415 - a client of a running server needs none of the house itself

    return Inside(settings)


def read_settings(options: argparse.Namespace) -> Settings:
    """Raises Misuse where the environment makes no sense."""
    try:
        return Settings.gather(config=options.config, data=options.data)
    except ValueError as error:
        raise Misuse(str(error)) from error


def default_url(settings: Settings) -> str:
    """Where the server of these settings listens, as a client on this machine reaches it."""
    config = read_server(settings.config_folder)
    host = settings.host or config.host
    port = config.port if settings.port is None else settings.port
    host = _REACHED.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def say(role: Role, text: str) -> Message:
    """A turn of plain text; what was no UTF-8 on the command line or half a character in JSON becomes "?"."""
    return Message(role, (Text(text.encode("utf-8", "replace").decode("utf-8")),))
