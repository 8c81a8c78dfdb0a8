"""LiteLLM on an event loop of its own: streamed calls begin here and arrive in a queue."""

from __future__ import annotations

import asyncio
import logging
import queue
import sys
import threading
from collections.abc import AsyncGenerator, Iterator
from concurrent.futures import Future
from typing import Any

from ..config.settings import prefer
from ..core import Chunk
from ..errors import BackendError, BadAnswer, BrokenStream, NotReady, TimedOut, UpstreamFailure
from .api_reader import ChunkReader
from .base import HEARTBEAT_S
from .completing import read_on
from .refusal import tell_failure

INSTALL = "./setup.sh --with api"
CLOSE_LIMIT_S = 5.0
SILENCE_LIMIT_S = 600.0  # the last resort only: dispatch watches each answer with limits of its own
# Beyond so many chunks that nobody has taken yet the upstream is not read on: a slow reader must not fill memory.
MOST_WAITING = 512
LONGEST_CHAIN = 16
# One for each address and key. LiteLLM forgets all beyond that, and leaves their connections open.
MOST_CLIENTS = 4096
Arrived = queue.SimpleQueue[Chunk | BackendError | None]


class Engine:
    """LiteLLM and the one event loop its calls run on; loaded once, by whoever needs it first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._litellm: Any = None

    def load(self) -> tuple[Any, asyncio.AbstractEventLoop]:
        """The litellm module and its loop. Raises NotReady with the install command when LiteLLM is not there."""
        with self._lock:
            if self._litellm is None:
                self._litellm = _import_litellm()
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._run, args=(self._loop,), name="litellm", daemon=True)
                self._thread.start()
            return self._litellm, self._loop

    def start(self, call: dict[str, Any], *, connect_s: float, key: str) -> tuple[Future[None], Arrived]:
        """Begins a streamed completion; its chunks arrive in the queue, then None or the error that ended it.

        Cancelling the future closes the upstream's connection. Raises NotReady.
        """
        litellm, loop = self.load()
        return _begin(_converse(litellm, call | {"timeout": _limit(connect_s)}), loop, key=key)

    def continue_text(
        self, url: str, body: dict[str, Any], *, connect_s: float, key: str
    ) -> tuple[Future[None], Arrived]:
        """The same for a bare completion, which goes out without LiteLLM: it would connect to an address that is not
        checked, and forget the log probabilities."""
        _, loop = self.load()
        from litellm.llms.custom_httpx.http_handler import get_async_httpx_client  # noqa: PLC0415

        def hire() -> Any:  # on the loop that it belongs to, where LiteLLM keeps it
            return get_async_httpx_client(llm_provider="moe").client

        return _begin(read_on(hire, url, body, key=key, limit=_limit(connect_s)), loop, key=key)

    def embed(self, call: dict[str, Any], *, connect_s: float, key: str) -> Future[tuple[list[list[float]], int]]:
        """Vectors, and how many tokens they were made of. Raises NotReady; the future BackendError."""
        litellm, loop = self.load()
        call = call | {"timeout": _limit(connect_s)}
        return asyncio.run_coroutine_threadsafe(_embed(litellm, call, key=key), loop)

    def context_tokens(self, model: str) -> int:
        """The longest prompt LiteLLM knows `model` to take, 0 when it knows none or is not loaded."""
        known = self._litellm.model_cost.get(model) if self._litellm is not None else None
        limit = known.get("max_input_tokens") if isinstance(known, dict) else None
        return limit if isinstance(limit, int) else 0

    def parameters(self, model: str) -> frozenset[str]:
        """OpenAI's names of what LiteLLM passes on to `model`; none where it does not know, or is not loaded."""
        if self._litellm is None:
            return frozenset()
        try:
            name, provider, *_ = self._litellm.get_llm_provider(model)
            found = self._litellm.get_supported_openai_params(model=name, custom_llm_provider=provider)
        except Exception:  # noqa: BLE001 - LiteLLM raises its own classes; the call itself will say what is wrong
            return frozenset()
        return frozenset(found or ())

    def close(self) -> None:
        """Ends running calls, connections and the loop."""
        with self._lock:
            loop, self._loop = self._loop, None
            if loop is not None and self._thread is not None:
                loop.call_soon_threadsafe(loop.stop)
                self._thread.join(CLOSE_LIMIT_S)

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        loop.run_forever()
        loop.run_until_complete(_wind_up(self._litellm.in_memory_llm_clients_cache))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


async def _wind_up(clients: Any) -> None:
    """Cancels what runs on this loop and closes the clients that LiteLLM's cache, whose keys name it, holds for it."""
    calls = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for call in calls:
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)
    for key, client in list(clients.cache_dict.items()):
        if key.endswith(f"-{id(asyncio.get_running_loop())}"):
            clients.cache_dict.pop(key)
            await client.close()


def _limit(connect_s: float) -> Any:
    import httpx  # noqa: PLC0415 - comes with LiteLLM

    return httpx.Timeout(SILENCE_LIMIT_S, connect=connect_s)


