"""Text to what a graph is fed: for BERT its word pieces, for the Universal Sentence Encoder its pieces' vectors too."""

from __future__ import annotations

import os
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from .. import engines
from ..errors import NotReady
from .base import MAX_TOKENS, cut

Feeds = dict[str, Any]

WORDS, PIECES, TABLE = "tokenizer.json", "sentencepiece.model", "table.bin"
ROW_BYTES = 512


class Reader(Protocol):
    """`most_tokens` is what it reads of a long text: more would not be worth the time it takes."""

    most_tokens: int

    def read(self, text: str, limit: int) -> Feeds:
        """The graph's inputs for at most `limit` tokens, of the text's beginning and its end."""

    def split(self, text: str) -> list[int]:
        """All of the text's tokens, between the marks of its beginning and its end."""

    def feed(self, tokens: Sequence[int]) -> Feeds:
        """The graph's inputs for these tokens."""


def open_reader(folder: Path) -> Reader:
    """The reader for the encoder in `folder`. Raises NotReady."""
    return PieceReader(folder) if (folder / PIECES).is_file() else WordReader(folder)


class WordReader:
    """For a BERT. Every token goes through all of its layers, some 0.1 ms each."""

    most_tokens = MAX_TOKENS // 2

    def __init__(self, folder: Path) -> None:
        self._tokenizer = engines.open_tokenizer(folder / WORDS)

    def read(self, text: str, limit: int) -> Feeds:
        return self.feed(cut(self.split(text), limit))

    def split(self, text: str) -> list[int]:
        return list(self._tokenizer.encode(text).ids)

    def feed(self, tokens: Sequence[int]) -> Feeds:
        ids = np.array([tokens], dtype=np.int64)
        return {"input_ids": ids, "attention_mask": np.ones_like(ids)}


class PieceReader:
    """For the Universal Sentence Encoder, whose graph takes the tokens' rows of the table beside their ids."""

    most_tokens = MAX_TOKENS

    def __init__(self, folder: Path) -> None:
        self._pieces = engines.open_pieces(folder / PIECES)
        self._table = Table(folder / TABLE)
        if self._table.count < len(self._pieces):
            raise NotReady(f"{TABLE} has {self._table.count} rows for {len(self._pieces)} pieces")

    def read(self, text: str, limit: int) -> Feeds:
        return self.feed(cut(self.split(text), limit))

    def split(self, text: str) -> list[int]:
        return list(self._pieces.encode(text, add_bos=True, add_eos=True))

    def feed(self, tokens: Sequence[int]) -> Feeds:
        return {"input_ids": np.array([tokens], dtype=np.int64), "rows": self._table.take(tokens)}


class Table:
    """The tokens' vectors in a file. They are read when they are needed: the kernel keeps the common ones at hand and
    may drop them, where a mapped file would count as this process's memory, all 66 MB of it after some hundred texts.
    """

    def __init__(self, file: Path) -> None:
        """Raises NotReady."""
        try:
            self._descriptor = os.open(file, os.O_RDONLY)
        except OSError as error:
            raise NotReady(f"{file.name} cannot be read: {error.strerror}") from error
        weakref.finalize(self, os.close, self._descriptor)
        self.count = os.fstat(self._descriptor).st_size // ROW_BYTES

    def take(self, ids: Sequence[int]) -> Any:
        """Rows [t, 512] of bytes; each id is below `count`."""
        rows = b"".join([os.pread(self._descriptor, ROW_BYTES, ROW_BYTES * token) for token in ids])
        return np.frombuffer(rows, dtype=np.uint8).reshape(len(ids), ROW_BYTES)
