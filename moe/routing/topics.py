"""What a conversation is about: the experts' probabilities of each user turn, carried on from turn to turn.

This is the forward step of a hidden Markov model (Rabiner 1989, III-A) whose hidden state is the expert the user
wants, or none. A turn that is short, that no expert is sure of, that points back ("and that one?") or is like what
people say about an answer ("make it shorter", "und auf Deutsch?") says little by itself and seldom leaves the topic;
the others decide for themselves.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from .scoring import Floats

Belief = npt.NDArray[np.float64]

# Fitted to conversations and short changes of topic, tried on what had been left out, then rounded.
BIAS, PER_LENGTH, PER_LIKENESS, PER_SURENESS, POINTING_BACK = -5.5, 2.0, -4.5, 0.55, -1.0
MOST_CHANGES = 0.4
SUREST = 7.0
LEAST = 0.001
READ_CHARS = 300
_CHANGE = re.compile(
    r"(?i)\b(?:btw|by the way|something else|another (?:thing|topic|question|subject)"
    r"|(?:new|different|unrelated) (?:question|topic|thing|subject)|change (?:of|the) (?:topic|subject)"
    r"|on another note|switching topics?|(?:et)?was (?:ganz )?ander(?:e)?s|andere frage|anderes thema|themen?wechsel"
    r"|nebenbei|übrigens|apropos|otra (?:cosa|pregunta|duda)|otro tema|(?:cambiando|cambio|cambiemos) de tema"
    r"|por cierto|por otro lado)\b"
)
_BACK = re.compile(
    r"(?i)^\W*(?:and|but|or|so|then|why|und|aber|oder|also|dann|warum|wieso|y|e|pero|o|entonces|por qu[eé])\b"
    r"|\b(?:it|its|this|that|these|those|them|they|ones?|same|others?|else|instead|again|then|more|less|shorter|longer"
    r"|better|es|das|dies\w*|ih[nm]|davon|dazu|darin|damit|dar[uü]ber|denn|dann|daf[uü]r|beide\w*|andere\w*|nochmal"
    r"|noch|mehr|weniger|auch|es[oae]|esto|lo|ello|entonces|otr[oa]s?|mismo|m[aá]s|menos|tambi[eé]n|ambos)\b"
)
# Scripts that need about a third of the letters.
_DENSE = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3]")


class Turn(NamedTuple):
    """`shares` [n] are the experts' probabilities of the turn alone; what they lack to 1 is that none fits.
    `trust`, 0 to 1, is how far they are to be believed; `is_new` = the user says that the topic changes."""

    shares: Floats
    trust: float
    is_new: bool = False


def follow(turns: Sequence[Turn]) -> Floats:
    """[n]: the experts' probabilities after the last of at least one turn, oldest first."""
    belief = _add_none(turns[0].shares)
    for turn in turns[1:]:
        change = 1.0 if turn.is_new else MOST_CHANGES * turn.trust
        expected = (1 - change) * belief + change / len(belief)
        belief = _spread(_add_none(turn.shares), turn.trust) ** turn.trust * expected
        belief /= belief.sum()
    shares: Floats = belief[:-1].astype(np.float32)
    return shares


def weigh(text: str, likeness: float, best: float) -> float:
    """How far a turn is to be believed by itself; `likeness` is its cosine to what is said about an answer, `best` the
    probability of its likeliest expert."""
    sureness = min(SUREST, math.log(max(best, 1e-4) / max(1 - best, 1e-3)))
    logit = BIAS + PER_LENGTH * math.log1p(measure(text)) + PER_LIKENESS * likeness + PER_SURENESS * sureness
    if _BACK.search(text[:READ_CHARS]):
        logit += POINTING_BACK
    return 1 / (1 + math.exp(-logit))


def measure(text: str) -> int:
    """How much the text says, in Latin letters; no more than READ_CHARS of it are read."""
    text = " ".join(text[:READ_CHARS].split())
    return len(text) if text.isascii() else len(text) + 2 * len(_DENSE.findall(text))


def changes_topic(text: str) -> bool:
    """Whether the turn says so, such as "by the way" or "andere Frage"."""
    return _CHANGE.search(text[:READ_CHARS]) is not None


def _add_none(shares: Floats) -> Belief:
    belief: Belief = np.append(shares.astype(np.float64), max(0.0, 1.0 - float(shares.sum())))
    return belief


def _spread(belief: Belief, trust: float) -> Belief:
    """What fits no expert may just say little: the less it is to be believed, the less it tells them apart."""
    empty = (1 - trust) * belief[-1]
    spread: Belief = belief + empty / (len(belief) - 1) + LEAST
    spread[-1] = belief[-1] - empty + LEAST
    return spread
