"""Vectors asked for and replied: OpenAI's /v1/embeddings, Ollama's /api/embed and its older /api/embeddings."""

from __future__ import annotations

import base64
import sys
from array import array
from typing import Annotated, Any, Protocol

import msgspec
from msgspec import Meta, Struct

from ..core import Embedded, EmbedRequest
from ..errors import BadRequest
from ..options import KeepAlive, is_duration, read_option
from .body import read
from .wire import encode

MOST_INPUTS = 2048

Token = Annotated[int, Meta(ge=0, le=2**31 - 1)]


class _OpenAiBody(Struct):
    model: str | None = None
    input: str | list[str | Token | list[Token]] | None = None
    encoding_format: str | None = None
    dimensions: Annotated[int, Meta(ge=1)] | None = None


class _OllamaBody(Struct):
    model: str | None = None
    name: str | None = None
    input: Any = None
    prompt: str | None = None
    truncate: bool | None = None
    dimensions: Annotated[int, Meta(ge=0)] | None = None
    options: dict[str, Any] | None = None
    keep_alive: KeepAlive | None = None


_openai_decoder = msgspec.json.Decoder(_OpenAiBody)
_ollama_decoder = msgspec.json.Decoder(_OllamaBody)


class EmbeddingDialect(Protocol):
    """One endpoint's wire format."""

    def parse(self, body: bytes) -> EmbedRequest:
        """Raises BadRequest with words that name the field."""

    def reply(self, asked: EmbedRequest, made: Embedded, elapsed_ns: int) -> bytes: ...


class OpenAi:
    """/v1/embeddings; official clients ask for base64 unless they are told otherwise."""

    def parse(self, body: bytes) -> EmbedRequest:
        asked = read(body, _openai_decoder)
        if asked.encoding_format not in (None, "float", "base64"):
            raise BadRequest("encoding_format: expected 'float' or 'base64'", param="encoding_format")
        return EmbedRequest(
            model=_name(asked.model), inputs=_inputs(asked.input), dimensions=asked.dimensions,
            packs=asked.encoding_format == "base64",
        )

    def reply(self, asked: EmbedRequest, made: Embedded, elapsed_ns: int) -> bytes:
        write = _pack if asked.packs else _write
        data = [{"object": "embedding", "index": index, "embedding": write(row)}
                for index, row in enumerate(made.rows)]
        usage = {"prompt_tokens": made.tokens, "total_tokens": made.tokens}
        return encode({"object": "list", "data": data, "model": made.model, "usage": usage})


class Ollama:
    """/api/embed."""

    def parse(self, body: bytes) -> EmbedRequest:
        asked = read(body, _ollama_decoder)
        given = [asked.input] if asked.input else []
        texts = asked.input if isinstance(asked.input, list) else given
        if not all(isinstance(text, str) for text in texts):
            raise BadRequest("invalid input type", param="input")
        return _request(asked, tuple(texts))

    def reply(self, asked: EmbedRequest, made: Embedded, elapsed_ns: int) -> bytes:
        return encode({
            "model": asked.model, "embeddings": list(map(_write, made.rows)), "total_duration": elapsed_ns,
            "load_duration": made.load_ns, "prompt_eval_count": made.tokens,
        })


class OllamaSingle:
    """/api/embeddings."""

    def parse(self, body: bytes) -> EmbedRequest:
        asked = read(body, _ollama_decoder)
        request = _request(asked, (asked.prompt,) if asked.prompt else ())
        return msgspec.structs.replace(request, is_single=True, truncate=True, dimensions=None)

    def reply(self, asked: EmbedRequest, made: Embedded, elapsed_ns: int) -> bytes:
        return encode({"embedding": next(iter(made.rows), [])})


def _name(model: str | None) -> str:
    name = (model or "").strip()
    if not name:
        raise BadRequest("model is required", param="model")
    return name


def _inputs(given: str | list[str | int | list[int]] | None) -> tuple[str | tuple[int, ...], ...]:
    """One text, many, one list of tokens, or many."""
    if not given:
        raise BadRequest("input: expected a text that is not empty, or an array of texts", param="input")
    if isinstance(given, str):
        return (given,)
    kinds = {type(each) for each in given}
    if len(kinds) > 1:
        raise BadRequest("input: texts and tokens cannot stand in the same array", param="input")
    if kinds == {int}:
        return (tuple(each for each in given if isinstance(each, int)),)
    if len(given) > MOST_INPUTS:
        raise BadRequest(f"input: at most {MOST_INPUTS} texts in one request", param="input")
    if [] in given:
        raise BadRequest("input: an array of tokens may not be empty", param="input")
    return tuple(each if isinstance(each, str) else tuple(each) for each in given if not isinstance(each, int))


def _request(asked: _OllamaBody, texts: tuple[str, ...]) -> EmbedRequest:
    return EmbedRequest(
        model=_name(asked.model or asked.name), inputs=texts, truncate=asked.truncate is not False,
        dimensions=asked.dimensions or None, keep_alive=_keep_alive(asked.keep_alive),
        options={name: _option(name, value) for name, value in (asked.options or {}).items() if value is not None},
    )


def _option(name: str, value: Any) -> Any:
    try:
        return read_option(name, value)
    except TypeError as error:
        raise BadRequest(f'option "{name}" {error}', param=f"options.{name}") from error


def _keep_alive(asked: KeepAlive | None) -> KeepAlive | None:
    if asked == "":
        return None
    if isinstance(asked, str) and not is_duration(asked):
        raise BadRequest(f"invalid keep_alive: '{asked[:40]}' is no duration like '5m'", param="keep_alive")
    return asked


def _write(row: list[float]) -> msgspec.Raw:
    """Each row by itself: all of them in one go would keep every other thread waiting."""
    return msgspec.Raw(encode(row))


def _pack(row: list[float]) -> str:
    """The row as little-endian 32-bit floats in base64."""
    numbers = array("f", row)
    if sys.byteorder == "big":
        numbers.byteswap()
    return base64.b64encode(numbers.tobytes()).decode("ascii")
