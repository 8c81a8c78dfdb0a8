"""The imported statutes, as the tools find them: which law is meant, where its words stand, and what is not here."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from ...errors import ToolError
from ...store.database import NotStored
from ...store.law_names import fold
from ...store.statute import LawCard, Norm
from ..base import Language, LawBook, Setting
from ..numbers import quote
from .wording import RETRIEVED, spell_date

IMPORT = "python -m moe laws import"
EUROPEAN = frozenset(("dsgvo", "dsgv", "ds gvo", "eu dsgvo", "gdpr", "rgpd", "datenschutz grundverordnung",
                      "datenschutzgrundverordnung", "aeuv", "euv", "rom i vo", "rom ii vo", "eugvvo", "ki vo",
                      "ai act"))
MOST_NAMED = 12
_ARTICLE = re.compile(r"Art(?:ikel)?\.? (\d+[a-z]?|[IVX]+)(?!\w)", re.IGNORECASE)
_SEVERAL = re.compile(r"^(?:Art \w+ )?(?:§§|Anlagen|§ ?\d+\w* (?:und|u\.|bis))")
_PREFIXES = {"§": "__", "Art": "art_", "Anlage": "anlage_", "Anhang": "anhang_"}


class Unreadable(ToolError):
    """The statutes are there and cannot be read: the server's fault, not the caller's."""

    status = 503
    code = "laws_unreadable"


@contextmanager
def open_book(setting: Setting) -> Iterator[LawBook]:
    """Raises ToolError where nothing is imported, or what is cannot be read."""
    book = setting.laws
    try:
        if book is None or not book.count():
            raise ToolError(f"no statutes are imported here yet; to import some: {IMPORT} BGB StGB HGB GG")
        yield book
    except NotStored as error:
        raise Unreadable("the imported statutes cannot be read now; the server's log says why") from error


def require_card(book: LawBook, law: str) -> LawCard:
    """Raises ToolError for a law that is not imported."""
    card = book.find_law(law)
    if card is not None:
        return card
    shown = quote(" ".join(law.split()), 60)
    if not shown:
        raise ToolError("no law is named; give its abbreviation, as BGB")
    if is_european(law):
        raise ToolError(f"'{shown}' is law of the European Union, which the official collection of German statutes "
                        "does not have, so it cannot be imported")
    known = [each.abbreviation for each in book.cards()]
    more = f" and {len(known) - MOST_NAMED} more" if len(known) > MOST_NAMED else ""
    raise ToolError(f"'{shown}' is not among the imported statutes ({', '.join(known[:MOST_NAMED])}{more}); if it is a "
                    f"German federal law: {IMPORT} {shown if shown.isalnum() else repr(shown)}")


def is_european(name: str) -> bool:
    return fold(name[:100]) in EUROPEAN


def tell_source(card: LawCard, norm: Norm | None = None, language: Language | None = None) -> str:
    """Where it was taken from, for a norm on the official site its own page; in a language, with the day too."""
    source = card.source
    if norm is not None and source.endswith("/") and norm.number and norm.kind in _PREFIXES and \
            not _SEVERAL.search(norm.label):
        article = find_article(norm)
        source = f"{source}{f'art_{article}' if article else ''}{_PREFIXES[norm.kind]}{norm.number}.html"
    return source if language is None else f"{source} ({tell_when(card, language)})"


def tell_when(card: LawCard, language: Language) -> str:
    return RETRIEVED[language].format(spell_date(card.retrieved, language))


def find_article(norm: Norm) -> str:
    """The number of the article under which a § stands, "" where it stands under none."""
    if norm.kind != "§":
        return ""
    places = (norm.label, *reversed(norm.headings))
    return next((found[1] for place in places if (found := _ARTICLE.match(place))), "")
