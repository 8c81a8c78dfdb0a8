"""The values of a workbook: sheet by sheet, a line for each row that says something."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import datetime, time
from io import BytesIO
from typing import Any

import openpyxl
from openpyxl.utils import get_column_letter

from .packed import Package, limits_told
from .pages import Pages

MOST_MARKS = 8  # for so many empty cells in a row; behind more of them a cell is called by its place
_MARK = " | "
# A formula whose value was never written down, as programs do that cannot calculate.
_UNCALCULATED = re.compile(rb"(?:</(?:\w+:)?f>|<(?:\w+:)?f\b[^<>]*/>)\s*(?:<(?:\w+:)?v(?:\s*/>|></(?:\w+:)?v>))?\s*"
                           rb"</(?:\w+:)?c>")


def read(data: bytes, pages: Pages) -> str:
    has_formulas = Package(data).holds("xl/worksheets/", _UNCALCULATED)
    with limits_told():
        book = _open(data, only_values=True)
        pages.check_count(len(book.worksheets), "sheets")
        formulas = _open(data, only_values=False).worksheets if has_formulas else [None] * len(book.worksheets)
        for sheet, other in zip(book.worksheets, formulas, strict=True):
            rows = _rows(sheet) if other is None else map(_fill, _rows(sheet), _rows(other))
            _add(pages, sheet.title, rows)
    return pages.join("has no values in its cells")


def _open(data: bytes, *, only_values: bool) -> Any:
    return openpyxl.load_workbook(BytesIO(data), read_only=True, data_only=only_values, keep_links=False)


def _rows(sheet: Any) -> Iterator[tuple[Any, ...]]:
    sheet.reset_dimensions()  # a file may claim a million columns
    found: Iterator[tuple[Any, ...]] = sheet.iter_rows(values_only=True)
    return found


def _fill(values: tuple[Any, ...], formulas: tuple[Any, ...]) -> list[Any]:
    """The values, and the formulas that have none."""
    return [_formula_of(cell) if value is None else value for value, cell in zip(values, formulas, strict=True)]


def _formula_of(cell: Any) -> str | None:
    """One over several cells is no text itself."""
    return cell if isinstance(cell, str) else getattr(cell, "text", None)


def _add(pages: Pages, title: str, rows: Iterable[Iterable[Any]]) -> None:
    """Each row from the sheet's first column that is not empty."""
    lines = list(_lines(pages, rows))
    first = min((column for _, column, _ in lines), default=1)
    pages.begin(f"sheet {title}" if first == 1 else f"sheet {title}, from cell {_place(lines[0][0], first)}")
    for row, column, text in lines:
        gap = column - first
        pages.add((_MARK * gap if gap <= MOST_MARKS else f"{_place(row, column)}: ") + text)


def _lines(pages: Pages, rows: Iterable[Iterable[Any]]) -> Iterator[tuple[int, int, str]]:
    """The number of each row that says something, that of its first cell, and the text from there on."""
    size = 0
    for row, values in enumerate(rows, start=1):
        cells = [(column, text) for column, value in enumerate(values, start=1) if (text := _spell(value))]
        if not cells:
            continue
        (first, line), *others = cells
        before = first
        for column, text in others:
            gap = column - before
            line += _MARK * gap + text if gap <= MOST_MARKS else f"{_MARK}{_place(row, column)}: {text}"
            before = column
        size += len(line)
        pages.check_size(size)
        yield row, first, line


def _place(row: int, column: int) -> str:
    return f"{get_column_letter(column)}{row}"


def _spell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.date().isoformat() if value.time() == time() else value.isoformat(" ")
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return " ".join(str(value).split())
