"""The Model Context Protocol's JSON-RPC without sessions: the message of one POST in, what to reply out.

Two eras are served. Until 2025 a client shakes hands (`initialize`) and may then name the agreed version in a header;
from 2026 on each request says all of that itself, in `_meta` and once more in its headers.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from typing import Any

import mcp_types as types
from mcp_types import methods
from mcp_types.version import (
    HANDSHAKE_PROTOCOL_VERSIONS,
    KNOWN_PROTOCOL_VERSIONS,
    LATEST_HANDSHAKE_VERSION,
    MODERN_PROTOCOL_VERSIONS,
)
from msgspec import Struct
from pydantic import BaseModel, ValidationError

from ..errors import UnknownTool
from .base import Language
from .mcp import CAPABILITIES, INSTRUCTIONS, SERVER, call_tool, list_tools
from .toolbox import Toolbox

BATCHING = ("2024-11-05", "2025-03-26")  # later versions know no batches
MOST_IN_BATCH = 32
LONGEST = 200  # of what is said back from a request
# For the later era; before it, what is a message at all is answered with 200.
STATUSES = {
    types.INVALID_REQUEST: 400, types.INVALID_PARAMS: 400, types.HEADER_MISMATCH: 400,
    types.UNSUPPORTED_PROTOCOL_VERSION: 400, types.METHOD_NOT_FOUND: 404,
}
_ENVELOPE = (types.PROTOCOL_VERSION_META_KEY, types.CLIENT_CAPABILITIES_META_KEY)
_NOT_A_MESSAGE = "this is no JSON-RPC request or notification"


class Headers(Struct, frozen=True, kw_only=True):
    """What a request's headers repeat of it; "" for what is not there."""

    version: str = ""
    method: str = ""
    name: str = ""


class Reply(Struct, frozen=True):
    """An HTTP status, and what JSON is sent with it: None for nothing."""

    status: int
    message: Any = None


class _Refused(Exception):
    """A JSON-RPC error."""

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.code = code
        self.data = data


def refuse(code: int, message: str, *, status: int = 400) -> Reply:
    """Of a request whose id is not known."""
    return Reply(status, _error(None, _Refused(code, message)))


def answer(message: Any, headers: Headers, toolbox: Toolbox, *, language: Language = "en") -> Reply:
    """`message` is what JSON held. Raises nothing of its own; what a tool cannot do is told within the reply."""
    version = headers.version or types.DEFAULT_NEGOTIATED_VERSION
    if version not in KNOWN_PROTOCOL_VERSIONS:
        told = {"supported": list(KNOWN_PROTOCOL_VERSIONS), "requested": version[:LONGEST]}
        wrong = _Refused(types.UNSUPPORTED_PROTOCOL_VERSION, "this protocol version is not served here", told)
        return Reply(400, _error(_id_of(message), wrong))
    exchange = _Exchange(version, headers, toolbox, language)
    if isinstance(message, list) and version in BATCHING:
        return exchange.answer_all(message)
    return exchange.answer(message)


