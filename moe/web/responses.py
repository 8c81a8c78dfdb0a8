"""The Responses API: the chat's own view, and what is kept of it where clients ask for that and the config lets."""

from __future__ import annotations

import secrets
from functools import partial
from typing import Any

import msgspec
from flask import Flask, Response, request
from msgspec import structs

from ..core import ChatRequest
from ..dialects import anthropic, responses
from ..dialects.base import StreamWriter
from ..dialects.responses import Asked, Events, Memory
from ..errors import BadRequest, MoeError, NotFound, TooLarge
from ..replies import Ending, Head, Whole
from ..store import KeptResponse
from ..store import Responses as Store
from .chat import answer_in
from .edge import Edge
from .models import send

PATH = "/v1/responses"
MOST_ITEMS = 100
_PREFIX = "resp_"


def add_responses(app: Flask, edge: Edge, store: Store) -> None:
    archive = Archive(edge, store)
    app.add_url_rule(PATH, PATH, answer_in(edge, Keeping(archive)), methods=["POST"])

    @app.post(f"{PATH}/input_tokens")
    def count_input() -> Response:
        guard = edge.guard()
        guard.count(request.remote_addr or "", request.headers.get("X-Forwarded-For", ""))
        body = edge.read_body(may_carry_media=True)
        asked = responses.parse_responses(body, archive.memory())
        guard.check_text(body, asked)
        prepared, exact = edge.gateway().measure(asked)
        count = anthropic.estimate(prepared) if exact is None else exact
        return send({"object": "response.input_tokens", "input_tokens": count})

    @app.get(f"{PATH}/<name>")
    def show_response(name: str) -> Response:
        return Response(archive.get(name).reply, content_type="application/json; charset=utf-8")

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
    """The kept responses, as far as the config lets anybody know of them."""

    def __init__(self, edge: Edge, store: Store) -> None:
        self._edge = edge
        self._store = store

    def memory(self) -> Memory | None:
        """What a request may recall, None where nothing is kept."""
        return Memory(conversation=self._conversation, item=self._item) if self._is_open else None

    @property
    def _is_open(self) -> bool:
        return self._edge.config.privacy.keep_text

    def get(self, name: str) -> KeptResponse:
        """Raises NotFound."""
        found = self._store.find(name) if self._is_open else None
        if found is None:
            raise _not_found(name)
        return found

    def remove(self, name: str) -> None:
        """Raises NotFound."""
        if not (self._is_open and self._store.remove(name)):
            raise _not_found(name)

    def put(self, asked: Asked, reply: dict[str, Any]) -> None:
        """Raises NotStored, and TooLarge for a conversation that has grown beyond any body's size."""
        if not self._is_open:  # the config has changed since the request came in
            return
        given = msgspec.json.encode(_name_items(asked.to_keep or [], reply["id"].removeprefix(_PREFIX)))
        if len(given) > self._edge.guard().most_bytes:
            raise TooLarge("the conversation is too large to be kept: send store: false")
        self._store.put(KeptResponse(id=reply["id"], reply=msgspec.json.encode(reply), input=given))

    def _conversation(self, name: str) -> list[dict[str, Any]]:
        found = self._store.find(name)
        if found is None:
            message = f"previous_response_id: no response '{name[:80]}' is kept; only those asked for with store are"
            raise BadRequest(message, param="previous_response_id")
        items: list[dict[str, Any]] = msgspec.json.decode(found.input)
        return items + list(msgspec.json.decode(found.reply)["output"])

    def _item(self, name: str) -> list[dict[str, Any]]:
        """The id of an item that was made here names its response."""
        parts = name.split("_")
        found = self._store.find(_PREFIX + parts[1]) if len(parts) == 3 else None
        items = [] if found is None else self._conversation(found.id)
        kept = [item for item in items if item.get("id") == name]
        if not kept:
            raise BadRequest(f"no item '{name[:80]}' is kept: send the item itself", param="input")
        return kept


def _not_found(name: str) -> NotFound:
    return NotFound(f"no response '{name[:80]}' is kept here", param="response_id")


def _name_items(items: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    """Each item with an id; one that is given here names the response it is kept with."""
    prefixes = {"function_call": "fc", "function_call_output": "fco", "reasoning": "rs"}
    return [item if item.get("id") else item | {"id": f"{prefixes.get(str(item.get('type')), 'msg')}_{name}_in{place}"}
            for place, item in enumerate(items)]


class Keeping:
    """The Dialect of /v1/responses; what a client asks to keep is kept before it hears of it."""

    stream_type = responses.RESPONSES.stream_type
    keep_alive = responses.RESPONSES.keep_alive

    def __init__(self, archive: Archive) -> None:
        self._archive = archive

    def parse(self, body: bytes) -> ChatRequest:
        return responses.parse_responses(body, self._archive.memory())

    def writer(self, request: ChatRequest, head: Head) -> StreamWriter:
        if not isinstance(request, Asked) or request.to_keep is None:
            return responses.RESPONSES.writer(request, head)
        return Events(request, _rename(head), on_end=partial(self._archive.put, request))

    def reply(self, whole: Whole, head: Head, ending: Ending) -> bytes:
        asked = head.asked
        if not isinstance(asked, Asked) or asked.to_keep is None:
            return responses.RESPONSES.reply(whole, head, ending)
        reply = responses.RESPONSES.whole(whole, _rename(head), ending)
        self._archive.put(asked, reply)
        return msgspec.json.encode(reply)

    def error(self, error: MoeError) -> bytes:
        return responses.RESPONSES.error(error)


def _rename(head: Head) -> Head:
    """Under an id that no client can choose, for whoever knows it may read the response."""
    return structs.replace(head, request_id=secrets.token_hex(16))
