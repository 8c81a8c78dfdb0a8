"""Request bodies: JSON bytes in, a typed struct out, or a BadRequest that names the field."""

from __future__ import annotations

import json
import re
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta

from ..errors import BadRequest

DEEPEST = 64
OPEN = ord("[")

Int64 = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
Count = Annotated[int, Meta(ge=1, le=2**63 - 1)]
T = TypeVar("T")

_NOT_OUTLINE = bytes(set(range(256)) - set(b'[]{}"'))
_SQUARE = bytes.maketrans(b"{}", b"[]")
_HALF_PAIR = re.compile("[\ud800-\udfff]")
_KINDS = re.compile(r"(?<=Expected )`[^`]*`|(?<=got )`[^`]*`")
_WORDS = {"str": "string", "int": "integer", "float": "number", "bool": "boolean"}
_COMPLAINT = re.compile(r"(?P<what>.*?)(?: - at `\$\.?(?P<where>.*)`)?", re.DOTALL)


def read(body: bytes, decoder: msgspec.json.Decoder[T], *, is_literal: bool = False) -> T:
    """Raises BadRequest, and nothing else, for what is no such JSON; if `is_literal`, for half a character too."""
    if not body or body.isspace():
        raise BadRequest("missing request body")
    if is_deeper(body, DEEPEST):
        raise BadRequest(f"the request body is nested more than {DEEPEST} levels deep")
    try:
        try:
            return decoder.decode(body)
        except msgspec.ValidationError:
            raise
        except ValueError:
            return decoder.decode(_mend(body, is_literal=is_literal))
    except msgspec.ValidationError as error:
        raise _explain(error) from error
    except ValueError as error:
        raise BadRequest(f"invalid JSON in the request body: {error}") from error


def is_deeper(body: bytes, levels: int) -> bool:
    """Whether brackets outside of strings nest deeper; most bodies have too few brackets for a second look."""
    if body.count(b"{") + body.count(b"[") <= levels:
        return False
    unescaped = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    outline = b"".join(unescaped.translate(_SQUARE, _NOT_OUTLINE).split(b'"')[::2])
    depth = 1
    for bracket in outline.replace(b"[]", b""):  # that is one level, the innermost everywhere, in one swift stroke
        depth += 1 if bracket == OPEN else -1
        if depth > levels:
            return True
    return False


def _mend(body: bytes, *, is_literal: bool) -> bytes:
    r"""Half a surrogate pair ("\ud83d": a text cut inside an emoji) becomes U+FFFD, as it does in Ollama.

    Raises ValueError for what is no JSON at all, in words better than the decoder's.
    """
    text = json.dumps(json.loads(body.decode("utf-8-sig")), ensure_ascii=False)
    if is_literal and _HALF_PAIR.search(text):
        raise ValueError("half a character (a lone surrogate) stands in it")
    return _HALF_PAIR.sub("\ufffd", text).encode()


def _explain(error: msgspec.ValidationError) -> BadRequest:
    match = _COMPLAINT.fullmatch(str(error))
    what, where = (match["what"], match["where"]) if match else (str(error), None)
    what = _KINDS.sub(_spell, what).replace("`", "").replace("Object missing", "missing")
    return BadRequest(f"invalid '{where or 'request body'}': {what[:1].lower()}{what[1:]}", param=where or None)


def _spell(kinds: re.Match[str]) -> str:
    """Types in JSON's words, not in Python's; that a field may be null too goes without saying."""
    names = kinds[0].strip("`").replace(" | null", "").split(" | ")
    if "float" in names and "int" in names:
        names.remove("int")
    return " or ".join(_WORDS.get(name, name) for name in names)
