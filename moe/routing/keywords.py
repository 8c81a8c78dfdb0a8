"""Keywords: which experts a text names, whatever its case, accents, punctuation, plurals or small typos."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import islice
from typing import NamedTuple

from rapidfuzz import process
from rapidfuzz.distance import OSA

from .words import find_bases, fold, has_digit, is_substitution, is_unspaced, spell_out, split_words

# Of a huge text its beginning and its end are read; typos are looked for in the first words only.
READ_CHARS = 20_000
CORRECTED_WORDS = 1_000
LONGEST_WORD = 40
WORDS_KEPT = 8_192

INFLECTED = 0.9
MISSPELT = 0.6
PHRASE_BONUS = 0.5
# A word out of a phrase: two of them pass the usual threshold of 0.2, one does not.
HINT = 0.2
HINT_CHARS = 5
# What stands against the keywords found: the weight of "no expert fits".
DOUBT = 1.0

Words = tuple[str, ...]
Readings = tuple[tuple[str, float], ...]


class Phrase(NamedTuple):
    """One keyword: the experts that have it, and how much finding it says."""

    words: str
    owners: tuple[int, ...]
    weight: float


class Node:
    """A step in the tree of all keywords, word by word."""

    __slots__ = ("next", "phrase")

    def __init__(self) -> None:
        self.next: dict[str, Node] = {}
        self.phrase: Phrase | None = None


class Match(NamedTuple):
    """A keyword found: how exactly (0 to 1), and over how many words of the text."""

    phrase: Phrase
    exactness: float
    length: int


class KeywordIndex:
    """All experts' keywords, compiled. Experts are known by their place in the list given."""

    def __init__(self, keywords: Sequence[Iterable[str]]) -> None:
        self._experts = len(keywords)
        self._root = Node()
        owners: dict[Words, list[int]] = {}
        for expert, own in enumerate(keywords):
            for words in {_words(keyword) for keyword in own}:
                owners.setdefault(words, []).append(expert)
        phrases = {words: _phrase(words, own) for words, own in owners.items()}
        others = {_words(spell_out(keyword)): phrases[_words(keyword)] for own in keywords for keyword in own}
        spellings = {**others, **phrases}
        for words, phrase in spellings.items():
            self._add(words, phrase)
        vocabulary = {word for words in spellings for word in words}
        self._hints = _find_hints(owners)
        self._exact: dict[str, Readings] = {word: ((word, 1.0),) for word in vocabulary}
        self._long: dict[str, list[str]] = {}
        for word in sorted(vocabulary):
            if len(word) >= 6 and not has_digit(word):
                self._long.setdefault(word[0], []).append(word)
        self._read = lru_cache(maxsize=WORDS_KEPT)(self._read_word)

    def rate(self, text: str) -> tuple[list[float], int]:
        """Each expert's share of what the keywords in `text` say, and the place of the best, -1 for none.

        Distinct keywords count once each, a phrase more than a word; a keyword of several experts is shared out;
        a word out of one expert's phrases is a hint. An expert's share is its weight over the weight of all, doubt
        included, so one keyword alone gives 0.5. Equal shares go to the longer keyword.
        """
        found, rest = self._scan(self._read_all(text))
        shares = [0.0] * self._experts
        longest = [0] * self._experts
        for phrase, exactness in found.items():
            for owner in phrase.owners:
                shares[owner] += phrase.weight * exactness
                longest[owner] = max(longest[owner], len(phrase.words))
        for word in rest:
            if word in self._hints:
                shares[self._hints[word]] += HINT
        total = sum(shares)
        if not total:
            return shares, -1
        best = max(range(self._experts), key=lambda i: (shares[i], longest[i]))
        return [share / (total + DOUBT) for share in shares], best

    def find(self, text: str) -> dict[str, float]:
        """The keywords in `text`, folded, each with how exactly it stands there."""
        found, _ = self._scan(self._read_all(text))
        return {phrase.words: exactness for phrase, exactness in found.items()}

    def _scan(self, words: Sequence[Readings]) -> tuple[dict[Phrase, float], set[str]]:
        """The keywords found, a longer one hiding those inside it, and the known words outside them."""
        found: dict[Phrase, float] = {}
        rest: set[str] = set()
        free = 0
        for start, readings in enumerate(words):
            if not readings or start < free:
                continue
            match = self._match(words, start)
            if match is not None:
                found[match.phrase] = max(match.exactness, found.get(match.phrase, 0.0))
                free = start + match.length
            elif readings[0][1] > MISSPELT:
                rest.add(readings[0][0])
        return found, rest

    def _add(self, words: Words, phrase: Phrase) -> None:
        node = self._root
        for word in words:
            node = node.next.setdefault(word, Node())
        if words:
            node.phrase = phrase

    def _match(self, words: Sequence[Readings], start: int) -> Match | None:
        """The longest keyword that begins at `start`; of equally long ones the most exact."""
        best: Match | None = None
        nodes = [(self._root, 1.0)]
        for place in range(start, len(words)):
            nodes = [
                (node.next[word], min(exactness, closeness))
                for node, exactness in nodes for word, closeness in words[place] if word in node.next
            ]
            if not nodes:
                break
            ends = [Match(node.phrase, exactness, place - start + 1) for node, exactness in nodes if node.phrase]
            best = max(ends, key=lambda match: match.exactness, default=best)
        return best

    def _read_all(self, text: str) -> list[Readings]:
        words = split_words(fold(_ends(text)))
        read, exact = self._read, self._exact
        readings = [read(word) for word in words[:CORRECTED_WORDS]]
        return readings + [exact.get(word, ()) for word in words[CORRECTED_WORDS:]]

    def _read_word(self, word: str) -> Readings:
        """The keyword words that `word` may mean: itself, its base form, or else the one it misspells."""
        bases = (base for base in find_bases(word) if base in self._exact)
        readings = self._exact.get(word, ()) + tuple((base, INFLECTED) for base in bases)
        return readings or self._correct(word)

    def _correct(self, word: str) -> Readings:
        if not 5 <= len(word) <= LONGEST_WORD or has_digit(word):
            return ()
        near = process.extract(word, self._long.get(word[0], ()), scorer=OSA.distance, score_cutoff=1, limit=None)
        # One letter for another makes too many short words into others: "string", "spring".
        meant = (known for known, _, _ in near if len(word) >= 9 or not is_substitution(word, known))
        return tuple((known, MISSPELT) for known in islice(meant, 1))


def _ends(text: str) -> str:
    """All of a text, or of a huge one its two ends, cut between words."""
    if len(text) <= 2 * READ_CHARS:
        return text
    return "\n".join(text[:READ_CHARS].rsplit(None, 1)[:1] + text[-READ_CHARS:].split(None, 1)[-1:])


def _words(keyword: str) -> Words:
    return tuple(split_words(fold(keyword)))


def _phrase(words: Words, owners: Sequence[int]) -> Phrase:
    unspaced = sum(1 for word in words if is_unspaced(word))
    length = min(max(1.0, len(words) - unspaced / 2), 4.0)
    return Phrase(" ".join(words), tuple(owners), (1 + PHRASE_BONUS * (length - 1)) / len(owners))


def _find_hints(owners: Mapping[Words, Sequence[int]]) -> dict[str, int]:
    """The longer words that only one expert's phrases have, each with that expert."""
    experts: dict[str, set[int]] = {}
    for words, own in owners.items():
        for word in words:
            experts.setdefault(word, set()).update(own)
    return {word: min(own) for word, own in experts.items() if len(own) == 1 and len(word) >= HINT_CHARS}
