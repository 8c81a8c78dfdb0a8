"""The experts' vectors, kept on disk by content so that only new texts are ever encoded."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from ..embed import Embedder, Kind
from ..experts import Expert
from ..files import whole
from .scoring import ExpertVectors, Floats, stack_experts

KEPT_ROWS = 20_000
CHUNK_ROWS = 64

log = logging.getLogger(__name__)


def embed_experts(experts: Sequence[Expert], cache: VectorCache) -> ExpertVectors:
    """Vectors of each expert's keywords and description.

    An expert without keywords is known by its description, one without a description by its label.
    """
    descriptions = [expert.description.strip() or expert.label for expert in experts]
    keywords = [_keywords(expert) or [text] for expert, text in zip(experts, descriptions, strict=True)]
    rows = cache.rows([*descriptions, *(text for own in keywords for text in own)])
    ends = np.cumsum([len(descriptions), *map(len, keywords)])
    return stack_experts([rows[a:b] for a, b in zip(ends, ends[1:], strict=False)], rows[:ends[0]])


class VectorCache:
    """One file an encoder: rows keyed by the hash of their text. A file that cannot be read is made anew."""

    def __init__(
        self, folder: Path, embedder: Embedder, *, kind: Kind = "passage", kept_rows: int = KEPT_ROWS
    ) -> None:
        self._embedder = embedder
        self._kind = kind
        self._kept_rows = kept_rows
        self._file = folder / f"{embedder.fingerprint[:32]}{'-queries' if kind == 'query' else ''}.npz"

    def rows(self, texts: Sequence[str], *, told: Callable[[float], None] = lambda share: None) -> Floats:
        """[n, d], a row for each text; what was missing is encoded and written. `told` hears how far it is."""
        keys = [hashlib.sha256(f"{self._kind}\0{text}".encode("utf-8", "replace")).digest() for text in texts]
        known = self._read()
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in known}
        if missing:
            known = {**known, **dict(zip(missing, self._encode(list(missing.values()), told), strict=True))}
            kept = known if len(known) <= self._kept_rows else {key: known[key] for key in keys}
            self._write(kept)
        return np.stack([known[key] for key in keys])

    def _encode(self, texts: Sequence[str], told: Callable[[float], None]) -> Floats:
        parts = []
        for start in range(0, len(texts), CHUNK_ROWS):
            told(start / len(texts))
            parts.append(self._embedder.embed(texts[start:start + CHUNK_ROWS], kind=self._kind))
        return np.concatenate(parts)

    def _read(self) -> dict[bytes, Floats]:
        if not self._file.exists():
            return {}
        try:
            with self._file.open("rb") as file:
                stored = np.load(file, allow_pickle=False)
                keys, rows = stored["keys"], stored["rows"]
            if keys.shape != (len(rows), 32) or rows.shape[1:] != (self._embedder.dimension,):
                raise ValueError(f"shapes {keys.shape} and {rows.shape}")
            if keys.dtype != np.uint8 or rows.dtype != np.float32 or not np.isfinite(rows).all():
                raise ValueError("not hashes and finite float32 rows")
        except (OSError, ValueError, LookupError, EOFError, BadZipFile) as error:
            log.warning("%s is not a cache of vectors (%s); making it anew", self._file, error)
            return {}
        return dict(zip((key.tobytes() for key in keys), rows, strict=True))

    def _write(self, rows: dict[bytes, Floats]) -> None:
        """Whole or not at all; where nothing can be written the next start just encodes again."""
        keys = np.frombuffer(b"".join(rows), dtype=np.uint8).reshape(-1, 32)
        try:
            with whole(self._file) as file:
                np.savez(file, keys=keys, rows=np.stack(list(rows.values())))
        except OSError as error:
            log.warning("vectors cannot be kept in %s: %s", self._file.parent, error)


def _keywords(expert: Expert) -> list[str]:
    return [text for keyword in expert.keywords if (text := keyword.strip())]
