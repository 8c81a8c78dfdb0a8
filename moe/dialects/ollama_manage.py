"""Ollama's requests that show, pull, make, copy and delete models."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from ..aliases import Draft, Turn
from ..errors import BadRequest
from ..options import read_option
from .body import read

_ROLES = ("system", "user", "assistant")


class Order(Struct, frozen=True):
    """Which model, whether the client wants to see how it goes, and all that it said, to be passed on."""

    model: str
    streams: bool
    body: dict[str, Any]


class _Named(Struct):
    model: str | None = None
    name: str | None = None
    stream: bool | None = None


class _Shown(Struct):
    model: str | None = None
    name: str | None = None
    verbose: bool | None = None
    system: str | None = None
    template: str | None = None
    options: dict[str, Any] | None = None


class _Copied(Struct):
    source: str | None = None
    destination: str | None = None


class _Made(Struct):
    model: str | None = None
    name: str | None = None
    source: str | None = msgspec.field(name="from", default=None)
    files: dict[str, str] | None = None
    adapters: dict[str, str] | None = None
    template: str | None = None
    system: str | None = None
    license: str | list[str] | None = None
    parameters: dict[str, Any] | None = None
    messages: list[Turn] | None = None
    quantize: str | None = None
    quantization: str | None = None


_named_decoder = msgspec.json.Decoder(_Named)
_shown_decoder = msgspec.json.Decoder(_Shown)
_copied_decoder = msgspec.json.Decoder(_Copied)
_made_decoder = msgspec.json.Decoder(_Made)
_body_decoder = msgspec.json.Decoder(dict[str, Any])


def parse_order(body: bytes) -> Order:
    """The body of /api/pull, /api/push, /api/create or /api/delete. Raises BadRequest."""
    asked = read(body, _named_decoder)
    return Order(asked.model or asked.name or "", asked.stream is not False, read(body, _body_decoder))


def parse_viewing(body: bytes) -> tuple[str, dict[str, Any]]:
    """The model's name in the body of /api/show, and what more than the usual page is asked for. Raises BadRequest."""
    asked = read(body, _shown_decoder)
    name = asked.model or asked.name
    if not name:
        raise BadRequest("model is required", param="model")
    more = {"verbose": asked.verbose, "system": asked.system, "template": asked.template, "options": asked.options}
    return name, {key: value for key, value in more.items() if value}


def parse_copy(body: bytes) -> tuple[str, str]:
    """The source and the destination of /api/copy. Raises BadRequest."""
    asked = read(body, _copied_decoder)
    return asked.source or "", asked.destination or ""


def parse_draft(body: bytes) -> Draft:
    """The body of /api/create. Raises BadRequest."""
    asked = read(body, _made_decoder)
    messages = asked.messages
    for index, turn in enumerate(messages or ()):
        if turn.role.casefold() not in _ROLES:
            raise BadRequest(f"messages[{index}].role must be one of {', '.join(_ROLES)}", param="messages")
    given = {name: _check(name, value) for name, value in (asked.parameters or {}).items() if value is not None}
    named = asked.license
    return Draft(
        name=asked.model or asked.name or "", source=asked.source or "", files=asked.files or {},
        adapters=asked.adapters or {}, quantize=asked.quantize or asked.quantization or "", template=asked.template,
        system=asked.system, license="\n\n".join(named) if isinstance(named, list) else named, parameters=given,
        messages=None if messages is None else tuple(Turn(turn.role.casefold(), turn.content) for turn in messages),
    )


def _check(name: str, value: Any) -> Any:
    try:
        return read_option(name, [value] if name == "stop" and isinstance(value, str) else value)
    except TypeError as error:
        raise BadRequest(f'option "{name}" {error}', param=f"parameters.{name}") from error
