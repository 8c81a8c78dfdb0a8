"""References to statutes as people write them: "§ 433 Abs. 1 S. 2 BGB", "§§ 433 ff.", "Art. 20a GG", "§ 1 II 3"."""

from __future__ import annotations

import re

from msgspec import Struct, structs

from ...errors import ToolError
from ..numbers import quote

LONGEST = 300

_SECTION = r"§ ?§?|(?:paragra(?:ph|f)e?n?|paragraphs?|sections?|sec|secci[oó]n|p[aá]rrafo)(?!\w)\.?"
_ARTICLE = r"art(?:ikeln?|icles?|[ií]culos?|s)?(?!\w)\.?"
_ANNEX = r"anlagen?(?!\w)"
_APPENDIX = r"(?:anhang|anhänge)(?!\w)"
SIGN = rf"(?P<section>{_SECTION})|(?P<article>{_ARTICLE})|(?P<annex>{_ANNEX})|(?P<appendix>{_APPENDIX})"
# A letter may stand apart, but one that means "f." or "and" does not belong to the number.
NUMBER = r"[0-9]{1,5}(?: (?-i:[a-eg-xz])(?![\w.])|(?!ff|f\.)[a-z]{1,2}(?!\w))?"
_ROMAN = r"(?-i:[IVX]{1,6})"
_START = re.compile(rf"(?:{SIGN})? ?(?P<number>{NUMBER}|{_ROMAN})(?:(?!\w)|(?=ff?\.|ff(?!\w)))", re.IGNORECASE)
_BARE = re.compile(r"(?P<sign>anlage|anhang)(?!\w)", re.IGNORECASE)
_SPAN = re.compile(rf" ?(?:[-–—]|(?:bis(?: zu)?|to|through|hasta)(?!\w)) ?(?:§ ?|art\.? ?)?(?P<until>{NUMBER})(?!\w)",
                   re.IGNORECASE)
_FOLLOWING = re.compile(r" ?(?P<ff>ff?)(?:\.|(?!\w))", re.IGNORECASE)
_AND = re.compile(r" ?(?:,|&|u\.|(?:und|and|y)(?!\w)) ?(?=[0-9§]|art)", re.IGNORECASE)
_PARTS = {name: re.compile(pattern, re.IGNORECASE) for name, pattern in (
    ("paragraph", r",? ?(?:abs(?:\.|atz)?|para(?:\.|graph)|subsection|apartado|párr(?:\.|afo)) ?"
                  r"([0-9]{1,3}[a-z]?)(?!\w)| ?\(([0-9]{1,3}[a-z]?)\)"),
    ("sentence", r",? ?(?:s\.|satz|sentence|frase) ?([0-9]{1,2})(?!\w)"),
    ("item", r",? ?(?:nr\.?|nummer|ziff(?:\.|er)|no\.|number|n[.º°]|núm(?:\.|ero)) ?([0-9]{1,3}[a-z]?)(?!\w)"),
    ("letter", r",? ?(?:buchst(?:\.|abe)?|lit\.|litera|letter|letra) ?([a-z]{1,2})(?!\w)"),
)}
_SHORT_PARTS = re.compile(r" (?P<paragraph>(?-i:[IVX]{1,5}))(?: (?P<sentence>[0-9]{1,2}))?(?![\w.])")
_ROMAN_VALUES = {"I": 1, "V": 5, "X": 10}
_UNDER = re.compile(r",? §")
_BLANKS = re.compile(r"\s+")


class Reference(Struct, frozen=True, kw_only=True):
    """One norm, or several from `number` to `until`; `following` is 1 for "f.", 2 for "ff.". The kind is "" where only
    a number is given. `paragraph`, `sentence`, `item` and `letter` name a part of it. `within` is the article under
    which a § stands, as in "Art. 229 § 1"."""

    kind: str
    number: str
    until: str = ""
    following: int = 0
    paragraph: str = ""
    sentence: str = ""
    item: str = ""
    letter: str = ""
    within: str = ""

    @property
    def has_part(self) -> bool:
        return bool(self.paragraph or self.sentence or self.item or self.letter)


def read_references(text: str) -> tuple[tuple[Reference, ...], str]:
    """What `text` begins with, and the rest of it; nothing where it begins otherwise."""
    text = _BLANKS.sub(" ", text[:LONGEST]).strip()
    found: list[Reference] = []
    place = 0
    while read := _read_one(text, place, found[-1].kind if found else ""):
        found.append(read[0])
        place = read[1]
        link = _AND.match(text, place)
        if not link:
            break
        place = link.end()
    return tuple(found), text[place:].strip()


def read_whole(text: str) -> tuple[Reference, ...]:
    """All of `text`. Raises ToolError."""
    found, rest = read_references(text)
    if not found or rest:
        raise ToolError(f"'{quote(_BLANKS.sub(' ', text), 60)}' is no reference that is understood; write it as "
                        "§ 242, § 433 Abs. 1 Satz 2, §§ 433-435, Art. 20a or Anlage 1")
    return found


def _read_one(text: str, place: int, kind: str) -> tuple[Reference, int] | None:
    """One reference at `place`; without a sign of its own it is of `kind`."""
    found = _START.match(text, place)
    if not found:
        bare = _BARE.match(text, place)
        return (Reference(kind=bare["sign"].capitalize(), number=""), bare.end()) if bare else None
    kind = _kind_of(found) or kind
    number, place = found["number"].replace(" ", ""), found.end()
    if number.isalpha() and kind not in ("Art", "Anlage", "Anhang"):
        return None
    if kind == "Art" and (under := _UNDER.match(text, place)):
        inner = _read_one(text, under.end() - 1, "")
        if inner and inner[0].kind == "§":
            return structs.replace(inner[0], within=number), inner[1]
    span = _SPAN.match(text, place)
    if span:
        return Reference(kind=kind, number=number, until=span["until"].replace(" ", "")), span.end()
    following = _FOLLOWING.match(text, place)
    if following:
        return Reference(kind=kind, number=number, following=len(following["ff"])), following.end()
    parts, place = _read_parts(text, place)
    return structs.replace(Reference(kind=kind, number=number), **parts), place


def _kind_of(found: re.Match[str]) -> str:
    signs = {"section": "§", "article": "Art", "annex": "Anlage", "appendix": "Anhang"}
    return next((kind for name, kind in signs.items() if found[name]), "")


def _read_parts(text: str, place: int) -> tuple[dict[str, str], int]:
    """The part of a norm that is named: "Abs. 1 Satz 2 Nr. 3", or in short "I 2"."""
    short = _SHORT_PARTS.match(text, place)
    if short:
        value = _read_roman(short["paragraph"])
        return {"paragraph": str(value), "sentence": short["sentence"] or ""}, short.end()
    parts: dict[str, str] = {}
    for name, pattern in _PARTS.items():
        found = pattern.match(text, place)
        if found:
            parts[name] = next(filter(None, found.groups())).replace(" ", "").casefold()
            place = found.end()
    return parts, place


def _read_roman(text: str) -> int:
    values = [_ROMAN_VALUES[letter] for letter in text]
    return sum(-value if value < following else value
               for value, following in zip(values, (*values[1:], 0), strict=True))
