"""Where statutes come from: the official site or a mirror of it, another address, a file or folder of this machine."""

from __future__ import annotations

import difflib
import re
import zipfile
import zlib
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from ..store.law_names import find_keys, fold, make_keys
from ..tools.law.documents import BadStatute, read_contents, read_law
from ..tools.law.shelf import is_european
from .statutes import (
    MOST_UNPACKED_BYTES,
    MOST_ZIP_BYTES,
    OFFICIAL,
    Fetched,
    NoStatute,
    Origin,
    Web,
    host_of,
    open_files,
)

CONTENTS = "gii-toc.xml"
PACKED = "xml.zip"
# So many statutes whose place on the site is like a name are looked into for it.
MOST_TRIED = 3
_START_BYTES = 2_000
# The site files the statute that brought a code into force under the code: EGBGB as bgbeg.
_ENACTING = re.compile(r"^eg(\w+)$")
# Statutes that are not filed under their abbreviation.
_FILED = {"weg": "woeigg", "baugb": "bbaug", "kwg": "kredwg", "efzg": "entgfg", "asylg": "asylvfg_1992",
          "bafog": "baf_g"}
_IN_BRACKETS = re.compile(r"\(([^()]{2,200})\)")


class Site:
    """The official site or a mirror; its table of contents is fetched once, when it is first needed."""

    def __init__(self, web: Web, base: str) -> None:
        self._web = web
        self._base = (base or OFFICIAL).rstrip("/")
        self._contents: dict[str, str] | None = None

    def list_all(self) -> list[Origin]:
        return [self._make(slug) for slug in self._read()]

    def find(self, name: str) -> Origin:
        """By abbreviation or title. Raises NoStatute for what the site does not have."""
        if is_european(name):
            raise NoStatute(f"{name} is law of the European Union; {host_of(self._base)} has German federal "
                            "law only, so it cannot be imported")
        contents = self._read()
        known: dict[str, tuple[int, str]] = {}
        for slug, title in contents.items():
            inner = tuple(part for found in _IN_BRACKETS.findall(title) for part in re.split(r" ?[-–,] ", found))
            for key, rank in make_keys(abbreviations=(slug,), titles=(_IN_BRACKETS.sub("", title), title, *inner)):
                if key not in known or rank < known[key][0]:
                    known[key] = (rank, slug)
        for key in (*find_keys(name), _ENACTING.sub(r"\1eg", fold(name))):
            if key in known:
                return self._make(known[key][1])
        filed = _FILED.get(fold(name).replace(" ", ""), "")
        return self._make(filed) if filed in contents else self._look_into(name, contents)

    def _look_into(self, name: str, contents: dict[str, str]) -> Origin:
        """The statute whose file says that it is called so, of those with a place like it. Raises NoStatute."""
        keys = find_keys(name)
        for slug in difflib.get_close_matches("".join(keys[:1]), contents, n=MOST_TRIED, cutoff=0.6):
            origin = self._make(slug)
            fetched = origin.fetch("")
            if any(key in keys for key in _read_names(fetched.data or b"", slug)):
                return Origin(slug, slug, origin.source, lambda etag, fetched=fetched: fetched)  # type: ignore[misc]
        raise NoStatute(f"{self._base} has no law called {name[:100]!r}{_suggest(name, contents)}")

    def _make(self, slug: str) -> Origin:
        page = f"{self._base}/{slug}/"
        return Origin(slug, slug, page, lambda etag: self._web.fetch(f"{page}{PACKED}", etag=etag))

    def _read(self) -> dict[str, str]:
        """Titles by slug."""
        if self._contents is None:
            data = self._web.fetch(f"{self._base}/{CONTENTS}").data or b""
            self._contents = read_slugs(data)
        return self._contents


def read_slugs(data: bytes) -> dict[str, str]:
    """The titles in a table of contents by the last folder of their links. Raises NoStatute."""
    try:
        items = read_contents(BytesIO(data))
    except BadStatute as error:
        raise NoStatute(f"the table of contents cannot be read: {error.message}") from error
    found = {}
    for title, link in items:
        try:
            path = urlsplit(link).path
        except ValueError:
            continue  # one link that is none; the others are as good as before
        *_, slug, file = ("", "", *PurePosixPath(path).parts)
        if file == PACKED and fold(slug):
            found[slug] = title
    if not found:
        raise NoStatute("the table of contents names no statute")
    return found


def find_origins(source: str, site: Site, web: Web) -> Iterator[Origin]:
    """The statutes that a word of the command line means. Raises NoStatute."""
    if not source.strip():
        raise NoStatute("a name, an address or a file is empty; say what to import")
    path = Path(source).expanduser()
    if source[:8].casefold().startswith(("http://", "https://")):
        yield from _find_online(source, web)
    elif path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.suffix.lower() in (".xml", ".zip"))
        if not files:
            raise NoStatute(f"{path} holds no .xml or .zip file")
        yield from map(_take_file, files)
    elif path.suffix.lower() in (".xml", ".zip"):
        yield _take_file(path)
    elif "/" in source or "\\" in source:
        raise NoStatute(f"there is no file or folder {source}")
    else:
        yield site.find(source)


def _read_names(data: bytes, slug: str) -> Iterator[str]:
    """The keys of the abbreviations that a statute's file gives it; none for a file that cannot be read."""
    try:
        with open_files(data, slug) as files, files[0]() as file:
            law = read_law(file, slug=slug, source="", retrieved="")
    except (NoStatute, BadStatute, OSError, ValueError, zipfile.BadZipFile, zlib.error, NotImplementedError):
        return
    yield from (key for key, _ in make_keys(abbreviations=(law.abbreviation, *law.names, law.short), titles=()))


def _find_online(url: str, web: Web) -> Iterator[Origin]:
    """A statute at its own address, or all of a table of contents that lies there."""
    parent, _, file = url.rpartition("/")
    if file == CONTENTS:
        yield from Site(web, parent).list_all()
        return
    slug = parent.rpartition("/")[2] if file == PACKED else ""
    yield Origin(url, slug, f"{parent}/" if slug else url, lambda etag: web.fetch(url, etag=etag))


def _take_file(path: Path) -> Origin:
    def read(etag: str) -> Fetched:
        if path.stat().st_size > (MOST_ZIP_BYTES if path.suffix.lower() == ".zip" else MOST_UNPACKED_BYTES):
            raise NoStatute(f"{path} is refused: it is too large")
        return Fetched(path.read_bytes())

    return Origin(str(path), "", path.name, read)


def is_contents(data: bytes) -> bool:
    return b"<items" in data[:_START_BYTES]


def _suggest(name: str, contents: dict[str, str]) -> str:
    wanted = fold(name)
    near = [title for title in contents.values() if wanted in fold(title)][:5] if len(wanted) > 3 else []
    near += difflib.get_close_matches(wanted.replace(" ", "_"), contents, n=5, cutoff=0.7)
    return f"; did you mean {', '.join(near[:5])}?" if near else ""
