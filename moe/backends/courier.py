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
from .refusal import ERROR_BODY_BYTES, read_error, refuse, tell_failure
from .tally import Tally
from .unstreamed import Body, spread, wants_events

LONGEST_LINE = 16 * 1024 * 1024
LAST = b"[DONE]"
DRAIN_S = 0.25
_ACCOUNT = ("openai-organization", "openai-project")
_FIELDS = (b"event", b"id", b"retry", b"")  # of an event, beside its data; a comment has no name
_TEXTS = ("content", "reasoning_content", "reasoning", "refusal")
_AMENDED = (b'"refusal"', b'"function_call"')
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
        if encoding not in ("", "identity"):
            return response
        if kind.startswith("application/json") and wants_events(request):
            return await _read_whole(response)
        if kind.startswith("text/event-stream"):
            response.stream = Sieve(response.stream)
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

    def __init__(self, source: Any) -> None:
        self._source = source
        self._tally = Tally()
        self._tokens: float | None = None
        self._kind = b""
        self._part = b""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        pending = b""
        source = aiter(self._source)
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
        if kept := self._end_event():
            yield kept + b"\n"
        self._tally.settle(self._tokens)

    async def aclose(self) -> None:
        await self._source.aclose()

    def _sift(self, line: bytes) -> bytes:
        """The line as it goes on, b"" for one that says nothing or cannot be read."""
        line = line.removeprefix(codecs.BOM_UTF8)
        if not (said := line.strip(b" \t\r\0")):
            return self._end_event() + b"\n"
        name, _, data = said.partition(b":")
        data = said if said.startswith(b"{") else data.strip()
        if name == b"event":  # waits for its data: one that has none is an error to some readers
            self._kind = line + b"\n"
        if name in _FIELDS or (name == b"data" and not data):
            return b""
        event = read_event(data) if name == b"data" or data is said else None
        if event is None and name == b"data" and (self._part or data.startswith(b"{")):
            return self._add_part(data)
        self._drop_part()
        kind, self._kind = self._kind, b""
        if name == b"data" and data == LAST:
            self._tally.settle(self._tokens)
            return kind + line + b"\n"
        if event is None:
            self._tally.miss(said)
            return b""
        self._count(event)
        return kind + (amend(event) if any(word in line for word in _AMENDED) else line + b"\n")

    def _add_part(self, data: bytes) -> bytes:
        """An event's data may stand in several lines; what they are is seen where it ends."""
        if data == LAST or len(self._part) > LONGEST_LINE:
            self._drop_part()
        self._part += data + b"\n"
        return b""

    def _end_event(self) -> bytes:
        event = read_event(self._part) if self._part else None
        if event is None:
            self._drop_part()
            return b""
        self._part = b""
        kind, self._kind = self._kind, b""
        self._count(event)
        return kind + amend(event)

    def _drop_part(self) -> None:
        part, self._part = self._part, b""
        if part:
            self._tally.miss(part)

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


def amend(event: dict[str, Any]) -> bytes:
    """An event as LiteLLM can read it: a refusal told where it looks too, since it skips what says nothing else, and a
    call from before there were tools as one of a tool."""
    for choice in event.get("choices") or ():
        delta = choice.get("delta") or {}
        if delta.get("refusal"):
            delta["provider_specific_fields"] = {"refusal": delta["refusal"]}
        old = delta.pop("function_call", None)
        if isinstance(old, dict) and not delta.get("tool_calls"):
            delta["tool_calls"] = [{"index": 0, "type": "function", "function": old}]
        if choice.get("finish_reason") == "function_call":
            choice["finish_reason"] = "tool_calls"
    return b"data: " + json.dumps(event).encode() + b"\n"


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


async def _read_whole(response: httpx.Response) -> httpx.Response:
    """The answer of a server that does not stream, as if it had. Raises BadAnswer for one that cannot be read."""
    body = b""
    try:
        async for piece in response.aiter_bytes():
            body += piece
            if len(body) > LONGEST_LINE:
                raise BadAnswer("the answer is too large")
    except httpx.HTTPError as error:
        raise BrokenStream(f"connection lost within the answer: {error!r}") from error
    finally:
        await response.aclose()
    event = read_event(body)
    if event is not None and event.get("error"):
        raise tell_failure(read_error(body)[0])
    if event is None or not event.get("choices"):
        raise BadAnswer("the answer cannot be read")
    headers = {"Content-Type": "text/event-stream"}
    return httpx.Response(response.status_code, headers=headers, stream=Sieve(Body(spread(event))))


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
