"""What became of a request, drawn in time: who was asked, for how long, why, and what came of it."""

from __future__ import annotations

import argparse
import shutil
import sys
from contextlib import closing
from typing import Any, Protocol
from urllib.parse import quote

import msgspec
import requests

from ..config import Settings
from ..errors import MoeError
from ..store import Requests
from ..trace import tell
from .line import default_url, read_settings
from .server import TIMEOUT_S, Server, ServerError, spell_base
from .terminal import Terminal
from .waterfall import draw

FILE = "moe.sqlite"
NARROWEST, WIDEST = 40, 140


class Unknown(MoeError):
    """There is no such request, or none at all."""


class Archive(Protocol):
    """Where requests are told from; `find` takes "" for the newest. Raises MoeError."""

    def find(self, name: str) -> dict[str, Any]: ...

    def close(self) -> None: ...


class Served(Server):
    """Those of a running server."""

    def find(self, name: str) -> dict[str, Any]:
        if not name:
            newest = self._get("?limit=1")["data"]
            if not newest:
                raise Unknown(_describe_none(""))
            name = newest[0]["id"]
        return self._get(f"/{quote(name, safe='')}")

    def _get(self, rest: str) -> dict[str, Any]:
        try:
            response = self._session.get(f"{self._base}/v1/requests{rest}", timeout=TIMEOUT_S, allow_redirects=False)
        except requests.RequestException as error:
            raise ServerError(f"{self._base} does not answer any more") from error
        try:
            told = msgspec.json.decode(response.content, type=dict[str, Any])
        except msgspec.DecodeError as error:
            raise ServerError("the server's answer is not readable") from error
        if response.status_code != 200:
            raise Unknown(str((told.get("error") or {}).get("message") or f"status {response.status_code}"))
        return told


class Stored:
    """Those in the data folder, where no server runs."""

    def __init__(self, settings: Settings) -> None:
        self._store = Requests(settings.data_folder / FILE)

    def find(self, name: str) -> dict[str, Any]:
        found = self._store.find(name) if name else next(iter(self._store.newest(1)), None)
        if found is None:
            raise Unknown(_describe_none(name))
        return tell(found)

    def close(self) -> None:
        self._store.close()


def run(options: argparse.Namespace, terminal: Terminal) -> int:
    with closing(_open(options)) as archive:
        told = archive.find(options.id or "")
    if options.json:
        terminal.print_json(told, indent=1)
        return 0
    width = min(max(shutil.get_terminal_size().columns - 1, NARROWEST), WIDEST)
    for line in draw(told, width=width, is_plain=not _is_unicode()):
        terminal.print(line)
    return 0


def _open(options: argparse.Namespace) -> Archive:
    """Where a server runs, it knows more than the file: the last requests are not written yet."""
    settings = read_settings(options)
    if options.local and options.url is None:
        return Stored(settings)
    server = Served(spell_base(options.url or default_url(settings)))
    try:
        server.greet()
    except ServerError:
        if options.url is not None:
            raise
        return Stored(settings)
    return server


def _describe_none(name: str) -> str:
    return f"no request '{name[:80]}' is known: only the last ones are kept" if name else "there was no request yet"


def _is_unicode() -> bool:
    return (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
