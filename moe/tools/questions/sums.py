"""Sums among other words."""

from __future__ import annotations

import re
from collections.abc import Iterator

from .looks import is_no_sum
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
# Bare sums and shares are mostly names, dates and figures of something else: "5 May 2024 + 3 days", "30% of 18 to 25".
_PRODUCT = re.compile(r"[*×÷^]")
# What any model knows, and what as often joins two names: "chapters 3 + 4", "1 + 1 free".
_SMALL = re.compile(r"[0-9]{1,3} ?[+*×] ?[0-9]{1,3}")
_MOST_KNOWN = 12
_LABEL = re.compile(
    r"\b(?:version|level|chapters?|pages?|rooms?|lines?|types?|parts?|figures?|tables?|steps?|stages?|mac ?os x|"
    r"kapitel|seiten?|zimmer|stufe|steuerklassen?|klassen?|typ|teile?|los|lose|aufgaben?|nummern?|nr\.|linien?|zeilen?|"
    r"capítulos?|páginas?|nivel|niveles|versión|tipos?|partes?|líneas?|ejercicios?|números?) *$")


# A point that ends no sentence.
_ORDINAL = re.compile(r"\. ?[a-zäöüáéíóúñ0-9+*-]")
# Where digits are to another base, or signs work on their bits.
_BITS = re.compile(r"\b(?:binary|bin(?:ä|ae?)r\w*|dual(?:system|zahl\w*)|binario|o[ck]tal\w*|hex|hexa\w*|"
                   r"bas(?:e|is) (?:[2-9]|[1-3][0-9])|xor|bit-?wise|bitweise|bits|[0-9]+[ -]bit|bit a bit|"
                   r"modulo|mod \w+|zweiersystem|\w+ersystem|base (?:two|three|four|five|six|seven|eight|nine)|dual|"
                   r"two's complement|clock)\b")
# Where a program says what the signs mean: "^" and "%" are others there, decimals are rounded, large numbers end.
_CODE = re.compile(
    r"\b(?:python[23]?|(?:java|type|coffee)script|js|node\.?js|java|kotlin|scala|swift|rust|golang|ruby|perl|php|lua|"
    r"haskell|matlab|octave|julia|fortran|cobol|pascal|delphi|vba|bash|zsh|powershell|shell|sql|postgres\w*|mysql|"
    r"sqlite|excel|spreadsheets?|tabellenkalkulation|hojas? de cálculo|solidity|verilog|cod(?:e|es|ing|igo)|código|"
    r"programm\w*|programa\w*|programs?|compil\w*|kompil\w*|"
    r"interpreter|console|konsole|consola|terminal|repl|prints?|printed|printf|imprime|imprimir|ausgabe|ausgegeben|"
    r"output|return(?:s|ed)?|float\w*|fließkomma\w*|gleitkomma\w*|coma flotante|doubles?|ieee|integers?|"
    r"ints?|u?int(?:8|16|32|64)|overflow\w*|überlauf\w*|desbordamiento)\b|"
    r"(?<!\w)(?:c\+\+|c#|f#|\.net)(?!\w)|"
    r"\b(?:in|en|with|mit) (?:c|r|go|d)\b(?![-'’])|\b(?:c|go|r)[ -](?:language|program|sprache|lang)|```|`")
# What is not part of a sum, but may change what it is about: "half of 15 * 20", "3 * 4 squared", "5 * 2 million".
_LED = re.compile(r"\b(?:sqrt|roots? of|wurzel(?: aus)?|raíz(?: cuadrada)? de|log|ln|exp|sin|cos|tan|half of|twice|"
                  r"thrice|times|double|minus|negative|plus|menos|más|doppelte von|hälfte von|mitad de|doble de|of|"
                  r"means|"
                  r"bedeutet|steht für|significa) *$")
_FOLLOWED = re.compile(r" ?(?:times|divided|squared|cubed|over|per|choose|mod\b|modulo|mal\b|geteilt|hoch\b|quadrat|"
                       r"por\b|entre\b|dividido|al cuadrado|k\b|m\b|bn\b|mill|bill|trill|dozen|dutzend|docena|lakh|"
                       r"crore|x\b|%|½|¼|¾)")
_PLAIN = re.compile(r"[0-9]+(?: ?[+*×] ?[0-9]+)+")
# A product of numbers with no more digits than these together fits into any machine's.
_MOST_DIGITS = 9


def find_sums(text: str) -> Iterator[tuple[str, Asked]]:
    """Only what is written with signs, is worth the words, and means the same to whoever wrote it."""
    folded = fold(text)
    if _BITS.search(folded):
        return
    is_code = bool(_CODE.search(folded))
    language = guess_language(folded)
    for found in _INSIDE.finditer(text):
        words = found[0]
        around = text[:found.start()].rstrip()[-1:] + text[found.end():].lstrip()[:1]
        if GROUP.search(words) or any(mark in "+-*/^×÷%!()−" for mark in around):
            continue
        if _ORDINAL.match(text, found.end()) and is_no_sum(f"{words}."):
            continue
        if _is_trifle(words) or is_no_sum(words) or (is_code and not _is_same_in_code(words)):
            continue
        if "%" in words or not _PRODUCT.search(words):
            continue
        before = folded[max(0, found.start() - 20):found.start()]
        if not (_FOLLOWED.match(folded, found.end()) or _LED.search(before) or _LABEL.search(before)):
            yield words, Asked("calculate", {"expression": words}, language)


def _is_same_in_code(words: str) -> bool:
    return bool(_PLAIN.fullmatch(words)) and sum(map(str.isdigit, words)) <= _MOST_DIGITS


def _is_trifle(words: str) -> bool:
    return bool(_SMALL.fullmatch(words)) and all(int(each) <= _MOST_KNOWN for each in re.findall(r"[0-9]+", words))
