"""A report: its sections, in the user's language; what is missing is named, and never made up."""

from __future__ import annotations

import re
from collections.abc import Sequence

from msgspec import Struct

from ...tools.base import Language
from .cited import Cited
from .enforcer import Finding
from .fences import read
from .sources import Source


class Section(Struct, frozen=True):
    """A section by its name in each language; `cue` finds it in a heading, however a model words it."""

    names: dict[Language, str]
    cue: re.Pattern[str]


def _section(en: str, de: str, es: str, cue: str) -> Section:
    return Section({"en": en, "de": de, "es": es}, re.compile(rf"(?i)\b(?:{cue})\w*"))


TITLE = _section("Title", "Titel", "Título", r"title\b|titel\b|título\b")
SOURCES = _section("Sources", "Quellen", "Fuentes",
                   r"sources\b|references\b|bibliography|quellen|literatur|referenzen|fuentes\b|referencias\b|bibliografía")
SECTIONS = (
    TITLE,
    _section("Executive Summary", "Zusammenfassung", "Resumen ejecutivo",
             r"(?:executive |management )?summary\b|abstract\b|overview\b|zusammenfassung|kurzfassung|überblick|"
             r"resumen\b|síntesis\b"),
    _section("Background", "Hintergrund", "Antecedentes",
             r"background\b|context\b|introduction\b|hintergr[uü]nd|ausgangslage|kontext|einleitung|einführung|"
             r"antecedentes\b|contexto\b|introducción"),
    _section("Main Findings", "Wichtigste Ergebnisse", "Hallazgos principales",
             r"(?:main |key |principal )?findings\b|(?:main|key) (?:results|points)\b|results\b|"
             r"(?:haupt|kern)?ergebnisse|(?:haupt|kern)?erkenntnisse|befunde|hallazgos\b|resultados\b"),
    _section("Analysis", "Analyse", "Análisis", 
             r"analysis\b|discussion\b|analyse|diskussion|bewertung|análisis\b|discusión"),
    _section("Conclusion", "Fazit", "Conclusión",
             r"conclusions?\b|fazit\b|schlussfolgerung|schluss\b|conclusi(?:ón|ones)\b"),
    SOURCES,
)
_MISSING: dict[Language, str] = {
    "en": "This report has no section on: {names}.",
    "de": "In diesem Bericht fehlen die Abschnitte: {names}.",
    "es": "A este informe le faltan las secciones: {names}.",
}
_HASHES = re.compile(r" {0,3}(?P<hashes>#{1,6})[ \t]+(?P<words>.*)$")
_BOLD = re.compile(r"[ \t]*(?:\*\*|__)(?P<words>[^*_\n]{1,100}?):?(?:\*\*|__):?(?P<rest>.*)$")
_PLAIN = re.compile(r"[ \t]*(?:(?:\d{1,2}|[IVX]{1,4})[.)][ \t]+)?(?P<words>[^\W\d_][\w ]{2,40}):[ \t]*(?P<rest>.*)$")
_UNDERLINE = re.compile(r" {0,3}(?P<mark>[=-])(?P=mark){2,}[ \t]*$")
_BLANK = re.compile(r"[\s\-_*=]*")
_NUMBERING = re.compile(r"^[^\w]*(?:(?:\d{1,2}(?:\.\d+)*|[IVX]{1,4}|[A-G])[.):][ \t]*|\d{1,2}[ \t]+)?[^\w]*")
_LONGEST_PLAIN = 3
_LOWEST = 7


class Heading(Struct):
    """A line that heads a section; `level` is 1 to 6, 7 for a bold or plain line, and `has_body` whether any words
    stand under it before the next one of its level."""

    words: str
    level: int
    has_body: bool = False


