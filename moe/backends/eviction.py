"""Which models have to leave memory so that another may come: a decision only, nothing is loaded or freed here."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable
from typing import Any, Generic, Protocol, TypeVar

from msgspec import Struct

from ..config import MemoryConfig
from ..errors import BackendError, NotReady

# Of the free memory; the rest is for everybody else on the machine, and for what answers need beyond the estimate.
AUTO_SHARE = 0.8


class Model(Protocol):
    """What stands on the shelf. `context_length` in tokens; `size_bytes` what it takes in memory."""

    context_length: int
    size_bytes: int

    def close(self) -> None:
        """Frees everything; called once. Answers still under way (the server is ending) must fail, not hang."""


M = TypeVar("M", bound=Model)


class Source(Struct, Generic[M], frozen=True, kw_only=True):
    """How to get a model. Equal keys mean the same model: a file's key holds its time and size.

    `load` runs in a thread of its own and raises BackendError; `size_bytes` is an estimate made before.
    """

    name: str
    key: Hashable
    size_bytes: int
    load: Callable[[], M]
    family: str = ""
    parameter_size: str = ""
    quantization: str = ""
    form: str = "gguf"


class Entry:
    """A model from the moment it is asked for: waiting for room, loading, then ready or failed."""

    def __init__(self, source: Source[Any], ttl_s: float) -> None:
        self.source = source
        self.model: Any = None
        self.error: BackendError | None = None
        self.is_started = False
        self.users = 0
        self.ttl_s = ttl_s
        self.idle_since = 0.0

    @property
    def is_idle(self) -> bool:
        return self.model is not None and self.users == 0

    @property
    def size_bytes(self) -> int:
        return self.source.size_bytes if self.model is None else int(self.model.size_bytes)

    def left_s(self, now: float) -> float:
        """How long it may stay from now on if nobody comes."""
        return self.ttl_s if self.users else self.idle_since + self.ttl_s - now


def choose_victims(
    source: Source[Any], entries: Collection[Entry], memory: MemoryConfig, *, free_bytes: int
) -> list[Entry] | None:
    """The idle models that have to go before `source` may load; None while it has to wait for busy ones.

    `entries` hold memory or are about to; `free_bytes` is what the machine has left beside them. Raises NotReady
    when even an empty shelf would be too small.
    """
    held = sum(entry.size_bytes for entry in entries)
    room = measure_room(entries, memory, free_bytes=free_bytes)
    if source.size_bytes > room + held:
        needed, usable = _gigabytes(source.size_bytes), _gigabytes(room + held)
        raise NotReady(
            f"{source.name} needs {needed} of memory and {usable} may be used: take a smaller model, free memory, "
            "or set memory.max_bytes in config.json", reason="not enough memory",
        )
    places = memory.max_models - len(entries)
    victims: list[Entry] = []
    for entry in list_idle(entries, first=source.name):
        if places > 0 and source.size_bytes <= room:
            break
        victims.append(entry)
        places += 1
        room += entry.size_bytes
    return victims if places > 0 and source.size_bytes <= room else None


def measure_room(entries: Collection[Entry], memory: MemoryConfig, *, free_bytes: int) -> int:
    """What may be taken beside the models in memory; those that are loading now count as if they were there."""
    if memory.max_bytes != "auto":
        return memory.max_bytes - sum(entry.size_bytes for entry in entries)
    return int(free_bytes * AUTO_SHARE) - sum(entry.size_bytes for entry in entries if entry.model is None)


def list_idle(entries: Collection[Entry], *, first: str = "") -> list[Entry]:
    """Who may go, in that order: older versions of the model `first`, then the longest unused."""
    idle = [entry for entry in entries if entry.is_idle]
    return sorted(idle, key=lambda entry: (entry.source.name != first, entry.idle_since))


def _gigabytes(size: int) -> str:
    return f"{max(0, size) / 1e9:.1f} GB"
