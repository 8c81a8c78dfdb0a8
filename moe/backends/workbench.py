"""A model in the models folder made of a file that a client sent, where no Ollama is there to make it."""

from __future__ import annotations

import os
import re
import shutil
from contextlib import suppress
from pathlib import Path

from ..aliases import Draft, plain
from ..errors import BadRequest, NotReady, Unavailable
from .blobs import Blobs, read_digest
from .llama.header import read_header
from .location import confine

_UNSAFE = re.compile(r"[^A-Za-z0-9_.-]+")


def make_file(draft: Draft, blobs: Blobs, folder: Path, *, replaces: str) -> tuple[str, str]:
    """The file's name in `folder`, and its sha256. `replaces` is a file that may be written over, "" for none.

    Raises BadRequest for what only an Ollama could make, and Unavailable when it cannot be written.
    """
    unfit = next((what for what in ("adapters", "quantize", "template") if getattr(draft, what)), "")
    if unfit:
        raise BadRequest(f"{unfit} needs an Ollama, and none can be reached", param=unfit)
    if len(draft.files) != 1:
        raise BadRequest("a model of several files needs an Ollama, and none can be reached", param="files")
    digest = next(iter(draft.files.values()))
    blob = blobs.find(digest)
    if blob is None:
        raise BadRequest(f'blob "{digest}" not found: send it first', param="files")
    try:
        read_header(blob)
    except NotReady as error:
        raise BadRequest(f"the file is no usable GGUF model: {error.message}", param="files") from error
    name = f"{_UNSAFE.sub('-', plain(draft.name)).strip('.-')}.gguf"
    target = confine(name, folder)
    if target.exists() and name != replaces:
        raise BadRequest(f"{name} is in the models folder already: choose another name", param="model")
    _move(blob, target)
    return name, read_digest(digest)


def _move(blob: Path, target: Path) -> None:
    """Whole or not at all, between two disks too."""
    part = target.with_name(f".{target.name}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(blob, part)
        os.replace(part, target)
    except OSError as error:
        with suppress(OSError):
            part.unlink()
        raise Unavailable(f"the models folder cannot be written: {error.strerror or error}") from error
