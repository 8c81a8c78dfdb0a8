"""Which encoder a config asks for, and the one that was opened last."""

from __future__ import annotations

from pathlib import Path

from .base import Embedder
from .onnx import CARD, GRAPH, open_encoder
from .transformer import SentenceTransformerEmbedder


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
    """Opens encoders and keeps the last: a reload that leaves it alone opens nothing. For one thread at a time."""

    def __init__(self, models_folder: Path) -> None:
        self._folder = models_folder
        self._kept: tuple[tuple[object, ...], Embedder | None] | None = None

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
