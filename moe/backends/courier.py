"""The HTTP under LiteLLM: checked addresses, no redirects, errors in our own words, unreadable events left out.

Imported with LiteLLM only, since httpx comes with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator

import httpx

from .. import net
from ..errors import BackendError, BadAnswer, BrokenStream, TimedOut, Unreachable
from .refusal import ERROR_BODY_BYTES, refuse

LONGEST_LINE = 16 * 1024 * 1024
LAST = b"data: [DONE]"
DRAIN_S = 0.25
_ACCOUNT = ("openai-organization", "openai-project")
_NO_CONNECTION = (httpx.ConnectError, httpx.ConnectTimeout)


class Courier(httpx.AsyncBaseTransport):
    """Carries requests; whatever is no answer is raised as a BackendError, so no client above it ever retries,
    follows a redirect or reads an error in its own way."""

    def __init__(self, *, verify: ssl.SSLContext | bool) -> None:
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=64, keepalive_expiry=30)
        self._inner = httpx.AsyncHTTPTransport(verify=verify, limits=limits, trust_env=False)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await self._send(request)
        if response.status_code >= 300:
            raise await _read_refusal(response)
        kind, encoding = response.headers.get("Content-Type", ""), response.headers.get("Content-Encoding", "")
        if kind.startswith("text/event-stream") and encoding in ("", "identity"):
            response.stream = Sieve(response)
        return response

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def _send(self, request: httpx.Request) -> httpx.Response:
        """Tries the addresses that the host resolves to, each checked, in turn."""
        host = request.url.host
        port = request.url.port or (443 if request.url.scheme == "https" else 80)
        failure: Exception | None = None
        for *_, sockaddr in await asyncio.to_thread(net.check_resolved, host, port):
            try:
                return await self._inner.handle_async_request(_pin(request, str(sockaddr[0])))
            except _NO_CONNECTION as error:
                failure = error
            except httpx.TimeoutException as error:
                raise TimedOut(f"{host}: no response in time") from error
            except httpx.TransportError as error:
                raise BrokenStream(f"connection lost before an answer: {error!r}", reason="connection reset") from error
        raise Unreachable(f"{host}:{port} does not accept connections: {failure!r}") from failure


class Sieve(httpx.AsyncByteStream):
    """Server-sent events, without the data that is no JSON object: one bad chunk must not cost the answer."""

    def __init__(self, response: httpx.Response) -> None:
        self._source = response.stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        pending = b""
        source = aiter(self._source)  # type: ignore[arg-type]  # an async transport's stream is async
        async for piece in source:
            *lines, pending = (pending + piece).split(b"\n")
            kept = [mark_refusal(line) + b"\n" for line in lines if is_readable(line)]
            if any(line.rstrip() == LAST for line in lines):
                await _drain(source)
            if kept:
                yield b"".join(kept)
            if len(pending) > LONGEST_LINE:
                raise BadAnswer("a line without an end")
        if pending and is_readable(pending):
            yield pending + b"\n\n"

    async def aclose(self) -> None:
        await self._source.aclose()  # type: ignore[union-attr]


def is_readable(line: bytes) -> bool:
    """Whether a reader of JSON events can live with this line; the judge is the decoder that those readers use."""
    if not line.startswith(b"data:"):
        return True
    data = line[5:].strip()
    if not data or data == b"[DONE]":
        return True
    try:
        return isinstance(json.loads(data), dict)
    except (ValueError, RecursionError):
        return False


def mark_refusal(line: bytes) -> bytes:
    """An event in which a model refuses, that told where LiteLLM looks too: it skips what says nothing else."""
    if b'"refusal"' not in line or not line.startswith(b"data:"):
        return line
    event = json.loads(line[5:])
    choices = event.get("choices")
    has_refused = False
    for choice in choices if isinstance(choices, list) else ():
        delta = choice.get("delta") if isinstance(choice, dict) else None
        if isinstance(delta, dict) and delta.get("refusal"):
            delta["provider_specific_fields"] = {"refusal": delta["refusal"]}
            has_refused = True
    return b"data: " + json.dumps(event).encode() if has_refused else line


async def _drain(source: AsyncIterator[bytes]) -> None:
    """Reads what follows the last event, which no reader does: only a body read to its end frees the connection."""

    async def read_on() -> None:
        async for _ in source:
            pass

    with contextlib.suppress(asyncio.TimeoutError, httpx.HTTPError):  # the answer is whole, whatever happens now
        await asyncio.wait_for(read_on(), DRAIN_S)


def _pin(request: httpx.Request, address: str) -> httpx.Request:
    """The same request to one address of its host; Host header and TLS name stay the host's."""
    host = request.url.host
    return httpx.Request(
        request.method, request.url.copy_with(host=address), headers=_trim(request.headers, host),
        stream=request.stream, extensions={**request.extensions, "sni_hostname": host},
    )


def _trim(headers: httpx.Headers, host: str) -> httpx.Headers:
    """Without what the SDKs add on their own: what they tell of this machine, and the account at OpenAI that the
    environment names, wherever the request goes. A compressed stream could not be read line by line."""
    is_openai = host.endswith(".openai.com")
    kept = [(name, value) for name, value in headers.multi_items()
            if not name.startswith("x-stainless-") and (is_openai or name not in _ACCOUNT)]
    trimmed = httpx.Headers(kept)
    trimmed["Accept-Encoding"] = "identity"
    return trimmed


async def _read_refusal(response: httpx.Response) -> BackendError:
    text = b""
    try:
        async for piece in response.aiter_bytes():
            text += piece
            if len(text) > ERROR_BODY_BYTES:
                break
    except httpx.HTTPError:
        pass  # the status says enough
    finally:
        await response.aclose()
    return refuse(response.status_code, text[:ERROR_BODY_BYTES], response.headers.get("Retry-After"))
