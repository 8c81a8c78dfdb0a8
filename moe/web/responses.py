"""The Responses API: the chat's own view, what is remembered of it for a while, and what is kept for good where clients
ask for that and the config lets."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from typing import Any

import msgspec
from flask import Flask, Response, request
from msgspec import Raw, Struct, structs

from ..core import ChatRequest
from ..dialects import anthropic, responses
from ..dialects.base import StreamWriter
from ..dialects.responses import Asked, Events, Forgotten, ItemForgotten, Kept, Memory
from ..dialects.wire import encode
from ..errors import BadRequest, MoeError, NotFound, TooLarge
from ..replies import Ending, Head, Whole
from ..store import KeptResponse
from ..store import Responses as Store
from .chat import answer_in
from .edge import Edge
from .models import send
from .recent import Recent, Turn

PATH = "/v1/responses"
MOST_ITEMS = 100
_PREFIX = "resp_"


def add_responses(app: Flask, edge: Edge, store: Store) -> None:
    archive = Archive(edge, store)

    @app.post(PATH)
    def respond() -> Response:
        keeping = Keeping(archive, client=edge.client())
        response = answer_in(edge, keeping)()
        response.call_on_close(keeping.close)
        return response

    @app.post(f"{PATH}/input_tokens")
    def count_input() -> Response:
        guard = edge.guard()
        guard.count(request.remote_addr or "", request.headers.get("X-Forwarded-For", ""))
        body = edge.read_body(may_carry_media=True)
        asked = responses.parse_responses(body, archive.memory())
        guard.check_text(body, asked)
        prepared, exact = edge.gateway().measure(structs.replace(asked, client=edge.client()))
        count = anthropic.estimate(prepared) if exact is None else exact
        return send({"object": "response.input_tokens", "input_tokens": count})

    @app.get(f"{PATH}/<name>")
    def show_response(name: str) -> Response:
        kept = archive.get(name)
        if request.args.get("stream", "").lower() in ("true", "1"):
            raise BadRequest("stream: a response that is kept is given whole, not as events", param="stream")
        return Response(kept.reply, content_type="application/json; charset=utf-8")

    @app.delete(f"{PATH}/<name>")
    def delete_response(name: str) -> Response:
        archive.remove(name)
        return send({"id": name, "object": "response", "deleted": True})

    @app.get(f"{PATH}/<name>/input_items")
    def list_input(name: str) -> Response:
        return send(_page(msgspec.json.decode(archive.get(name).input)))


def _page(items: list[dict[str, Any]]) -> dict[str, Any]:
    """The part of the list that the query asks for, the newest first unless it says otherwise."""
    asked = request.args
    limit = asked.get("limit", "20")
    if not (limit.isascii() and limit.isdecimal() and 1 <= int(limit[:9]) <= MOST_ITEMS):
        raise BadRequest(f"limit: expected a number from 1 to {MOST_ITEMS}", param="limit")
    if asked.get("order", "desc") not in ("asc", "desc"):
        raise BadRequest("order: expected asc or desc", param="order")
    if asked.get("order") != "asc":
        items = items[::-1]
    after = asked.get("after", "")
    if after:
        places = [place for place, item in enumerate(items) if item.get("id") == after]
        if not places:
            raise BadRequest(f"after: no item is called '{after[:80]}'", param="after")
        items = items[places[0] + 1:]
    page = items[:int(limit)]
    return responses.list_items(page, has_more=len(page) < len(items))


class Archive:
    """What is known of former responses: those remembered for a while, and those kept as far as the config lets."""

    def __init__(self, edge: Edge, store: Store) -> None:
        self._edge = edge
        self._store = store
        self._recent = Recent()

    def memory(self) -> Memory:
        """What one request may recall."""
        recalling = _Recalling(self.find, most_bytes=self._edge.guard().most_bytes)
        return Memory(conversation=recalling.conversation, item=recalling.item, keeps=self._is_open)

    @property
    def _is_open(self) -> bool:
        return self._edge.config.privacy.keep_text

    def find(self, name: str) -> Turn | None:
        """Raises NotStored."""
        turn = self._recent.find(name)
        kept = self._store.find(name) if turn is None and self._is_open else None
        return turn if kept is None else _to_turn(kept)

    def get(self, name: str) -> KeptResponse:
        """One that is kept for good: of the others only the items are known. Raises NotFound."""
        found = self._store.find(name) if self._is_open else None
        if found is None:
            raise _not_found(name)
        return found

    def remove(self, name: str) -> None:
        """Raises NotFound."""
        was_recent = self._recent.remove(name)
        if not (self._is_open and self._store.remove(name)) and not was_recent:
            raise _not_found(name)

    def put(self, asked: Asked, reply: dict[str, Any], *, client: str) -> None:
        """Raises NotStored, and TooLarge for a conversation that has grown beyond any body's size."""
        if not (asked.is_kept and self._is_open):  # the config may have changed since the request came in
            self.remember(asked, reply["id"], reply["output"], client=client)
            return
        given = encode(_name_items(asked.items or [], reply["id"].removeprefix(_PREFIX)))
        if len(given) > self._edge.guard().most_bytes:
            raise TooLarge("the conversation is too large to be kept: send store: false")
        self._store.put(KeptResponse(id=reply["id"], reply=encode(reply), input=given))

    def remember(self, asked: Asked, name: str, output: Kept, *, client: str) -> None:
        turn = Turn(tuple(map(encode, asked.items or [])), tuple(map(encode, output)))
        self._recent.put(name, turn, client=client)


