"""Which encoder makes vectors of clients' texts: the router's own, or the one part of it that is known by its name."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from ..errors import NotReady
from .base import Embedder
from .onnx import CARD, GRAPH, JoinedEmbedder, OnnxEmbedder, read_card

PREFERRED = "all-MiniLM-L6-v2"


class Lent(NamedTuple):
    """What an encoder's card says, and its file."""

    folder: Path
    name: str
    dimension: int
    whole_tokens: int
    digest: str
    size_bytes: int
    modified: float


def look_up(folder: Path) -> Lent:
    """The encoder in `folder`; of one that joins several, MiniLM, else its first part. Raises NotReady."""
    about = read_card(folder)
    parts = about.get("parts")
    if isinstance(parts, list) and parts:
        folder = folder.parent / Path(PREFERRED if PREFERRED in parts else str(parts[0])).name
        about = read_card(folder)
    try:
        graph, card = (folder / GRAPH).stat(), (folder / CARD).stat()
        return Lent(folder, str(about["name"]), int(about["dimension"]), int(about["max_tokens"]),
                    str(about["sha256"]), graph.st_size, card.st_mtime)
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise NotReady(f"{folder} is not an encoder ({error}): run ./setup.sh") from error


def part_in(embedder: Embedder | None, lent: Lent) -> OnnxEmbedder | None:
    """The same encoder, where `embedder` is it or joins it with others."""
    parts = embedder.parts if isinstance(embedder, JoinedEmbedder) else (embedder,)
    return next((part for part in parts if isinstance(part, OnnxEmbedder) and part.folder == lent.folder), None)
