"""Words as keywords see them: folded, split by their script's rules, and what a word may stand for."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

_ENDINGS = (("s", 3), ("es", 4), ("e", 5), ("n", 5), ("en", 5))
# Thai and Lao, Burmese, Khmer, Japanese, Chinese: no spaces between words.
_UNSPACED = ("\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
             "\U00020000-\U0003ffff")
# Indic scripts, whose vowel signs no regular expression counts as parts of a word.
_INDIC = "\u0900-\u0963\u0966-\u0dff"
_ASCII_WORD = re.compile(r"[a-z0-9]+(?:\+\+|#)?")
_WORD = re.compile(rf"[{_UNSPACED}]|(?:[^\W_{_UNSPACED}]|[{_INDIC}])+(?:\+\+|#)?")
_UNSPACED_CHARACTER = re.compile(f"[{_UNSPACED}]")
_MARKS = re.compile("[\u0300-\u036f\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0670\u00ad\u200b-\u200f\u2060\ufeff]+")
_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue"})


def fold(text: str) -> str:
    """`text` without case, accents and invisible marks, in compatibility form."""
    if text.isascii():
        return text.lower()
    bare = _MARKS.sub("", unicodedata.normalize("NFKD", text.casefold()))
    return unicodedata.normalize("NFC", bare).casefold()


def split_words(folded: str) -> list[str]:
    """The words of folded text; in scripts without spaces each character is one."""
    return (_ASCII_WORD if folded.isascii() else _WORD).findall(folded)


def is_unspaced(word: str) -> bool:
    """Whether `word` is one character of a script without spaces."""
    return _UNSPACED_CHARACTER.match(word) is not None


def spell_out(keyword: str) -> str:
    """A keyword as it is typed where there are no umlauts: "ae", "oe", "ue"."""
    return unicodedata.normalize("NFC", keyword.casefold()).translate(_UMLAUTS)


def find_bases(word: str) -> Iterator[str]:
    """What `word` may be a plural or a case of, in English, German and Spanish."""
    for ending, least in _ENDINGS:
        if word.endswith(ending) and not word.endswith("ss") and len(word) - len(ending) >= least:
            yield word[:-len(ending)]
    stem = word.rstrip("+#")
    if stem != word:
        yield stem


def is_substitution(word: str, known: str) -> bool:
    """Whether only letters of `known` were taken for others, not left out, added or swapped."""
    return len(word) == len(known) and sorted(word) != sorted(known)


def has_digit(word: str) -> bool:
    return any(character.isdigit() for character in word)
