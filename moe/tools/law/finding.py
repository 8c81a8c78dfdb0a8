"""Which norms a reference means, and what is said where there is none."""

from __future__ import annotations

import re

from ...errors import ToolError
from ...store.law_names import fold
from ...store.statute import LawCard, Norm
from ..base import LawBook
from ..numbers import quote
from .places import PLACED, spell_number
from .references import Reference, read_references, read_whole
from .shelf import find_article

MOST_FOLLOWING = 20
MOST_LISTED = 5_000

_ROMAN = ("", "i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix", "x", "xi", "xii", "xiii", "xiv", "xv", "xvi",
          "xvii", "xviii", "xix", "xx")
_LAW = re.compile(r"(?:(?:des|der|dem|vom|im|of the|del) )?(?:[A-ZÄÖÜ][\w-]*(?: [\w-]+){0,7}|"
                  r"\w{0,30}(?:bgb|gg|gb|gesetz|gesetzbuch|ordnung)(?:e?s)?)")
_LAW_BETWEEN = re.compile(rf"(?P<law>[^\W\d_][\w.-]*(?: [\w-]+){{0,5}}?),? (?P<part>{PLACED}.*)", re.IGNORECASE)


def read_meant(paragraph: str) -> tuple[tuple[Reference, ...], str]:
    """What is referred to, and the law that is named with it once more, "" for none. Raises ToolError."""
    references, rest = read_references(paragraph)
    if references and rest:
        split = join_apart(paragraph)
        if split:
            return read_whole(split[0]), split[1]
        if _LAW.fullmatch(rest):
            return references, rest
    return read_whole(paragraph), ""


def join_apart(text: str) -> tuple[str, str] | None:
    """"§ 433 BGB Abs. 2" as the reference and the law that stands within it."""
    references, rest = read_references(text)
    found = _LAW_BETWEEN.fullmatch(rest) if len(references) == 1 and not references[0].has_part else None
    if not found or not text.strip().endswith(rest):
        return None
    return f"{text.strip().removesuffix(rest).strip(' ,')} {found['part']}", found["law"]


def check_same(book: LawBook, card: LawCard, named: str, paragraph: str) -> None:
    """Raises ToolError where the law named with the paragraph is another than the one that was asked for."""
    other = book.find_law(named)
    if other is None or other.id != card.id:
        raise ToolError(f"'{quote(' '.join(paragraph.split()), 60)}' names another law than {card.abbreviation}; ask "
                        "for it by that law")


def find_meant(book: LawBook, card: LawCard, reference: Reference) -> list[Norm]:
    """At least one. Raises ToolError."""
    if reference.name:
        named = [norm for norm in book.find_norms(card, "", "") if fold(norm.label) == fold(reference.name)]
        if not named:
            raise ToolError(f"{card.abbreviation} has no {reference.name} (as retrieved on {card.retrieved})")
        return named[:1]
    kind = reference.kind or card.kind
    found = _look_up(book, card, kind, reference)
    if reference.within:
        found = [norm for norm in found if find_article(norm).casefold() == reference.within.casefold()]
    if not found:
        raise ToolError(_miss(book, card, reference, kind))
    if reference.until:
        return found
    if len(found) > 1:
        found = [norm for norm in found if norm.number.casefold() == reference.number.casefold()] or found
    if len({find_article(norm) for norm in found}) > 1:
        found = [norm for norm in found if not find_article(norm)] or found
    if len(found) > 1 and found[0].headings != found[-1].headings:
        places = "; ".join(" > ".join(norm.headings[-2:]) for norm in found)
        raise ToolError(f"{card.abbreviation} has {kind} {found[0].number} several times, under {places}; name the "
                        "article too, as in Art. 229 § 1")
    if reference.following:
        found += book.find_following(card, found[0], 1 if reference.following == 1 else MOST_FOLLOWING)
    return found


def _look_up(book: LawBook, card: LawCard, kind: str, reference: Reference) -> list[Norm]:
    """By the number as it is written; articles and annexes have Roman numbers in some laws."""
    found = book.find_norms(card, kind, reference.number, reference.until)
    number = reference.number
    if found or kind == "§" or reference.until:
        return found
    if number.isdecimal() and int(number) < len(_ROMAN):
        return book.find_norms(card, kind, _ROMAN[int(number)])
    return book.find_norms(card, kind, spell_number(number)) if number.isupper() else []


def _miss(book: LawBook, card: LawCard, reference: Reference, kind: str) -> str:
    sign = {"Art": "Art."}.get(kind, kind)
    asked = f"{sign} {reference.number}".strip()
    asked = f"Art. {reference.within} {asked}" if reference.within else asked
    asked = f"{asked} to {reference.until}" if reference.until else asked
    other = [each for each in book.find_kinds(card, reference.number) if each != kind]
    hint = f"; it has {' and '.join(f'{each} {reference.number}' for each in other)}" if other else ""
    if kind == "Art" and not reference.until:
        _, norms = book.read_outline(card, MOST_LISTED)
        under = [norm.label for norm in norms
                 if norm.kind == "§" and find_article(norm).casefold() == reference.number.casefold()]
        if under:
            return f"{asked} {card.abbreviation} is divided into §§; name one of them, as {under[0]}"
    return f"{card.abbreviation} has no {asked} (as retrieved on {card.retrieved}){hint}"
