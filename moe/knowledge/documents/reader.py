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
from ...errors import BadRequest
from .pages import Limits
from .turns import LOOK_EVERY_S, Turns

MOST_AT_ONCE = 2
MEMORY_BYTES = 1 << 30
KEPT_CHARS = 4_000_000
LONGEST_NAME = 200
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
        self._turns = Turns(MOST_AT_ONCE)
        self._lock = threading.Lock()
        self._kept: OrderedDict[bytes, str] = OrderedDict()
        self._kept_chars = 0

    def read(self, document: Document, *, watch: Callable[[], None], client: str = "", called: str = "") -> str:
        """Its text. `watch` is called while it waits; what that raises ends the reading. It takes a turn of `client`,
        who knows it as `called`, "" for by its name.

        Raises BadRequest, which names the file, and Busy.
        """
        name = called or name_of(document)
        data = self._decode(document, name)
        key = hashlib.sha256(data).digest()
        text = self._recall(key)
        if text is None:
            with self._turns.take(client, watch=watch, patience_s=PATIENCE * self._config.timeout_s):
                text = self._recall(key)  # somebody else's, meanwhile
                if text is None:
                    text = self._read(data, name, watch)
                    self._keep(key, text)
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
        sent = msgspec.json.encode(limits) + b"\n" + data
        deadline = time.monotonic() + limit_s
        said: list[bytes] = []
        with subprocess.Popen([sys.executable, "-B", "-m", "moe.knowledge.documents.reading"], cwd=ROOT,
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as child:
            # In a thread, since `communicate` with a time limit forgets what it has not sent by then.
            talk = threading.Thread(target=lambda: said.append(child.communicate(sent)[0]), daemon=True)
            talk.start()
            try:
                while talk.is_alive():
                    talk.join(LOOK_EVERY_S)
                    watch()
                    if talk.is_alive() and time.monotonic() > deadline:
                        raise BadRequest(f"{name} takes longer to read than documents.timeout_s ({limit_s:g}) allows")
            finally:
                child.kill()
                talk.join()
        return _understand(b"".join(said), child.returncode)

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
