"""What a statute may be called, brought to one spelling, so that "SGB V", "SGB 5" and "sgb_5" are the same."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

_SPELT_OUT = re.compile(r"(?<![aeiouq])([aou])e", re.IGNORECASE)
_BETWEEN = re.compile(r"[\W_]+")
_ENDING = re.compile(r"(?<=\w{4})(?:es|en|em|er|e|s|n)\b")
_ARTICLE = re.compile(r"^(?:(?:d(?:as|em|er|es|ie)|im|vom|the|el|la|del) )?(?:deutsche[nrs]? |german )?")
_YEAR = re.compile(r" (?:1[89]|20)\d\d$")
_BOOK = re.compile(r"(sgb) (\d{1,2}|[ivx]+)")
_ROMAN = ("", "i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix", "x", "xi", "xii", "xiii", "xiv", "xv")
_NUMBERS = re.compile(r"\d+")
_SCOPE = re.compile(r" (?:fur|uber|zur?|zum|der|des|gegen|im|in|von|betreffend) ")
# Names in other languages, where they can mean no other country's.
_TRANSLATED = {
    "german civil code": "bgb", "codigo civil aleman": "bgb", "german criminal code": "stgb",
    "german penal code": "stgb", "codigo penal aleman": "stgb", "german commercial code": "hgb",
    "codigo de comercio aleman": "hgb", "german basic law": "gg", "ley fundamental alemana": "gg",
    "ley fundamental": "gg", "ley fundamental de alemania": "gg", "german constitution": "gg",
}
# One word for a code, "Grundgesetz", and no kind of law, "Verordnung".
_CODE = re.compile(r"(?!(?:ver|an)ordnung$)\w{3,}(?:gesetz|gesetzbuch|ordnung)")
LONGEST = 300
# From this rank on a name that several statutes share means none of them.
TITLE = 2


def fold(text: str) -> str:
    """Words in small letters without accents, one blank between them."""
    plain = unicodedata.normalize("NFKD", text).casefold()
    return _BETWEEN.sub(" ", "".join(char for char in plain if not unicodedata.combining(char))).strip()


def find_keys(name: str) -> tuple[str, ...]:
    """The spellings that a name somebody used is looked up by, the likeliest first."""
    words = fold(name[:LONGEST])
    words = _TRANSLATED.get(words) or _ARTICLE.sub("", words)
    book = _BOOK.fullmatch(words)
    if book and book[2] in _ROMAN[1:]:
        words = f"{book[1]} {_ROMAN.index(book[2])}"
    spelt = (words, spell_umlauts(words))
    return tuple(dict.fromkeys(key for each in spelt for key in (each.replace(" ", ""), _stem(each)))) if words else ()


def spell_umlauts(text: str) -> str:
    """As fold() leaves "ä", "ö" and "ü", where they were written as "ae", "oe" and "ue"."""
    return _SPELT_OUT.sub(r"\1", text)


def make_keys(*, abbreviations: tuple[str, ...], titles: tuple[str, ...]) -> Iterator[tuple[str, int]]:
    """All spellings that a statute answers to, each with its rank: where two share one, the lower rank is meant."""
    for name in filter(None, abbreviations):
        words = fold(name)
        yield words.replace(" ", ""), 0
        yield _YEAR.sub("", words).replace(" ", ""), 1
    for title in filter(None, titles):
        words = fold(title)
        yield words.replace(" ", ""), TITLE
        yield _stem(words), TITLE
        short = _SCOPE.split(words, maxsplit=1)[0]
        if _CODE.fullmatch(short) and short != words:
            yield short, TITLE + 1
            yield _stem(short), TITLE + 1


def sort_key(number: str) -> str:
    """Numbers of norms in their order: "9" before "10", "312" before "312a" before "313"."""
    return _NUMBERS.sub(lambda found: found[0].zfill(6), number.casefold().replace(" ", ""))


def _stem(words: str) -> str:
    """Without the endings by which German tells cases apart: "des Bürgerlichen Gesetzbuchs" is the same book."""
    return _ENDING.sub("", words).replace(" ", "")