class Report:
    """Cites as research does, and ends with its sources and the names of what is missing. Whoever has missing sections
    written feeds them before the end."""

    def __init__(self, *, sources: Sequence[Source] = (), language: Language = "en") -> None:
        self._cited = Cited(sources=sources, language=language)
        self.findings = self._cited.findings
        self._has_sources = bool(sources)
        self._language: Language = language

    def feed(self, text: str) -> str:
        return self._cited.feed(text)

    def release(self) -> str:
        """What was held back of what was written so far; more may be fed after it."""
        return self._cited.release()

    def missing(self) -> tuple[str, ...]:
        """What is not there by now, but for the sources, which are added."""
        missing = missing_sections(self._cited.said, self._language)
        return tuple(name for name in missing if name != SOURCES.names[self._language])

    def finish(self, *, is_over: bool = True) -> str:
        out = self.release()
        if not is_over or not self._cited.said.strip():
            return out + self._cited.finish(is_over=False)
        missing = self.missing()
        if missing:
            self.findings.append(Finding("missing_sections", ", ".join(missing)))
            out += self._cited.add(f"*{_MISSING[self._language].format(names=', '.join(missing))}*")
        name = SOURCES.names[self._language]
        if not self._has_sources and name in missing_sections(self._cited.said, self._language):
            out += self._cited.add(f"## {name}")
        return out + self._cited.finish()


def missing_sections(text: str, language: Language = "en") -> tuple[str, ...]:
    """The names of the sections that a report has not, or has without a word in them."""
    headings = find_headings(text)
    title = _find_title(headings)
    named = [heading for heading in headings if heading is not title and heading.has_body]
    return tuple(section.names[language] for section in SECTIONS
                 if not (section is TITLE and title is not None)
                 and not any(section.cue.search(heading.words) for heading in named))


def ask_sections(missing: Sequence[str]) -> str:
    """What to ask a model for that wrote the rest, after its report."""
    return (f"These sections are missing from the report: {', '.join(missing)}. Write them and nothing else, each "
            "under its heading as it is named here, in the language of the report, from what is known; where nothing "
            "is known, say so.")


def _find_title(headings: Sequence[Heading]) -> Heading | None:
    first = headings[0] if headings else None
    if first is None or any(section.cue.fullmatch(first.words) for section in SECTIONS[1:]):
        return None
    is_plain = first.level > 1 and any(section.cue.search(first.words) for section in SECTIONS[1:])
    return None if is_plain else first


def find_headings(text: str) -> list[Heading]:
    """Those outside of code, in their order."""
    headings: list[Heading] = []
    above: list[Heading] = []  # those that the current line stands under
    lines = _find_lines(text)
    for line, following in zip(lines, [*lines[1:], ""], strict=False):
        heading = _read_heading(line, following)
        if heading is not None:
            while above and above[-1].level >= heading.level:
                above.pop()
            headings.append(heading)
            above.append(heading)
        has_words = not _BLANK.fullmatch(line) if heading is None else heading.has_body
        for each in above if has_words else ():
            each.has_body = True
    return headings


def _find_lines(text: str) -> list[str]:
    """Each line, a line of code as "|"."""
    return "".join(piece.raw if piece.kind == "prose" else "|\n" for piece in read(text)).splitlines()


def _read_heading(line: str, following: str) -> Heading | None:
    hashes = _HASHES.fullmatch(line)
    if hashes:
        return Heading(_strip(hashes["words"]), len(hashes["hashes"]))
    underline = _UNDERLINE.match(following)
    if underline and line.strip() and "|" not in line:
        return Heading(_strip(line), 1 if underline["mark"] == "=" else 2)
    bold = _BOLD.match(line)
    if bold and (not bold["rest"].strip() or ":" in line[: bold.start("rest")]):
        return Heading(_strip(bold["words"]), _LOWEST, bool(bold["rest"].strip()))
    plain = _PLAIN.match(line)
    if plain and len(plain["words"].split()) <= _LONGEST_PLAIN and any(
            section.cue.fullmatch(plain["words"]) for section in SECTIONS):
        return Heading(plain["words"], _LOWEST, bool(plain["rest"].strip()))
    return None


def _strip(words: str) -> str:
    """Without its number, marks and signs before it."""
    return _NUMBERING.sub("", words).strip(" \t*_:#")
