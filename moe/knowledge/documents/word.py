"""The text of a Word file: paragraphs, lists, tables, text boxes, notes, headers; nothing that was deleted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .packed import Package, local
from .pages import Pages

_SIGNS = {"tab": "\t", "ptab": "\t", "br": "\n", "cr": "\n", "noBreakHyphen": "-"}
# What is written for programs that know less, what was taken away, and how things look.
_SILENT = frozenset({"Fallback", "del", "moveFrom", "pPr", "rPr", "instrText", "delText", "tblPr", "sectPr"})


def read(data: bytes, pages: Pages) -> str:
    package = Package(data)
    main = package.find_main()
    _add(pages, package.read(main))
    for kind in ("footnotes", "endnotes"):
        for part in package.find_targets(main, kind).values():
            _add(pages, package.read(part))
    _add_edges(pages, package, main)
    return pages.join("has no text: if it holds pictures of pages, send them as images")


def _add(pages: Pages, root: Any) -> None:
    for block in _blocks(root):
        pages.add(block)


def _add_edges(pages: Pages, package: Package, main: str) -> None:
    """What stands above and below each page, once."""
    found = [block.strip() for kind in ("header", "footer") for part in package.find_targets(main, kind).values()
             for block in _blocks(package.read(part))]
    if any(found):
        pages.begin("headers and footers")
    for text in dict.fromkeys(found):
        pages.add(text)


def _blocks(parent: Any) -> Iterator[str]:
    """A text for each paragraph and for each row of a table."""
    for child in parent:
        name = local(child)
        if name == "p":
            bullet = "- " if any(local(each) == "numPr" for each in child.iterfind("{*}pPr/*")) else ""
            yield bullet + "".join(_runs(child))
        elif name == "tr":
            cells = (" ".join(filter(None, map(str.strip, _blocks(cell)))) for cell in child if local(cell) == "tc")
            yield " | ".join(cells)
        elif name not in _SILENT:
            yield from _blocks(child)


def _runs(parent: Any) -> Iterator[str]:
    for child in parent:
        name = local(child)
        if name == "t":
            yield child.text or ""
        elif name in _SIGNS:
            yield _SIGNS[name]
        elif name == "txbxContent":
            yield "\n" + "\n".join(_blocks(child)) + "\n"
        elif name not in _SILENT:
            yield from _runs(child)
