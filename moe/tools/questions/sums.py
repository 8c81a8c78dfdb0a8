"""Sums among other words."""

from __future__ import annotations

import re
from collections.abc import Iterator

from .question import Asked, fold, guess_language

# Grouped in one language, with decimals in the other.
GROUP = re.compile(r"(?<![0-9.,])[1-9][0-9]{0,2}[.,][0-9]{3}(?![0-9.,])")
_AFTER = (r"(?![\w/*+^%:=()\[\]{}-]|[.,][0-9]| [0-9]| ?(?:%|percent|prozent|por ciento|thousand|million|billion|"
          r"hundred|mil\b|tausend|mio|mrd|milliard))")
_BEFORE = r"(?<![\w.,/*+^%:=()\[\]{}$#-])(?<![0-9.,] )"
_NUMBER = r"(?:0|[1-9][0-9]*)(?:[.,][0-9]+)*(?: ?%)?"
_INSIDE = re.compile(
    rf"{_BEFORE}(?:{_NUMBER}(?: ?\*\*? ?| \+ | × | ÷ |×|÷| ?\^ ?| ?\+ ?(?=[0-9.,]+ ?%)))+{_NUMBER}{_AFTER}",
    re.IGNORECASE)
_SHARES = re.compile(
    rf"{_BEFORE}(?!0[0-9])[0-9]+(?:[.,][0-9]+)? ?(?:%|percent|prozent|por ciento) (?:of|von|de) "
    rf"[0-9]+(?:[.,][0-9]+)*{_AFTER}", re.IGNORECASE)
# What any model knows, and what as often joins two names: "chapters 3 + 4", "1 + 1 free".
_SMALL = re.compile(r"[0-9]{1,3} ?[+*×] ?[0-9]{1,3}")
_MOST_KNOWN = 12
_LABEL = re.compile(
    r"\b(?:version|level|chapters?|pages?|rooms?|lines?|types?|parts?|figures?|tables?|steps?|stages?|mac ?os x|"
    r"kapitel|seiten?|zimmer|stufe|steuerklassen?|klassen?|typ|teile?|los|lose|aufgaben?|nummern?|nr\.|linien?|zeilen?|"
    r"capítulos?|páginas?|nivel|niveles|versión|tipos?|partes?|líneas?|ejercicios?|números?) *$")


def find_sums(text: str) -> Iterator[tuple[str, Asked]]:
    """Only what is written with signs, and is worth the words."""
    for pattern in (_SHARES, _INSIDE):
        for found in pattern.finditer(text):
            words = found[0]
            around = text[:found.start()].rstrip()[-1:] + text[found.end():].lstrip()[:1]
            if GROUP.search(words) or any(mark in "+-*/^×÷%!()−" for mark in around):
                continue
            if _is_trifle(words) or _LABEL.search(fold(text[max(0, found.start() - 20):found.start()])):
                continue
            yield words, Asked("calculate", {"expression": words}, guess_language(fold(text)))


def _is_trifle(words: str) -> bool:
    return bool(_SMALL.fullmatch(words)) and all(int(each) <= _MOST_KNOWN for each in re.findall(r"[0-9]+", words)) \
        or bool(re.fullmatch(r"[0-9.,]+ ?% ?\+ ?[0-9.,]+ ?%", words))
