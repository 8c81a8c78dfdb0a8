"""What an Ollama has, read from its own lists: its models, those in memory, their names and cards."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct, field

from ..replies import ModelCard

MOST_MODELS = 1000
LONGEST_NAME = 256


class UpstreamModel(Struct, frozen=True, kw_only=True):
    """One model of a node; `is_remote` = Ollama would run it in its cloud. Sizes in bytes, 0 = unknown. `page` is what
    the node's own /api/show said of it, {} for nothing."""

    name: str
    digest: str = ""
    size: int = 0
    modified_at: str = ""
    family: str = ""
    parameter_size: str = ""
    quantization: str = ""
    context_length: int = 0
    capabilities: tuple[str, ...] = ()
    is_remote: bool = False
    page: dict[str, Any] = field(default_factory=dict)

    @property
    def can_chat(self) -> bool:
        if self.capabilities:
            return "completion" in self.capabilities
        return "embed" not in self.name

    def lacks(self, capability: str) -> bool:
        """Whether it is known not to have `capability`; unknown is not a lack."""
        return bool(self.capabilities) and capability not in self.capabilities


class Loaded(Struct, frozen=True, kw_only=True):
    """A model in a node's memory."""

    size: int = 0
    size_vram: int = 0
    context_length: int = 0
    expires_at: str = ""


def list_entries(reply: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """The entries of `/api/tags` or `/api/ps` with their names; one that no name could be made of is left out."""
    for entry in _list(_table(reply).get("models"))[:MOST_MODELS]:
        if isinstance(entry, dict):
            name = str(entry.get("model") or entry.get("name") or "")
            if name.isprintable() and 0 < len(name) <= LONGEST_NAME:
                yield name, entry


def read_model(name: str, entry: dict[str, Any], shown: Any) -> UpstreamModel:
    """A model of `/api/tags`; `shown` is what `/api/show` says of it, None where it says nothing."""
    shown = _table(shown)
    details = {**_table(shown.get("details")), **_table(entry.get("details"))}
    info = _table(shown.get("model_info"))
    lengths = [value for key, value in info.items() if key.endswith(".context_length") and isinstance(value, int)]
    capabilities = _list(shown.get("capabilities")) or _list(entry.get("capabilities"))
    remote = [table.get(key) for table in (entry, shown) for key in ("remote_host", "remote_model")]
    return UpstreamModel(
        name=name,
        digest=str(entry.get("digest") or ""),
        size=_count(entry.get("size")),
        modified_at=str(entry.get("modified_at") or ""),
        family=str(details.get("family") or ""),
        parameter_size=str(details.get("parameter_size") or ""),
        quantization=str(details.get("quantization_level") or ""),
        context_length=_count(lengths[0] if lengths else details.get("context_length")),
        capabilities=tuple(str(each) for each in capabilities),
        is_remote=any(remote),
        page=shown,
    )


def read_loaded(entry: dict[str, Any]) -> Loaded:
    """A model of `/api/ps`."""
    return Loaded(
        size=_count(entry.get("size")),
        size_vram=_count(entry.get("size_vram")),
        context_length=_count(entry.get("context_length")),
        expires_at=str(entry.get("expires_at") or ""),
    )


def find_name(name: str, held: Iterable[Collection[str]]) -> str | None:
    """The upstream's spelling of `name` among the names `held`: as given, or with `:latest` implied, in any case."""
    groups = list(held)
    for candidate in (name, f"{name}:latest"):
        if any(candidate in names for names in groups):
            return candidate
    wanted = (name.casefold(), f"{name.casefold()}:latest")
    return next((known for names in groups for known in names if known.casefold() in wanted), None)


def card(model: UpstreamModel, loaded: Loaded | None = None) -> ModelCard:
    """The model as an entry of a model list."""
    return ModelCard(
        name=model.name, kind="model", size=loaded.size if loaded else model.size,
        size_vram=loaded.size_vram if loaded else 0, digest=model.digest, modified=_unix(model.modified_at),
        expires=_unix(loaded.expires_at) if loaded else 0.0, family=model.family,
        parameter_size=model.parameter_size, quantization=model.quantization,
        context_length=(loaded.context_length if loaded else 0) or model.context_length,
        capabilities=model.capabilities or ("completion",), form="gguf", model=model.name,
    )


def _unix(stamp: str) -> float:
    """Unix seconds of an RFC 3339 time, 0 when it is none."""
    try:
        return float(msgspec.convert(stamp, type=datetime).timestamp())
    except (msgspec.ValidationError, ValueError, OverflowError):
        return 0.0


def _count(value: Any) -> int:
    return value if isinstance(value, int) and 0 < value < 2**53 else 0


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _table(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
