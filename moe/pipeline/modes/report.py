"""A report: its sections, in the user's language; what is missing is named, and never made up."""

from __future__ import annotations

import re
from collections.abc import Sequence

from msgspec import Struct

from ...tools.base import Language
from ..languages import tell_language
from ..symptoms import read_symptoms
from .chat import strip_chat
from .cited import Cited
from .enforcer import Finding
from .fences import read
from .sources import NOTHING, Given, Source
from .tail import Tail
from .unwrap import Unwrap
from .words import count_words


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
             r"(?:executive |management )?summary\b|abstract\b|overview\b|at a glance\b|(?:key )?takeaways\b|"
             r"tl;?\s?dr\b|"
             r"r[ée]sum[ée]e?\b|in brief\b|synopsis\b|zusammenfassung|kurzfassung|überblick|übersicht|"
             r"kurzüberblick|auf einen blick\b|das wichtigste\b|resumen\b|síntesis\b|sumario\b|en breve\b"),
    _section("Background", "Hintergrund", "Antecedentes",
             r"background\b|context\b|introduction\b|history\b|starting point\b|hintergr[uü]nd|ausgangslage|"
             r"problemstellung|ausgangssituation|kontext|einleitung|einführung|vorgeschichte|antecedentes\b|contexto\b|introducción|"
             r"situación (?:inicial|actual)\b"),
    _section("Main Findings", "Wichtigste Ergebnisse", "Hallazgos principales",
             r"(?:main |key |principal )?findings\b|(?:main|key) (?:results|points|insights)\b|results\b|"
             r"(?:haupt|kern)?ergebnisse|(?:haupt|kern)?erkenntnisse|(?:kern)?aussagen|befunde|resultate\b|"
             r"feststellungen\b|hallazgos\b|resultados\b|puntos clave\b"),
    _section("Analysis", "Analyse", "Análisis",
             r"analysis\b|discussion\b|evaluation\b|assessment\b|interpretation\b|analyse|diskussion|bewertung|"
             r"auswertung|beurteilung|einordnung|erörterung|análisis\b|discusión|evaluación\b|valoración\b"),
    _section("Conclusion", "Fazit", "Conclusión",
             r"conclusions?\b|concluding remarks\b|closing\b|outlook\b|fazit\b|schlussfolgerung|schluss\b|"
             r"schlusswort|handlungsempfehlungen|schlussbetrachtung|ausblick|conclusi(?:ón|ones)\b|"
             r"consideraciones finales\b"),
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
_CAPITALS = re.compile(r"[ \t]*(?:(?:\d{1,2}|[IVX]{1,4})[.)][ \t]+)?(?P<words>[^\W\d_][\w ;/&-]{2,40})[ \t]*$")
_LONGEST_PLAIN = 3
_LOWEST = 7
# What has fewer words and no heading is a greeting, a question, or that there will be no report.
_FEW_WORDS, _OWN_HEADINGS = 60, 3


class Heading(Struct):
    """A line that heads a section, the one at `place`; `level` is 1 to 6, 7 for a bold or plain line, and `has_body`
    whether any words stand under it before the next one of its level."""

    words: str
    level: int
    has_body: bool = False
    place: int = 0


class Report:
    """Cites as research does, and ends with its sources and the names of what is missing. Whoever has missing sections
    written feeds them before the end."""

    def __init__(
        self, *, sources: Sequence[Source] = (), given: Given = NOTHING, language: Language = "en",
        is_later: bool = False,
    ) -> None:
        """`is_later`: it answers on a later turn, where a part may be all that was asked for."""
        self._cited = Cited(sources=sources, given=given, language=language)
        self.findings = self._cited.findings
        self._unwrap = Unwrap()
        self._tail = Tail()
        self._has_sources = bool(sources or given.numbered or given.has_others or given.has_text)
        self._is_later = is_later
        self._language: Language = language

    def feed(self, text: str) -> str:
        return self._cited.feed(self._tail.feed(self._unwrap.feed(text)))

    def release(self) -> str:
        """What was held back of what was written so far, but for a list of sources at its end; `add` puts more before
        that."""
        return self._cited.feed(self._tail.feed(self._unwrap.finish()) + self._tail.settle())

    def add(self, sections: str) -> str:
        """What somebody else wrote, as the next paragraph."""
        gap = "\n\n" if self._tail.is_holding else ""
        return self._cited.add(sections) + self._cited.say(gap)

    def missing(self) -> tuple[str, ...]:
        """What is not there by now, but for the sources, which are added. Of what is no report nothing is missing, nor
        of one that is divided in a language whose headings are not known here."""
        said = self._cited.said
        if self._is_later or not is_report(said) or _is_foreign(said):
            return ()
        return tuple(name for name in missing_sections(said, self._language) if name != SOURCES.names[self._language])

    def finish(self, *, is_over: bool = True) -> str:
        out = self._cited.feed(self._tail.feed(self._unwrap.finish()) + self._tail.release())
        said = self._cited.said
        if self._is_later:
            return out + self._cited.finish(is_over=is_over and self._has_sources)
        if not is_over or not is_report(said):
            return out + self._cited.finish(is_over=is_over)
        missing = self.missing()
        if missing:
            self.findings.append(Finding("missing_sections", ", ".join(missing)))
            out += self._cited.add(f"*{_MISSING[self._language].format(names=', '.join(missing))}*")
        name = SOURCES.names[self._language]
        if not self._has_sources and name in missing_sections(said, self._language) and not _is_foreign(said):
            out += self._cited.add(f"## {name}")
        return out + self._cited.finish()


