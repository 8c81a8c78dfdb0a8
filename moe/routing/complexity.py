"""How much a prompt asks for: one plain thing, one that a small model may get wrong, or several at once.

What is counted here and the router's own doubt go through a small logistic regression, fitted by
`tests/bench/complexity.py`; its weights lie in `complexity.json`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Struct

from ..embed import excerpt
from .parts import Rate, find_instruction, find_subjects, list_parts, measure_distance, rate_parts
from .question import NUMBER, read_notation
from .words import fold, split_words

Array = npt.NDArray[np.float64]
Kind = Literal["plain", "doubtful", "compound"]

FILE = Path(__file__).with_name("complexity.json")
READ_CHARS = 3_000
CLIP = 4.0
# A domain from this probability on is one that the prompt is about.
DOMAIN = 0.1
# The domains whose answers are worth a second look, as far as a config's experts are named so.
WEIGHTY = ("math", "reasoning", "legal_advisor", "medical_consult", "technical_support", "science", "code_reviewer")
EASY = frozenset({"general", "translation", "creative_writer"})

_CUES = {
    "in turn": r"\b(?:then|after(?:wards| that)|finally|first|next|lastly|also|as well|based on|using that|accordingly"
               r"|zuerst|danach|dann|anschlie(?:ss|ß)end|schlie(?:ss|ß)lich|zum schluss|ausserdem|außerdem|daraus|dazu"
               r"|primero|despues|luego|por ultimo|ademas|segun|a partir de|con eso)\b",
    "limits": r"\b(?:at (?:most|least)|no more than|less than|under|within|without|exactly|only|must|same|so that"
              r"|hochstens|hoechstens|mindestens|genau|ohne|nur|kein\w{0,2}|muss|damit|maximo|minimo|exactamente|sin"
              r"|solo|como mucho|tales que)\b",
    "conditions": r"\b(?:if|unless|although|even though|because|when|while|given|but|wenn|falls|obwohl|weil|ohne dass"
                  r"|aber|ob|si|aunque|porque|cuando|pero|mientras)\b",
    "reasons": r"\b(?:why|warum|wieso|weshalb|por que)\b",
    "proofs": r"\b(?:prove|proof|probab\w{0,8}|expected|integral|decid\w{0,8}|contradict\w{0,4}|beweis\w{0,4}"
              r"|wahrscheinlich\w{0,5}|entscheiden|demuestr\w{0,4}|probabilidad|decidir|halla|bestimme|evaluate|possible"
              r"|least|largest|all|every|some|alle|todas?|todos?)\b",
    "stakes": r"\b(?:safe|urgent|risk|valid|legal|liable|terminate|contract|court|fever|pain|wirksam|dringend|darf"
              r"|verjahrt|anspruch|fieber|vertrag|kundig\w{0,5}|riesgo|urgente|contrato|tribunal|clausula|prescribed?|doses?"
              r"|dosis|pregnant|schwanger|embarazada|sued?|verklagt?|demandar|dangerous|gefahrlich|peligroso|safest"
              r"|sichersten|seguro|save|retten|salvar\w{0,2}|los(?:e|ing)|verlieren|perder|corrupt\w{0,3}|rebuild"
              r"|checksums?|prufsumm\w{0,9}|interact\w{0,4})\b",
}
_JOINTS = "and|or|und|oder|y|e|o|then|dann|luego|also"
# "and score it", "und vertone es", "y redacta la": a verb, whichever, and what it is to be done to.
_JOINED = re.compile(
    rf"(?:[,;]|\s(?:{_JOINTS}))\s+(?:{_JOINTS})?\s*\w+\s+(?:the|it|an?|my|me|them|this|that|us|your|das|die|den|der|es"
    r"|ihn|sie|eine?n?|mir|meine?n?|alles|mich|el|la|los|las|lo|una?|mi|mis|esto|todo)\b"
    r"|\s[ye]\s+\w+(?:lo|la|los|las|le|les)\b")
_ITEM = re.compile(r"(?:^|\n|\s)(?:\d{1,2}[.)]|[-*•])\s+(?=\S)")
_COUNTED = {name: re.compile(pattern) for name, pattern in _CUES.items()}


class Complexity(Struct, frozen=True):
    """`probabilities` of the three kinds add up to 1, and `kind` is the likeliest. `domains` are the experts it is
    about, those of its parts where it `is_parted`; `requests` how many things it asks for, `questions` its marks."""

    kind: Kind
    probabilities: dict[Kind, float]
    domains: tuple[str, ...]
    requests: int
    questions: int
    words: int
    is_parted: bool = False

    @property
    def confidence(self) -> float:
        return self.probabilities[self.kind]


class Weights(Struct, frozen=True):
    """For n figures and the three kinds: `weights` [3][n], `bias` [3]."""

    source: str
    names: tuple[str, ...]
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    weights: tuple[tuple[float, ...], ...]
    bias: tuple[float, ...]
    kinds: tuple[Kind, ...]


def rate_nothing(text: str) -> dict[str, float]:
    """For a router that has no probabilities."""
    return {}


def read_complexity(text: str, probabilities: Mapping[str, float], rate: Rate = rate_nothing) -> Complexity:
    """`probabilities` are the router's, by expert, and so is `rate`, for a part of the text; they may be empty, or
    leave a rest for nobody."""
    weights, (figures, subjects) = load_weights(), _read(text, probabilities, rate)
    mean, scale, slopes, bias = _load_arrays()
    row = np.array([figures[name] for name in weights.names])
    shares = slopes * np.nan_to_num(np.clip((row - mean) / scale, -CLIP, CLIP))
    scores = shares.sum(axis=1) + bias
    odds = np.exp(scores - scores.max())
    share = dict(zip(weights.kinds, (odds / odds.sum()).tolist(), strict=True))
    ranked = sorted(probabilities.items(), key=lambda each: -each[1])
    domains = subjects if subjects is not None else tuple(label for label, how in ranked if how >= DOMAIN)
    requests, questions, words = (round(math.expm1(figures[name])) for name in ("requests", "questions", "words"))
    return Complexity(weights.kinds[int(np.argmax(odds))], share, domains, requests, questions, words,
                      is_parted=subjects is not None)


def read_figures(text: str, probabilities: Mapping[str, float], rate: Rate = rate_nothing) -> dict[str, float]:
    """Named figures, always the same names in the same order; NaN counts as usual."""
    return _read(text, probabilities, rate)[0]


def _read(
    text: str, probabilities: Mapping[str, float], rate: Rate
) -> tuple[dict[str, float], tuple[str, ...] | None]:
    """The figures, and the experts that the parts are for where they could be rated each by itself."""
    text = excerpt(text, READ_CHARS)
    asked = find_instruction(text)
    parts = list_parts(asked)
    rated = rate_parts(parts, rate)
    subjects = find_subjects(rated) if rated else None
    folded = fold(asked)
    works = [part.work for part in parts if part.work]
    items = len(_ITEM.findall(asked))
    has_code, signs = read_notation(text)
    own = fold(" ".join(part.words for part in parts)) or folded
    words = split_words(own)
    unknown = math.nan if len(parts) > 1 and not rated else 0.0
    figures = {
        "requests": math.log1p(len(parts)), "kinds of work": math.log1p(len(set(works))),
        "works": math.log1p(len(works)), "questions": math.log1p(asked.count("?")),
        "asking": math.log1p(len(parts) - len(works)), "words": math.log1p(len(words)),
        "joined": math.log1p(len(_JOINED.findall(own))), "items": math.log1p(items if items > 1 else 0),
        "numbers": math.log1p(len(NUMBER.findall(text))), "code": float(has_code),
        "signs": signs, "word length": sum(map(len, words)) / max(1, len(words)),
        "subjects": unknown + math.log1p(max(0, len(subjects or ()) - 1)),
        "distance": unknown + measure_distance(rated),
    }
    figures |= _read_router(probabilities)
    return figures | {name: math.log1p(len(pattern.findall(folded))) for name, pattern in _COUNTED.items()}, subjects


def _read_router(probabilities: Mapping[str, float]) -> dict[str, float]:
    """NaN for what nobody can tell: of a router that gives no probabilities, and of experts that are called otherwise
    than the shipped ones."""
    rates = sorted((rate for rate in probabilities.values() if rate > 0), reverse=True)
    unknown = 0.0 if any(label in EASY or label in WEIGHTY for label in probabilities) else math.nan
    figures = {
        "domains": float(sum(rate >= DOMAIN for rate in rates)), "second domain": rates[1] if len(rates) > 1 else 0.0,
        "router's doubt": -sum(rate * math.log(rate) for rate in rates), "nobody": max(0.0, 1.0 - sum(rates)),
        "easy domains": unknown + sum(rate for label, rate in probabilities.items() if label in EASY),
    }
    figures |= {label: unknown + probabilities.get(label, 0.0) for label in WEIGHTY}
    return figures if rates else dict.fromkeys(figures, math.nan)


@cache
def load_weights(file: Path = FILE) -> Weights:
    """The shipped weights. Raises OSError, msgspec.ValidationError."""
    return msgspec.json.decode(file.read_bytes(), type=Weights)


@cache
def _load_arrays() -> tuple[Array, Array, Array, Array]:
    """Mean and scale of each figure [n], weights [3][n] and bias [3] of the shipped file."""
    weights = load_weights()
    return (np.array(weights.mean), np.array(weights.scale), np.array(weights.weights), np.array(weights.bias))
