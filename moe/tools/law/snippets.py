"""What a search finds, shown in whole sentences."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ...errors import ToolError
from ...store.law_names import fold, spell_umlauts
from .sentences import split_sentences

LONGEST = 300
MOST_WORDS = 20
SHORTEST_STEM = 4

_TERM = re.compile(r"[\"“„»]([^\"“”„«»]+)[\"”“«]|([^\s\"“”„«»]+)")
_LETTERS = re.compile(r"[^\W_]+")


class Query:
    """Words and phrases that must all occur; `strict` and `loose` say so in the language of FTS5, `loose` with any
    endings. Raises ToolError where there is no word."""

    def __init__(self, text: str) -> None:
        if len(text) > LONGEST:
            raise ToolError(f"the query is longer than {LONGEST} characters")
        terms = [" ".join(_LETTERS.findall(found[1] or found[2])) for found in _TERM.finditer(text)]
        self.terms = tuple(filter(None, terms))
        if not self.terms:
            raise ToolError('the query has no word; give words that must all occur, or a phrase in "quotes"')
        if len(self.terms) > MOST_WORDS:
            raise ToolError(f"the query has more than {MOST_WORDS} words")
        self.strict = " AND ".join(_any_of(term, "") for term in self.terms)
        self.loose = " AND ".join(_any_of(term, "*" if len(term) >= SHORTEST_STEM else "") for term in self.terms)
        self._folded = tuple(tuple(f" {fold(each)}" for each in spellings(term)) for term in self.terms)

    def show(self, paragraphs: Sequence[str]) -> str:
        """The sentence in which most of the words occur, the first of those."""
        sentences = [sentence for paragraph in paragraphs for sentence in split_sentences(paragraph)]
        if not sentences:
            return ""
        return max(sentences, key=self._count)

    def _count(self, sentence: str) -> int:
        folded = f" {fold(sentence)}"
        return sum(any(each in folded for each in term) for term in self._folded)


def spellings(term: str) -> tuple[str, ...]:
    """A word as it may stand in a law: "Straße" as "Strasse", "Käufer" as "Kaeufer", and the other way round. The
    index knows no accents."""
    plain = spell_umlauts(term)
    sharp = tuple(each.replace("ss", "ß") for each in (term, plain))
    return tuple(dict.fromkeys((term, plain, *sharp, term.replace("ß", "ss"), plain.replace("ß", "ss"))))


def _any_of(term: str, ending: str) -> str:
    return "(" + " OR ".join(f'"{each}"{ending}' for each in spellings(term)) + ")"
