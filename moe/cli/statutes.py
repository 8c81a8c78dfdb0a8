"""Statutes fetched from an address, and what is in a file of them."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import BinaryIO
from urllib.parse import urljoin, urlsplit

import requests
from msgspec import Struct

from .. import __version__, net
from ..errors import MoeError, Unreachable

OFFICIAL = "https://www.gesetze-im-internet.de"
MOST_ZIP_BYTES = 50 << 20
MOST_UNPACKED_BYTES = 300 << 20
MOST_REDIRECTS = 5
MOST_TRIES = 2
TIMEOUT_S = (5.0, 30.0)
PIECE_BYTES = 1 << 16
_MOVED = (301, 302, 303, 307, 308)


class NoStatute(MoeError):
    """It cannot be had; the text says why, for the person at the terminal."""

    code = "no_statute"


class Offline(NoStatute):
    """The site does not answer."""

    code = "offline"


class _BrokenOff(NoStatute):
    """A download ended before its end."""


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

    def __init__(self, *, base: str = "", told: Callable[[int, int], None] = lambda have, all_: None) -> None:
        """`base` is the site that redirects may lead to besides the host asked; `told` hears how many bytes have come,
        and of how many, 0 where that is not known."""
        self._session = requests.Session()
        self._session.headers["User-Agent"] = f"moe/{__version__}"
        self._base = base or OFFICIAL
        self._told = told

    def fetch(self, url: str, *, etag: str = "") -> Fetched:
        """Raises NoStatute, and Offline where nothing answers."""
        for left in range(MOST_TRIES - 1, -1, -1):
            try:
                return self._follow(url, etag)
            except _BrokenOff as error:
                if not left:
                    raise NoStatute(error.message) from error
        raise AssertionError("unreachable")

    def _follow(self, url: str, etag: str) -> Fetched:
        first = url
        for _ in range(MOST_REDIRECTS + 1):
            self._check(url)
            if not self._may_lead(first, url):
                raise NoStatute(f"{url} is not fetched: {host_of(first)} led there, a redirect to another site")
            found = self._get(url, etag)
            if isinstance(found, Fetched):
                return found
            url = found
        raise NoStatute(f"{url} leads on more than {MOST_REDIRECTS} times")

    def _get(self, url: str, etag: str) -> Fetched | str:
        """What lies there, or the address that it leads to."""
        headers = {"If-None-Match": etag} if etag else {}
        try:
            with self._session.get(url, headers=headers, stream=True, timeout=TIMEOUT_S,
                                   allow_redirects=False) as response:
                if response.status_code in _MOVED:
                    return _join(url, response.headers.get("Location", ""))
                if response.status_code == 304:
                    return Fetched(None, etag)
                if response.status_code != 200:
                    raise NoStatute(f"{url} is answered with status {response.status_code}")
                return Fetched(self._receive(response, url), response.headers.get("ETag", "")[:200])
        except ValueError as error:  # requests reads a redirect's address before anybody asks it to
            raise NoStatute(f"{url} leads to what is no address: {error}") from error
        except requests.RequestException as error:
            raise Offline(f"{host_of(url)} does not answer ({type(error).__name__}): importing needs "
                          "the network, or official XML files on this machine") from error

    def _may_lead(self, first: str, url: str) -> bool:
        return host_of(url) in (host_of(first), host_of(self._base))

    def close(self) -> None:
        self._session.close()

    def _receive(self, response: requests.Response, url: str) -> bytes:
        size = response.headers.get("Content-Length", "")
        total = int(size) if size.isascii() and size.isdecimal() else 0
        data = bytearray()
        try:
            for piece in response.iter_content(PIECE_BYTES):
                data += piece
                if max(len(data), total) > MOST_ZIP_BYTES:
                    raise NoStatute(f"{url} is refused: it has more than {MOST_ZIP_BYTES >> 20} MB")
                self._told(len(data), total)
        except requests.RequestException as error:
            raise _BrokenOff(f"{url} broke off after {len(data)} bytes ({type(error).__name__})") from error
        return bytes(data)

    def _check(self, url: str) -> None:
        fault = net.check_url(url)
        if fault:
            raise NoStatute(fault)
        parts = urlsplit(url)
        host = parts.hostname or ""
        if parts.scheme != "https" and not _is_here(url):
            raise NoStatute(f"{url} is not fetched: statutes are taken over https only")
        self._session.trust_env = not _is_here(url)  # a proxy has no business within this machine
        if requests.utils.get_environ_proxies(url) and self._session.trust_env:
            return  # there the proxy resolves the name
        try:
            net.check_resolved(host, parts.port or (443 if parts.scheme == "https" else 80))
        except Unreachable as error:
            raise Offline(f"{error}: importing needs the network, or official XML files on this machine") from error


def host_of(url: str) -> str:
    """In small letters, "" for what is no address."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _is_here(url: str) -> bool:
    return net.is_loopback(host_of(url))


def _join(url: str, place: str) -> str:
    """Raises NoStatute for a place that is no address."""
    try:
        return urljoin(url, place)
    except ValueError as error:
        raise NoStatute(f"{url} leads to {place[:100]!r}, which is no address: {error}") from error


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