class _Exchange:
    """One POST."""

    def __init__(self, version: str, headers: Headers, toolbox: Toolbox, language: Language) -> None:
        self._version = version
        self._headers = headers
        self._toolbox = toolbox
        self._language = language
        self._is_modern = version in MODERN_PROTOCOL_VERSIONS

    def answer(self, message: Any) -> Reply:
        try:
            result = self._take(message)
        except _Refused as error:
            status = STATUSES.get(error.code, 200) if self._is_modern or error.code == types.INVALID_REQUEST else 200
            return Reply(status, _error(_id_of(message), error))
        return Reply(202) if result is None else Reply(200, _response(message, result))

    def answer_all(self, batch: list[Any]) -> Reply:
        """A response to each request in it, in the same order."""
        if not 0 < len(batch) <= MOST_IN_BATCH:
            return refuse(types.INVALID_REQUEST, f"a batch has 1 to {MOST_IN_BATCH} messages")
        replies = [self._answer_part(message) for message in batch]
        told = [reply.message for reply in replies if reply.message is not None]
        if not told:
            return Reply(202)
        return Reply(400 if all(reply.status == 400 for reply in replies) else 200, told)

    def _answer_part(self, message: Any) -> Reply:
        if isinstance(message, dict) and message.get("method") == "initialize":
            wrong = _Refused(types.INVALID_REQUEST, "initialize cannot be part of a batch")
            return Reply(400, _error(_id_of(message), wrong))
        return self.answer(message)

    def _take(self, message: Any) -> dict[str, Any] | None:
        """The result of a request; None for what wants no answer. Raises _Refused."""
        if not isinstance(message, dict):
            raise _Refused(types.INVALID_REQUEST, _NOT_A_MESSAGE)
        is_response = "method" not in message and ("result" in message or "error" in message)
        if is_response and not self._is_modern:
            return None  # to nothing that was asked here
        kind = types.JSONRPCRequest if "id" in message else types.JSONRPCNotification
        try:
            read = kind.model_validate(message)
        except ValidationError as error:
            raise _Refused(types.INVALID_REQUEST, f"{_NOT_A_MESSAGE}: {_explain(error)}") from error
        if isinstance(read, types.JSONRPCNotification):
            return None
        if self._is_modern:
            self._check_envelope(read)
        return self._serve(read)

    def _check_envelope(self, request: types.JSONRPCRequest) -> None:
        """What a request of the later era says of itself, and whether its headers say the same."""
        params = request.params or {}
        meta = params.get("_meta")
        missing = [key for key in _ENVELOPE if not isinstance(meta, Mapping) or key not in meta]
        if missing or not isinstance(meta, Mapping):
            raise _Refused(types.INVALID_PARAMS, f"params._meta lacks {', '.join(missing)}")
        said = {"MCP-Protocol-Version": (self._headers.version, meta[types.PROTOCOL_VERSION_META_KEY]),
                "Mcp-Method": (self._headers.method, request.method)}
        if request.method == "tools/call":
            said["Mcp-Name"] = (_plain(self._headers.name), params.get("name"))
        for header, (outside, inside) in said.items():
            if outside != inside:
                raise _Refused(types.HEADER_MISMATCH, f"the {header} header does not say what the request says")

    def _serve(self, request: types.JSONRPCRequest) -> dict[str, Any]:
        served: Mapping[str, Callable[[Any], BaseModel]] = {
            "initialize": self._initialize, "ping": lambda _: types.EmptyResult(), "server/discover": self._discover,
            "tools/list": self._list, "tools/call": self._call,
        }
        try:
            serve = served[request.method]
            read = methods.parse_client_request(request.method, self._version, request.params)
        except KeyError:
            raise _Refused(types.METHOD_NOT_FOUND, "this method is not served here", request.method[:LONGEST]) from None
        except ValidationError as error:
            raise _Refused(types.INVALID_PARAMS, _explain(error)) from error
        told = serve(read.params).model_dump(by_alias=True, exclude_none=True)
        result = methods.serialize_server_result(request.method, self._version, told)
        if self._is_modern:
            result["_meta"] = {types.SERVER_INFO_META_KEY: SERVER.model_dump(by_alias=True, exclude_none=True)}
        return result

    def _initialize(self, params: types.InitializeRequestParams) -> BaseModel:
        asked = params.protocol_version
        return types.InitializeResult(
            protocol_version=asked if asked in HANDSHAKE_PROTOCOL_VERSIONS else LATEST_HANDSHAKE_VERSION,
            capabilities=CAPABILITIES, server_info=SERVER, instructions=INSTRUCTIONS,
        )

    def _discover(self, _: Any) -> BaseModel:
        return types.DiscoverResult(
            supported_versions=list(MODERN_PROTOCOL_VERSIONS), capabilities=CAPABILITIES, instructions=INSTRUCTIONS)

    def _list(self, params: types.PaginatedRequestParams | None) -> BaseModel:
        if params is not None and params.cursor is not None:
            raise _Refused(types.INVALID_PARAMS, "there is only one page, so no cursor leads anywhere")
        return list_tools(self._toolbox)

    def _call(self, params: types.CallToolRequestParams) -> BaseModel:
        try:
            return call_tool(self._toolbox, params.name, params.arguments, language=self._language)
        except UnknownTool as error:
            raise _Refused(types.INVALID_PARAMS, error.message[:LONGEST]) from error


def _id_of(message: Any) -> str | int | None:
    found = message.get("id") if isinstance(message, dict) else None
    return found if isinstance(found, str | int) and not isinstance(found, bool) else None


def _response(message: Mapping[str, Any], result: dict[str, Any]) -> dict[str, Any]:
    return {"jsonrpc": types.JSONRPC_VERSION, "id": message["id"], "result": result}


def _error(of: str | int | None, error: _Refused) -> dict[str, Any]:
    told = types.ErrorData(code=error.code, message=str(error), data=error.data).model_dump(exclude_none=True)
    return {"jsonrpc": types.JSONRPC_VERSION, "id": of, "error": told}


def _explain(error: ValidationError) -> str:
    """The first fault, without what was sent."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg'].lower()}"


def _plain(value: str) -> str:
    """A header's value, which may be packed where it is not plain."""
    packed = value.removeprefix("=?base64?").removesuffix("?=")
    if len(packed) + len("=?base64??=") != len(value):
        return value
    try:
        return base64.b64decode(packed, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return value
