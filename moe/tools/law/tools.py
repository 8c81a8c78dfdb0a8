"""The four tools over the imported statutes."""

from __future__ import annotations

import re
from typing import Annotated, Any

from msgspec import Meta

from ...errors import ToolError
from ...store.law_names import fold, spell_umlauts
from ...store.statute import LawCard, Norm, Section
from ..base import Language, Outcome, Setting, Tool, tool
from ..numbers import quote
from .finding import check_same, find_meant, read_meant
from .parts import NotSingledOut, pick_part
from .references import Reference
from .shelf import open_book, require_card, tell_source, tell_when
from .snippets import Query
from .wording import SEARCHED, SHOWN, SUMMARY, TITLES, UNCERTAIN

MOST_NORMS = 50
MOST_NAMED = 4
SHORTEST_STEM = 4

# A phrase alone: the line that tells of it has quotes of its own.
_PHRASE = re.compile(r'\s*"([^"]+)"\s*')
_QUOTED = re.compile("[\"„“»«]([^\"„“”»«]+)[\"“”»«]")
_SUBJECT = re.compile(r"(.{3,}?)(?:s|en|n)?(?:recht|rechts|gesetze?|vertrag|vertrage|verhaltnis|verhaltnisse)")


@tool("law")
def legal_search_laws(
    query: str, max_results: Annotated[int, Meta(ge=1, le=100)] = 10, *, setting: Setting,
) -> Outcome:
    """Finds German statutes among those imported here, by abbreviation or title, and the headings within them that
    speak of a subject. Example: "Mietrecht" finds the part on leases in the BGB.

    query: words, in German, all of which occur
    max_results: how many are shown at most
    """
    words = fold(query[:300]).split()[:20]
    if not words:
        raise ToolError("the query has no word")
    with open_book(setting) as book:
        laws, sections = book.search_titles([_widen(word) for word in words])
        named = book.find_law(query)
    if named:
        laws = [named, *(card for card in laws if card.id != named.id)]
    laws = sorted(laws, key=lambda card: (card is not named, _rank(f"{card.abbreviation} {card.title}", words)))
    found = [_describe(card) for card in laws]
    found += [_describe(card) | _place(section) for card, section in
              sorted(sections, key=lambda pair: (_rank(pair[1].heading, words), pair[1].level))]
    shown = found[:max_results]
    result = {"query": fold_query(query), "count": len(found), "results": shown}
    text = TITLES[setting.language](_unquote(query), len(found), len(shown))
    return Outcome(result=result, text=text, body="\n".join(map(_tell_hit, shown)))


@tool("law")
def legal_get_law_overview(
    law: str, max_entries: Annotated[int, Meta(ge=1, le=1000)] = 50, *, setting: Setting,
) -> Outcome:
    """Gives the structure of an imported German statute and the titles of its first norms. Example: law BGB.

    law: its abbreviation or title, as BGB or Bürgerliches Gesetzbuch
    max_entries: how many headings, and how many norms, are shown at most
    """
    with open_book(setting) as book:
        card = require_card(book, law)
        sections, norms = book.read_outline(card, max_entries)
    outline = _limit(sections, max_entries)
    entries = [{"label": norm.label, "title": norm.title} for norm in norms]
    result = _describe(card) | {
        "norms": card.size, "headings": len(sections), "entries": entries,
        "structure": [{"level": each.level, "heading": each.heading, "from": each.first, "to": each.last}
                      for each in outline],
    }
    lines = [f"{'   ' * each.level}{each.heading}{_span(each)}" for each in outline]
    listed = [" ".join(filter(None, (norm.label, norm.title))) for norm in norms]
    text = SUMMARY[setting.language](card, len(sections), len(norms), tell_when(card, setting.language))
    return Outcome(result=result, text=text, body="\n\n".join(filter(None, ("\n".join(lines), "\n".join(listed)))),
                   source=tell_source(card, None, setting.language))