class _Recalling:
    """What one request recalls: no more altogether than a body may carry, however often it names the same."""

    def __init__(self, find: Callable[[str], Turn | None], *, most_bytes: int) -> None:
        self._find = find
        self._left_bytes = self._most_bytes = most_bytes
        self._items: dict[str, tuple[dict[str, Any], int]] = {}

    def conversation(self, name: str) -> Kept:
        turn = self._find(name)
        if turn is None:
            raise Forgotten(name)
        self._take(sum(map(len, turn.items)))
        return [msgspec.json.decode(data) for data in turn.items]

    def item(self, name: str) -> Kept:
        """The id of an item that was made here names its response."""
        parts = name.split("_")
        if name not in self._items and len(parts) == 3:
            turn = self._find(_PREFIX + parts[1]) or Turn((), ())
            for items in (turn.output, turn.given):
                if name not in self._items:
                    self._read(items)
        if name not in self._items:
            raise ItemForgotten(name)
        item, size_bytes = self._items[name]
        self._take(size_bytes)
        return [item]

    def _read(self, items: Iterable[bytes]) -> None:
        for data in items:
            item = msgspec.json.decode(data)
            self._items[item.get("id") or ""] = (item, len(data))

    def _take(self, size_bytes: int) -> None:
        self._left_bytes -= size_bytes
        if self._left_bytes < 0:
            raise TooLarge(f"what is recalled of former responses is larger than {self._most_bytes} bytes")


class _Reply(Struct):
    output: list[Raw]


def _to_turn(kept: KeptResponse) -> Turn:
    given = msgspec.json.decode(kept.input, type=list[Raw])
    return Turn(tuple(map(bytes, given)), tuple(map(bytes, msgspec.json.decode(kept.reply, type=_Reply).output)))


def _not_found(name: str) -> NotFound:
    message = f"no response '{name[:80]}' is kept here: only those are that were asked for with store: true, and only"
    return NotFound(f"{message} with privacy.keep_text", param="response_id")


def _name_items(items: Kept, name: str) -> Kept:
    """Each item with an id; one that is given here names the response it is kept with."""
    prefixes = {"function_call": "fc", "function_call_output": "fco", "reasoning": "rs"}
    return [item if item.get("id") else item | {"id": f"{prefixes.get(str(item.get('type')), 'msg')}_{name}_in{place}"}
            for place, item in enumerate(items)]


class Keeping:
    """The Dialect of /v1/responses for one request; what is kept or remembered is so before the client hears of it."""

    stream_type = responses.RESPONSES.stream_type
    keep_alive = responses.RESPONSES.keep_alive

    def __init__(self, archive: Archive, *, client: str) -> None:
        self._archive = archive
        self._client = client
        self._running: tuple[Asked, str, Events] | None = None

    def parse(self, body: bytes) -> ChatRequest:
        return responses.parse_responses(body, self._archive.memory())

    def writer(self, request: ChatRequest, head: Head) -> StreamWriter:
        if not isinstance(request, Asked) or request.items is None:
            return responses.RESPONSES.writer(request, head)
        head = _rename(head)
        events = Events(request, head, on_end=self._end)
        self._running = (request, f"{_PREFIX}{head.request_id}", events)
        return events

    def _end(self, reply: dict[str, Any]) -> None:
        if self._running is not None:
            self._archive.put(self._running[0], reply, client=self._client)
            self._running = None

    def close(self) -> None:
        """Remembers what its client has heard of an answer that broke off, or was stopped: its user may go on from
        there."""
        running, self._running = self._running, None
        if running is not None:
            asked, name, events = running
            self._archive.remember(asked, name, events.so_far(), client=self._client)

    def reply(self, whole: Whole, head: Head, ending: Ending) -> bytes:
        asked = head.asked
        if not isinstance(asked, Asked) or asked.items is None:
            return responses.RESPONSES.reply(whole, head, ending)
        reply = responses.RESPONSES.whole(whole, _rename(head), ending)
        self._archive.put(asked, reply, client=self._client)
        return encode(reply)

    def error(self, error: MoeError) -> bytes:
        return responses.RESPONSES.error(error)


def _rename(head: Head) -> Head:
    """Under an id that no client can choose, for whoever knows it may read the response."""
    return structs.replace(head, request_id=secrets.token_hex(16))
