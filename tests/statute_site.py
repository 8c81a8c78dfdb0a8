"""The official site of the statutes, on loopback."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from xml.sax.saxutils import escape

from tests.statutes import STATUTES, Statute


class Site:
    """What the server has: a body, or a status or a place to go to, for each path; `asked` are the requests;
    what is in `broken` is sent by half."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.pages: dict[str, bytes | int | str] = {}
        self.asked: list[tuple[str, str]] = []
        self.broken: set[str] = set()

    def publish(self, statutes: Sequence[Statute]) -> None:
        """With a table of contents whose links are those of the official site, as a mirror has them."""
        listed = "".join(f"<item><title>{escape(each.title)}</title><link>http://www.gesetze-im-internet.de/{each.slug}"
                         "/xml.zip</link></item>" for each in statutes)
        self.pages["/gii-toc.xml"] = f'<?xml version="1.0" encoding="UTF-8"?>\n<items>{listed}</items>'.encode()
        self.pages |= {f"/{each.slug}/xml.zip": each.pack() for each in statutes}


@contextmanager
def serve_statutes(statutes: Sequence[Statute] = STATUTES) -> Iterator[Site]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            page = site.pages.get(self.path, 404)
            tag = f'"{hash(page)}"'
            site.asked.append((self.path, self.headers.get("If-None-Match", "")))
            headers: Mapping[str, str] = {}
            status, body = 200, b""
            if isinstance(page, int):
                status = page
            elif isinstance(page, str):
                status, headers = 302, {"Location": page}
            elif self.headers.get("If-None-Match") == tag:
                status = 304
            else:
                body, headers = page, {"ETag": tag}
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body[:len(body) // 2] if self.path in site.broken else body)
            self.close_connection = self.path in site.broken

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    site = Site(server.server_port)
    site.publish(statutes)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
