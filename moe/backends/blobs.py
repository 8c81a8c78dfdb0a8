"""Files that clients send before they make a model of them, kept by their digest until then."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
import time
from collections.abc import Generator
from contextlib import suppress
from pathlib import Path
from typing import IO

from ..errors import BadRequest, Unavailable

PIECE_BYTES = 1 << 20
KEPT_S = 24 * 3600.0
_DIGEST = re.compile(r"sha256[:-]([0-9a-f]{64})")


class Blobs:
    """A folder of them; what no model was made of within a day goes when the next one comes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def find(self, digest: str) -> Path | None:
        file = self._folder / f"sha256-{read_digest(digest)}"
        return file if file.is_file() else None

    def take(self, digest: str, content: IO[bytes]) -> Generator[bytes, None, None]:
        """Keeps what `content` holds; b"" after each piece. Raises BadRequest when it has another digest."""
        wanted, state = read_digest(digest), hashlib.sha256()
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._forget_old()
            handle, name = tempfile.mkstemp(dir=self._folder, suffix=".part")
            try:
                with os.fdopen(handle, "wb") as out:
                    while piece := content.read(PIECE_BYTES):
                        state.update(piece)
                        out.write(piece)
                        yield b""
                if state.hexdigest() != wanted:
                    told = f'digest mismatch, expected "sha256:{wanted}", got "sha256:{state.hexdigest()}"'
                    raise BadRequest(told)
                Path(name).replace(self._folder / f"sha256-{wanted}")
            finally:
                Path(name).unlink(missing_ok=True)
        except OSError as error:
            raise Unavailable(f"the file cannot be kept: {error.strerror or error}") from error

    def _forget_old(self) -> None:
        for file in self._folder.glob("*"):
            with suppress(OSError):  # another request took it
                if file.stat().st_mtime < time.time() - KEPT_S:
                    file.unlink()


def read_digest(text: str) -> str:
    """The 64 digits of `sha256:…`. Raises BadRequest."""
    found = _DIGEST.fullmatch(text)
    if found is None:
        raise BadRequest("invalid digest format")
    return found[1]
