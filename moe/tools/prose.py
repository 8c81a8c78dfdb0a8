"""Words, sentences and characters, counted."""

from __future__ import annotations

import re
from fractions import Fraction

from .base import Language, Outcome, Setting, tool
from .numbers import decimal_text, localise

WORDS_PER_MINUTE = 200

_TOKEN = re.compile(r"\S+")
# Chinese and Japanese are written without blanks: each of their letters is counted as a word, by custom.
_WIDE = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")
_WIDE_END = re.compile(r"([。！？])(?=\w)")
_WORD = re.compile(r"[^\W_]")
_CLOSERS = "\"'”’»“‘›)]}*_"
_OPENERS = "\"'“„‚«‹‘¿¡([{*_»›"
_INITIAL = re.compile(r"[^\W\d_]")
_ORDINAL = re.compile(r"[0-9]{1,2}")
_SHORT_FORMS = (
    "e.g i.e etc vs cf al ca approx dr mr mrs ms prof st jr sr no nos vol fig inc ltd co corp dept est pp ed eds "
    "a.m p.m u.s u.k gen sen rep gov capt lt col sgt rev hon "
    "z.b d.h u.a o.ä u.ä usw bzw ggf evtl inkl exkl sog str nr bd abs art vgl s.o s.u i.d.r z.t u.s.w v.a max min "
    "mio mrd tel hr fr dipl ing mind geb gest hrsg "
    "p.ej ej ee uu sra srta ud uds vd vds dra av avda núm pág págs aprox ee.uu s.a"
)
_SHORT = frozenset(_SHORT_FORMS.split())
# Abbreviations that often end a sentence too: there the next word decides.
_MAY_END = frozenset(("etc", "usw", "a.m", "p.m", "u.s", "u.k", "inc", "ltd", "co", "corp", "al",
                      "jr", "sr", "ee.uu", "uu", "s.a"))
_MONTHS = frozenset(("januar", "jänner", "februar", "märz", "april", "mai", "juni", "juli", "august", "september",
                     "oktober", "november", "dezember"))

_TOLD: dict[Language, tuple[tuple[str, str], ...]] = {
    "en": (("word", "words"), ("different", "different"), ("character", "characters"), ("without blanks",) * 2,
           ("sentence", "sentences"), ("paragraph", "paragraphs"), ("minutes to read",) * 2),
    "de": (("Wort", "Wörter"), ("verschieden", "verschieden"), ("Zeichen", "Zeichen"), ("ohne Leerraum",) * 2,
           ("Satz", "Sätze"), ("Absatz", "Absätze"), ("Minuten Lesezeit",) * 2),
    "es": (("palabra", "palabras"), ("distinta", "distintas"), ("carácter", "caracteres"), ("sin espacios",) * 2,
           ("frase", "frases"), ("párrafo", "párrafos"), ("minutos de lectura",) * 2),
}


@tool("texts")
def text_analyze(text: str, *, setting: Setting) -> Outcome:
    """Counts the words, different words, characters, sentences and paragraphs of a text, and tells how long it takes
    to read at 200 words a minute.

    text: the text to be counted
    """
    tokens = _TOKEN.findall(_WIDE_END.sub(r"\1 ", text))
    words = [token for token in (_WIDE.sub(r" \g<0> ", text).split() if _WIDE.search(text) else tokens)
             if _WORD.search(token)]
    different = {_bare(word) for word in words}
    counts = {
        "words": len(words), "unique_words": len(different), "characters": len(text),
        "characters_without_spaces": sum(map(len, tokens)), "sentences": count_sentences(tokens),
        "paragraphs": sum(1 for line in text.splitlines() if line.strip()),
    }
    minutes = decimal_text(round(Fraction(len(words), WORDS_PER_MINUTE), 2))
    names = _TOLD[setting.language]
    said = [f"{count} {name[count != 1]}" for count, name in zip(counts.values(), names, strict=False)]
    line = f"{said[0]} ({said[1]}), {said[2]} ({said[3]}), {said[4]}, {said[5]}, "
    line += f"{localise(minutes, setting.language)} {names[6][0]}"
    return Outcome(result={**counts, "reading_minutes": minutes}, text=line)


def _bare(token: str) -> str:
    """A word in small letters without what stands around it."""
    first = _WORD.search(token)
    start, end = first.start() if first else 0, len(token)
    while end > start and not _WORD.match(token[end - 1]):
        end -= 1
    return token[start:end].casefold()


def count_sentences(tokens: list[str]) -> int:
    """By end marks after words; a point in a number, after an abbreviation, an initial or an ordinal ends none, nor
    do marks before a small letter. What follows the last mark is a sentence too."""
    count, is_open = 0, False
    for place, token in enumerate(tokens):
        is_open = is_open or bool(_WORD.search(token))
        if is_open and _ends(token, tokens[place + 1] if place + 1 < len(tokens) else ""):
            count, is_open = count + 1, False
    return count + is_open


def _ends(token: str, following: str) -> bool:
    core = token.rstrip(_CLOSERS)
    stem = core.rstrip(".!?…。！？")
    marks = core[len(stem):]
    if not marks:
        return False
    if not following:
        return True
    start = following.lstrip(_OPENERS)[:1]
    if "!" in marks or "?" in marks:
        return not start.islower()
    if start.islower():
        return False
    if marks != ".":
        return True
    stem = stem.lstrip(_OPENERS).casefold()
    if stem in _SHORT:
        return stem in _MAY_END and start.isupper()
    if _ORDINAL.fullmatch(stem):
        return following.strip(".,;:!?").casefold() not in _MONTHS
    return not _INITIAL.fullmatch(stem)
