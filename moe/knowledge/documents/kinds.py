"""What kind of file it is, told by its content: a name or a declared type may say anything."""

from __future__ import annotations

import re
import zipfile
from io import BytesIO
from typing import Literal

from .pages import Unreadable

Kind = Literal["pdf", "word", "sheets", "slides", "html", "plain"]

READABLE = "PDF, Word, Excel, PowerPoint, HTML, Markdown, CSV or plain text"
_OLD_OFFICE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ENCRYPTED_MARK = "EncryptedPackage".encode("utf-16-le")
_HTML = re.compile(rb"(?:\s|<!--.*?-->|<\?xml[^>]*>)*<(?:!doctype html|html|head|body)\b", re.IGNORECASE | re.DOTALL)
_MAIN_PARTS: tuple[tuple[str, Kind], ...] = (("word/", "word"), ("xl/", "sheets"), ("ppt/", "slides"))
_HEAD_BYTES, _TAIL_BYTES = 4096, 2048


def tell_kind(data: bytes) -> Kind:
    """Raises Unreadable for kinds that nothing here reads."""
    head = data[:_HEAD_BYTES].removeprefix(b"\xef\xbb\xbf")
    if not data.strip():
        raise Unreadable("is empty")
    if head.lstrip().startswith(b"%PDF-") or (b"%PDF-" in head and b"%%EOF" in data[-_TAIL_BYTES:]):
        return "pdf"
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _tell_archive(data)
    if head.startswith(_OLD_OFFICE):
        if _ENCRYPTED_MARK in data:
            raise Unreadable("is encrypted: send it without a password")
        raise Unreadable("is an Office file of before 2007: save it in today's format (.docx, .xlsx, .pptx)")
    if head.startswith(b"{\\rtf"):
        raise _unknown("is RTF")
    return "html" if _HTML.match(head) else "plain"


def _tell_archive(data: bytes) -> Kind:
    try:
        with zipfile.ZipFile(BytesIO(data)) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError) as error:
        raise Unreadable("is damaged: it begins as an Office file or a zip archive and cannot be opened") from error
    if "[Content_Types].xml" in names:
        for start, kind in _MAIN_PARTS:
            if any(name.startswith(start) for name in names):
                return kind
    raise _unknown("is a zip archive")


def _unknown(what: str) -> Unreadable:
    return Unreadable(f"{what}, which is not read here: send {READABLE}")
