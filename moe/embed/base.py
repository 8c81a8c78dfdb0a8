"""What an encoder is to the rest of the house, and how much of a text it reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

Kind = Literal["query", "passage"]
Rows = npt.NDArray[np.float32]

MAX_TOKENS = 128
CHARS_PER_TOKEN = 4

Token = TypeVar("Token")


class Embedder(Protocol):
    """`fingerprint` changes whenever a passage's vector would: a cache of vectors is keyed by it."""

    name: str
    fingerprint: str
    dimension: int

    def embed(self, texts: Sequence[str], *, kind: Kind) -> Rows:
        """One unit row for each text; safe to call from many threads."""


def excerpt(text: str, max_chars: int) -> str:
    """`text` if it is short, else its beginning and its end: a question stands before or after what it is about."""
    if len(text) <= max_chars:
        return text
    head = 3 * max_chars // 4
    return f"{text[:head]} {text[head + 1 - max_chars:]}"


def cut(tokens: list[Token], limit: int) -> list[Token]:
    """The same for tokens, of which some texts have far more than others of the same length."""
    if len(tokens) <= limit:
        return tokens
    head = 3 * limit // 4
    return tokens[:head] + tokens[head - limit:]
