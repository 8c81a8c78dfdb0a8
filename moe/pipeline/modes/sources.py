"""The sources of an answer: numbered for the model that cites them, listed for the reader."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct

from ...core import ChatRequest, Extract, Text, ToolResult
from ...tools.base import Language
from ...tools.questions.question import fold

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
_TAG = re.compile(r"""(?i)<(?:source|document|doc|context)\b(?P<named>[^>\n]{0,400}?)\s"""
                  r"""(?:id|index|number)\s?=\s?["']?"""
                  r"""(?P<number>\d{1,3})["']?(?P<more>[^>\n]{0,400})>|<source_id>(?P<inner>\d{1,3})</source_id>""")
_NAME = re.compile(r"""(?i)\b(?:name|title)\s?=\s?(?:"([^"]*)"|'([^']*)')""")
_LINE = re.compile(r"(?im)^[ \t>*-]{0,8}(?:\[(?:(?:source|quelle|fuente|document|doc)[ ])?"
                   r"(?P<marked>\d{1,3})\]:?[ \t]+|"
                   r"(?:source|quelle|fuente|document|dokument|documento)[ ](?P<named>\d{1,3})[ ]?[:.–—-][ \t]*)"
                   r"(?P<words>\S+(?:[ \t]+\S+)+|https?://\S+)[ \t]*$")
_TITLE = 100
_WORD = re.compile(r"[^\W_]{4,}")
_HALF = 0.5


class Source(Struct, frozen=True):
    """Something an answer may rest on: its name, and where it lies, an address or a place in a document."""

    title: str = ""
    place: str = ""


class Given(Struct, frozen=True):
    """The sources that a request brings along by itself: those with numbers, by them, and whether there are others,
    which no number stands for. `text` is where they stand, in small letters."""

    numbered: Mapping[int, Source] = {}
    has_others: bool = False
    text: str = ""

    def holds(self, entry: str) -> bool:
        """Whether an entry of a list of sources is one of these: its link is, or half of its words are."""
        folded = fold(entry)
        if any(link.rstrip(").,;") in self.text for link in _LINKED.findall(folded)):
            return True
        words = _WORD.findall(_LINKED.sub(" ", folded))
        return bool(words) and sum(word in self.text for word in words) >= _HALF * len(words)


NOTHING = Given()


def find_sources(request: ChatRequest) -> Given:
    """Those in all of its turns but the model's own: numbered lines and blocks, attached files, results of tools."""
    numbered: dict[int, Source] = {}
    has_others = False
    texts: list[str] = []
    for message in request.messages:
        for part in message.parts if message.role != "assistant" else ():
            if isinstance(part, (Extract, ToolResult)):
                has_others = True
            elif isinstance(part, Text):
                found = dict(_read_numbered(part.text))
                numbered |= {number: source for number, source in found.items() if number not in numbered}
                texts += [fold(part.text)] if found else []
    return Given(dict(sorted(numbered.items())), has_others, "\n".join(texts))


def _read_numbered(text: str) -> Iterator[tuple[int, Source]]:
    for found in _TAG.finditer(text):
        name = _NAME.search(f"{found['named'] or ''} {found['more'] or ''}")
        yield int(found["number"] or found["inner"]), Source(title=name[1] or name[2] or "" if name else "")
    for found in _LINE.finditer(text):
        words = found["words"]
        title = words if len(words) <= _TITLE else f"{words[:_TITLE].rsplit(maxsplit=1)[0]} …"
        yield int(found["marked"] or found["named"]), Source(title=title)


def number_sources(sources: Sequence[Source]) -> str:
    """The sources as a model is shown them, with the numbers that it cites them by."""
    return "\n".join(f"[{number}] {' — '.join(filter(None, (_flatten(each.title), _flatten(each.place))))}"
                     for number, each in enumerate(sources, 1))


def list_sources(sources: Sequence[Source] | Mapping[int, Source], language: Language) -> str:
    """The section that ends an answer; of no source it says that there was none."""
    known = sources if isinstance(sources, Mapping) else dict(enumerate(sources, 1))
    is_counted = list(known) == list(range(1, len(known) + 1))
    lines = "\n".join(f"{f'{number}.' if is_counted else f'- [{number}]'} {_link(source) or '…'}"
                      for number, source in known.items())
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
