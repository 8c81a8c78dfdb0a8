"""How people write who leave out accents and umlauts."""

from __future__ import annotations

import re

_WAYS = {"á": "[áa]", "é": "[ée]", "í": "[íi]", "ó": "[óo]", "ú": "[úu]", "ñ": "[ñn]",
         "ä": "(?:ä|ae?)", "ö": "(?:ö|oe?)", "ü": "(?:ü|ue?)", "ß": "(?:ß|ss)"}
_PLAIN = str.maketrans("áéíóúñäöü", "aeiounaou")
# What is escaped and what stands in a class is left as it is.
_PIECES = re.compile(r"\\.|\[(?:\\.|[^\]\\])*\]|[áéíóúñäöüß]")


def loosen(pattern: str) -> str:
    """A pattern that takes a word without its accents or umlauts too."""
    return _PIECES.sub(lambda piece: _WAYS.get(piece[0], piece[0]), pattern)


class Phrase:
    """One way to ask, as a pattern over small letters, taken without its accents too.

    There are hundreds of them, and most prompts come near none, so each is compiled when it is first tried.
    """

    __slots__ = ("_compiled", "_flags", "_pattern")

    def __init__(self, pattern: str, flags: int = 0) -> None:
        self._pattern = pattern
        self._flags = flags
        self._compiled: re.Pattern[str] | None = None

    def fullmatch(self, text: str) -> re.Match[str] | None:
        compiled = self._compiled
        if compiled is None:
            compiled = self._compiled = re.compile(loosen(self._pattern), self._flags)
        return compiled.fullmatch(text)


def flatten(word: str) -> str:
    """A word without its accents and umlauts."""
    return word.translate(_PLAIN)
