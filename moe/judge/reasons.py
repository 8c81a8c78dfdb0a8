"""Why an expert was chosen and not the next one: what each part of the score, each word and each look added."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from msgspec import Struct

from ..config.schema import ScoringWeights
from ..core import Decision
from ..experts import Expert
from ..routing.formats import FORMATS
from ..routing.grams import split_grams, split_words
from ..routing.head import Head
from ..routing.keywords import KeywordIndex
from ..routing.ranking import find_doubt, is_tie
from ..routing.rows import Row
from ..routing.scoring import Floats
from ..routing.text import clean

NEAREST_KEPT = 5
WORDS_KEPT = 8
# A prompt is read again without each of so many words at most.
MOST_WORDS = 60
_SPLIT = re.compile(r"(\s+)")

Read = Callable[[str, str], Mapping[str, float]]
Rival = tuple[int, int]


class Contribution(Struct, frozen=True):
    """What `name` adds to the score of the first expert, and to that of the next one."""

    name: str
    first: float
    second: float


class Word(Struct, frozen=True):
    """`grams`: what its pieces add to the lead of the first; `needed`: how much of the lead is lost without it."""

    word: str
    needed: float
    grams: float | None


class Neighbour(Struct, frozen=True):
    """Something the experts are known by that means much the same; `kind` is example, keyword, description, label."""

    cosine: float
    expert: str
    kind: str
    text: str


class Found(Struct, frozen=True):
    """A keyword in the prompt, 1 = letter by letter."""

    expert: str
    keyword: str
    exactness: float


class Reasons(Struct, frozen=True, kw_only=True):
    """`first` and `second` are the experts of the greatest scores, "" where nothing scored; `chosen` may be another."""

    chosen: str
    stage: str
    confidence: float
    first: str
    second: str
    probabilities: dict[str, float]
    is_tie: bool
    said: list[str]
    parts: list[Contribution]
    words: list[Word]
    looks: list[Contribution]
    nearest: list[Neighbour]
    keywords: list[Found]


def weigh_parts(decision: Decision, rivals: Sequence[str], factors: Mapping[str, float]) -> list[Contribution]:
    """Each part of the score, times its weight."""
    first, second = (decision.scores[label] for label in rivals)
    return [Contribution(name, factor * first[name], factor * second[name])
            for name, factor in factors.items() if name in first]


def weigh_looks(head: Head, raw: str, rivals: Rival) -> list[Contribution]:
    """What the looks of a prompt add, the most telling first."""
    row = head.grams.read(clean(raw), raw)
    weights = head.gram_head.weights[:, list(rivals)] * head.mix[1]
    start = len(head.grams.names)
    looks = [Contribution(FORMATS[place - start], *(float(w) * float(value) for w in weights[place]))
             for place, value in zip(row.ids.tolist(), row.values.tolist(), strict=True) if place >= start]
    return sorted(looks, key=lambda each: -abs(each.first - each.second))


def weigh_words(raw: str, rivals: Sequence[str], read: Read, head: Head | None, places: Rival) -> list[Word]:
    """The words whose loss would cost the first expert most of its lead, and those it would gain most without.

    `read` gives the experts' scores of a prompt as it was cleaned and as it was sent.
    """
    pieces = _SPLIT.split(raw)
    words = list(dict.fromkeys(piece for piece in pieces[::2] if piece))
    if not 1 < len(words) <= MOST_WORDS:
        return []
    grams = _weigh_grams(head, raw, places) if head is not None else None
    lead = _find_lead(read(clean(raw), raw), rivals)
    found = []
    for word in words:
        rest = "".join(piece for piece in pieces if piece != word)
        needed = lead - _find_lead(read(clean(rest), rest), rivals)
        own = None if grams is None else sum(grams.get(part, 0.0) for part in set(split_words(clean(word))))
        found.append(Word(word, needed, own))
    return sorted(found, key=lambda each: -abs(each.needed))[:WORDS_KEPT]


def find_nearest(query: Floats, rows: Sequence[Row], vectors: Floats, experts: Sequence[Expert]) -> list[Neighbour]:
    """The texts with the greatest cosine; `vectors` [m, d] are those of the rows."""
    cosines = np.einsum("md,d->m", vectors, query)
    best = np.argsort(-cosines, kind="stable")[:NEAREST_KEPT].tolist()
    return [Neighbour(float(cosines[place]), experts[rows[place].expert].label,
                      _find_kind(rows[place].text, experts[rows[place].expert]), rows[place].text) for place in best]


def find_keywords(text: str, experts: Sequence[Expert]) -> list[Found]:
    return [Found(expert.label, keyword, exactness) for expert in experts
            for keyword, exactness in KeywordIndex([expert.keywords]).find(text).items()]


def weigh_signals(weights: ScoringWeights) -> dict[str, float]:
    """The factors of the four-signal score's parts."""
    return {name: getattr(weights, name) for name in weights.__struct_fields__}