@tool("law")
def legal_get_paragraph(law: str, paragraph: str, *, setting: Setting) -> Outcome:
    """Quotes one or several norms of an imported German statute word for word, or a part of one. Example: law BGB,
    paragraph "433 Abs. 1 Satz 2".

    law: its abbreviation or title, as BGB, GG or Strafgesetzbuch
    paragraph: what is wanted, as "242", "§ 312a", "Art. 20a", "Anlage 1", "§ 1 Abs. 2 Nr. 3", "§§ 433-435" or
      "§§ 433 ff."
    """
    references, named = read_meant(paragraph)
    with open_book(setting) as book:
        card = require_card(book, law)
        if named:
            check_same(book, card, named, paragraph)
        found = [(reference, norm) for reference in references for norm in find_meant(book, card, reference)]
    if len(found) > MOST_NORMS:
        raise ToolError(f"these are {len(found)} norms; at most {MOST_NORMS} are given at once")
    told = [_quote(card, norm, reference, setting.language) for reference, norm in found]
    labels = [label for label, _, _ in told]
    shared = _describe(card)
    first = found[0][1]
    if len(told) == 1:
        result = shared | told[0][2]
        body, title = told[0][1], first.title
        source = tell_source(card, first, setting.language)
    else:
        result = shared | {"count": len(told), "norms": [each for _, _, each in told]}
        body = "\n\n".join(f"{label} {norm.title}".strip() + f"\n{words}"
                           for (label, words, _), (_, norm) in zip(told, found, strict=True))
        is_one = len({norm.id for _, norm in found}) == 1
        title = first.title if is_one else ""
        source = tell_source(card, first if is_one else None, setting.language)
    name = ", ".join(labels) if len(labels) <= MOST_NAMED else f"{labels[0]} – {labels[-1]}"
    text = SHOWN[setting.language](f"{name} {card.abbreviation}", title, tell_when(card, setting.language))
    notes = [each["part"]["note"] for _, _, each in told if "note" in each.get("part", ())]
    return Outcome(result=result, text="; ".join((text, *dict.fromkeys(notes))), body=body, source=source,
                   is_whole=not notes)


@tool("law")
def legal_fulltext_search(
    law: str, query: str, max_results: Annotated[int, Meta(ge=1, le=50)] = 5, *, setting: Setting,
) -> Outcome:
    """Searches the words of imported German statutes and shows the sentences that fit best. Example: law BGB, query
    "Treu und Glauben".

    law: the abbreviation or title of the one to search; empty for all that are imported
    query: German words that must all occur, or a phrase in quotes
    max_results: how many norms are shown at most
    """
    wanted = Query(query)
    with open_book(setting) as book:
        card = require_card(book, law) if law.strip() else None
        count, found = book.search(wanted.strict, card, max_results)
        if len(found) < max_results:
            count, more = book.search(wanted.loose, card, max_results + len(found))
            known = {norm.id for _, norm in found}
            found += [pair for pair in more if pair[1].id not in known][:max_results - len(found)]
    hits = [_identify(each, norm) | {"snippet": wanted.show(norm.paragraphs) or norm.title}
            for each, norm in found]
    name = card.abbreviation if card else ""
    phrase = _PHRASE.fullmatch(query)
    text = SEARCHED[setting.language](fold_query(phrase[1] if phrase else query), name, count, len(hits))
    lines = [f"{hit['paragraph']} {hit['law']} {hit['title']}".rstrip() + f"\n{hit['snippet']}" for hit in hits]
    result = {"query": fold_query(query), "law": name, "count": count, "results": hits}
    return Outcome(result=result, text=text, body="\n\n".join(lines),
                   source=tell_source(card, None, setting.language) if card else "")


def fold_query(query: str) -> str:
    """On one line."""
    return quote(" ".join(query.split()), 300)


