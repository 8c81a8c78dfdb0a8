"""The values of a workbook: sheet by sheet, a line for each row that says something."""

from __future__ import annotations

from datetime import datetime, time
from io import BytesIO
from typing import Any

import openpyxl

from .packed import Package
from .pages import Pages


def read(data: bytes, pages: Pages) -> str:
    Package(data)  # for its checks
    book = openpyxl.load_workbook(BytesIO(data), read_only=True, data_only=True, keep_links=False)
    pages.check_count(len(book.worksheets), "sheets")
    for sheet in book.worksheets:
        pages.begin(f"sheet {sheet.title}")
        sheet.reset_dimensions()  # a file may claim a million columns
        for row in sheet.iter_rows(values_only=True):
            pages.add(" | ".join(map(_spell, row)).rstrip(" |"))
    return pages.join("has no values in its cells")


def _spell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.date().isoformat() if value.time() == time() else value.isoformat(" ")
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return " ".join(str(value).split())
