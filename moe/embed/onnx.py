"""The encoders that set-up makes: a folder with a graph, or one that joins two of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .. import engines
from ..errors import NotReady
from .base import CHARS_PER_TOKEN, Embedder, Kind, Rows
from .batches import QUERIES_KEPT, CachedEmbedder, valid
from .readers import open_reader

GRAPH, CARD = "model.onnx", "encoder.json"


def open_encoder(folder: Path) -> Embedder:
    """The encoder whose card lies in `folder`; one of several `parts` joins the folders of those names beside it.

    Raises NotReady with the command that mends it.
    """
    about = read_card(folder)
    if "parts" not in about:
        return OnnxEmbedder(folder)
    try:
        parts = [OnnxEmbedder(folder.parent / Path(name).name) for name in about["parts"]]
        return JoinedEmbedder(str(about["name"]), parts, about["weights"], quick=about.get("quick"))
    except (ValueError, KeyError, TypeError) as error:
        raise _no_encoder(folder, error) from error


class OnnxEmbedder(CachedEmbedder):
    """A graph, its tokenizer and its card. `whole_tokens` is the longest text it was made for; the router, which must
    be quick, reads less."""

    def __init__(self, folder: Path, *, queries_kept: int = QUERIES_KEPT) -> None:
        """Raises NotReady."""
        about = read_card(folder)
        self.folder = folder
        try:
            self._reader = open_reader(folder)
            self._session = engines.open_session(folder / GRAPH)
        except NotReady as error:
            raise NotReady(f"the encoder in {folder} cannot be loaded ({error}): run ./setup.sh") from error
        try:
            self.name = str(about["name"])
            self.dimension = int(about["dimension"])
            self.whole_tokens = int(about["max_tokens"])
            self._most_tokens = min(self.whole_tokens, self._reader.most_tokens)
            prefixes: dict[Kind, str] = {"query": about["query_prefix"], "passage": about["passage_prefix"]}
            made_of = [about["sha256"], about.get("files"), self._most_tokens, prefixes["passage"]]
        except (ValueError, KeyError, TypeError) as error:
            raise _no_encoder(folder, error) from error
        self.fingerprint = _digest(made_of)
        super().__init__(self._run, prefixes=prefixes, max_chars=CHARS_PER_TOKEN * self._most_tokens,
                         kept=queries_kept)

    def split(self, text: str) -> list[int]:
        """The tokens of the text as it stands, however many."""
        return self._reader.split(valid(text))

    def run_tokens(self, tokens: Sequence[int]) -> Rows:
        """Their unit row [1, d]. Waits for nobody: the graph can run for several threads."""
        rows: Rows = self._session.run(["embedding"], self._reader.feed(tokens))[0]
        return rows

    def _run(self, texts: Sequence[str]) -> Rows:
        """Each text is a run of its own: an int8 model scales a whole batch at once, so that a text's vector
        would depend on its neighbours, and a batch gains next to nothing on one thread."""
        return np.concatenate([self._run_one(text) for text in texts])

    def _run_one(self, text: str) -> Rows:
        rows: Rows = self._session.run(["embedding"], self._reader.read(text, self._most_tokens))[0]
        return rows


class Quick(NamedTuple):
    """A part that takes a fraction of the whole's time; its own direction is at `columns` of the whole's rows."""

    embedder: Embedder
    columns: slice


class JoinedEmbedder:
    """Encoders side by side: a cosine of theirs is the mean of the parts' cosines by their `weights`."""

    def __init__(self, name: str, parts: Sequence[Embedder], weights: Sequence[float], *,
                 quick: str | None = None) -> None:
        """`quick` names the part that may be asked first. Raises ValueError unless each part has a weight above 0."""
        if not parts or len(parts) != len(weights) or min(weights) <= 0:
            raise ValueError("each part needs a weight above 0")
        self.name = name
        self.dimension = sum(part.dimension for part in parts)
        self.fingerprint = _digest([[part.fingerprint for part in parts], [float(weight) for weight in weights]])
        ends = np.cumsum([0, *(part.dimension for part in parts)]).tolist()
        self.quick = next((Quick(part, slice(ends[i], ends[i + 1])) for i, part in enumerate(parts)
                           if part.name == quick), None)
        self.parts = tuple(parts)
        self._scales = np.sqrt(np.array(weights, dtype=np.float32) / sum(weights))

    def embed(self, texts: Sequence[str], *, kind: Kind) -> Rows:
        """Each part keeps its own queries, so that nothing is run again for a text that was just asked."""
        rows = [part.embed(texts, kind=kind) * scale for part, scale in zip(self.parts, self._scales, strict=True)]
        return np.concatenate(rows, axis=1)


def find_quick(embedder: Embedder) -> Quick | None:
    """The part of an encoder that is asked first; None for one that is whole."""
    return embedder.quick if isinstance(embedder, JoinedEmbedder) else None


def read_card(folder: Path) -> dict[str, Any]:
    """What is written on an encoder's card. Raises NotReady."""
    try:
        about = json.loads((folder / CARD).read_text(encoding="utf-8"))
        if not isinstance(about, dict):
            raise TypeError(f"{CARD} is no JSON object")
    except (OSError, ValueError, TypeError) as error:
        raise _no_encoder(folder, error) from error
    return about


def _no_encoder(folder: Path, error: Exception) -> NotReady:
    return NotReady(f"{folder} is not an encoder ({error}): run ./setup.sh")


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
