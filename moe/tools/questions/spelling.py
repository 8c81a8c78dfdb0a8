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


def flatten(word: str) -> str:
    """A word without its accents and umlauts."""
    return word.translate(_PLAIN)
