"""A tokenizer.json as prompts and answers need it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from ... import engines
from ..dialogue.speech import MARKS
from ..logprobs import spell

_BYTE = re.compile("<0x([0-9A-F]{2})>")
# Byte-level vocabularies spell a byte that cannot be shown as one of the letters from 256 on, in the bytes' order.
_SHOWN = frozenset({*range(33, 127), *range(161, 173), *range(174, 256)})
_HIDDEN = [byte for byte in range(256) if byte not in _SHOWN]
_BYTES = {chr(byte): byte for byte in _SHOWN} | {chr(256 + place): byte for place, byte in enumerate(_HIDDEN)}


class Vocabulary:
    """Thread-safe. `silent` are the tokens that add nothing to an answer."""

    fill_tokens = (-1, -1, -1)  # filling gaps is not offered
    longest_run = 0

    def __init__(self, file: Path, *, bos: str) -> None:
        """`bos`: the text of the token for the beginning. Raises EngineError."""
        self._tokenizer = engines.open_tokenizer(file)
        self.token_count: int = self._tokenizer.get_vocab_size()
        self.controls = engines.list_controls(self._tokenizer)
        self.silent = frozenset(token for token, text in self.controls.items() if text not in MARKS)
        marks = engines.encode(self._tokenizer, [""], adds_marks=True)
        self.first_token = marks[0] if marks and marks[0] == self.find(bos) else -1

    def find(self, token: str) -> int:
        """The number of the token with this text, -1 where there is none."""
        found = self._tokenizer.token_to_id(token)
        return -1 if found is None else int(found)

    def tokenize(self, text: str, *, special: bool = True) -> list[int]:
        """Without marks for beginning and end. A text that is not `special` is cut, so that it is no control token."""
        return engines.encode(self._tokenizer, [text] if special else [text[:1], text[1:]], adds_marks=False)

    def tokenize_whole(self, text: str) -> list[int]:
        """With the marks that the tokenizer itself puts around a text."""
        return engines.encode(self._tokenizer, [text], adds_marks=True)

    def spell(self, token: int) -> str:
        """The bytes of a token that is no whole character, as TokenLogprob holds them; "" where they are not known."""
        piece = self._tokenizer.id_to_token(token) or ""
        byte = _BYTE.fullmatch(piece)
        if byte:
            return spell(bytes.fromhex(byte[1]))
        return spell(bytes(_BYTES[letter] for letter in piece)) if _BYTES.keys() >= set(piece) else ""

    def decode(self, ids: Sequence[int]) -> str:
        """The text of tokens that are not `silent`."""
        return str(self._tokenizer.decode(ids, skip_special_tokens=False))
