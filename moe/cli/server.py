"""A running server as the command line's way to the experts, over its own HTTP API."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from typing import Any
from urllib.parse import unquote, urlsplit

import msgspec
import requests

from ..core import Chunk, Done, Finish, Message, Started, Text, Thinking, Usage
from ..dialects.wire import encode
from ..errors import MoeError
from .options import Misuse
from .reply import Reply

PROBE_TIMEOUT_S = (0.5, 2.0)
# While an answer is awaited the server sends something every few seconds.
TIMEOUT_S = (5.0, 60.0)
_BROKEN = "the answer broke off"


class ServerError(MoeError):
    """What the server answered in place of what was asked, or that it did not answer."""


class Server:
    """One server; not thread-safe. `base` is its URL without a trailing slash."""

    def __init__(self, base: str) -> None:
        self._base = base
        self._session = requests.Session()
        self._session.trust_env = False  # a proxy has no business between this machine's own processes

    def greet(self) -> Server:
        """Itself, once it has shown what it is. Raises ServerError."""
        try:
            told = _table(self._session.get(f"{self._base}/health", timeout=PROBE_TIMEOUT_S, allow_redirects=False))
        except requests.RequestException as error:
            self.close()
            raise ServerError(f"no server answers at {self._base}") from error
        except ServerError:
            told = {}
        if not told.keys() >= {"version", "router", "experts"}:
            self.close()
            raise ServerError(f"what answers at {self._base} is another program")
        return self

    def answer(self, messages: Sequence[Message], *, model: str) -> Reply:
        response = self._post("/api/chat", {"model": model, "messages": _spell(messages), "stream": True}, stream=True)
        head = response.headers
        return Reply(
            expert=unquote(head.get("X-MoE-Expert", "")), stage=head.get("X-MoE-Stage", ""),
            confidence=float(head.get("X-MoE-Confidence", "0")), chunks=_read(response),
        )

    def route(self, messages: Sequence[Message], *, model: str) -> dict[str, Any]:
        return _table(self._post("/v1/route", {"model": model, "messages": _spell(messages)}))

    def health(self) -> dict[str, Any]:
        try:
            return _table(self._session.get(f"{self._base}/health", timeout=TIMEOUT_S, allow_redirects=False))
        except requests.RequestException as error:
            raise ServerError(f"{self._base} does not answer any more") from error

    def close(self) -> None:
        self._session.close()

    def _post(self, path: str, body: dict[str, Any], *, stream: bool = False) -> requests.Response:
        """The response to read, of status 200. Raises ServerError with the server's own words."""
        try:
            response = self._session.post(
                f"{self._base}{path}", data=encode(body), headers={"Content-Type": "application/json"},
                stream=stream, timeout=TIMEOUT_S, allow_redirects=False,
            )
            if response.status_code == 200:
                return response
            raise ServerError(_complaint(response))
        except requests.RequestException as error:
            raise ServerError(f"{self._base} does not answer any more") from error


def find_server(base: str) -> Server | None:
    """The server at `base` if it is one of ours."""
    try:
        return Server(base).greet()
    except ServerError:
        return None


def spell_base(url: str) -> str:
    """`url` as a base for paths. Raises Misuse when it is none."""
    base = (url if "://" in url else f"http://{url}").rstrip("/").removesuffix("/v1")
    try:
        parts = urlsplit(base)
        is_usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_usable = False
    if not is_usable:
        raise Misuse(f"--url {url!r} is no address like http://127.0.0.1:11435")
    return base


def _spell(messages: Sequence[Message]) -> list[dict[str, str]]:
    return [{"role": message.role, "content": message.text} for message in messages]


def _read(response: requests.Response) -> Generator[Chunk, None, None]:
    """The chunks of a streamed answer. Who speaks is in the headers; of a late answer it is told on its lines."""
    started = _start(response)
    try:
        if started is not None:
            yield started
        for line in response.iter_lines():
            if not line.strip():
                continue
            told = _decode(line)
            if started is None or (told.get("x_moe") or {}).get("expert"):
                started = _start_late(told)
                yield started
            yield from _translate(told)
            if told.get("done"):
                return
    except requests.RequestException as error:
        raise ServerError(_BROKEN) from error
    finally:
        response.close()
    raise ServerError(_BROKEN)


def _start(response: requests.Response) -> Started | None:
    head = response.headers
    if "X-MoE-Model" not in head:
        return None
    failed = (unquote(head["X-MoE-Fallback"]),) if "X-MoE-Fallback" in head else ()
    return Started(expert=unquote(head["X-MoE-Expert"]), model=unquote(head["X-MoE-Model"]), failed=failed)


def _decode(line: bytes) -> dict[str, Any]:
    try:
        told = msgspec.json.decode(line, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise ServerError(_BROKEN) from error
    if "error" in told:
        raise ServerError(str(told["error"]))
    return told


def _start_late(told: dict[str, Any]) -> Started:
    """At first the line says no more than who speaks; the last one tells the rest."""
    late = told.get("x_moe") or {}
    failed = (str(late["fallback"]),) if "fallback" in late else ()
    expert = str(late.get("expert") or told.get("model") or "")
    return Started(expert=expert, model=str(late.get("model") or ""), failed=failed)


def _translate(told: dict[str, Any]) -> Iterator[Chunk]:
    message = told.get("message") or {}
    if message.get("thinking"):
        yield Thinking(message["thinking"])
    if message.get("content"):
        yield Text(message["content"])
    if told.get("done"):
        yield _end(told)


def _end(told: dict[str, Any]) -> Done:
    finish: Finish = "length" if told.get("done_reason") == "length" else "stop"
    usage = Usage(
        prompt_tokens=int(told.get("prompt_eval_count") or 0), completion_tokens=int(told.get("eval_count") or 0),
        estimated=bool((told.get("x_moe") or {}).get("usage_estimated")),
    )
    return Done(finish=finish, usage=usage)


def _table(response: requests.Response) -> dict[str, Any]:
    try:
        return msgspec.json.decode(response.content, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise ServerError("the server's answer is not readable") from error


def _complaint(response: requests.Response) -> str:
    """The words of an error in either dialect."""
    try:
        error = _table(response).get("error")
    except ServerError:
        error = None
    message = error.get("message") if isinstance(error, dict) else error
    return str(message or f"the server answered with status {response.status_code}")
