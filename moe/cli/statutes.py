"""Where statutes come from: the official site or a mirror of it, another address, a file or folder of this machine."""

from __future__ import annotations

import difflib
import re
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import BinaryIO
from urllib.parse import urljoin, urlsplit

import requests
from msgspec import Struct

from .. import __version__, net
from ..errors import MoeError, Unreachable
from ..store.law_names import find_keys, fold, make_keys
from ..tools.law.documents import BadStatute, read_contents
from ..tools.law.shelf import is_european

OFFICIAL = "https://www.gesetze-im-internet.de"
CONTENTS = "gii-toc.xml"
PACKED = "xml.zip"
MOST_ZIP_BYTES = 50 << 20
MOST_UNPACKED_BYTES = 300 << 20
MOST_REDIRECTS = 5
TIMEOUT_S = (5.0, 30.0)
PIECE_BYTES = 1 << 16
_START_BYTES = 2_000
# The site files the statute that brought a code into force under the code: EGBGB as bgbeg.
_ENACTING = re.compile(r"^eg(\w+)$")
_MOVED = (301, 302, 303, 307, 308)


class NoStatute(MoeError):
    """It cannot be had; the text says why, for the person at the terminal."""

    code = "no_statute"


class Offline(NoStatute):
    """The site does not answer."""

    code = "offline"


class Fetched(Struct, frozen=True):
    """What lay at an address; `data` is None where it is the version that `etag` names."""

    data: bytes | None
    etag: str = ""


class Origin(Struct, frozen=True):
    """One statute before it is read. `slug` is its name on the site, "" where it is not from there; `source` what is
    told of where it came from; `fetch` gives its bytes, unless it has not changed since the `etag` handed in."""

    name: str
    slug: str
    source: str
    fetch: Callable[[str], Fetched]


class Web:
    """Fetches over HTTPS, and over HTTP from this machine alone; every address is checked first. Close it."""

    def __init__(self, *, told: Callable[[int, int], None] = lambda have, all_: None) -> None:
        """`told` hears how many bytes have come, and of how many, 0 where that is not known."""
        self._session = requests.Session()
        self._session.headers["User-Agent"] = f"moe/{__version__}"
        self._told = told

    def fetch(self, url: str, *, etag: str = "") -> Fetched:
        """Raises NoStatute, and Offline where nothing answers."""
        is_outside = not _is_here(url)
        for _ in range(MOST_REDIRECTS + 1):
            self._check(url)
            if is_outside and _is_here(url):
                raise NoStatute(f"{url} is not fetched: a site elsewhere led there")
            headers = {"If-None-Match": etag} if etag else {}
            try:
                with self._session.get(url, headers=headers, stream=True, timeout=TIMEOUT_S,
                                       allow_redirects=False) as response:
                    if response.status_code in _MOVED:
                        url = urljoin(url, response.headers.get("Location", ""))
                        continue
                    if response.status_code == 304:
                        return Fetched(None, etag)
                    if response.status_code != 200:
                        raise NoStatute(f"{url} is answered with status {response.status_code}")
                    return Fetched(self._receive(response, url), response.headers.get("ETag", "")[:200])
            except requests.RequestException as error:
                raise Offline(f"{urlsplit(url).hostname} does not answer ({type(error).__name__}): importing needs "
                              "the network, or official XML files on this machine") from error
        raise NoStatute(f"{url} leads on more than {MOST_REDIRECTS} times")

    def close(self) -> None:
        self._session.close()

    def _receive(self, response: requests.Response, url: str) -> bytes:
        size = response.headers.get("Content-Length", "")
        total = int(size) if size.isascii() and size.isdecimal() else 0
        data = bytearray()
        for piece in response.iter_content(PIECE_BYTES):
            data += piece
            if max(len(data), total) > MOST_ZIP_BYTES:
                raise NoStatute(f"{url} is refused: it has more than {MOST_ZIP_BYTES >> 20} MB")
            self._told(len(data), total)
        return bytes(data)

    def _check(self, url: str) -> None:
        fault = net.check_url(url)
        parts = urlsplit(url)
        host = parts.hostname or ""
        if not fault and parts.scheme != "https" and not _is_here(url):
            fault = f"{url} is not fetched: statutes are taken over https only"
        if fault:
            raise NoStatute(fault)
        self._session.trust_env = not _is_here(url)  # a proxy has no business within this machine
        if requests.utils.get_environ_proxies(url) and self._session.trust_env:
            return  # there the proxy resolves the name
        try:
            net.check_resolved(host, parts.port or (443 if parts.scheme == "https" else 80))
        except Unreachable as error:
            raise Offline(f"{error}: importing needs the network, or official XML files on this machine") from error


def _is_here(url: str) -> bool:
    return net.is_loopback(urlsplit(url).hostname or "")


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
            raise NoStatute(f"{name} is law of the European Union; {urlsplit(self._base).hostname} has German federal "
                            "law only, so it cannot be imported")
        contents = self._read()
        known: dict[str, tuple[int, str]] = {}
        for slug, title in contents.items():
            for key, rank in make_keys(abbreviations=(slug,), titles=(title,)):
                if key not in known or rank < known[key][0]:
                    known[key] = (rank, slug)
        for key in (*find_keys(name), _ENACTING.sub(r"\1eg", fold(name))):
            if key in known:
                return self._make(known[key][1])
        raise NoStatute(f"{self._base} has no law called {name!r}{_suggest(name, contents)}")

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
        *_, slug, file = ("", "", *PurePosixPath(urlsplit(link).path).parts)
        if file == PACKED and fold(slug):
            found[slug] = title
    if not found:
        raise NoStatute("the table of contents names no statute")
    return found


def find_origins(source: str, site: Site, web: Web) -> Iterator[Origin]:
    """The statutes that a word of the command line means. Raises NoStatute."""
    path = Path(source).expanduser()
    if source.startswith(("http://", "https://")):
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


@contextmanager
def open_files(data: bytes, name: str) -> Iterator[list[Callable[[], BinaryIO]]]:
    """The XML files in a zip, or the one that it is itself. Raises NoStatute."""
    if not data.startswith(b"PK"):
        yield [lambda: BytesIO(data)]
        return
    try:
        archive = zipfile.ZipFile(BytesIO(data))
    except (zipfile.BadZipFile, ValueError) as error:
        raise NoStatute(f"{name} is no sound zip file: {error}") from error
    with archive:
        parts = [part for part in archive.infolist() if part.filename.lower().endswith(".xml")]
        if not parts:
            raise NoStatute(f"{name} has no XML file in it")
        if any(part.flag_bits & 1 for part in parts):
            raise NoStatute(f"{name} is encrypted")
        if sum(part.file_size for part in parts) > MOST_UNPACKED_BYTES:
            raise NoStatute(f"{name} is refused: it unpacks to more than {MOST_UNPACKED_BYTES >> 20} MB")
        yield [lambda part=part: archive.open(part) for part in parts]  # type: ignore[misc]


def is_contents(data: bytes) -> bool:
    return b"<items" in data[:_START_BYTES]


def _suggest(name: str, contents: dict[str, str]) -> str:
    wanted = fold(name)
    near = [title for title in contents.values() if wanted in fold(title)][:5] if len(wanted) > 3 else []
    near += difflib.get_close_matches(wanted.replace(" ", "_"), contents, n=5, cutoff=0.7)
    return f"; did you mean {', '.join(near[:5])}?" if near else ""
