"""Names made through this server for its experts and models, each with settings of its own; kept in one file."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct, field, structs

from .errors import BadRequest, MoeError
from .files import set_aside, whole

MOST_ALIASES = 500
MOST_BYTES = 32 << 20
# Ollama's rule: [host/][namespace/]model[:tag], each part begins with a letter, a digit or "_".
_NAME = re.compile(
    r"(?:(?:[A-Za-z0-9_][A-Za-z0-9_.:-]{0,349}/)?[A-Za-z0-9_][A-Za-z0-9_-]{0,79}/)?"
    r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,79})?"
)
# What Ollama takes for said where a name leaves it out, and leaves out itself.
_IMPLIED = re.compile(r"(?:(?:https?://)?registry\.ollama\.ai/)?(?:library/)?", re.IGNORECASE)

log = logging.getLogger("moe.aliases")


class Turn(Struct, frozen=True):
    """A message that every conversation with the alias begins with."""

    role: str
    content: str


class Alias(Struct, frozen=True, kw_only=True):
    """`source` is an expert, the router or a local model, never another alias. `parameters` are Ollama's options.

    `file` is the GGUF file in the models folder that this server fetched for it, "" for none; `digest` its sha256,
    `origin` the repository of a hub and the path in it that it came from.
    """

    name: str
    source: str
    system: str = ""
    parameters: dict[str, Any] = field(default_factory=dict)
    messages: tuple[Turn, ...] = ()
    license: str = ""
    created: float = 0.0
    file: str = ""
    digest: str = ""
    origin: str = ""


class Draft(Struct, frozen=True, kw_only=True):
    """What /api/create asks for; None where it says nothing. `files` and `adapters` name blobs by their digests."""

    name: str
    source: str = ""
    files: dict[str, str] = field(default_factory=dict)
    adapters: dict[str, str] = field(default_factory=dict)
    quantize: str = ""
    template: str | None = None
    system: str | None = None
    license: str | None = None
    parameters: dict[str, Any] = field(default_factory=dict)
    messages: tuple[Turn, ...] | None = None


class _File(Struct):
    aliases: list[Alias] = []


class NotKept(MoeError):
    """The file of the aliases cannot be written."""

    code = "not_kept"


class Aliases:
    """Thread-safe; each change is in the file before it holds here."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._by_name: dict[str, Alias] = {}

    def load(self) -> str:
        """Reads the file. Returns "" or, when it had to be set aside, what was wrong with it."""
        try:
            if not self._file.exists():
                return ""
            if self._file.stat().st_size > MOST_BYTES:
                raise ValueError(f"it is larger than {MOST_BYTES >> 20} MB")
            kept = msgspec.json.decode(self._file.read_bytes(), type=_File)
        except (OSError, ValueError) as error:
            return f"{self._file} cannot be read, so its names are missing: {error}; {set_aside(self._file)}"
        self._by_name = {plain(alias.name): alias for alias in kept.aliases[:MOST_ALIASES]}
        return ""

    def find(self, name: str) -> Alias | None:
        """The alias that a client's `name` means: in any case, `:latest` implied."""
        return self._by_name.get(plain(name))

    def entries(self) -> list[Alias]:
        """All of them, the oldest first."""
        return list(self._by_name.values())

    def put(self, alias: Alias) -> None:
        """Adds it, or replaces the one of its name. Raises BadRequest when there are too many, and NotKept."""
        alias = structs.replace(alias, name=shorten(alias.name))
        with self._lock:
            changed = {**self._by_name, plain(alias.name): alias}
            if len(changed) > MOST_ALIASES:
                raise BadRequest(f"there are {MOST_ALIASES} names already: delete one first")
            self._write(changed)

    def remove(self, names: Iterable[str]) -> None:
        """Forgets what there is of these names. Raises NotKept."""
        gone = set(map(plain, names))
        with self._lock:
            left = {name: alias for name, alias in self._by_name.items() if name not in gone}
            if len(left) != len(self._by_name):
                self._write(left)

    def _write(self, aliases: dict[str, Alias]) -> None:
        data = msgspec.json.format(msgspec.json.encode(_File(list(aliases.values()))), indent=1)
        try:
            with whole(self._file) as out:
                out.write(data)
        except OSError as error:
            log.error("%s cannot be written: %s", self._file, error)
            raise NotKept("the name cannot be kept: the server's data folder cannot be written") from error
        self._by_name = aliases


def is_model_name(name: str) -> bool:
    """Whether Ollama would take it for a model's name."""
    return _NAME.fullmatch(name) is not None


def plain(name: str) -> str:
    """A name as it is compared: Ollama's clients add ":latest" to what has no tag."""
    return shorten(name).casefold().removesuffix(":latest")


def shorten(name: str) -> str:
    """`registry.ollama.ai/library/big` and `library/big` are `big`."""
    return _IMPLIED.sub("", name.strip(), count=1)
