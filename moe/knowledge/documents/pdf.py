"""The text of a PDF, page by page."""

from __future__ import annotations

from io import BytesIO

import pypdf
from pypdf.errors import DependencyError

from .pages import Pages, Unreadable

ENCRYPTED = "is encrypted: send it without a password"
SCANNED = "has no text, so it is empty or scanned: send its pages as images"


def read(data: bytes, pages: Pages) -> str:
    source = pypdf.PdfReader(BytesIO(data), strict=False)
    try:
        if source.is_encrypted and not source.decrypt(""):
            raise Unreadable(ENCRYPTED)
        count = len(source.pages)
    except DependencyError as error:  # its cipher is not at hand
        raise Unreadable(ENCRYPTED) from error
    pages.check_count(count, "pages")
    for number, page in enumerate(source.pages, start=1):
        pages.begin(f"page {number}")
        pages.add(page.extract_text())
    return pages.join(SCANNED)
