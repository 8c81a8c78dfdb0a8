"""Statutes in the XML of Germany's official site (gii-norm.dtd): a file becomes a Law, all its words with it."""

from __future__ import annotations

import re
from typing import Any, BinaryIO

from lxml import etree

from ...errors import MoeError
from ...store.statute import Law, Norm, Section
from .sheet import flatten, read_footnotes, read_paragraphs

MOST_BYTES = 300 << 20
LONGEST_NAME = 200
LONGEST_TITLE = 5_000

_LABEL = re.compile(r"(?:\(X+\) )?(§§?|Art(?:ikel)?\.?|Anlagen?|Anhang|Anhänge)(?: |$)"
                    r"(?:(\d{1,5}(?: ?[a-z]{1,2}(?!\w))?|[IVX]+[a-z]?|[A-Z])"
                    r"(?:(?: bis |(?:, \d+\w*)*(?:,| und| u\.) )(?:§ )?(\d{1,5}(?: ?[a-z]{1,2}(?!\w))?))?)?(?![\w.])")
_UNDER = re.compile(r"Art(?:ikel)?\.? (\d+[a-z]?|[IVX]+) (?=§)")
_ARTICLE = re.compile(r"Art(?:ikel)?\.? (\d+[a-z]?|[IVX]+)(?!\w)")
_KINDS = {"§": "§", "§§": "§", "Anlage": "Anlage", "Anlagen": "Anlage", "Anhang": "Anhang", "Anhänge": "Anhang"}
_OPTIONS = {"resolve_entities": False, "no_network": True, "load_dtd": False, "huge_tree": False,
            "remove_comments": True, "remove_pis": True}


class BadStatute(MoeError):
    """A file is no statute in the official form, or not a sound one."""

    code = "bad_statute"


def read_law(file: BinaryIO, *, slug: str, source: str, retrieved: str, etag: str = "") -> Law:
    """The statute in an XML file. Raises BadStatute."""
    reader = _Reader()
    try:
        for _, element in etree.iterparse(_Bounded(file), events=("end",), tag=("norm",), **_OPTIONS):
            _check_entities(element)
            reader.take(element)
            element.clear()
    except etree.XMLSyntaxError as error:
        raise BadStatute(f"it is no sound XML: {error.msg}") from error
    return reader.finish(slug=slug, source=source, retrieved=retrieved, etag=etag)


def read_contents(file: BinaryIO) -> list[tuple[str, str]]:
    """The table of contents of a site: titles and links. Raises BadStatute."""
    found = []
    try:
        for _, item in etree.iterparse(_Bounded(file), events=("end",), tag=("item",), **_OPTIONS):
            _check_entities(item)
            found.append((flatten(item.find("title")), flatten(item.find("link"))))
            item.clear()
    except etree.XMLSyntaxError as error:
        raise BadStatute(f"it is no sound XML: {error.msg}") from error
    return [(title, link) for title, link in found if link]