def tell_decision(decision: Decision, ranked: Sequence[tuple[str, float]], *, threshold: float,
                  keyword_threshold: float) -> list[str]:
    """The decision in sentences: which stage, what the thresholds had to do with it, whether it was close."""
    first, share = ranked[0] if ranked else ("", 0.0)
    by_keyword = bool(decision.scores) and "probability" not in next(iter(decision.scores.values()))
    said = [f"{decision.expert.label}: stage {decision.stage}, confidence {decision.confidence:.3f}"]
    least, name = (keyword_threshold, "the keywords' threshold") if by_keyword else (threshold, "confidence_threshold")
    if decision.stage in ("embedding", "classifier"):
        said.append(f"{first} has {share:.3f}, which reaches confidence_threshold ({threshold:g})")
    elif decision.stage == "keyword":
        said.append(f"its keywords give it {decision.confidence:.3f}, which reaches the keywords' threshold "
                    f"({keyword_threshold:g})")
    elif decision.stage == "fallback" and not share:
        said.append("nothing in it tells one expert from another")
    elif decision.stage == "fallback":
        said.append(f"nobody is sure: {first} has {share:.3f}, below {name} ({least:g})")
        said.append("its confidence is 1 minus the best expert's: that nobody is the one to send it to")
    doubt = find_doubt(decision)
    if doubt is not None:
        said.append(f"all experts together have {1 - doubt:.3f}: how likely it is that any of them fits; "
                    f"that none does has {doubt:.3f}")
    if is_tie(ranked):
        second, its_share = ranked[1]
        said.append(f"a near-tie: {first} has {share:.3f} and {second} {its_share:.3f}; other words may turn it")
    return said


def _weigh_grams(head: Head, raw: str, places: Rival) -> dict[str, float]:
    """What each word's pieces add to the lead; a piece of several words is shared out among them."""
    row = head.grams.read(clean(raw), raw)
    values = dict(zip(row.ids.tolist(), row.values.tolist(), strict=True))
    ids = {name: place for place, name in enumerate(head.grams.names)}
    apart = (head.gram_head.weights[:, places[0]] - head.gram_head.weights[:, places[1]]) * head.mix[1]
    words = Counter(split_words(clean(raw)))
    pieces = {word: [ids[gram] for gram in split_grams(word) if gram in ids] for word in words}
    times = Counter(place for word, count in words.items() for place in pieces[word] * count)
    return {
        word: sum(float(apart[place]) * values[place] / times[place] for place in own) * words[word]
        for word, own in pieces.items()
    }


def _find_lead(scores: Mapping[str, float], rivals: Sequence[str]) -> float:
    return scores[rivals[0]] - scores[rivals[1]]


def _find_kind(text: str, expert: Expert) -> str:
    if text == expert.description:
        return "description"
    if text in expert.keywords:
        return "keyword"
    return "label" if text == expert.label.replace("_", " ") else "example"
