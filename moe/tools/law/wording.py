"""What the tools say in one line, in three languages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date

from ...store.statute import LawCard
from ..base import Language

RETRIEVED: Mapping[Language, str] = {"en": "retrieved on {}", "de": "abgerufen am {}", "es": "consultado el {}"}
_DATES: Mapping[Language, str] = {"en": "%Y-%m-%d", "de": "%d.%m.%Y", "es": "%d/%m/%Y"}

UNCERTAIN: Mapping[Language, str] = {
    "en": "{} is not singled out: the sentences cannot be told apart with certainty, so this is all of it",
    "de": "{} ist nicht herausgelöst: Die Sätze lassen sich nicht mit Sicherheit trennen, dies ist das Ganze",
    "es": "{} no se ha separado: las frases no se distinguen con certeza, por lo que se da el texto entero",
}


def spell_date(day: str, language: Language) -> str:
    """A day of the store as people write it."""
    try:
        return date.fromisoformat(day).strftime(_DATES[language])
    except ValueError:
        return day


def _show(name: str, title: str, when: str) -> str:
    return f"{name}, {title} ({when})" if title else f"{name} ({when})"


def _many(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"


SHOWN: Mapping[Language, Callable[[str, str, str], str]] = {"en": _show, "de": _show, "es": _show}

TITLES: Mapping[Language, Callable[[str, int, int], str]] = {
    "en": lambda query, count, shown: f"{_many(count, 'place', 'places')} in the titles and headings of the imported "
                                      f"statutes for “{query}”{f', the first {shown} shown' if shown < count else ''}",
    "de": lambda query, count, shown: f"{_many(count, 'Fundstelle', 'Fundstellen')} in Titeln und Überschriften der "
                                      f"importierten Gesetze zu „{query}“"
                                      f"{f', die ersten {shown} gezeigt' if shown < count else ''}",
    "es": lambda query, count, shown: f"{_many(count, 'resultado', 'resultados')} en los títulos y epígrafes de las "
                                      f"leyes importadas para «{query}»"
                                      f"{f', se muestran {shown}' if shown < count else ''}",
}

SUMMARY: Mapping[Language, Callable[[LawCard, int, int, str], str]] = {
    "en": lambda card, headings, shown, when: f"{card.abbreviation}, {card.title}: "
                                              f"{_many(card.size, 'norm', 'norms')} under "
                                              f"{_many(headings, 'heading', 'headings')}, the first {shown} listed "
                                              f"({when})",
    "de": lambda card, headings, shown, when: f"{card.abbreviation}, {card.title}: "
                                              f"{_many(card.size, 'Norm', 'Normen')} unter "
                                              f"{_many(headings, 'Überschrift', 'Überschriften')}, die ersten {shown} "
                                              f"aufgeführt ({when})",
    "es": lambda card, headings, shown, when: f"{card.abbreviation}, {card.title}: "
                                              f"{_many(card.size, 'norma', 'normas')} en "
                                              f"{_many(headings, 'epígrafe', 'epígrafes')}, se listan las primeras "
                                              f"{shown} ({when})",
}

_WHERE: Mapping[Language, tuple[str, str]] = {
    "en": ("in the {}", "in the imported statutes"), "de": ("im {}", "in den importierten Gesetzen"),
    "es": ("en {}", "en las leyes importadas"),
}
_FOUND: Mapping[Language, tuple[str, str, str]] = {
    "en": ("norm", "norms", "{found} {where} for “{query}”{shown}"),
    "de": ("Norm", "Normen", "{found} {where} zu „{query}“{shown}"),
    "es": ("norma", "normas", "{found} {where} para «{query}»{shown}"),
}
_FIRST: Mapping[Language, str] = {"en": ", the best {} shown", "de": ", die besten {} gezeigt",
                                  "es": ", se muestran las mejores {}"}


def _tell_search(language: Language) -> Callable[[str, str, int, int], str]:
    one, many, sentence = _FOUND[language]
    named, everywhere = _WHERE[language]

    def tell(query: str, law: str, count: int, shown: int) -> str:
        first = _FIRST[language].format(shown) if shown < count else ""
        return sentence.format(found=_many(count, one, many), where=named.format(law) if law else everywhere,
                               query=query, shown=first)

    return tell


SEARCHED: Mapping[Language, Callable[[str, str, int, int], str]] = {
    "en": _tell_search("en"), "de": _tell_search("de"), "es": _tell_search("es")}
