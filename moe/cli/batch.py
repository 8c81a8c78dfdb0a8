"""Labels many prompts at once: JSON lines in, JSON lines out, with nothing loaded but the router."""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO, Any

import msgspec
from msgspec import Struct

from ..build import load_router
from ..config import Config, Settings, read_config
from ..core import ChatRequest
from ..dialects import openai
from ..dialects.wire import encode
from ..embed import Encoders
from ..errors import BadRequest
from ..routing import Router
from ..routing.heads import Heads, tell_guesses
from ..service import copy_examples
from .bar import await_head, draw
from .line import read_settings, say
from .options import Misuse
from .terminal import Terminal, say_warnings

BAR_EVERY_S = 0.1


class Row(Struct, frozen=True):
    """One prompt to label. `id` is given back as it came."""

    id: Any
    request: ChatRequest


def run(options: argparse.Namespace, terminal: Terminal) -> int:
    """Exit code 1 when a line could not be read; all others are labelled nevertheless. Raises ConfigError, OSError."""
    if options.text is not None or options.json or options.model:
        raise Misuse("--batch takes its prompts from the file: no text, --json or --model beside it")
    source, target = Path(options.batch[0]), Path(options.batch[1])
    refuse_same(source, target)
    settings = read_settings(options)
    with source.open("rb") as lines, write_whole(target) as out:
        router = _load(settings, options.experts, terminal)
        progress = Progress(os.fstat(lines.fileno()).st_size, terminal)
        bad = 0
        for number, line in enumerate(lines, start=1):
            progress.advance(len(line))
            if not line.strip():
                continue
            try:
                row = read_row(line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line)
            except BadRequest as error:
                bad += 1
                progress.clear()
                terminal.complain(f"{source}:{number}: {error.message}")
                continue
            out.write(_label(row, router))
            progress.count += 1
    progress.end(f"{progress.count} labelled in {target}" + (f", {bad} lines could not be read" if bad else ""))
    return 1 if bad else 0


def read_row(line: bytes) -> Row:
    """Raises BadRequest, which says what is wrong with the line."""
    try:
        told = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest(f"not valid JSON: {error}") from error
    if not isinstance(told, dict):
        raise BadRequest("not a JSON object")
    if "id" not in told:
        raise BadRequest('"id" is missing')
    text = told.get("text")
    if isinstance(text, str):
        return Row(told["id"], ChatRequest(messages=(say("user", text),)))
    if told.get("messages") is not None:
        return Row(told["id"], openai.CHAT.parse(encode({"messages": told["messages"]})))
    raise BadRequest('"text" must be a string' if text is not None else 'neither "text" nor "messages" is there')


class Progress:
    """A bar on standard error while somebody watches, measured in bytes of the input."""

    def __init__(self, total_bytes: int, terminal: Terminal) -> None:
        self.count = 0
        self._total_bytes = max(1, total_bytes)
        self._done_bytes = 0
        self._terminal = terminal
        self._due = 0.0

    def advance(self, size: int) -> None:
        self._done_bytes += size
        now = time.monotonic()
        if now < self._due:
            return
        self._due = now + BAR_EVERY_S
        share = min(1.0, self._done_bytes / self._total_bytes)
        draw(share, f"{self.count} prompts", self._terminal)

    def clear(self) -> None:
        self._terminal.redraw("")

    def end(self, text: str) -> None:
        self.clear()
        self._terminal.whisper(f"{text}\n")


@contextmanager
def write_whole(target: Path) -> Iterator[IO[bytes]]:
    """A file that appears at `target` when the block is left well, and not at all when it is not.

    What is no plain file (a pipe, /dev/stdout) is written to directly.
    """
    if target.exists() and not target.is_file():
        with target.open("wb") as stream:
            yield stream
        return
    place = target.resolve()
    part = place.with_name(f".{place.name}.{os.getpid()}.part")
    with _naming(target):
        stream = part.open("xb")
    try:
        with stream:
            yield stream
        with _naming(target):
            part.replace(place)
    finally:
        part.unlink(missing_ok=True)


def refuse_same(source: Path, target: Path) -> None:
    """Raises Misuse where a file would be written over the one it is made from."""
    if target.is_file() and source.is_file() and target.samefile(source):
        raise Misuse(f"{target} would take the place of what is read from it: name another file")


def say_guesses(config: Config, router: Router, terminal: Terminal) -> None:
    """Which experts have too few examples, for whoever is about to read their confidences."""
    guesses = tell_guesses(config) if router.mode == "embedding" else ""
    if guesses:
        terminal.complain(guesses)


@contextmanager
def _naming(target: Path) -> Iterator[None]:
    """What fails is told of `target`, as it was written by the user."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(target)) from error


def _load(settings: Settings, experts: str | None, terminal: Terminal) -> Router:
    """The router of the config, or of its settings and other experts; what is wrong with it is said, once."""
    say_warnings()
    copy_examples(settings.config_folder)
    config = read_config(settings.config_folder, experts_file=Path(experts) if experts else None)
    with closing(Heads()) as heads:
        router = load_router(config, settings, encoders=Encoders(settings.models_folder), heads=heads)
        await_head(heads, terminal)
    if router.mode == "keyword" and config.router.model_path is None:
        terminal.complain(router.note)
    say_guesses(config, router, terminal)
    return router


def _label(row: Row, router: Router) -> bytes:
    decision = router.decide(row.request)
    told = {"id": row.id, "label": decision.expert.label, "confidence": round(decision.confidence, 4),
            "stage": decision.stage}
    return json.dumps(told).encode() + b"\n"
