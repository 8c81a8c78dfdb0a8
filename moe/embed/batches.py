"""What all encoders share: prefixes, the cut, the cache of queries, and texts that are encoded together."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np

from .base import Kind, Rows, excerpt

Encode = Callable[[Sequence[str]], Rows]

BATCH_ROWS = 16
QUERIES_KEPT = 1024


class Batch:
    """Texts that will be encoded in one run; whoever put in the first one runs it for all."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.rows: Rows | None = None
        self.over = threading.Event()


class BatchEncoder:
    """Gathers the texts that arrive while the encoder is busy, and encodes them together when it is free."""

    def __init__(self, encode: Encode) -> None:
        self._encode = encode
        self._engine = threading.Lock()
        self._gate = threading.Lock()
        self._open = Batch()

    def encode_one(self, text: str) -> Rows:
        """The text's row [d]. When a batch fails its leader gets the error and each of the others runs alone."""
        with self._gate:
            if len(self._open.texts) == BATCH_ROWS:
                self._open = Batch()
            batch = self._open
            place = len(batch.texts)
            batch.texts.append(text)
        if place == 0:
            self._lead(batch)
        else:
            batch.over.wait()
        rows = batch.rows
        row: Rows = self.encode_all([text])[0] if rows is None else rows[place].copy()
        row.flags.writeable = False  # the cache gives the same row to everyone
        return row

    def encode_all(self, texts: Sequence[str]) -> Rows:
        """Rows [n, d], made in runs of similar length so that little is padded."""
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        parts = []
        for start in range(0, len(order), BATCH_ROWS):
            with self._engine:
                parts.append(self._encode([texts[i] for i in order[start:start + BATCH_ROWS]]))
        rows = np.concatenate(parts)
        rows[order] = rows.copy()
        return rows

    def _lead(self, batch: Batch) -> None:
        try:
            with self._engine:
                with self._gate:
                    if self._open is batch:
                        self._open = Batch()
                batch.rows = self._encode(batch.texts)
        finally:
            batch.over.set()


class CachedEmbedder:
    """Gives `encode` what a text needs, in batches; the rows of the last `kept` queries stay at hand."""

    dimension: int

    def __init__(self, encode: Encode, *, prefixes: dict[Kind, str], max_chars: int, kept: int) -> None:
        self._prefixes = prefixes
        self._max_chars = max_chars
        self._batches = BatchEncoder(encode)
        self._encode_query = lru_cache(maxsize=kept)(self._batches.encode_one)

    def embed(self, texts: Sequence[str], *, kind: Kind) -> Rows:
        if not texts:
            return np.empty((0, self.dimension), dtype=np.float32)
        prefix = self._prefixes[kind]
        ready = [prefix + valid(excerpt(text, self._max_chars)) for text in texts]
        if kind == "query" and len(ready) == 1:
            return self._encode_query(ready[0])[np.newaxis]
        return self._batches.encode_all(ready)


def valid(text: str) -> str:
    """`text` without lone surrogates, which JSON can carry and no tokenizer takes."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")
