"""Cloud APIs and any OpenAI-compatible server, through LiteLLM; imported at the first call that needs it."""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Future
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit

from .. import net
from ..config import RunnerConfig, secret
from ..config.settings import prefer
from ..core import ChatRequest, Chunk, Expert, Heartbeat
from ..errors import BackendError, BrokenStream, NotReady, TimedOut, Unreachable, UpstreamFailure, UpstreamRefusal
from .api_wire import ChunkReader, write_request
from .base import HEARTBEAT_S, Chunks

INSTALL = "./setup.sh --with api"
_REFUSALS = (400, 413, 422)
_BEAT = Heartbeat()


class Engine:
    """LiteLLM and the one event loop its calls run on; loaded once, by whoever needs it first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._litellm: Any = None

    def load(self) -> tuple[Any, asyncio.AbstractEventLoop]:
        """Raises NotReady with the install command when LiteLLM is not there."""
        with self._lock:
            if self._litellm is None:
                self._litellm = _import_litellm()
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=self._loop.run_forever, name="litellm", daemon=True).start()
            return self._litellm, self._loop

    def close(self) -> None:
        with self._lock:
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self._loop.stop)
                self._loop = None


class Api:
    """One model behind an API."""

    routes = 1

    def __init__(self, expert: Expert, runner: RunnerConfig, engine: Engine) -> None:
        self._expert = expert
        self._runner = runner
        self._engine = engine
        self._base = expert.api_base or expert.url

    def chat(self, request: ChatRequest) -> Chunks:
        key = self._key()
        if self._base:
            parts = urlsplit(self._base)
            net.check_resolved(parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80))
        litellm, loop = self._engine.load()
        call = write_request(request) | {
            "model": self._model(request.model),
            "api_key": key,
            "timeout": self._runner.cold_load_timeout_s,
            "num_retries": 0,
            "max_retries": 0,
            "drop_params": True,
        }
        if self._base:
            call["api_base"] = self._base
        yield from _pump(litellm.acompletion(**call), loop)

    def misfit(self, request: ChatRequest) -> str:
        if request.completion is not None:
            return "does not support raw completions"
        has_image = request.has_image or any(m.has_image for m in request.messages)
        return "does not support images" if has_image and not self._expert.vision else ""

    def trouble(self, model: str) -> str:
        if self._expert.api_key_env and not secret(self._expert.api_key_env):
            return f"the environment variable {self._expert.api_key_env} is not set"
        return "" if find_spec("litellm") else f"LiteLLM is not installed: run `{INSTALL}`"

    def first_token_limit_s(self, request: ChatRequest) -> float:
        return self._runner.first_token_timeout_s

    def idle_limit_s(self) -> float:
        return self._runner.api_timeout or self._runner.idle_timeout_s

    def _key(self) -> str:
        name = self._expert.api_key_env
        if not name:
            return "none"  # LiteLLM insists on some key; servers without one ignore it
        value = secret(name)
        if not value:
            raise NotReady(f"set the environment variable {name}", reason="no API key")
        return value

    def _model(self, name: str) -> str:
        provider = self._expert.provider or ("openai" if self._base else "")
        return name if not provider or name.startswith(f"{provider}/") else f"{provider}/{name}"


def _pump(call: Any, loop: asyncio.AbstractEventLoop) -> Iterator[Chunk]:
    """Runs one streamed call on the loop and yields its chunks here; closing cancels it, which closes its socket."""
    arrived: queue.SimpleQueue[Chunk | BackendError | None] = queue.SimpleQueue()
    task: Future[None] = asyncio.run_coroutine_threadsafe(_deliver(call, arrived), loop)
    try:
        while True:
            try:
                item = arrived.get(timeout=HEARTBEAT_S)
            except queue.Empty:
                yield _BEAT
                continue
            if isinstance(item, BackendError):
                raise item
            if item is None:
                return
            yield item
    finally:
        task.cancel()


async def _deliver(call: Any, arrived: queue.SimpleQueue[Chunk | BackendError | None]) -> None:
    reader = ChunkReader()
    stream: AsyncIterator[Any] | None = None
    try:
        stream = await call
        async for piece in stream:
            for chunk in reader.read(piece):
                arrived.put(chunk)
        # LiteLLM closes every stream with a finish of its own; only the upstream's proves a whole answer.
        if not reader.is_whole and not getattr(stream, "received_finish_reason", None):
            raise BrokenStream("the stream ended without its end mark")
        for chunk in reader.finish():
            arrived.put(chunk)
        arrived.put(None)
    except BackendError as error:
        arrived.put(error)
    except Exception as error:  # the library boundary: LiteLLM raises its own and its providers' classes
        arrived.put(translate(error))
    finally:
        close = getattr(stream, "aclose", None)
        if close is not None:
            await close()


def translate(error: Exception) -> BackendError:
    """A LiteLLM (or provider) exception as one of ours; details go to the log, not to clients."""
    names = {kind.__name__ for kind in type(error).__mro__}
    status = getattr(error, "status_code", None)
    message = str(getattr(error, "message", "") or error)[:2000]
    if names & {"Timeout", "APITimeoutError"}:
        return TimedOut(message)
    if "MidStreamFallbackError" in names or "RemoteProtocolError" in names:
        return BrokenStream(message)
    if "ContextWindowExceededError" in names:
        return UpstreamRefusal(_tail(message), code="context_length_exceeded")
    if "ContentPolicyViolationError" in names:
        return UpstreamRefusal(_tail(message), code="content_filter")
    if "APIConnectionError" in names:
        text = f"{message} {error.__cause__!r}".casefold()
        refused = "refused" in text or "cannot connect" in text or "connect call failed" in text
        return Unreachable(message) if refused else BrokenStream(message, reason="connection reset")
    if isinstance(status, int) and status in _REFUSALS:
        return UpstreamRefusal(_tail(message), status=status)
    if isinstance(status, int):
        return UpstreamFailure(message, upstream_status=status, retry_after_s=_retry_after(error))
    return BrokenStream(f"{type(error).__name__}: {message}")


def _tail(message: str) -> str:
    """The provider's own words without the chain of exception names LiteLLM puts before them."""
    return message.rsplit("Exception - ", 1)[-1].strip()


def _retry_after(error: Exception) -> float | None:
    response = getattr(error, "response", None)
    headers = getattr(error, "litellm_response_headers", None) or getattr(response, "headers", None) or {}
    try:
        return max(0.0, float(headers.get("retry-after") or ""))
    except ValueError:
        return None


def _import_litellm() -> Any:
    prefer(LITELLM_LOCAL_MODEL_COST_MAP="True", LITELLM_MODE="PRODUCTION", LITELLM_LOG="ERROR",
           LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS="True", LITELLM_LOCAL_POLICY_TEMPLATES="True")
    try:
        import httpx  # noqa: PLC0415
        import litellm  # noqa: PLC0415
    except ImportError as error:
        raise NotReady(f"LiteLLM is not installed: run `{INSTALL}`", reason="engine not installed") from error
    litellm.telemetry = False
    litellm.suppress_debug_info = True
    litellm.disable_aiohttp_transport = True
    litellm.aclient_session = httpx.AsyncClient(follow_redirects=False, trust_env=False)
    for name in ("LiteLLM", "httpx", "openai"):
        logging.getLogger(name).setLevel(logging.ERROR)
    return litellm
