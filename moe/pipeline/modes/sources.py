"""The sources of an answer: numbered for the model that cites them, listed for the reader."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from msgspec import Struct

from ...core import ChatRequest, Extract, Text, ToolResult
from ...tools.base import Language
from .fences import read

HEADINGS: dict[Language, str] = {"en": "Sources", "de": "Quellen", "es": "Fuentes"}
NONE: dict[Language, str] = {
    "en": "No sources were available for this answer, so nothing in it has been checked against any.",
    "de": "Für diese Antwort lagen keine Quellen vor; nichts darin wurde an solchen geprüft.",
    "es": "Para esta respuesta no había fuentes disponibles; nada en ella se ha contrastado con ninguna.",
}
UNCITED: dict[Language, str] = {
    "en": "The numbers in brackets cite nothing here.",
    "de": "Die Zahlen in Klammern belegen hier nichts.",
    "es": "Los números entre corchetes no citan nada aquí.",
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
_LINE = re.compile(r"(?im)^[ \t>]{0,8}(?:\[(?P<number>\d{1,3})\]:?|"
                   r"(?:\[(?P<marked>(?:source|quelle|fuente|document|doc)[ ]\d{1,3})\]:?|"
                   r"(?P<named>(?:source|quelle|fuente|document|dokument|documento)[ ]\d{1,3})[ ]?[:.–—-]))[ \t]+"
                   r"(?P<words>\S[^\n]*?)[ \t]*\r?$")
# What numbered lines are, if not sources: a log, options, or tasks.
_LOG = re.compile(r"(?i)(?:info|warn(?:ing)?|error|debug|trace|fatal|critical|notice)\b:?\s|\[?\d[\d:./-]{4,}\s|[>$] ")
_OPTIONS = re.compile(
    r"(?i)\b(?:options?|choices?|choose|alternatives?|ways|to-?dos?|tasks?|rules|which (?:one|is|would|should|do you)|"
    r"should i|better|optionen|möglichkeiten|aufgaben|regeln|soll ich|welche[rsn]? (?:ist|soll)|besser|opciones|"
    r"tareas|reglas|cuál|debería|mejor)\b")
_SOURCES = re.compile(r"(?i)\b(?:sources?|references?|cit(?:e|ing|ations?)|according to|quellen?|zitier\w+|belege?|"
                      r"laut|fuentes?|referencias?|cit[ae]\w*|según)\b")
_TITLE = 100
_LETTERS = re.compile(r"[^\W\d_]+")
_FEW_LINES, _FEW_WORDS, _LONG = 2, 3, 600

class Source(Struct, frozen=True):
    """Something an answer may rest on: its name, and where it lies, an address or a place in a document."""

    title: str = ""
    place: str = ""


class Given(Struct, frozen=True):
    """The sources that a request brings along by itself: those with numbers, by them, whether there are others, which
    no number stands for, and whether there is a long text to work on."""

    numbered: Mapping[int, Source] = {}
    has_others: bool = False
    has_text: bool = False


NOTHING = Given()


def find_sources(request: ChatRequest) -> Given:
    """Those of the newest turn of the user that has any, numbered lines and blocks or attached files, and the results
    of tools."""
    has_results = any(isinstance(part, ToolResult) for message in request.messages for part in message.parts
                      if message.role != "assistant")
    has_text = any(map(_is_long, request.user_texts))
    for message in reversed(request.messages):
        if message.role == "user":
            texts = [part.text for part in message.parts if isinstance(part, Text)]
            numbered = {number: source for text in reversed(texts) for number, source in _read_numbered(text).items()}
            has_files = any(isinstance(part, Extract) for part in message.parts)
            if numbered or has_files:
                return Given(dict(sorted(numbered.items())), has_files or has_results, has_text)
    return Given({}, has_results, has_text)


def _is_long(text: str) -> bool:
    """Whether it has a text besides the question, which is the first line or the last."""
    lines = text.strip().splitlines()
    question = min(map(len, (lines[0], lines[-1]))) if len(lines) > 1 else 0
    return len(text.strip()) - question >= _LONG


def _read_numbered(text: str) -> dict[int, Source]:
    numbered: dict[int, Source] = {}
    for found in _TAG.finditer(text):
        name = _NAME.search(f"{found['named'] or ''} {found['more'] or ''}")
        title = name[1] or name[2] or "" if name else ""
        numbered.setdefault(int(found["number"] or found["inner"]), Source(title=title))
    return _read_lines(text) | numbered


def _read_lines(text: str) -> dict[int, Source]:
    """Lines that are called sources, and lines with numbers from one on that can be taken for them."""
    prose = "".join(piece.raw for piece in read(text) if piece.kind == "prose")
    lines = list(_LINE.finditer(prose))
    named = {int((found["marked"] or found["named"]).split()[1]): Source(_shorten(found["words"]))
             for found in lines if not found["number"]}
    plain = [found for found in lines if found["number"]]
    numbers = [int(found["number"]) for found in plain]
    is_list = len(plain) >= _FEW_LINES and numbers == list(range(1, len(numbers) + 1)) and not any(
        len(_LETTERS.findall(found["words"])) < _FEW_WORDS or _LOG.match(found["words"]) for found in plain)
    rest = _LINE.sub("", prose)
    if not is_list or (_OPTIONS.search(rest) and not _SOURCES.search(rest)):
        return named
    return {int(found["number"]): Source(_shorten(found["words"])) for found in plain} | named


def _shorten(words: str) -> str:
    return words if len(words) <= _TITLE else f"{words[:_TITLE].rsplit(maxsplit=1)[0]} …"


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