class _Bounded:
    """A file that ends in BadStatute where it is too long."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._left = MOST_BYTES

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(min(size, 1 << 20) if size > 0 else 1 << 20)
        self._left -= len(data)
        if self._left < 0:
            raise BadStatute(f"it has more than {MOST_BYTES >> 20} MB")
        return data


class _Reader:
    """Takes one norm after the other."""

    def __init__(self) -> None:
        self._head: dict[str, str] = {}
        self._path: list[tuple[str, int, str]] = []
        self._norms: list[Norm] = []
        self._sections: list[tuple[Section, list[str]]] = []

    def take(self, element: Any) -> None:
        meta = element.find("metadaten")
        if meta is None:
            return
        if not self._head:
            self._head = _read_head(element, meta)
        unit = meta.find("gliederungseinheit")
        if unit is not None:
            self._enter(unit)
        label = flatten(meta.find("enbez"))
        paragraphs = read_paragraphs(element.find("textdaten/text"))
        if label or (paragraphs and unit is None):
            self._add(label or "Vorspann", flatten(meta.find("titel")), paragraphs, element)
        elif paragraphs and unit is not None:
            self._add(flatten(unit.find("gliederungsbez")) or "Überschrift", "", paragraphs, element)

    def finish(self, *, slug: str, source: str, retrieved: str, etag: str) -> Law:
        """Raises BadStatute where nothing was taken."""
        head = self._head
        if not head.get("abbreviation") or not self._norms:
            raise BadStatute("it is no statute in the form of gesetze-im-internet.de (gii-norm.dtd)")
        if max(len(head["abbreviation"]), len(head["official"])) > LONGEST_NAME or len(head["title"]) > LONGEST_TITLE:
            raise BadStatute(f"its abbreviation is longer than {LONGEST_NAME} characters, or its title than "
                             f"{LONGEST_TITLE}")
        sections = tuple(Section(level=each.level, heading=each.heading, first=labels[0] if labels else "",
                                 last=labels[-1] if labels else "") for each, labels in self._sections)
        return Law(
            slug=slug or re.sub(r"\W+", "_", head["abbreviation"].casefold()), title=head["title"], short=head["short"],
            abbreviation=head["official"] or head["abbreviation"], names=(head["abbreviation"],),
            issued=head["issued"], as_of=head["as_of"], built=head["built"], source=source, retrieved=retrieved,
            etag=etag, norms=tuple(self._norms), sections=sections,
        )

    def _enter(self, unit: Any) -> None:
        """A heading; its code has three digits for each level."""
        code = flatten(unit.find("gliederungskennzahl"))
        heading = " ".join(filter(None, (flatten(unit.find("gliederungsbez")), flatten(unit.find("gliederungstitel")))))
        level = max(len(code) // 3 - 1, 0)
        if (heading, level, code) in self._path:
            self._path = [place for place in self._path if place[1] <= level]
            return
        self._path = [place for place in self._path if place[1] < level]
        self._path.append((heading, level, code))
        self._sections.append((Section(level=len(self._path) - 1, heading=heading), []))

    def _add(self, label: str, title: str, paragraphs: list[str], element: Any) -> None:
        kind, number, until = read_label(label)
        headings = tuple(heading for heading, *_ in self._path)
        under = next((found[1] for each in reversed(headings) if (found := _ARTICLE.match(each))), "")
        if kind == "§" and under and not _UNDER.match(label):
            label = f"Art {under} {label}"
        text = element.find("textdaten/text")
        self._norms.append(Norm(
            kind=kind, number=number, until=until, label=label, title=title, headings=headings,
            paragraphs=tuple(paragraphs),
            footnotes="\n".join(read_footnotes(text)),
            notes="\n".join(read_paragraphs(element.find("textdaten/fussnoten"))),
        ))
        depth = len(self._path)
        for section, labels in reversed(self._sections):
            if section.level < depth:
                labels.append(label)
                depth = section.level
            if not depth:
                break


def read_label(label: str) -> tuple[str, str, str]:
    """The kind, the number and the last number of a norm by what stands over it: "§§ 3 bis 5" is ("§", "3", "5")."""
    under = _UNDER.match(label)
    found = _LABEL.match(label, under.end() if under else 0)
    if not found:
        return "", "", ""
    kind = _KINDS.get(found[1], "Art")
    if not found[2] and kind in ("§", "Art"):
        return "", "", ""
    return kind, (found[2] or "").replace(" ", ""), (found[3] or "").replace(" ", "")


def _check_entities(element: Any) -> None:
    """Official files define none; the parser expands none."""
    inner = element.getroottree().docinfo.internalDTD
    if inner is not None and any(True for _ in inner.iterentities()):
        raise BadStatute("it defines entities, which no official file does")


def _read_head(element: Any, meta: Any) -> dict[str, str]:
    states = [(flatten(state.find("standtyp")), flatten(state.find("standkommentar")))
              for state in meta.iter("standangabe")]
    changed = [words for kind, words in states if kind == "Stand"] or [words for _, words in states]
    root = element.getroottree().getroot()
    return {
        "abbreviation": flatten(meta.find("jurabk")), "official": flatten(meta.find("amtabk")),
        "title": flatten(meta.find("langue")) or flatten(meta.find("kurzue")) or flatten(meta.find("jurabk")),
        "short": flatten(meta.find("kurzue")), "issued": flatten(meta.find("ausfertigung-datum")),
        "as_of": "; ".join(changed), "built": str(root.get("builddate") or element.get("builddate") or ""),
    }
