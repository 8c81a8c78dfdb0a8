"""The HTTP under LiteLLM: checked addresses, no redirects, errors in our own words, no answer with a hole.

Imported with LiteLLM only, since httpx comes with it.
"""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import json
import ssl
from collections.abc import AsyncIterator
from typing import Any

import httpx

from .. import net
from ..errors import BackendError, BadAnswer, BrokenStream, TimedOut, Unreachable
from .logprobs import field
from .refusal import ERROR_BODY_BYTES, refuse
from .tally import Tally

LONGEST_LINE = 16 * 1024 * 1024
LAST = b"[DONE]"
DRAIN_S = 0.25
_ACCOUNT = ("openai-organization", "openai-project")
_FIELDS = (b"event", b"id", b"retry", b"")  # of an event, beside its data; a comment has no name
_TEXTS = ("content", "reasoning_content", "reasoning", "refusal")
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
    """Server-sent events that have data, and can all be read: readers skip what they cannot, and tell an answer with a
    hole as a whole one. Raises BadAnswer for such an answer."""

    def __init__(self, response: httpx.Response) -> None:
        self._source = response.stream
        self._tally = Tally()
        self._tokens: float | None = None
        self._kind = b""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        pending = b""
        source = aiter(self._source)  # type: ignore[arg-type]  # an async transport's stream is async
        async for piece in source:
            *lines, pending = (pending + piece).split(b"\n")
            kept = b"".join(self._sift(line) for line in lines)
            if any(_is_last(line) for line in lines):
                await _drain(source)
            if kept:
                yield kept
            if len(pending) > LONGEST_LINE:
                raise BadAnswer("a line without an end")
        if pending:
            if not (kept := self._sift(pending)):
                raise BrokenStream("the stream ended within a line")
            yield kept + b"\n"
        self._tally.settle(self._tokens)

    async def aclose(self) -> None:
        await self._source.aclose()  # type: ignore[union-attr]

    def _sift(self, line: bytes) -> bytes:
        """The line as it goes on, b"" for one that says nothing or cannot be read."""
        if not (said := line.strip(b" \t\r\0")):
            return b"\n"
        name, _, data = said.removeprefix(codecs.BOM_UTF8).partition(b":")
        data = said if said.startswith(b"{") else data.strip()
        if name == b"event":  # waits for its data: one that has none is an error to some readers
            self._kind = line + b"\n"
        if name in _FIELDS or (name == b"data" and not data):
            return b""
        kind, self._kind = self._kind, b""
        if name == b"data" and data == LAST:
            self._tally.settle(self._tokens)
            return kind + line + b"\n"
        event = read_event(data) if name == b"data" or data is said else None
        if event is None:
            self._tally.miss()
            return b""
        self._count(event)
        return kind + ((mark_refusal(event) if b'"refusal"' in line else b"") or line + b"\n")

    def _count(self, event: dict[str, Any]) -> None:
        deltas = [choice.get("delta") or {} for choice in event.get("choices") or ()]
        texts = sum(any(delta.get(name) for name in _TEXTS) for delta in deltas)
        texts += sum(bool(choice.get("text")) for choice in event.get("choices") or ())
        has_called = any(delta.get("tool_calls") or delta.get("function_call") for delta in deltas)
        self._tally.add(pieces=texts, has_called=has_called)
        tokens = field(event.get("usage"), "completion_tokens")
        self._tokens = tokens if isinstance(tokens, (int, float)) else self._tokens


def _is_last(line: bytes) -> bool:
    name, _, data = line.partition(b":")
    return name == b"data" and data.strip() == LAST


def read_event(data: bytes) -> dict[str, Any] | None:
    """An event's data, by the decoder that its readers use; None for what they cannot live with."""
    try:
        event = json.loads(data)
    except (ValueError, RecursionError):
        return None
    choices = (event.get("choices") or []) if isinstance(event, dict) else None
    if not isinstance(choices, list) or not all(isinstance(choice, dict) for choice in choices):
        return None
    deltas = [choice.get("delta") or {} for choice in choices]
    return event if all(isinstance(delta, dict) for delta in deltas) else None


def mark_refusal(event: dict[str, Any]) -> bytes:
    """An event in which a model refuses, that told where LiteLLM looks too: it skips what says nothing else. b"" where
    none does."""
    deltas = [delta for choice in event.get("choices") or () if (delta := choice.get("delta")) and delta.get("refusal")]
    for delta in deltas:
        delta["provider_specific_fields"] = {"refusal": delta["refusal"]}
    return b"data: " + json.dumps(event).encode() + b"\n" if deltas else b""


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