def is_report(text: str) -> bool:
    """Whether it can be taken for one: it has a heading, or is long and neither refuses nor asks."""
    if find_headings(text):
        return True
    is_question = text.rstrip().endswith(("?", "？", "؟"))
    return count_words(text) >= _FEW_WORDS and not is_question and not read_symptoms(text).refuses


def _is_foreign(text: str) -> bool:
    return tell_language(text) not in (*SOURCES.names, "") and len(find_headings(text)) >= _OWN_HEADINGS


def missing_sections(text: str, language: Language = "en") -> tuple[str, ...]:
    """The names of the sections that a report has not, or has without a word in them."""
    title, named = _find_named(find_headings(text))
    return tuple(section.names[language] for section in SECTIONS
                 if not (section is TITLE and title is not None)
                 and not any(section.cue.search(heading.words) for heading in named))


def pick_sections(text: str, names: Sequence[str], language: Language = "en") -> str:
    """Those sections of a further answer that are named, each once; "" where there are none."""
    unwrap = Unwrap()
    text = strip_chat(unwrap.feed(text) + unwrap.finish())
    lines = text.split("\n")
    headings = find_headings(text)
    wanted = [section for section in SECTIONS if section.names[language] in names]
    picked: list[str] = []
    end = 0
    for heading in _find_named(headings)[1]:
        section = next((each for each in wanted if each.cue.search(heading.words)), None)
        if section is not None and heading.place >= end:
            wanted = [each for each in wanted if not each.cue.search(heading.words)]
            end = next((each.place for each in headings
                        if each.place > heading.place and each.level <= heading.level), len(lines))
            picked.append("\n".join(lines[heading.place:end]).rstrip())
    return "\n\n".join(picked)


def ask_sections(missing: Sequence[str]) -> str:
    """What to ask a model for that wrote the rest, after its report."""
    return (f"These sections are missing from the report: {', '.join(missing)}. Write them and nothing else, each "
            "under its heading as it is named here, in the language of the report, from what is known; where nothing "
            "is known, say so.")


def _find_named(headings: Sequence[Heading]) -> tuple[Heading | None, list[Heading]]:
    """The title, and what else has a heading and words under it."""
    title = _find_title(headings)
    return title, [heading for heading in headings if heading is not title and heading.has_body]


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
    for place, (line, following) in enumerate(zip(lines, [*lines[1:], ""], strict=False)):
        heading = _read_heading(line, following)
        if heading is not None:
            heading.place = place
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
    lines = "".join(piece.raw if piece.kind == "prose" else "|\n" for piece in read(text)).split("\n")
    return [line.rstrip("\r") for line in lines]


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
    capitals = _CAPITALS.match(line) if line.isupper() else None
    if capitals and any(section.cue.fullmatch(capitals["words"]) for section in SECTIONS):
        return Heading(capitals["words"], _LOWEST)
    if plain and len(plain["words"].split()) <= _LONGEST_PLAIN and any(
            section.cue.fullmatch(plain["words"]) for section in SECTIONS):
        return Heading(plain["words"], _LOWEST, bool(plain["rest"].strip()))
    return None


def _strip(words: str) -> str:
    """Without its number, marks and signs before it."""
    return _NUMBERING.sub("", words).strip(" \t*_:#")
