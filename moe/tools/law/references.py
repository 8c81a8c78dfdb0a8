"""References to statutes as people write them: "§ 433 Abs. 1 S. 2 BGB", "§§ 433 ff.", "Art. 20a GG", "§ 1 II 3"."""

from __future__ import annotations

import re

from msgspec import Struct, structs

from ...errors import ToolError
from ...store.law_names import sort_key
from ..numbers import quote
from .places import LETTERS_BEFORE_LAW, read_places

LONGEST = 300
# A bare number above it is no paragraph of a norm.
MOST_PARTS = 30

_SECTION = r"§ ?§?|(?:paragra(?:ph|f)e?n?|paragraphs?|sections?|sec|secci[oó]n|p[aá]rrafo)(?!\w)\.?"
_ARTICLE = r"art(?:ikeln?|icles?|[ií]culos?|s|t)?(?!\w)\.?"
_ANNEX = r"(?:anlagen?|anl\.)(?!\w)"
_APPENDIX = r"(?:anhang|anhänge)(?!\w)"
SIGN = rf"(?P<section>{_SECTION})|(?P<article>{_ARTICLE})|(?P<annex>{_ANNEX})|(?P<appendix>{_APPENDIX})"
# A letter may stand apart, but one that means "f." or "and" does not belong to the number.
NUMBER = r"[0-9]{1,5}(?: (?-i:[a-eg-xz])(?![\w.])|(?!ff|f\.)[a-z]{1,2}(?!\w))?"
_ROMAN = r"(?-i:[IVX]{1,6})"
_START = re.compile(rf"(?:{SIGN})? ?(?P<number>{NUMBER}|{_ROMAN})(?:(?!\w)|(?=ff?\.|ff(?!\w)|{LETTERS_BEFORE_LAW}))",
                    re.IGNORECASE)
_BARE = re.compile(r"(?P<sign>anlage|anhang)(?!\w)", re.IGNORECASE)
_NAMED = re.compile(r"(?P<name>präambel|eingangsformel|schlussformel)(?!\w)", re.IGNORECASE)
_SPAN = re.compile(rf" ?(?:[-–—]|(?:bis(?: zu)?|to|through|hasta)(?!\w)) ?(?:§ ?|art\.? ?)?(?P<until>{NUMBER})(?!\w)",
                   re.IGNORECASE)
_FOLLOWING = re.compile(r" ?(?P<ff>ff?)(?:\.|(?!\w))", re.IGNORECASE)
_AND = re.compile(r" ?(?:,|&|u\.|(?:und|and|y)(?!\w)) ?(?=[0-9§]|art)", re.IGNORECASE)
_UNDER = re.compile(r",? §")
_ENDED = re.compile(r"(?<!f)[.!?]$")
_BLANKS = re.compile(r"\s+")


class Reference(Struct, frozen=True, kw_only=True):
    """One norm, or several from `number` to `until`; `following` is 1 for "f.", 2 for "ff.". The kind is "" where only
    a number is given. `paragraph`, `sentence`, `item` and `letter` name a part of it; `last` is where several of them
    end, as in "Abs. 1 bis 3". `within` is the article under which a § stands, as in "Art. 229 § 1". `name` is that of
    a text without a number, "Präambel"."""

    kind: str
    number: str
    until: str = ""
    following: int = 0
    paragraph: str = ""
    sentence: str = ""
    item: str = ""
    letter: str = ""
    last: str = ""
    within: str = ""
    name: str = ""

    @property
    def has_part(self) -> bool:
        return bool(self.paragraph or self.sentence or self.item or self.letter)


def read_references(text: str) -> tuple[tuple[Reference, ...], str]:
    """What `text` begins with, and the rest of it; nothing where it begins otherwise."""
    text = _BLANKS.sub(" ", text[:LONGEST]).strip()
    named = _NAMED.match(text)
    if named:
        return (Reference(kind="", number="", name=named["name"].capitalize()),), text[named.end():].strip()
    found: list[Reference] = []
    place, is_plural = 0, _is_plural(text)
    while read := _read_one(text, place, found[-1].kind if found else "", is_plural=is_plural):
        found += read[0]
        place = read[1]
        link = _AND.match(text, place)
        if not link or not _begins_norm(text, link.end(), found[-1], is_plural=is_plural):
            break
        place = link.end()
    return tuple(found), text[place:].strip()


def read_whole(text: str) -> tuple[Reference, ...]:
    """All of `text`. Raises ToolError."""
    bare = text[:2 * LONGEST].strip()
    bare = bare[1:-1] if bare.startswith("(") and bare.endswith(")") else _ENDED.sub("", bare)
    found, rest = read_references(bare)
    if not found or rest or len(text) > 2 * LONGEST:
        raise ToolError(f"'{quote(_BLANKS.sub(' ', text), 60)}' is no reference that is understood; write it as "
                        "§ 242, § 433 Abs. 1 Satz 2, §§ 433-435, Art. 20a or Anlage 1")
    return found


def _is_plural(text: str) -> bool:
    return bool(re.match(r"§ ?§|art(?:t\.?|s\.?|ikeln|icles|[ií]culos) ", text, re.IGNORECASE))


def _begins_norm(text: str, place: int, before: Reference, *, is_plural: bool) -> bool:
    """Whether what follows "and" is a norm of its own: after a part of a norm, a bare number could be another part."""
    following = _START.match(text, place)
    if not before.has_part or not following or _kind_of(following):
        return True
    number = following["number"]
    if not is_plural or not number[:1].isdecimal() or sort_key(number) <= sort_key(before.number):
        return False
    places, _ = read_places(text, following.end())
    return bool(places[0]) or int(re.match(r"\d+", number)[0]) > MOST_PARTS  # type: ignore[index]


def _read_one(text: str, place: int, kind: str, *, is_plural: bool) -> tuple[list[Reference], int] | None:
    """One norm at `place`, once for each part of it that is named; without a sign of its own it is of `kind`."""
    found = _START.match(text, place)
    if not found:
        bare = _BARE.match(text, place)
        return ([Reference(kind=bare["sign"].capitalize(), number="")], bare.end()) if bare else None
    kind = _kind_of(found) or kind
    number, place = found["number"].replace(" ", ""), found.end()
    if number.isalpha() and kind not in ("Art", "Anlage", "Anhang"):
        return None
    under = _UNDER.match(text, place) if kind == "Art" else None
    if under and (inner := _read_one(text, under.end() - 1, "", is_plural=False)) and inner[0][0].kind == "§":
        return [structs.replace(each, within=number) for each in inner[0]], inner[1]
    span = _SPAN.match(text, place)
    if span:
        return [Reference(kind=kind, number=number, until=span["until"].replace(" ", ""))], span.end()
    following = _FOLLOWING.match(text, place)
    if following:
        return [Reference(kind=kind, number=number, following=len(following["ff"]))], following.end()
    places, place = read_places(text, place, is_plural=is_plural)
    return [structs.replace(Reference(kind=kind, number=number), **each) for each in places], place


def _kind_of(found: re.Match[str]) -> str:
    signs = {"section": "§", "article": "Art", "annex": "Anlage", "appendix": "Anhang"}
    return next((kind for name, kind in signs.items() if found[name]), "")
