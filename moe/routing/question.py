"""What can be counted in a question that bears on how hard it is, whatever it is about."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from itertools import combinations
from statistics import fmean

from ..embed import excerpt

READ_CHARS = 3_000

WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
NUMBER = re.compile(r"\d[\d,]{0,20}(?:\.\d{1,20})?")
_OPTION = re.compile(r"(?m)^[ \t]*\(?[A-Ha-h][.):][ \t]+(\S.*)$")
_CUE = re.compile(r"\b(?:answer|antwort|respuesta):\Z", re.IGNORECASE)
_CUE_CHARS = 12
_SENTENCE_END = re.compile(r"[.!?](?:\s|$)")
_ALL_OF_THEM = re.compile(r"\b(?:all|none|both|neither)\b.{0,80}\b(?:above|these|are)\b", re.IGNORECASE)
_VERDICT = re.compile(r"(?:true|false|yes|no|valid|invalid|(?:not )?wrong)\b", re.IGNORECASE)
# Each is counted in the question itself, without its options; "*" stands for whatever ends a word.
_WORDS = {
    "negation": "not no never none nor cannot without",
    "best": "best most main primary primarily chief chiefly greatest likely strongest",
    "supposed": "if would suppose assum* could might",
    "compared": "than twice half double triple thrice third quarter fraction ratio percent",
    "shared": "each every per total altogether remaining left rest",
    "in turn": "after before then first second next until later ago when",
    "who": "who", "when": "when", "where": "where", "why": "why", "how": "how", "which": "which", "what": "what",
    "following": "following",
    "theory": "according theory argue argues claim claims believes believe principle law",
    "term": "called known refer refers defin* term example mean means",
    "cause": "because cause* effect* result* increas* decreas* lead*",
    "court": "court plaintiff defendant statute sue sued liab* contract convict* jury murder tort crim*",
    "ethics": "moral* ethic* wrong permissible ought",
    "study": "study studies research* percent* rate",
    "you": "you your my",
    "except": "except least incorrect false untrue exclud*",
    "code": "def return print int array algorithm function program",
}
_SIGNS = {
    "statements": r"\b[Ss]tatements? (?:1|2|I)\b",
    "all of them": r"\bof (?:the above|these|the following)\b",
    "per cent": "%",
    "signs": r"[=<>≤≥+*/^√∑∫∪∩∀∃⊃∨≡~→·]|\\[a-z]|\$[^$\n]{1,200}\$",
    "quotes": "[\"“”‘]",
    "how many": r"\b[Hh]ow (?:many|much|long|far|old)\b",
    "gap": r"__|\.\.\.\.",
    "year": r"\b(?:1[5-9]|20)\d\d\b",
    "programs": "[{};]|==",
    "money": "[$€£]",
    "unknown": r"\b[xyzn]\b|[a-z] ?[=<>^]",
    "sentences": _SENTENCE_END.pattern,
    "commas": ",", "brackets": r"\(", "hyphens": r"-\w", "question marks": r"\?",
    "shouted": "NOT|EXCEPT|LEAST",
    "roman": r"\bI{1,3}(?:, | and | only)",
    "logic": "[⊃∨≡~•∀∃⊢∧]|\b[A-Z]x\b",
    "units": r"\d ?(?:[cmk]m|kg|m/s|mol|Hz|ohm|volt|[JNWKV]|kPa|atm|°C|mL|eV|nm)\b",
    "names": r"[a-z,;] [A-Z][a-z]",
    "capitals": r"\b[A-Z]{2,}\b",
}
_WRITTEN = {name: re.compile(pattern) for name, pattern in _SIGNS.items()}
_OF_CODE = frozenset(_WORDS["code"].split())
_NEGATIONS = frozenset(_WORDS["negation"].split())
_LEAST_STEM, _MOST_STEM = 4, 8


def _index() -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """Which names a word counts for, and which the beginning of a word."""
    whole: dict[str, list[str]] = {}
    begun: dict[str, list[str]] = {}
    for name, words in _WORDS.items():
        for word in words.split():
            (begun if word.endswith("*") else whole).setdefault(word.rstrip("*"), []).append(name)
    return whole, begun


_WHOLE, _BEGUN = _index()


def read_question(text: str) -> dict[str, float]:
    """Named figures, always the same names in the same order."""
    stem, options = _part(text)
    words = frozenset(word.lower() for word in WORD.findall(stem) if len(word) > 3) if options else frozenset()
    return _read_stem(stem) | _read_options(options, words)


def read_notation(text: str) -> tuple[bool, float]:
    """Of what `read_question` tells: whether it has code, and its figure for "signs"."""
    stem, _ = _part(text)
    words = sum(word in _OF_CODE for word in map(str.lower, WORD.findall(stem)))
    has_code = math.log1p(words) + math.log1p(len(_WRITTEN["programs"].findall(stem))) > 1
    return has_code, math.log1p(len(_WRITTEN["signs"].findall(stem)))


def _part(text: str) -> tuple[str, list[str]]:
    """The question itself, and the answers to choose from."""
    text = excerpt(text, READ_CHARS).strip()
    text = (text[:-_CUE_CHARS] + _CUE.sub("", text[-_CUE_CHARS:])).strip()
    found = list(_OPTION.finditer(text))
    if len(found) < 2:
        return text, []
    return text[:found[0].start()].strip(), [each[1].strip() for each in found]


def _read_stem(stem: str) -> dict[str, float]:
    words, numbers = WORD.findall(stem), NUMBER.findall(stem)
    some = max(1, len(words))
    sizes = [float(number.replace(",", "")) for number in numbers if len(number) < 15]
    figures = {
        "characters": math.log1p(len(stem)), "words": math.log1p(len(words)), "is short": float(len(words) < 12),
        "word length": sum(map(len, words)) / some, "long words": sum(len(word) > 8 for word in words) / some,
        "very long words": math.log1p(sum(len(word) > 10 for word in words)),
        "numbers": math.log1p(len(numbers)), "has numbers": float(bool(numbers)),
        "decimals": math.log1p(sum("." in number for number in numbers)),
        "largest number": math.log1p(max(sizes, default=0.0)) / 5,
        "different words": len({word.lower() for word in words}) / some,
        "sentence length": math.log1p(len(words) / max(1, len(_SENTENCE_END.findall(stem)))),
        "ends as a question": float(stem.endswith("?")),
    }
    figures |= {name: math.log1p(count) for name, count in _count_words(words).items()}
    return figures | {name: math.log1p(len(pattern.findall(stem))) for name, pattern in _WRITTEN.items()}


def _count_words(words: Sequence[str]) -> dict[str, int]:
    counted = dict.fromkeys(_WORDS, 0)
    for word, times in Counter(map(str.lower, words)).items():
        names = [*_WHOLE.get(word, ())]
        for length in range(_LEAST_STEM, min(_MOST_STEM, len(word)) + 1):
            names += _BEGUN.get(word[:length], ())
        if word.endswith("n't"):
            names.append("negation")
        for name in names:
            counted[name] += times
    return counted


def _read_options(options: Sequence[str], asked: frozenset[str]) -> dict[str, float]:
    """Of the answers to choose from; `asked` are the words of the question."""
    words = [WORD.findall(option) for option in options]
    sets = [frozenset(word.lower() for word in each) for each in words]
    alike = [len(a & b) / max(1, len(a | b)) for a, b in combinations(sets, 2)]
    told = [len(each & asked) / max(1, len(each)) for each in sets]
    lengths = [len(option) for option in options] or [0]
    every = [word for each in words for word in each]
    has_number = [NUMBER.search(option) is not None for option in options]
    return {
        "has options": float(bool(options)),
        "option length": math.log1p(fmean(lengths)),
        "uneven options": _spread([math.log1p(length) for length in lengths]),
        "options with numbers": _share(has_number),
        "options of numbers": _share([not each or (len(each) <= 1 and number)
                                      for each, number in zip(words, has_number, strict=True)]),
        "options of a word": _share([len(option.split()) <= 2 for option in options]),
        "options alike": fmean(alike) if alike else 0.0,
        "options' words asked": fmean(told) if told else 0.0, "uneven words asked": _spread(told),
        "options with signs": _share([_WRITTEN["signs"].search(option) is not None for option in options]),
        "an option is all": float(any(_ALL_OF_THEM.search(option) for option in options)),
        "options are verdicts": float(bool(options) and all(map(_VERDICT.match, options))),
        "options negated": _share([not _NEGATIONS.isdisjoint(each) for each in sets]),
        "options capitalised": _share([option[:1].isupper() for option in options]),
        "option word length": sum(map(len, every)) / max(1, len(every)),
    }


def _share(flags: Sequence[bool]) -> float:
    return sum(flags) / max(1, len(flags))


def _spread(values: Sequence[float]) -> float:
    """The standard deviation."""
    mean = sum(values) / max(1, len(values))
    return math.sqrt(sum((value - mean) ** 2 for value in values) / max(1, len(values)))
