"""The text of a PDF, page by page."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from typing import Any

import pypdf
from pypdf.errors import DependencyError, LimitReachedError
from pypdf.filters import decode_stream_data
from pypdf.generic import DictionaryObject, StreamObject

from .pages import Pages, Unreadable

# What draws a page or a part of it, unpacked: a million bytes take about two seconds. The library's own limits lie
# beyond, and a part that reaches one of those it leaves out without a word.
MOST_DRAWN_BYTES = 4_000_000
_BEGIN_TEXT = b"BT"
ENCRYPTED = "is encrypted: send it without a password"
SCANNED = "has no text, so it is empty or scanned: send its pages as images"


def read(data: bytes, pages: Pages) -> str:
    try:
        return _read(pypdf.PdfReader(BytesIO(data), strict=False), pages)
    except LimitReachedError as error:
        most = pypdf.Configuration().zlib_maximum_output_length
        raise Unreadable(f"is too large to be read: a part of it holds more than {most:,} bytes once unpacked, or "
                         "more things than a reader counts") from error


def _read(source: pypdf.PdfReader, pages: Pages) -> str:
    try:
        if source.is_encrypted and not source.decrypt(""):
            raise Unreadable(ENCRYPTED)
        count = len(source.pages)
    except DependencyError as error:  # its cipher is not at hand
        raise Unreadable(ENCRYPTED) from error
    pages.check_count(count, "pages")
    seen: set[int] = set()
    for number, page in enumerate(source.pages, start=1):
        pages.begin(f"page {number}")
        _check_size(page, number, seen)
        pages.add(page.extract_text())
    return pages.join(SCANNED)


def _check_size(page: pypdf.PageObject, number: int, seen: set[int]) -> None:
    """Raises Unreadable for a page that would be read for long; what draws no text is not read at all."""
    for drawn in _drawings(page, seen):
        if len(drawn) > MOST_DRAWN_BYTES and _BEGIN_TEXT in drawn:
            raise Unreadable(f"is too large to be read: what draws page {number} has {len(drawn):,} bytes once "
                             f"unpacked, more than the {MOST_DRAWN_BYTES:,} that are read")


def _drawings(page: pypdf.PageObject, seen: set[int]) -> Iterator[bytes]:
    """What draws the page, and each form that it may call upon and that was not `seen` before."""
    contents = page.get_contents()
    yield contents.get_data() if contents is not None else b""
    waiting: list[Any] = [page]
    while waiting:
        for form in _forms(waiting.pop()):
            if id(form) not in seen:
                seen.add(id(form))
                waiting.append(form)
                yield _unpack(form)


def _forms(holder: DictionaryObject) -> list[StreamObject]:
    found: Any = holder
    for name in ("/Resources", "/XObject"):
        found = found[name] if isinstance(found, DictionaryObject) and name in found else None
    drawn = [found[name] for name in found] if isinstance(found, DictionaryObject) else []
    return [each for each in drawn if isinstance(each, StreamObject) and each.get("/Subtype") == "/Form"]


def _unpack(form: StreamObject) -> bytes:
    try:
        return decode_stream_data(form)
    except LimitReachedError:
        raise
    except Exception:  # noqa: BLE001 - a form that is broken is one that the page goes without
        return b""
