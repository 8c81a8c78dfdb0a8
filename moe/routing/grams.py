"""Pieces of words and the look of a prompt as a sparse vector; one implementation for fitting and for serving."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from .formats import FORMATS, find_formats
from .scoring import Floats

Ints = npt.NDArray[np.intp]

SHORTEST, LONGEST = 2, 5
HEAD_CHARS, TAIL_CHARS = 1_500, 500
MOST_GRAMS = 40_000
MANY_ROWS = 1_000
FORMAT_VALUE = 0.15
WORDS_KEPT = 8_192
# A word longer than this is read in pieces: what is so long is no word, or of a script without spaces.
_WORD = re.compile(r"\w{1,32}|[^\w\s]{1,8}")


class Sparse(NamedTuple):
    """One row: `values` at the places `ids`."""

    ids: Ints
    values: Floats


class Grams:
    """Sublinear TF-IDF of the grams inside words, of unit length, and beside it what formats are there.

    `names` in their order are the first columns, FORMATS the last; `idf` is that of the names.
    """

    def __init__(self, names: Sequence[str], idf: Floats) -> None:
        self.names = tuple(names)
        self.idf = idf
        self.width = len(names) + len(FORMATS)
        places = {name: place for place, name in enumerate(names)}

        def find(word: str) -> tuple[int, ...]:
            return tuple(place for gram in split_grams(word) if (place := places.get(gram)) is not None)

        self._find = lru_cache(maxsize=WORDS_KEPT)(find)

    def read(self, text: str, raw: str) -> Sparse:
        """`text` as it was cleaned, `raw` as it was sent."""
        count, find = Counter(split_words(text)), self._find
        found = [place for word, times in count.items() for place in find(word) * times]
        ids, times = np.unique(np.array(found, dtype=np.intp), return_counts=True)
        values = (1 + np.log(times, dtype=np.float32)) * self.idf[ids]
        values /= np.sqrt(np.einsum("i,i->", values, values)) or 1
        formats = np.array(find_formats(raw), dtype=np.intp) + len(self.names)
        marks = np.full(len(formats), FORMAT_VALUE, dtype=np.float32)
        return Sparse(np.concatenate((ids, formats)), np.concatenate((values, marks)))


def learn_grams(texts: Iterable[str]) -> Grams:
    """The grams of cleaned `texts` that are common enough to tell anything, each with its inverse frequency."""
    documents: Counter[str] = Counter()
    rows = 0
    for text in texts:
        rows += 1
        documents.update({gram for word in set(split_words(text)) for gram in split_grams(word)})
    least = 3 if rows > MANY_ROWS else 1
    kept = sorted(documents.items(), key=lambda item: (-item[1], item[0]))[:MOST_GRAMS]
    kept = sorted((gram, count) for gram, count in kept if count >= least)
    counts = np.array([count for _, count in kept], dtype=np.float32)
    return Grams([gram for gram, _ in kept], np.log((1 + rows) / (1 + counts)) + np.float32(1))


def split_words(text: str) -> list[str]:
    """The words and marks of the beginning and the end of `text`, in small letters and compatibility form."""
    if len(text) > HEAD_CHARS + TAIL_CHARS:
        text = f"{text[:HEAD_CHARS]} {text[-TAIL_CHARS:]}"
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    return _WORD.findall(text.lower())


def split_grams(word: str) -> list[str]:
    """The pieces of one word, its ends marked by a space."""
    padded = f" {word} "
    size = len(padded)
    return [padded[start:start + length] for length in range(SHORTEST, min(LONGEST, size) + 1)
            for start in range(size - length + 1)]
