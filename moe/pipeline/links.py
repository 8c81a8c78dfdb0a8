"""Images that lie on the open internet, fetched for a client: from nowhere else, in bounded size and time."""

from __future__ import annotations

import base64
import http.client
import logging
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from http import HTTPStatus
from urllib.parse import quote, urljoin, urlsplit

from .. import __version__, net
from ..core import Image, ImageLink
from ..dialects.image import tell_type
from ..errors import BadRequest, Unreachable
from ..log import clean

MOST_REDIRECTS = 5
LONGEST_SHOWN = 200
TIMEOUT_S = 15.0
READ_BYTES = 65_536
_MOVED = (HTTPStatus.MOVED_PERMANENTLY, HTTPStatus.FOUND, HTTPStatus.SEE_OTHER, HTTPStatus.TEMPORARY_REDIRECT,
          HTTPStatus.PERMANENT_REDIRECT)
_HEADERS = {"Accept": "image/*", "Accept-Encoding": "identity", "User-Agent": f"moe/{__version__}",
            "Connection": "close"}
_SAFE = "%/:?[]@!$&'()*+,;=~"
Judge = Callable[[net.Address], str]

log = logging.getLogger("moe.links")


class Links:
    """`judge` says of an address why nothing may be fetched from it, "" when it may."""

    def __init__(self, *, max_bytes: int, judge: Judge = net.outside_refusal, timeout_s: float = TIMEOUT_S) -> None:
        self._max_bytes = max_bytes
        self._judge = judge
        self._timeout_s = timeout_s

    def fetch(self, link: ImageLink, *, watch: Callable[[], None]) -> Image:
        """Raises BadRequest, whose words tell nothing of the network here."""
        url = link.url
        deadline = time.monotonic() + self._timeout_s
        for _ in range(MOST_REDIRECTS + 1):
            found = self._ask(url, deadline, watch)
            if isinstance(found, bytes):
                return _to_image(found, link.url)
            if urlsplit(url).scheme == "https" and urlsplit(found).scheme != "https":
                raise _failure(link.url, "it leads from https to http")
            url = found
        raise _failure(link.url, f"it leads on more than {MOST_REDIRECTS} times")

    def _ask(self, url: str, deadline: float, watch: Callable[[], None]) -> bytes | str:
        """What lies there, or where it went."""
        conn, target = self._prepare(url, deadline)
        try:
            with _cut_at(conn, deadline):
                conn.request("GET", target, headers=_HEADERS)
                with conn.getresponse() as response:
                    if response.status in _MOVED:
                        return urljoin(url, response.headers.get("Location", ""))
                    if response.status != HTTPStatus.OK:
                        raise _failure(url, f"status {response.status}")
                    return self._receive(response, url, deadline, watch)
        except Unreachable as error:  # one word for all: else it would tell which names there are in the network here
            log.info("an image was not fetched: %s", clean(str(error)))
            raise _failure(url, "its address cannot be reached") from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            late = time.monotonic() >= deadline
            log.info("an image was not fetched: %s", clean(repr(error)))
            raise _failure(url, "it took too long" if late else "the connection failed") from error
        finally:
            conn.close()

    def _receive(self, response: http.client.HTTPResponse, url: str, deadline: float,
                 watch: Callable[[], None]) -> bytes:
        data = bytearray()
        while piece := response.read(READ_BYTES):
            data += piece
            watch()
            if len(data) > self._max_bytes:
                raise _failure(url, f"it is larger than server.max_image_bytes ({self._max_bytes}) allows")
        if time.monotonic() >= deadline:  # the end may be our own cut
            raise TimeoutError
        return bytes(data)

    def _prepare(self, url: str, deadline: float) -> tuple[_Plain, str]:
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
        except ValueError as error:
            raise _failure(url, "it is not a URL") from error
        if parts.scheme not in ("http", "https") or not host or port == 0 or parts.username or parts.password:
            raise _failure(url, "it must be a URL with http or https, without a user name")
        made = _Secure if parts.scheme == "https" else _Plain
        conn = made(host, port, timeout=max(0.1, deadline - time.monotonic()))
        conn.judge = self._judge
        asked = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
        return conn, quote(asked, safe=_SAFE)


class _Plain(http.client.HTTPConnection):
    """Connects to an address that was judged, and to no other; `opened` is its socket as long as anybody reads."""

    judge: Judge
    opened: socket.socket | None = None

    def connect(self) -> None:
        self.opened = self.sock = net.connect(self.host, self.port, timeout_s=self.timeout or TIMEOUT_S,
                                              judge=self.judge)


class _Secure(_Plain):
    default_port = http.client.HTTPS_PORT

    def connect(self) -> None:
        super().connect()
        try:
            self.opened = self.sock = self._context.wrap_socket(self.sock, server_hostname=self.host)
        except BaseException:
            self.sock.close()
            raise

    @cached_property
    def _context(self) -> ssl.SSLContext:
        return ssl.create_default_context()


@contextmanager
def _cut_at(conn: _Plain, deadline: float) -> Iterator[None]:
    """Ends the connection then, however it drips: a socket's own time limit begins anew with each byte."""

    def cut() -> None:
        if conn.opened is not None:
            with suppress(OSError):  # over already
                socket.socket.shutdown(conn.opened, socket.SHUT_RDWR)

    timer = threading.Timer(max(0.0, deadline - time.monotonic()), cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _to_image(data: bytes, url: str) -> Image:
    written = base64.b64encode(data).decode()
    kind = tell_type(written) if data else ""
    if not kind:
        raise _failure(url, "it is no PNG, JPEG, WebP, GIF or BMP")
    return Image(written, kind)


def _failure(url: str, why: str) -> BadRequest:
    return BadRequest(f"the image at {clean(url[:LONGEST_SHOWN])} cannot be fetched: {why}")
