"""A statute and what it is made of."""

from __future__ import annotations

from msgspec import Struct


class Norm(Struct, frozen=True, kw_only=True):
    """One § or article, with all its words. `kind` is "§", "Art", "Anlage", "Anhang" or, for what has no number, "";
    `until` is the last number of several that share one text, as those repealed together do. `headings` say where it
    stands, from the book down. `notes` are the editors', `footnotes` the law's own."""

    kind: str
    number: str
    label: str
    until: str = ""
    title: str = ""
    headings: tuple[str, ...] = ()
    paragraphs: tuple[str, ...] = ()
    footnotes: str = ""
    notes: str = ""
    id: int = 0


class Section(Struct, frozen=True, kw_only=True):
    """A heading; `level` counts from 0, `first` and `last` are the labels of the norms under it."""

    level: int
    heading: str
    first: str = ""
    last: str = ""


class Law(Struct, frozen=True, kw_only=True):
    """One statute as its file gave it. `as_of` says in the publisher's words what the last change was, `built` when the
    file was made, `etag` what the server called this version of it."""

    slug: str
    abbreviation: str
    title: str
    names: tuple[str, ...] = ()
    short: str = ""
    issued: str = ""
    as_of: str = ""
    source: str = ""
    retrieved: str = ""
    built: str = ""
    etag: str = ""
    norms: tuple[Norm, ...] = ()
    sections: tuple[Section, ...] = ()


class LawCard(Struct, frozen=True, kw_only=True):
    """What is known of an imported statute without its norms; `kind` is that of most of them, `size` their number."""

    id: int
    slug: str
    abbreviation: str
    title: str
    short: str
    issued: str
    as_of: str
    source: str
    retrieved: str
    built: str
    etag: str
    kind: str
    size: int
