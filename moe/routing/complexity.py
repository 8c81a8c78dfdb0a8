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

# What is asked for, by the work it is; "*" stands for whatever ends a word. English, German, Spanish.
_WORK = {
    "write": "write draft compose rewrite word formulate schreib* verfass* entwirf entwerf* formulier* escrib* redact* "
             "prepar* hazme turn",
    "translate": "translat* ubersetz* uebersetz* traduc*",
    "reckon": "calculat* comput* work estimat* convert* solve forecast* count rechne* berechn* ermittl* "
              "schatz* schaetz* calcul* estim* pasa cuenta zahl zahle zaehle",
    "explain": "explain* describ* tell erklar* erklaer* beschreib* sag expli* describ* dime cuenta",
    "judge": "compare* check* review* analys* analyz* diagnos* evaluat* vergleich* pruf* pruef* analysier* bewert* "
             "compar* revis* analiz* comprueb* lies read look",
    "plan": "plan* organi* schedule build erstell* plan* organis* organiz* haz",
    "find": "find list name give suggest* propos* nenn* find* schlag* frag ask busc* encuentr* propon* di dame",
    "design": "design* model* implement* entw* disen*",
    "shorten": "summari* fass* zusammenfass* resum*",
    "show": "draw show prove zeig* zeichn* beweis* dibuj* demuestr*",
}
_ASKING = frozenset((
    "what", "who", "when", "where", "why", "how", "which", "can", "could", "should", "is", "are", "does", "do", "was",
    "wer", "wann", "wo", "warum", "wieso", "weshalb", "wie", "welche", "welcher", "welches", "kann", "darf", "muss",
    "ist", "sind", "gilt", "que", "quien", "cuando", "donde", "por", "como", "cual", "cuales", "cuanto", "cuanta",
    "cuantos", "cuantas", "puedo", "puede", "es", "hay"))
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
              r"|verjahrt|anspruch|fieber|vertrag|kundig\w{0,5}|riesgo|urgente|contrato|tribunal|clausula|prescribe)\b",
}
_JOINTS = "and|or|und|oder|y|e|o|then|dann|luego|also"
_CLAUSES = re.compile(rf"[.;:?!¿¡\n]+\s*|,\s+(?:(?:{_JOINTS})\s+)*|\s+(?:{_JOINTS})\s+(?:(?:{_JOINTS})\s+)*")
# "and score it", "und vertone es", "y redacta la": a verb, whichever, and what it is to be done to.
_JOINED = re.compile(
    rf"(?:[,;]|\s(?:{_JOINTS}))\s+(?:{_JOINTS})?\s*\w+\s+(?:the|it|an?|my|me|them|this|that|us|your|das|die|den|der|es"
    r"|ihn|sie|eine?n?|mir|meine?n?|alles|mich|el|la|los|las|lo|una?|mi|mis|esto|todo)\b"
    r"|\s[ye]\s+\w+(?:lo|la|los|las|le|les)\b")
_SENTENCES = re.compile(r"(?<=[.?!])\s+|\n+")
_ITEM = re.compile(r"(?:^|\n|\s)(?:\d{1,2}[.)]|[-*•])\s+(?=\S)")
_COUNTED = {name: re.compile(pattern) for name, pattern in _CUES.items()}
_LEAST_STEM, _MOST_STEM = 3, 12
# How far into a clause its verb or question word may stand: "please also write", "can you explain".
_OPENING = 3


class Complexity(Struct, frozen=True):
    """`probabilities` of the three kinds add up to 1; `kind` is the likeliest, `reason` says in a line why.
    `domains` are the experts it is about, `requests` how many things it asks for, `questions` how many marks."""

    kind: Kind
    probabilities: dict[Kind, float]
    domains: tuple[str, ...]
    requests: int
    questions: int
    words: int
    reason: str

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


