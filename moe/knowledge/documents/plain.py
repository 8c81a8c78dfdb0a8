"""Text as it is: plain, Markdown, CSV, source code."""

from __future__ import annotations

import codecs

from .kinds import READABLE
from .pages import Pages, Unreadable

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"),
)
_CONTROLS = bytes(set(range(32)) - set(b"\t\n\v\f\r\x1b"))
_MOST_CONTROLS = 0.002


def read(data: bytes, pages: Pages) -> str:
    pages.add(decode(data))
    return pages.join("is empty")


def decode(data: bytes) -> str:
    """The text, by its mark, as UTF-8, or else as Western Europe wrote before that. Raises Unreadable for no text."""
    encoding = next((encoding for mark, encoding in _MARKS if data.startswith(mark)), "")
    controls = len(data) - len(data.translate(None, _CONTROLS))
    if not encoding and (b"\0" in data or controls > _MOST_CONTROLS * len(data)):
        raise Unreadable(f"is of no kind that is read here: send {READABLE}")
    try:
        return data.decode(encoding or "utf-8")
    except UnicodeDecodeError as error:
        if encoding:
            raise Unreadable("is damaged: it is no text in the encoding that its first bytes name") from error
        return data.decode("cp1252", "replace")
