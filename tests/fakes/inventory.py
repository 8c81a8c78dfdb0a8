"""What a fake Ollama has pulled, and what of it is in memory."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from typing import Any

DEFAULT_NUM_CTX = 4096
DEFAULT_KEEP_ALIVE_S = 300.0
FOR_EVER_S = 200 * 365 * 86400.0
VISION_FAMILIES = ("gemma3", "llava", "qwen2.5vl", "qwen3.5", "llama3.2-vision", "mistral-small3")
THINKING_FAMILIES = ("qwen3", "qwq", "deepseek-r1", "magistral", "gpt-oss")
MODIFIED_AT = "2026-01-01T00:00:00.000000000Z"


@dataclass(frozen=True)
class FakeModel:
    """One pulled model; `load_s` is how long a cold load takes, a `remote_host` makes it one of Ollama's cloud."""

    name: str
    size: int = 3_300_000_000
    capabilities: tuple[str, ...] = ("completion", "tools")
    context_length: int = 131_072
    family: str = "llama"
    parameter_size: str = "4.3B"
    embedding_length: int = 16
    loaded: bool = False
    load_s: float = 0.0
    remote_host: str = ""
    remote_model: str = ""

    @classmethod
    def named(cls, name: str) -> FakeModel:
        """Takes the size from a tag such as `:14b`, and makes an embedder of what is named one."""
        capabilities = ("embedding",) if "embed" in name else cls.capabilities
        size = re.search(r":\D*(\d+(?:\.\d+)?)b", name.lower())
        if size is None:
            return cls(name, capabilities=capabilities)
        billions = float(size[1])
        return cls(name, int(billions * 6e8), capabilities, parameter_size=f"{billions:g}B")

    @classmethod
    def guessed(cls, name: str) -> FakeModel:
        """A model as a person who knows the name expects it: one that sees, or that thinks first."""
        model = cls.named(name)
        if model.can("embedding"):
            return model
        vision = ("vision",) if name.startswith(VISION_FAMILIES) else ()
        thinking = ("thinking",) if name.startswith(THINKING_FAMILIES) else ()
        return replace(model, capabilities=(*model.capabilities, *vision, *thinking))

    @property
    def tag(self) -> dict[str, Any]:
        """Its entry in /api/tags."""
        head = {"name": self.name, "model": self.name, **self.remote, "modified_at": MODIFIED_AT}
        return {**head, "size": self.size, "digest": self.digest, "details": self.details}

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.name.encode()).hexdigest()

    @property
    def details(self) -> dict[str, Any]:
        return {
            "parent_model": "",
            "format": "gguf",
            "family": self.family,
            "families": [self.family],
            "parameter_size": self.parameter_size,
            "quantization_level": "Q4_K_M",
        }

    @property
    def card(self) -> dict[str, Any]:
        """The answer of /api/show."""
        info = {
            "general.architecture": self.family,
            "general.parameter_count": int(self.size / 0.6),
            f"{self.family}.context_length": self.context_length,
            f"{self.family}.embedding_length": self.embedding_length,
        }
        return {
            "license": "none",
            "modelfile": f"FROM {self.name}",
            "parameters": "",
            "template": "{{ .Prompt }}",
            "details": self.details,
            "model_info": info,
            "capabilities": list(self.capabilities),
            "modified_at": MODIFIED_AT,
            **self.remote,
        }

    @property
    def remote(self) -> dict[str, str]:
        if not self.remote_host:
            return {}
        return {"remote_model": self.remote_model or self.name, "remote_host": self.remote_host}

    def can(self, capability: str) -> bool:
        return capability in self.capabilities


@dataclass(frozen=True)
class Load:
    num_ctx: int
    expires_at: datetime


class Inventory:
    """`loads` lists every (model, num_ctx) that had to be loaded, also where only num_ctx had changed."""

    def __init__(self, models: Iterable[FakeModel | str]) -> None:
        self._lock = threading.Lock()
        self._models: dict[str, FakeModel] = {}
        self._memory: dict[str, Load] = {}
        self._loads: list[tuple[str, int]] = []
        for model in models:
            self.add(model)

    def __iter__(self) -> Iterator[FakeModel]:
        with self._lock:
            return iter(list(self._models.values()))

    @property
    def loads(self) -> tuple[tuple[str, int], ...]:
        with self._lock:
            return tuple(self._loads)

    def get(self, name: str) -> FakeModel | None:
        with self._lock:
            return self._models.get(to_key(name))

    def add(self, model: FakeModel | str) -> None:
        """As after a pull; a bare name is taken by `FakeModel.named`."""
        model = FakeModel.named(model) if isinstance(model, str) else model
        with self._lock:
            self._models[to_key(model.name)] = replace(model, name=add_tag(model.name))
            if model.loaded:
                self._memory[to_key(model.name)] = Load(DEFAULT_NUM_CTX, _expiry(DEFAULT_KEEP_ALIVE_S))

    def remove(self, name: str) -> None:
        with self._lock:
            self._models.pop(to_key(name), None)
            self._memory.pop(to_key(name), None)

    def unload(self, name: str) -> None:
        with self._lock:
            self._memory.pop(to_key(name), None)

    def load(self, model: FakeModel, *, num_ctx: int, keep_s: float) -> float:
        """Seconds until the model is in memory with this context."""
        key = to_key(model.name)
        with self._lock:
            known = self._memory.get(key)
            self._memory[key] = Load(num_ctx, _expiry(keep_s))
            if known is not None and known.num_ctx == num_ctx and known.expires_at > _expiry(0):
                return 0.0
            self._loads.append((model.name, num_ctx))
        return model.load_s

    def running(self) -> list[dict[str, Any]]:
        """The entries of /api/ps, the one that stays longest first."""
        with self._lock:
            loads = sorted(self._memory.items(), key=lambda item: item[1].expires_at, reverse=True)
            alive = [(self._models.get(key), load) for key, load in loads if load.expires_at > _expiry(0)]
        return [_to_process(model, load) for model, load in alive if model is not None]


def to_key(name: str) -> str:
    """The one spelling under which a model is known."""
    return add_tag(name).lower()


def add_tag(name: str) -> str:
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"


def read_seconds(keep_alive: object) -> float:
    """A number of seconds or a Go duration ("1h30m"), negative: for ever; raises ValueError."""
    if keep_alive is None or keep_alive == "":
        return DEFAULT_KEEP_ALIVE_S
    text = f"{keep_alive}s" if isinstance(keep_alive, int | float) else str(keep_alive)
    if not re.fullmatch(r"-?(0|([\d.]+(ms|h|m|s))+)", text):
        raise ValueError(f'time: invalid duration "{text}"')
    units = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
    pieces = re.findall(r"([\d.]+)(ms|h|m|s)", text)
    return FOR_EVER_S if text.startswith("-") else sum(float(count) * units[unit] for count, unit in pieces)


def _to_process(model: FakeModel, load: Load) -> dict[str, Any]:
    memory = {"size_vram": model.size, "context_length": load.num_ctx}
    entry = {**model.tag, "expires_at": load.expires_at.isoformat(), **memory}
    del entry["modified_at"]
    return entry


def _expiry(keep_s: float) -> datetime:
    return datetime.now(timezone.utc) + timedelta(seconds=min(keep_s, FOR_EVER_S))
