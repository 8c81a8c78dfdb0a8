"""The text of a presentation: slide by slide in their order, each with its notes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .packed import Package, local
from .pages import Pages

_SILENT = frozenset({"Fallback", "fld"})  # a field is the slide's number, or the date


def read(data: bytes, pages: Pages) -> str:
    package = Package(data)
    main = package.find_main()
    slides = package.find_targets(main, "slide")
    order = [value for each in package.read(main).iterfind("{*}sldIdLst/{*}sldId")
             for name, value in each.attrib.items() if str(name).endswith("}id")]
    pages.check_count(len(order), "slides")
    for number, key in enumerate(order, start=1):
        pages.begin(f"slide {number}")
        if key in slides:
            _add(pages, package.read(slides[key]))
            for notes in package.find_targets(slides[key], "notesSlide").values():
                _add(pages, package.read(notes))
    return pages.join("has no text: send its slides as images")


def _add(pages: Pages, root: Any) -> None:
    for text in _paragraphs(root):
        pages.add(text)


def _paragraphs(parent: Any) -> Iterator[str]:
    for child in parent:
        name = local(child)
        if name == "p":
            yield "".join(_runs(child))
        elif name == "tr":
            yield " | ".join(" ".join(_paragraphs(cell)) for cell in child if local(cell) == "tc")
        elif name not in _SILENT:
            yield from _paragraphs(child)


def _runs(parent: Any) -> Iterator[str]:
    for child in parent:
        name = local(child)
        if name == "t":
            yield child.text or ""
        elif name == "br":
            yield "\n"
        elif name not in _SILENT:
            yield from _runs(child)
