"""The sources of an answer: numbered for the model that cites them, listed for the reader."""

from __future__ import annotations

import re
from collections.abc import Sequence

from msgspec import Struct

from ...tools.base import Language

HEADINGS: dict[Language, str] = {"en": "Sources", "de": "Quellen", "es": "Fuentes"}
NONE: dict[Language, str] = {
    "en": "No sources were available for this answer, so nothing in it has been checked against any.",
    "de": "Für diese Antwort lagen keine Quellen vor; nichts darin wurde an solchen geprüft.",
    "es": "Para esta respuesta no había fuentes disponibles; nada en ella se ha contrastado con ninguna.",
}
# What a model says itself, so that it is said once.
_SAID = re.compile(
    r"(?i)\b(?:no|without|any|lack(?:ing)?|had no|have no) (?:\w+ ){0,2}sources?\b(?! of\b)(?: \w+){0,3} "
    r"(?:available|given|provided|supplied|found|consulted|attached|checked|cited|at hand)"
    r"|\bno (?:external |given )?sources? (?:to|that|were|was|are|is)\b(?! \w+ of\b)|\bwithout (?:any )?sources\b"
    r"|\b(?:keine|ohne) (?:\w+ ){0,2}quellen\b(?: \w+){0,3}"
    r"|\b(?:sin|ninguna|no (?:\w+ ){1,3}) ?fuentes?\b(?: \w+){0,3}",
)
_BREAK = re.compile(r"\s+")
_LINKED = re.compile(r"https?://[^\s<>]+", re.IGNORECASE)
_DELICATE = re.compile(r"([\\\[\]*_`<>])")


class Source(Struct, frozen=True):
    """Something an answer may rest on: its name, and where it lies, an address or a place in a document."""

    title: str = ""
    place: str = ""


def number_sources(sources: Sequence[Source]) -> str:
    """The sources as a model is shown them, with the numbers that it cites them by."""
    return "\n".join(f"[{number}] {' — '.join(filter(None, (_flatten(each.title), _flatten(each.place))))}"
                     for number, each in enumerate(sources, 1))


def list_sources(sources: Sequence[Source], language: Language) -> str:
    """The section that ends an answer; of no source it says that there was none."""
    lines = "\n".join(f"{number}. {_link(source)}" for number, source in enumerate(sources, 1))
    return f"## {HEADINGS[language]}\n\n{lines or NONE[language]}"


def says_none(text: str) -> bool:
    """Whether an answer says in its own words that it rests on no sources."""
    return bool(_SAID.search(text))


def _link(source: Source) -> str:
    title, place = _flatten(source.title), _flatten(source.place)
    if _LINKED.fullmatch(place):
        return f"[{_escape(title)}](<{place}>)" if title else f"<{place}>"
    return ", ".join(_escape(each) for each in (title, place) if each)


def _escape(text: str) -> str:
    return _DELICATE.sub(r"\\\1", text)


def _flatten(text: str) -> str:
    return _BREAK.sub(" ", text).strip()
