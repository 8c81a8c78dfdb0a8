"""Text of others, for a model to read as material: in tags that it cannot close, and cut only outside of its code."""

from __future__ import annotations

import html
import re
import unicodedata
from itertools import count

from ..modes.fences import read

LONGEST_ATTRIBUTE = 300
# What a reader may overlook within a tag: blanks, and what is not shown at all.
_UNSEEN = re.compile(r"[\s\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b-\u200f\u202a-\u202e"
                     r"\u2060-\u206f\ufe00-\ufe0f\ufeff]")
_SENTENCE = re.compile(r"[.!?](?=\s)|[。！？]")


def block(tag: str, text: str, **attributes: str) -> str:
    """`text` as it is, in a tag that stands nowhere in it however it is spelled; empty attributes are left out."""
    name = _find_free(tag, text)
    told = "".join(f' {key}="{_escape(value)}"' for key, value in attributes.items() if value)
    return f"<{name}{told}>\n{text}\n</{name}>"


def shorten(text: str, room: int) -> str:
    """The beginning of it, `room` characters at most: to the end of a paragraph or a block of code, else of a line,
    else of a sentence, but never within code; "" where none ends so early."""
    if len(text) <= room:
        return text
    at = line = paragraph = 0
    has_code = False
    for piece in read(text):
        at += len(piece.raw)
        if at > room:
            break
        has_code = has_code or piece.kind == "open"
        is_end = piece.kind == "close"
        if is_end or (piece.kind == "prose" and piece.raw.endswith("\n")):
            line = at
            paragraph = at if is_end or not piece.raw.strip() else paragraph
    if not line and not has_code:
        line = max((found.end() for found in _SENTENCE.finditer(text, 0, room)), default=0)
    return text[:paragraph or line].rstrip("\n")


def _find_free(tag: str, text: str) -> str:
    """The tag, with a number where the text has it too."""
    folded = _UNSEEN.sub("", unicodedata.normalize("NFKC", text).casefold())
    taken = {found[1] or "" for found in re.finditer(rf"</?{tag}(?:-([0-9]+))?", folded)}
    number = next(number for number in count(2) if str(number) not in taken)
    return f"{tag}-{number}" if taken else tag


def _escape(value: str) -> str:
    flat = "".join(filter(str.isprintable, " ".join(value.split())))
    return html.escape(flat if len(flat) <= LONGEST_ATTRIBUTE else f"{flat[:LONGEST_ATTRIBUTE - 1]}…")
