"""The machines that run Ollama, and what each one has."""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Iterable
from concurrent.futures import Executor
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct

from ..core import ModelCard
from ..errors import BackendError, BadAnswer, BrokenStream, TimedOut, Unreachable, UpstreamFailure, UpstreamRefusal
from .transport import Transport

TAGS_TTL_S = 60.0
LOADED_TTL_S = 5.0
DOWN_TTL_S = 1.0
CHANGED_TTL_S = 1.0
MOST_MODELS = 1000
LONGEST_NAME = 256
PROBE_TIMEOUT_S = 5.0
PS_TIMEOUT_S = 2.0


class UpstreamModel(Struct, frozen=True, kw_only=True):
    """One model of a node; `is_remote` = Ollama would run it in its cloud. Sizes in bytes, 0 = unknown."""

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


class NodeState(Struct, frozen=True, kw_only=True):
    """What a node last said of itself. `is_known` is False until it was asked once."""

    models: dict[str, UpstreamModel] = {}
    loaded: dict[str, Loaded] = {}
    is_known: bool = False
    is_up: bool = False
    knows_loaded: bool = False
    is_slow_to_fail: bool = False
    error: str = ""


class Node:
    """One Ollama server: its connections, its last known state, and how busy we keep it."""

    def __init__(self, url: str, *, connect_timeout_s: float, executor: Executor) -> None:
        self.url = url
        self.transport = Transport(url, connect_timeout_s=connect_timeout_s)
        self.in_flight = 0
        self._executor = executor
        self._lock = threading.Lock()
        self._refresh_lock = threading.Lock()
        self._state = NodeState()
        self._shown: dict[str, Any] = {}
        self._tags_due = 0.0
        self._loaded_due = 0.0
        self._is_refreshing = False
        self._doubted_until = 0.0

    @property
    def state(self) -> NodeState:
        """The last known state; a stale one is renewed in the background, a down one at once if that is quick."""
        state, now = self._state, time.monotonic()
        if now < self._loaded_due and now < self._tags_due:
            return state
        if not state.is_known or (not state.is_up and not state.is_slow_to_fail):
            self.refresh(wait=True)
            return self._state
        self.refresh()
        return state

    @property
    def present_state(self) -> NodeState:
        """The state as it is now: after a quiet while the node is asked first, since a model that was in memory
        may have left it."""
        if time.monotonic() > self._loaded_due + LOADED_TTL_S and not self._state.is_slow_to_fail:
            self.refresh(wait=True)
        return self.last_state

    @property
    def last_state(self) -> NodeState:
        """The last known state, without asking anybody now; renewed in the background."""
        if time.monotonic() >= min(self._loaded_due, self._tags_due):
            self.refresh()
        return self._state

    def refresh(self, *, wait: bool = False) -> None:
        """Ask the node anew, in the background unless `wait`; calls at the same time share one question."""
        if wait:
            if self._refresh_lock.acquire(timeout=PS_TIMEOUT_S):
                try:
                    if time.monotonic() >= min(self._loaded_due, self._tags_due):
                        self._ask()
                finally:
                    self._refresh_lock.release()
            return
        with self._lock:
            if self._is_refreshing:
                return
            self._is_refreshing = True
        try:
            self._executor.submit(self._refresh_quietly)
        except RuntimeError:  # the executor was shut down: this gateway is being replaced
            self._is_refreshing = False

    def expect_change(self) -> None:
        """Something was loaded or removed: the node is asked again soon, but not by every request."""
        self._loaded_due = min(self._loaded_due, time.monotonic() + CHANGED_TTL_S)

    def mark_down(self, error: BackendError) -> None:
        """A request found it unreachable: it is last in line until it is seen up again."""
        is_slow = isinstance(error.__cause__, TimeoutError)
        self._state = msgspec.structs.replace(
            self._state, is_known=True, is_up=False, is_slow_to_fail=is_slow, error=error.reason, loaded={}
        )
        self._loaded_due = self._tags_due = time.monotonic() + DOWN_TTL_S

    @property
    def is_doubted(self) -> bool:
        return time.monotonic() < self._doubted_until

    def doubt(self, for_s: float) -> None:
        """A request got nothing from it: others go first for a while, 0 = no longer."""
        self._doubted_until = time.monotonic() + for_s

    def enter(self) -> None:
        with self._lock:
            self.in_flight += 1

    def leave(self) -> None:
        with self._lock:
            self.in_flight -= 1

    def close(self) -> None:
        self.transport.close()

    def _refresh_quietly(self) -> None:
        try:
            self.refresh(wait=True)
        finally:
            self._is_refreshing = False

    def _ask(self) -> None:
        """Brings the state up to date; how the node fails decides what is believed of it."""
        now = time.monotonic()
        try:
            loaded = self._fetch_loaded()
            models = self._state.models
            if now >= self._tags_due or not self._state.is_up:
                models = self._fetch_models()
                self._tags_due = now + TAGS_TTL_S
            self._state = NodeState(
                models=models, loaded=loaded or {}, knows_loaded=loaded is not None, is_known=True, is_up=True
            )
            self._loaded_due = time.monotonic() + LOADED_TTL_S
        except (Unreachable, BrokenStream) as error:
            self.mark_down(error)
        except BackendError as error:
            self._mark_strange(error)

    def _mark_strange(self, error: BackendError) -> None:
        """It is there, but silent or talking nonsense. Busy with a request it may well answer that one, so it stays
        up unless it never said anything."""
        is_mute = isinstance(error, TimedOut) and not self._state.is_up
        self._state = msgspec.structs.replace(
            self._state, is_known=True, is_up=not is_mute, is_slow_to_fail=is_mute, error=error.reason,
            knows_loaded=False,
        )
        self._loaded_due = self._tags_due = time.monotonic() + LOADED_TTL_S

    def _fetch_models(self) -> dict[str, UpstreamModel]:
        reply = self.transport.fetch("GET", "/api/tags", timeout_s=PROBE_TIMEOUT_S)
        found: dict[str, UpstreamModel] = {}
        for entry in _entries(reply):
            name = str(entry.get("model") or entry.get("name") or "")
            if name.isprintable() and 0 < len(name) <= LONGEST_NAME:
                found[name] = self._describe(name, entry)
        return found

    def _describe(self, name: str, entry: dict[str, Any]) -> UpstreamModel:
        shown = self._show(name, str(entry.get("digest") or name))
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
        )

    def _show(self, name: str, digest: str) -> dict[str, Any]:
        """`/api/show`, asked once per digest; {} where the node does not know it."""
        if digest not in self._shown:
            body = msgspec.json.encode({"model": name})
            try:
                self._shown[digest] = _table(self.transport.fetch("POST", "/api/show", body, timeout_s=PROBE_TIMEOUT_S))
            except Unreachable:
                raise
            except BackendError:
                return {}
        shown: dict[str, Any] = self._shown[digest]
        return shown

    def _fetch_loaded(self) -> dict[str, Loaded] | None:
        """What is in memory; None from a server that does not tell (something that only resembles Ollama)."""
        try:
            reply = self.transport.fetch("GET", "/api/ps", timeout_s=PS_TIMEOUT_S)
        except (UpstreamFailure, UpstreamRefusal, BadAnswer):
            return None
        return {
            str(entry.get("model") or entry.get("name")): Loaded(
                size=_count(entry.get("size")),
                size_vram=_count(entry.get("size_vram")),
                context_length=_count(entry.get("context_length")),
                expires_at=str(entry.get("expires_at") or ""),
            )
            for entry in _entries(reply)
        }


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
        capabilities=model.capabilities or ("completion",),
    )


def _unix(stamp: str) -> float:
    """Unix seconds of an RFC 3339 time, 0 when it is none."""
    try:
        return float(msgspec.convert(stamp, type=datetime).timestamp())
    except (msgspec.ValidationError, ValueError, OverflowError):
        return 0.0


def _entries(reply: Any) -> list[dict[str, Any]]:
    models = _list(_table(reply).get("models"))
    return [entry for entry in models[:MOST_MODELS] if isinstance(entry, dict)]


def _count(value: Any) -> int:
    return value if isinstance(value, int) and 0 < value < 2**53 else 0


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _table(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
