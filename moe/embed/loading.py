"""Which encoder a config asks for, and the one that was opened last."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

from ..errors import NotReady
from .base import Embedder
from .lending import Lent, look_up, part_in
from .onnx import CARD, GRAPH, OnnxEmbedder, open_encoder
from .transformer import SentenceTransformerEmbedder

log = logging.getLogger("moe.embed")


def load_embedder(model_path: str | None, models_folder: Path) -> Embedder | None:
    """The encoder a config asks for; None where it asks for none, or where set-up has made none.

    `model_path`: None = the encoder made at set-up, "" = no encoder, else a folder or a model's name.
    Raises NotReady with the command that mends it.
    """
    if model_path == "":
        return None
    encoders = models_folder / "encoder"
    if model_path is None:
        pointer = encoders / "current"
        return open_encoder(encoders / pointer.read_text(encoding="utf-8").strip()) if pointer.is_file() else None
    places = (Path(model_path), models_folder.parent / model_path, encoders / Path(model_path).name)
    found = next((place for place in places if _has_encoder(place)), None)
    if found is not None:
        return open_encoder(found)
    folder = next((place for place in places if place.is_dir()), None)
    return SentenceTransformerEmbedder(str(folder) if folder is not None else model_path)


class Encoders:
    """Opens encoders and keeps the last: a reload that leaves it alone opens nothing. `open` is for one thread at a
    time."""

    def __init__(self, models_folder: Path) -> None:
        self._folder = models_folder
        self._kept: tuple[tuple[object, ...], Embedder | None] | None = None
        self._aside: tuple[tuple[object, ...], OnnxEmbedder] | None = None
        self._lending = threading.Lock()

    def describe(self, model_path: str | None) -> Lent | None:
        """The encoder for clients' texts, which is not opened for this; None where set-up has made none that can be
        used."""
        folder = self._folder_to_lend(model_path)
        try:
            return look_up(folder) if folder is not None else None
        except NotReady as error:
            log.warning("no encoder for embeddings: %s", error.message)
            return None

    def lend(self, lent: Lent) -> OnnxEmbedder:
        """The encoder for clients' texts: a part of the router's own, else opened now and kept. For any number of
        threads. Raises NotReady."""
        with self._lending:
            shared = part_in(self._kept[1], lent) if self._kept is not None else None
            if shared is not None:
                self._aside = None
                return shared
            key = (lent.folder, _stamp(lent.folder / CARD))
            if self._aside is None or self._aside[0] != key:
                self._aside = (key, OnnxEmbedder(lent.folder))
            return self._aside[1]

    def _folder_to_lend(self, model_path: str | None) -> Path | None:
        """Of the encoder that the config names, where it is one of ours, else of the one made at set-up."""
        encoders = self._folder / "encoder"
        if model_path:
            places = (Path(model_path), self._folder.parent / model_path, encoders / Path(model_path).name)
            found = next((place for place in places if (place / CARD).is_file()), None)
            if found is not None:
                return found
        pointer = encoders / "current"
        return encoders / pointer.read_text(encoding="utf-8").strip() if pointer.is_file() else None

    def open(self, model_path: str | None) -> Embedder | None:
        """As `load_embedder`."""
        key = (model_path, _stamp(self._folder / "encoder" / "current"))
        if self._kept is None or self._kept[0] != key:
            self._kept = (key, load_embedder(model_path, self._folder))
        return self._kept[1]


def _has_encoder(folder: Path) -> bool:
    return (folder / GRAPH).is_file() or (folder / CARD).is_file()


def _stamp(file: Path) -> tuple[int, int] | None:
    """What changes when a file is written anew; None when there is none."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size