def _unquote(query: str) -> str:
    """Without quotes of its own around it, for a line that sets some."""
    shown = fold_query(query)
    found = _QUOTED.fullmatch(shown)
    return found[1] if found else shown


def _quote(card: LawCard, norm: Norm, reference: Reference, language: Language) -> tuple[str, str, dict[str, Any]]:
    """What it is called, the words asked for, and all that is known of it."""
    whole = "\n\n".join(norm.paragraphs)
    result = _identify(card, norm) | {"text": whole, "place": list(norm.headings)}
    result |= {name: words for name, words in (("footnotes", norm.footnotes), ("notes", norm.notes)) if words}
    label = re.sub(r"^Art (?=[\dIVX])", "Art. ", norm.label)
    if not reference.has_part:
        return label, "\n\n".join(filter(None, (whole, norm.footnotes))), result
    named = _name_part(reference)
    try:
        words = pick_part(norm.paragraphs, reference)
    except NotSingledOut as fault:
        above = f"Abs. {reference.paragraph}" if reference.paragraph else ""
        note = UNCERTAIN[language].format(named.removeprefix(above).strip())
        part = {"reference": above, "text": fault.words, "asked": named, "note": note}
        return f"{label} {above}".strip(), fault.words, result | {"part": part}
    except ToolError as error:
        raise ToolError(f"{label} {card.abbreviation}: {error.message}") from error
    return f"{label} {named}", words, result | {"part": {"reference": named, "text": words}}


def _name_part(reference: Reference) -> str:
    named = " ".join(f"{sign} {value}" for sign, value in (
        ("Abs.", reference.paragraph), ("Satz", reference.sentence), ("Nr.", reference.item),
        ("Buchst.", reference.letter)) if value)
    return f"{named}–{reference.last}" if reference.last else named


def _identify(card: LawCard, norm: Norm) -> dict[str, Any]:
    return {"law": card.abbreviation, "paragraph": norm.label, "title": norm.title,
            "source": tell_source(card, norm), "retrieved": card.retrieved}


def _describe(card: LawCard) -> dict[str, Any]:
    return {"law": card.abbreviation, "title": card.title, "as_of": card.as_of, "source": tell_source(card),
            "retrieved": card.retrieved}


def _place(section: Section) -> dict[str, Any]:
    return {"heading": section.heading, "from": section.first, "to": section.last}


def _widen(word: str) -> list[str]:
    """A word, and what it begins with where it is a compound for a field of law: "mietrecht" is about "miet…"."""
    found = _SUBJECT.fullmatch(word)
    forms = [word, f" {found[1]}"] if found and len(found[1]) >= SHORTEST_STEM - 1 else [word]
    return list(dict.fromkeys((*forms, *map(spell_umlauts, forms))))


def _rank(text: str, words: list[str]) -> int:
    """0 where all words stand alone, more where they are parts of others."""
    padded = f" {fold(text)} "
    return sum(0 if f" {word} " in padded else 1 if f" {word}" in padded else 2 if word in padded else 3
               for word in words)


def _tell_hit(hit: dict[str, Any]) -> str:
    if "heading" not in hit:
        return f"{hit['law']}: {hit['title']}"
    return f"{hit['law']}, {hit['heading']} ({_ends(hit['from'], hit['to'])})"


def _span(section: Section) -> str:
    return f" ({_ends(section.first, section.last)})" if section.first else ""


def _ends(first: str, last: str) -> str:
    return first if first == last else f"{first} – {last}"


def _limit(sections: list[Section], most: int) -> list[Section]:
    """The upper levels, as many of them as there is room for."""
    for level in range(max((each.level for each in sections), default=0), -1, -1):
        kept = [each for each in sections if each.level <= level]
        if len(kept) <= most:
            return kept
    return [each for each in sections if not each.level][:most]


TOOLS: tuple[Tool, ...] = (legal_search_laws, legal_get_law_overview, legal_get_paragraph, legal_fulltext_search)
