"""The text of a web page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import lxml.html

from .packed import limits_told
from .pages import Pages
from .plain import decode

_SILENT = frozenset({"script", "style", "noscript", "template", "svg", "math", "head", "select", "iframe", "object"})
_INLINE = frozenset({
    "a", "abbr", "b", "bdi", "bdo", "cite", "code", "data", "del", "dfn", "em", "font", "i", "ins", "kbd", "label",
    "mark", "q", "s", "samp", "small", "span", "strong", "sub", "sup", "time", "u", "var", "wbr",
})
_CELLS = frozenset({"td", "th"})
_SPACES = re.compile(r"[ \t\r\n\f\v]+")
_BREAKS = re.compile(r" *\n[ \n]*")


def read(data: bytes, pages: Pages) -> str:
    root = _parse(data)
    title = root.findtext(".//title")
    pages.add(_SPACES.sub(" ", title or ""))
    body = root.find("body")
    text = "".join(_pieces(root if body is None else body))
    pages.add(_BREAKS.sub("\n", text).strip())
    return pages.join("is a web page without text")


def _parse(data: bytes) -> Any:
    """As UTF-8 where it can be that, else as the page itself says."""
    try:
        encoding, data = "utf-8", decode(data).encode() if data[:2] in (b"\xff\xfe", b"\xfe\xff") else data
        data.decode()
    except UnicodeDecodeError:
        encoding = None
    parser = lxml.html.HTMLParser(encoding=encoding, no_network=True, huge_tree=True, remove_comments=True,
                                  remove_pis=True)
    with limits_told():
        return lxml.html.document_fromstring(data, parser=parser)


def _pieces(element: Any) -> Iterator[str]:
    tag = element.tag
    if not isinstance(tag, str) or tag in _SILENT:
        return
    edge = "" if tag in _INLINE else " | " if tag in _CELLS and element.getprevious() is not None else "\n"
    yield edge
    yield _SPACES.sub(" ", element.text or "")
    for child in element:
        yield from _pieces(child)
        yield _SPACES.sub(" ", child.tail or "")
    yield "" if tag in _CELLS else edge
