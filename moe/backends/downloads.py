"""Models on their way from a hub to the models folder: each by a process of its own, watched by all who ask for it."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from ..config.settings import ROOT
from ..errors import Busy, MoeError
from ..log import clean
from .base import HEARTBEAT_S

log = logging.getLogger("moe.downloads")

HOSTS = ("hf.co/", "huggingface.co/")
MOST_AT_ONCE = 4
SILENT = "the download ended without a word"


class Fetched(Struct, frozen=True):
    """The file in the models folder, its sha256, its size, whether it is new there, and the repository and path that it
    came from."""

    file: str
    digest: str = ""
    size: int = 0
    is_new: bool = False
    origin: str = ""


class NotFetched(MoeError):
    """There is no such model on the hub, or it did not arrive whole; what arrived is kept for the next try."""

    code = "not_fetched"


class Downloads:
    """At most one for each name, and a few in all. Thread-safe."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._running: dict[str, _Download] = {}
        self._is_closed = False

    def follow(self, name: str, ours: Mapping[str, str] | None = None) -> Generator[bytes, None, Fetched]:
        """Joins the download of `name`, or begins it: yields its progress as JSON lines, b"" while there is none, and
        returns what came of it. It ends when the last of its followers leaves. Raises NotFetched, and Busy.

        `ours` are files by their `origin`: each may be replaced by what has become of it there."""
        download = self._join(name, ours or {})
        try:
            yield from download.steps()
        finally:
            self._leave(download)
        if download.fetched is None:
            raise NotFetched(download.problem)
        return download.fetched

    def close(self) -> None:
        """Ends them all; no new one begins."""
        with self._lock:
            self._is_closed = True
            running = list(self._running.values())
        for download in running:
            download.stop()

    def _join(self, name: str, ours: Mapping[str, str]) -> _Download:
        key = spell(name)
        with self._lock:
            download = self._running.get(key)
            if self._is_closed:
                raise NotFetched("the server is shutting down")
            if download is None or download.is_over:
                if len(self._running) >= MOST_AT_ONCE:
                    raise Busy
                download = self._running[key] = _Download(key, self._folder, ours)
            download.followers += 1
            return download

    def _leave(self, download: _Download) -> None:
        with self._lock:
            download.followers -= 1
            if download.followers or self._running.get(download.name) is not download:
                return
            del self._running[download.name]
        download.stop()


class _Download:
    """One process, its words so far, and what came of it; `problem` says why `fetched` is None."""

    def __init__(self, name: str, folder: Path, ours: Mapping[str, str]) -> None:
        self.name = name
        self.followers = 0
        self.fetched: Fetched | None = None
        self.problem = SILENT
        self.is_over = False
        self._said: list[tuple[str, bytes]] = []
        self._changed = threading.Condition()
        repository = f"{name.removeprefix(HOSTS[0]).partition(':')[0].casefold()}/"
        known = {origin: file for origin, file in ours.items() if origin.startswith(repository)}
        self._child = subprocess.Popen(  # noqa: S603 - a module of ours; the name is an argument, not a command
            [sys.executable, "-m", "moe.backends.fetching", name, str(folder), msgspec.json.encode(known).decode()],
            cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )
        threading.Thread(target=self._listen, name="download", daemon=True).start()

    def steps(self) -> Generator[bytes, None, None]:
        """Each step once, of several lines on the same step the latest; b"" when nothing came for a moment."""
        at, told = 0, b""
        while True:
            with self._changed:
                if self._find_next(at, told) is None and not self.is_over:
                    self._changed.wait(HEARTBEAT_S)
                found, is_over = self._find_next(at, told), self.is_over
            if found is not None:
                at, told = found
                yield told
            elif is_over:
                return
            else:
                yield b""

    def stop(self) -> None:
        self._child.kill()
        self._child.wait()

    def _find_next(self, at: int, told: bytes) -> tuple[int, bytes] | None:
        """What was said after the line `told` of the step `at`, and of which step."""
        for place, (_, line) in enumerate(self._said[at:at + 2], start=at):
            if place > at or line != told:
                return place, line
        return None

    def _listen(self) -> None:
        with self._child as child:
            for line in child.stdout or ():
                told = _read(line)
                if not told:
                    log.info("download of %s: %s", clean(self.name), clean(line.decode("utf-8", "replace")))
                with self._changed:
                    self._take(told, line.strip())
                    self._changed.notify_all()
        with self._changed:
            self.is_over = True
            self._changed.notify_all()

    def _take(self, told: dict[str, Any], line: bytes) -> None:
        if "done" in told:
            self.fetched = msgspec.convert(told["done"], Fetched)
        elif "error" in told:
            self.problem = str(told["error"])
        elif "status" in told:
            step = str(told["status"])
            if self._said and self._said[-1][0] == step:
                self._said[-1] = (step, line)
            else:
                self._said.append((step, line))


def is_of_a_hub(name: str) -> bool:
    """Whether a model's name says that it lies on a hub, not in Ollama's own library."""
    return name.strip().casefold().startswith(HOSTS)


def spell(name: str) -> str:
    """The one name under which a model of a hub is fetched, however it was asked for."""
    plain = name.strip().removesuffix(":latest")
    host = next((host for host in HOSTS if plain.casefold().startswith(host)), "")
    return HOSTS[0] + plain[len(host):]


def _read(line: bytes) -> dict[str, Any]:
    """{} for what is none of the program's messages."""
    try:
        told = msgspec.json.decode(line)
    except msgspec.DecodeError:
        return {}
    return told if isinstance(told, dict) else {}