def read_complexity(text: str, probabilities: Mapping[str, float]) -> Complexity:
    """`probabilities` are the router's, by expert; they may be empty, or leave a rest for nobody."""
    weights, figures = load_weights(), read_figures(text, probabilities)
    mean, scale, slopes, bias = _load_arrays()
    row = np.array([figures[name] for name in weights.names])
    shares = slopes * np.nan_to_num(np.clip((row - mean) / scale, -CLIP, CLIP))
    scores = shares.sum(axis=1) + bias
    odds = np.exp(scores - scores.max())
    best = int(np.argmax(odds))
    telling = shares[best] - shares.mean(axis=0)
    strongest = [weights.names[place] for place in np.argsort(-telling)[:3] if telling[place] > 0]
    share = dict(zip(weights.kinds, (odds / odds.sum()).tolist(), strict=True))
    domains = tuple(label for label, how in sorted(probabilities.items(), key=lambda each: -each[1]) if how >= DOMAIN)
    requests, questions = round(math.expm1(figures["requests"])), round(math.expm1(figures["questions"]))
    counted = f"{requests} requests" if requests != 1 else "1 request"
    kind = weights.kinds[best]
    reason = f"{kind} ({share[kind]:.2f}): {counted}; most telling: {', '.join(strongest)}"
    return Complexity(kind, share, domains, requests, questions, round(math.expm1(figures["words"])),
                      reason)


def read_figures(text: str, probabilities: Mapping[str, float]) -> dict[str, float]:
    """Named figures, always the same names in the same order; NaN counts as usual."""
    text = excerpt(text, READ_CHARS)
    folded = fold(text)
    works, asking = _list_requests(folded)
    sentences = [each for each in _SENTENCES.split(folded) if each.strip()]
    asked_in = [each for each in sentences if "?" in each or sum(map(bool, _list_requests(each)))]
    items = len(_ITEM.findall(text))
    has_code, signs = read_notation(text)
    words = split_words(" ".join(asked_in or sentences))
    figures = {
        "requests": math.log1p(len(works) + asking), "kinds of work": math.log1p(len(set(works))),
        "works": math.log1p(len(works)), "questions": math.log1p(text.count("?")), "asking": math.log1p(asking),
        "words": math.log1p(len(words)), "asking sentences": math.log1p(len(asked_in)),
        "joined": math.log1p(len(_JOINED.findall(" ".join(asked_in)))), "items": math.log1p(items if items > 1 else 0),
        "numbers": math.log1p(len(NUMBER.findall(text))), "code": float(has_code),
        "signs": signs, "word length": sum(map(len, words)) / max(1, len(words)),
    }
    figures |= _read_router(probabilities)
    return figures | {name: math.log1p(len(pattern.findall(folded))) for name, pattern in _COUNTED.items()}


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


def _list_requests(folded: str) -> tuple[list[str], int]:
    """The kind of each piece of work that a clause begins with, and how many clauses begin with a question."""
    works: list[str] = []
    asking = 0
    for clause in _CLAUSES.split(folded):
        opening = split_words(clause[:80])[:_OPENING]
        work = next((kind for kind in map(_find_work, opening) if kind), None)
        if work is not None:
            works.append(work)
        elif not _ASKING.isdisjoint(opening[:1]):
            asking += 1
    return works, asking


def _find_work(word: str) -> str | None:
    if word in _WHOLE:
        return _WHOLE[word]
    stems = (word[:length] for length in range(min(_MOST_STEM, len(word)), _LEAST_STEM - 1, -1))
    return next((_BEGUN[stem] for stem in stems if stem in _BEGUN), None)


def _index() -> tuple[dict[str, str], dict[str, str]]:
    whole: dict[str, str] = {}
    begun: dict[str, str] = {}
    for kind, words in _WORK.items():
        for word in words.split():
            (begun if word.endswith("*") else whole).setdefault(word.rstrip("*"), kind)
    return whole, begun


_WHOLE, _BEGUN = _index()
