"""Files as text, from the server's side: a process for each, a few at once, and the same file only once."""

from __future__ import annotations

import base64
import binascii
import hashlib
import logging
import math
import subprocess
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable

import msgspec
from msgspec import Struct

from ...config.schema import DocumentsConfig
from ...config.settings import ROOT
from ...core import Document
from ...errors import BadRequest, Busy
from .pages import Limits

MOST_AT_ONCE = 2
MEMORY_BYTES = 1 << 30
KEPT_CHARS = 4_000_000
LONGEST_NAME = 200
LOOK_EVERY_S = 0.25
PATIENCE = 4  # a file waits for its turn as long as so many others may take
NAMELESS = "the file"

log = logging.getLogger("moe.documents")


class _Told(Struct):
    """What the reading process says; `detail` is for the log."""

    text: str = ""
    fault: str = ""
    detail: str = ""


class Reader:
    """Keeps what it read in memory and nowhere else. Thread-safe."""

    def __init__(self, config: DocumentsConfig) -> None:
        self._config = config
        self._places = threading.BoundedSemaphore(MOST_AT_ONCE)
        self._lock = threading.Lock()
        self._kept: OrderedDict[bytes, str] = OrderedDict()
        self._kept_chars = 0

    def read(self, document: Document, *, watch: Callable[[], None]) -> str:
        """Its text. `watch` is called while it waits; what that raises ends the reading.

        Raises BadRequest, which names the file, and Busy.
        """
        name = name_of(document)
        data = self._decode(document, name)
        key = hashlib.sha256(data).digest()
        text = self._recall(key)
        if text is None:
            self._await_place(watch)
            try:
                text = self._recall(key)  # somebody else's, meanwhile
                if text is None:
                    text = self._read(data, name, watch)
                    self._keep(key, text)
            finally:
                self._places.release()
        return text

    def _decode(self, document: Document, name: str) -> bytes:
        limit = self._config.max_bytes
        if len(document.data) * 3 // 4 > limit + 3:
            raise BadRequest(f"{name} is larger than documents.max_bytes ({limit}) allows")
        try:
            data = base64.b64decode("".join(document.data.split()), validate=True)
        except (binascii.Error, ValueError) as error:
            raise BadRequest(f"{name}: invalid base64 data") from error
        if len(data) > limit:
            raise BadRequest(f"{name} is larger than documents.max_bytes ({limit}) allows")
        return data

    def _await_place(self, watch: Callable[[], None]) -> None:
        deadline = time.monotonic() + PATIENCE * self._config.timeout_s
        while not self._places.acquire(timeout=LOOK_EVERY_S):
            watch()
            if time.monotonic() > deadline:
                raise Busy

    def _read(self, data: bytes, name: str, watch: Callable[[], None]) -> str:
        told = self._run(data, name, watch)
        if told.detail:
            log.info("a file could not be read: %s", told.detail)
        if told.fault:
            raise BadRequest(f"{name} {told.fault}")
        return told.text

    def _run(self, data: bytes, name: str, watch: Callable[[], None]) -> _Told:
        """One process, which does not outlive this call."""
        limit_s = self._config.timeout_s
        limits = Limits(pages=self._config.max_pages, chars=self._config.max_chars, cpu_s=math.ceil(limit_s) + 1,
                        memory_bytes=MEMORY_BYTES)
        sent: bytes | None = msgspec.json.encode(limits) + b"\n" + data
        deadline = time.monotonic() + limit_s
        with subprocess.Popen([sys.executable, "-B", "-m", "moe.knowledge.documents.reading"], cwd=ROOT,
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as child:
            try:
                while True:
                    try:
                        said, _ = child.communicate(sent, timeout=LOOK_EVERY_S)
                        break
                    except subprocess.TimeoutExpired:
                        sent = None  # it goes on with what it has
                    watch()
                    if time.monotonic() > deadline:
                        raise BadRequest(f"{name} takes longer to read than documents.timeout_s ({limit_s:g}) allows")
            finally:
                child.kill()
        return _understand(said, child.returncode)

    def _recall(self, key: bytes) -> str | None:
        with self._lock:
            text = self._kept.get(key)
            if text is not None:
                self._kept.move_to_end(key)
            return text

    def _keep(self, key: bytes, text: str) -> None:
        with self._lock:
            if key in self._kept:
                return
            self._kept[key] = text
            self._kept_chars += len(text)
            while self._kept_chars > KEPT_CHARS:
                self._kept_chars -= len(self._kept.popitem(last=False)[1])


def name_of(document: Document) -> str:
    """What the file is called, fit for a line of text and for quotes around it."""
    plain = "".join(sign if sign.isprintable() and sign not in '"<>' else "_" for sign in document.name[:LONGEST_NAME])
    return plain.strip() or NAMELESS


def _understand(said: bytes, code: int) -> _Told:
    try:
        return msgspec.json.decode(said, type=_Told)
    except msgspec.DecodeError:
        return _Told(fault="cannot be read: it brings down whoever tries", detail=f"exit code {code}")
