"""Images fetched for a client, from a real server on this machine, which only these tests allow."""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from moe import net
from moe.core import Image, ImageLink
from moe.errors import BadRequest, Unavailable
from moe.pipeline.links import Links

PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)


class Site(ThreadingHTTPServer):
    """Serves what each test puts there."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.pages: dict[str, tuple[int, dict[str, str], bytes]] = {}
        self.asked: list[str] = []
        self.drip_s = 0.0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Site

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        status, headers, body = self.server.pages.get(self.path, (404, {}, b""))
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        try:
            for place in range(0, len(body), 1 if self.server.drip_s else 1 << 20):
                self.wfile.write(body[place:place + (1 if self.server.drip_s else 1 << 20)])
                time.sleep(self.server.drip_s)
        except OSError:
            pass

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


@pytest.fixture
def site() -> Iterator[Site]:
    made = Site()
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


def only_here(address: net.Address) -> str:
    return "" if str(address) == "127.0.0.1" else "elsewhere"


def unwatched() -> None:
    """Nobody leaves."""


def fetch(url: str, *, judge: Callable[[net.Address], str] = only_here, watch: Callable[[], None] = unwatched,
          max_bytes: int = 1000, timeout_s: float = 5) -> Image:
    return Links(max_bytes=max_bytes, judge=judge, timeout_s=timeout_s).fetch(ImageLink(url), watch=watch)


def refusal(url: str, **how: object) -> str:
    with pytest.raises(BadRequest) as caught:
        fetch(url, **how)  # type: ignore[arg-type]
    return caught.value.message


def test_an_image_is_fetched_and_its_type_is_its_own(site: Site) -> None:
    site.pages["/a%20b.jpg?c=d"] = (200, {"Content-Type": "image/jpeg"}, PNG)
    assert fetch(f"{site.url}/a b.jpg?c=d#e") == Image(base64.b64encode(PNG).decode(), "image/png")


def test_it_follows_where_the_image_went(site: Site) -> None:
    site.pages |= {"/a": (302, {"Location": "/b"}, b""), "/b": (308, {"Location": f"{site.url}/c"}, b""),
                   "/c": (200, {}, PNG)}
    assert fetch(f"{site.url}/a").media_type == "image/png"


def test_it_does_not_follow_for_ever(site: Site) -> None:
    site.pages["/a"] = (302, {"Location": "/a"}, b"")
    assert "it leads on more than 5 times" in refusal(f"{site.url}/a")
    assert len(site.asked) == 6


@pytest.mark.parametrize("target", [
    "http://127.0.0.2:{port}/x", "http://[::1]:{port}/x", "http://169.254.169.254/x", "http://10.0.0.1/x",
    "http://2130706434:{port}/x", "http://metadata.google.internal/x",
])
def test_each_step_is_judged_anew(site: Site, target: str) -> None:
    site.pages["/a"] = (302, {"Location": target.format(port=site.server_port)}, b"")
    assert refusal(f"{site.url}/a").endswith("cannot be fetched: its address cannot be reached")
    assert site.asked == ["/a"]


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/x", "http://u:p@127.0.0.1/x", "http://:80/"])
def test_a_step_leads_to_no_other_scheme(site: Site, target: str) -> None:
    site.pages["/a"] = (302, {"Location": target}, b"")
    assert "it must be a URL with http or https" in refusal(f"{site.url}/a")


@pytest.mark.parametrize("host", [
    "127.0.0.1", "localhost", "0.0.0.0", "[::1]", "[::ffff:127.0.0.1]", "2130706433", "0x7f.1", "017700000001",
])
def test_this_machine_is_never_asked(site: Site, host: str) -> None:
    site.pages["/"] = (200, {}, PNG)
    told = refusal(f"http://{host}:{site.server_port}/", judge=net.outside_refusal)
    assert told.endswith("its address cannot be reached")
    assert site.asked == []


def test_an_image_has_an_end(site: Site) -> None:
    site.pages["/a"] = (200, {}, PNG + bytes(2000))
    assert "it is larger than server.max_image_bytes (1000) allows" in refusal(f"{site.url}/a")


@pytest.mark.parametrize("body", [b"<html>", b"", b"\x89PN", b"%PDF-1.4"])
def test_what_is_no_image_is_refused(site: Site, body: bytes) -> None:
    site.pages["/a.png"] = (200, {"Content-Type": "image/png"}, body)
    assert "it is no PNG, JPEG, WebP, GIF or BMP" in refusal(f"{site.url}/a.png")


def test_a_status_is_told(site: Site) -> None:
    assert "cannot be fetched: status 404" in refusal(f"{site.url}/none")


def test_a_server_that_drips_is_cut_off(site: Site) -> None:
    site.pages["/a"] = (200, {}, PNG)
    site.drip_s = 0.2
    began = time.monotonic()
    assert "it took too long" in refusal(f"{site.url}/a", timeout_s=0.5)
    assert time.monotonic() - began < 2


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:1", "no-such-name.invalid", "metadata.google.internal"])
@pytest.mark.parametrize("judge", [only_here, net.outside_refusal])
def test_nobody_learns_which_names_and_ports_there_are_here(host: str, judge: Callable[[net.Address], str]) -> None:
    told = refusal(f"http://{host}:1/x".replace(":1:1", ":1"), judge=judge)
    assert told == f"the image at http://{host.removesuffix(':1')}:1/x cannot be fetched: its address cannot be reached"


def test_who_leaves_ends_it(site: Site) -> None:
    site.pages["/a"] = (200, {}, PNG)

    def leave() -> None:
        raise Unavailable

    with pytest.raises(Unavailable):
        fetch(f"{site.url}/a", watch=leave)