def _begin(
    chunks: AsyncGenerator[Chunk, None], loop: asyncio.AbstractEventLoop, *, key: str
) -> tuple[Future[None], Arrived]:
    arrived: Arrived = queue.SimpleQueue()
    return asyncio.run_coroutine_threadsafe(_deliver(chunks, arrived, key=key), loop), arrived


async def _deliver(chunks: AsyncGenerator[Chunk, None], arrived: Arrived, *, key: str) -> None:
    try:
        async for chunk in chunks:
            arrived.put(chunk)
            while arrived.qsize() > MOST_WAITING:
                await asyncio.sleep(HEARTBEAT_S)
        arrived.put(None)
    except Exception as error:  # noqa: BLE001 - LiteLLM raises its own and its providers' classes
        arrived.put(_without(key, translate(error)))
    except asyncio.CancelledError:
        arrived.put(BrokenStream("the call was given up"))
        raise
    finally:
        await chunks.aclose()


async def _converse(litellm: Any, call: dict[str, Any]) -> AsyncGenerator[Chunk, None]:
    names = {tool["function"]["name"] for tool in call.get("tools", ())}
    reader = ChunkReader(names, call["messages"], most=call.get("max_tokens"))
    stream: Any = None
    try:
        stream = await litellm.acompletion(**call)
        async for piece in stream:
            for chunk in reader.read(piece):
                yield chunk
        for chunk in reader.finish(stream):
            yield chunk
    finally:
        close = getattr(stream, "aclose", None)
        if close is not None:
            await close()


async def _embed(litellm: Any, call: dict[str, Any], *, key: str) -> tuple[list[list[float]], int]:
    try:
        made = await litellm.aembedding(**call)
        rows = [[float(number) for number in entry["embedding"]] for entry in made.data]
    except Exception as error:  # noqa: BLE001 - LiteLLM raises its own and its providers' classes
        raise _without(key, translate(error)) from error
    return rows, int(getattr(made.usage, "prompt_tokens", 0) or 0)


def translate(error: BaseException) -> BackendError:
    """An exception that came through LiteLLM as one of ours.

    Ours lie at the bottom of its chain wherever the Courier carried the request. The rest is LiteLLM's own
    complaint, a stream that broke, or a provider that is reached in another way.
    """
    chain = list(_unwrap(error))
    ours = next((each for each in chain if isinstance(each, BackendError)), None)
    if ours is not None:
        return ours
    names = {kind.__name__ for each in chain for kind in type(each).__mro__}
    message = str(getattr(error, "message", "") or error)[:2000]
    if names & {"TimeoutException", "Timeout", "APITimeoutError"}:
        return TimedOut(message)
    if "TransportError" in names:  # httpx's family of lost connections
        return BrokenStream(message)
    told = [each for each in chain if type(each).__module__.startswith("openai") and hasattr(each, "body")]
    if told:
        return tell_failure(str(told[-1]))
    if "MidStreamFallbackError" in names:
        return BadAnswer(message)
    if "BadRequestError" in names:  # LiteLLM's own: an unknown provider, a setting it cannot translate
        return NotReady(message, reason="cannot be called")
    status = getattr(error, "status_code", None)
    return UpstreamFailure(message, upstream_status=status if isinstance(status, int) else 500)


def _unwrap(error: BaseException | None) -> Iterator[BaseException]:
    for _ in range(LONGEST_CHAIN):
        if error is None:
            return
        yield error
        error = getattr(error, "original_exception", None) or error.__cause__ or error.__context__


def _without(key: str, error: BackendError) -> BackendError:
    """The error, the API key blotted out: some servers repeat the one they refuse."""
    if key:
        error.message, error.code, error.reason = (
            text.replace(key, "***") for text in (error.message, error.code, error.reason))
        error.args = (error.message,)
    return error


def _import_litellm() -> Any:
    prefer(LITELLM_LOCAL_MODEL_COST_MAP="True", LITELLM_MODE="PRODUCTION", LITELLM_LOG="ERROR",
           LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS="True", LITELLM_LOCAL_POLICY_TEMPLATES="True")
    try:
        import litellm  # noqa: PLC0415
        from litellm.llms.custom_httpx.http_handler import AsyncHTTPHandler  # noqa: PLC0415

        from .courier import Courier  # noqa: PLC0415
    except ImportError as error:
        raise NotReady(f"LiteLLM is not installed: run `{INSTALL}`", reason="engine not installed") from error
    litellm.telemetry = False
    litellm.suppress_debug_info = True
    litellm.disable_hf_tokenizer_download = True
    litellm.REPEATED_STREAMING_CHUNK_LIMIT = sys.maxsize  # who asks for a hundred equal lines gets them
    litellm.in_memory_llm_clients_cache.max_size_in_memory = MOST_CLIENTS

    def hire(ssl_context: Any = None, ssl_verify: bool | None = None, **_: Any) -> Courier:
        return Courier(verify=ssl_context if ssl_context is not None else ssl_verify is not False)

    # Every asynchronous client LiteLLM makes, for OpenAI's SDK and for its own handlers, asks this for its transport.
    AsyncHTTPHandler.create_async_transport = staticmethod(hire)
    for name in ("LiteLLM", "httpx", "openai"):
        logging.getLogger(name).setLevel(logging.ERROR)
    return litellm
