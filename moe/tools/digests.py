"""Digests of texts, and texts as Base64."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from typing import Literal

from ..errors import ToolError
from .base import Language, Outcome, Setting, tool

# Each with the name people write.
ALGORITHMS = {"md5": "MD5", "sha1": "SHA-1", "sha224": "SHA-224", "sha256": "SHA-256", "sha384": "SHA-384",
              "sha512": "SHA-512"}
LONGEST_QUOTE = 80
LONGEST_SHOWN = 2_000

_IS_OF: dict[Language, str] = {"en": "The {what} of {text} is {found}", "de": "{what} von {text} ist {found}",
                               "es": "El {what} de {text} es {found}"}
_ENCODED: dict[Language, str] = {"en": "{text} in Base64 is {found}", "de": "{text} in Base64 ist {found}",
                                 "es": "{text} en Base64 es {found}"}
_DECODED: dict[Language, str] = {"en": "{text} decoded from Base64 is {found}",
                                 "de": "{text} aus Base64 dekodiert ist {found}",
                                 "es": "{text} decodificado de Base64 es {found}"}
_CHARACTERS: dict[Language, str] = {"en": "a text of {n} characters", "de": "einem Text von {n} Zeichen",
                                    "es": "un texto de {n} caracteres"}
_BLANKS = re.compile(r"[ \t\r\n]+")
_BASE64 = re.compile(r"[A-Za-z0-9+/]*={0,2}")


@tool("texts")
def hash_text(text: str, algorithm: str = "sha256", *, setting: Setting) -> Outcome:
    """Gives the digest of a text, of its UTF-8 bytes, in hexadecimal. Example: sha256 of "hello world" is b94d27b9….

    text: what is hashed, exactly as it stands
    algorithm: md5, sha1, sha224, sha256, sha384 or sha512
    """
    name = re.sub(r"[-_ ]", "", algorithm[:20]).lower()
    if name not in ALGORITHMS:
        raise ToolError(f"unknown algorithm {one_line(algorithm)}; it is one of {', '.join(ALGORITHMS)}")
    found = hashlib.new(name, encode(text), usedforsecurity=False).hexdigest()
    language = setting.language
    told = _IS_OF[language].format(what=ALGORITHMS[name], text=quote(text, language), found=found)
    return Outcome(result=found, text=told)


@tool("texts")
def base64_codec(text: str, mode: Literal["encode", "decode"] = "encode", *, setting: Setting) -> Outcome:
    """Writes a text (its UTF-8 bytes) in Base64, or reads Base64 back. Example: "hello" is aGVsbG8=.

    text: what is encoded, or the Base64 that is decoded, with its padding
    mode: encode or decode
    """
    language = setting.language
    if mode == "encode":
        found = base64.b64encode(encode(text)).decode("ascii")
        told = _ENCODED[language].format(text=quote(text, language), found=shorten(found) or '""')
        return Outcome(result=found, text=told[:1].upper() + told[1:])
    found = _decode(text)
    told = _DECODED[language].format(text=shorten(_BLANKS.sub("", text)) or '""', found=one_line(found))
    return Outcome(result=found, text=told)


def _decode(text: str) -> str:
    """Raises ToolError for anything but the standard alphabet or that of URLs, with its padding, and for bytes that are
    no text."""
    packed = _BLANKS.sub("", text)
    if not re.search(r"[+/]", packed):
        packed = packed.replace("-", "+").replace("_", "/")
    if not _BASE64.fullmatch(packed):
        raise ToolError("not Base64: only A-Z, a-z, 0-9, +, / and = at the end may stand in it")
    if len(packed) % 4:
        raise ToolError("not whole Base64: its length must be a multiple of 4, filled with = at the end")
    try:
        data = base64.b64decode(packed, validate=True)
    except binascii.Error as error:
        raise ToolError(f"not Base64: {error}") from error
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        size = f"{len(data)} bytes that are" if len(data) != 1 else "1 byte that is"
        raise ToolError(f"this Base64 holds {size} no UTF-8 text") from error


def encode(text: str) -> bytes:
    """As UTF-8. Raises ToolError where it cannot be written so."""
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ToolError(f"the text has half a character at place {error.start + 1}; no bytes stand for it") from error


def quote(text: str, language: Language) -> str:
    """The text itself where it is short, else how long it is."""
    return one_line(text) if len(text) <= LONGEST_QUOTE else _CHARACTERS[language].format(n=len(text))


def one_line(text: str) -> str:
    """In quotes, on one line, what cannot be seen escaped; a long one cut."""
    return show(json.dumps(shorten(text), ensure_ascii=False))


def show(text: str) -> str:
    """On one line, what cannot be seen escaped; a long one cut."""
    return "".join(letter if letter.isprintable() else f"\\u{ord(letter):04x}" for letter in shorten(text))


def shorten(text: str) -> str:
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}…"
