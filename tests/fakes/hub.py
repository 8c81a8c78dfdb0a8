"""A model hub in the protocol that huggingface_hub speaks, its files on a host of their own as the real ones are.

To try things by hand: `python -m tests.fakes.hub tests/models/*.gguf`, then HF_ENDPOINT=… in front of a command.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, unquote, urlsplit

COMMIT = "c0ffee" * 6 + "c0de"
LISTING = re.compile(r"/api/models/([^/]+/[^/]+)")
FILE = re.compile(r"/([^/]+/[^/]+)/resolve/([0-9a-f]{40})/(.+)")


class Asked(NamedTuple):
    """One request; `token` is its Authorization header."""

    method: str
    path: str
    range: str | None
    token: str | None


@dataclass
class Hub:
    """`repo` is the only repository there is ("": any name is one). `checksums` and `sizes` are told in place of the
    true ones. The n-th time a file is fetched it breaks off at the n-th byte number of `cut_at`; once it falls silent
    at `hang_at`. After each MB it waits for `drip_s`."""

    files: dict[str, bytes] = field(default_factory=dict)
    repo: str = ""
    is_gated: bool = False
    checksums: dict[str, str] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    cut_at: dict[str, list[int]] = field(default_factory=dict)
    hang_at: dict[str, int] = field(default_factory=dict)
    drip_s: float = 0.0
    asked: list[Asked] = field(default_factory=list)
    url: str = ""
    storage_url: str = ""

    def ranges(self, name: str) -> list[str | None]:
        """The Range of each time the file itself was asked for."""
        return [asked.range for asked in self.asked if (asked.method, asked.path) == ("GET", f"/storage/{name}")]

    def checksum(self, name: str) -> str:
        return self.checksums.get(name) or hashlib.sha256(self.files[name]).hexdigest()

    def size(self, name: str) -> int:
        return self.sizes.get(name) or len(self.files[name])

    def describe(self, repo: str) -> bytes:
        """What /api/models/… says with `blobs=true`."""
        siblings = [{"rfilename": name, "size": self.size(name), "blobId": "0" * 40,
                     "lfs": {"sha256": self.checksum(name), "size": self.size(name), "pointerSize": 134}}
                    for name in self.files]  # fmt: skip
        tags = ["gguf", "license:apache-2.0", "region:us"]
        return json.dumps({"id": repo, "sha": COMMIT, "private": False, "tags": tags, "siblings": siblings}).encode()


class Handler(BaseHTTPRequestHandler):
    """One request to the hub, or to where its files are stored."""

    hub: Hub

    def do_HEAD(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        self.answer()

    def answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.asked.append(Asked(self.command, path, self.headers.get("Range"), self.headers.get("Authorization")))
        if path.startswith("/storage/"):
            self.send_file(path.removeprefix("/storage/"))
        elif found := LISTING.fullmatch(path):
            if self.is_there(found[1]):
                self.send(200, self.hub.describe(found[1]), {"Content-Type": "application/json"})
        elif (found := FILE.fullmatch(path)) and self.is_there(found[1]):
            self.send_to_storage(found[2], found[3])
        elif not found:
            self.send(404)

    def is_there(self, repo: str) -> bool:
        """Like the real one it does not tell strangers whether a repository is private or none at all."""
        if self.hub.repo in ("", repo):
            return True
        self.send(401, b"", {"X-Error-Code": "RepoNotFound", "X-Error-Message": "Repository not found"})
        return False

    def send_to_storage(self, commit: str, name: str) -> None:
        if name not in self.hub.files:
            self.send(404, b"", {"X-Error-Code": "EntryNotFound", "X-Error-Message": "Entry not found"})
        elif self.hub.is_gated:
            self.send(403, b"", {"X-Error-Code": "GatedRepo", "X-Error-Message": "Access is restricted"})
        else:
            self.send(302, b"", {
                "Location": f"{self.hub.storage_url}/storage/{quote(name)}", "X-Repo-Commit": commit,
                "X-Linked-Etag": f'"{self.hub.checksum(name)}"', "X-Linked-Size": str(self.hub.size(name)),
                "Accept-Ranges": "bytes",
            })  # fmt: skip

    def send_file(self, name: str) -> None:
        content, wanted = self.hub.files[name], self.headers.get("Range")
        found = re.fullmatch(r"bytes=(\d+)-", wanted or "bytes=0-")
        assert found is not None, wanted
        start = int(found[1])
        headers = {"ETag": f'"{self.hub.checksum(name)}"', "Accept-Ranges": "bytes",
                   "Content-Length": str(len(content) - start)}  # fmt: skip
        if wanted:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        cuts = self.hub.cut_at.get(name)
        end = cuts.pop(0) if cuts else len(content)
        pause = self.hub.hang_at.pop(name, None)
        self.send(206 if wanted else 200, content[start : end if pause is None else pause], headers)
        if pause is not None:
            self.connection.recv(1)  # nothing comes: it returns when the client leaves

    def send(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for key, value in ({"Content-Length": str(len(body))} | (headers or {})).items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "GET":
            try:
                for start in range(0, len(body), 1 << 20):
                    self.wfile.write(body[start : start + (1 << 20)])
                    time.sleep(self.hub.drip_s)
                self.wfile.flush()
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Tests print nothing."""


@contextmanager
def serve_hub(hub: Hub, *, port: int = 0) -> Iterator[Hub]:
    """Serves it on two ports: the hub itself, and the storage it sends downloads to, under another host's name."""
    handler = type("HubHandler", (Handler,), {"hub": hub})
    servers = [ThreadingHTTPServer(("127.0.0.1", wanted), handler) for wanted in (port, 0)]
    threads = [threading.Thread(target=server.serve_forever, daemon=True) for server in servers]
    for thread in threads:
        thread.start()
    hub.url = f"http://127.0.0.1:{servers[0].server_address[1]}"
    hub.storage_url = f"http://localhost:{servers[1].server_address[1]}"
    try:
        yield hub
    finally:
        for server in servers:
            server.shutdown()
            server.server_close()
        for thread in threads:
            thread.join()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fakes.hub", description=__doc__)
    parser.add_argument("files", nargs="+", type=Path, help="what every repository has")
    parser.add_argument("--port", type=int, default=0)
    options = parser.parse_args()
    with serve_hub(Hub({file.name: file.read_bytes() for file in options.files}), port=options.port) as hub:
        print(f"HF_ENDPOINT={hub.url}", flush=True)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            return


if __name__ == "__main__":
    main()
