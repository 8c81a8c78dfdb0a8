"""The sections of a report, found however they are headed, and named where they are missing."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from moe.pipeline.modes.report import SECTIONS, Report, ask_sections, find_headings, missing_sections, pick_sections
from moe.pipeline.modes.sources import NONE, Source
from moe.tools.base import LANGUAGES, Language

from .cutting import check_cuts, cuts, texts, whole

PAGE = Source("A page", "https://a.b/c")
HASHES = """# The Heat Pump: an Analysis of Costs

## Executive Summary
It pays.

## 1. Background
### History
Old.

## Main Findings
- One [1]
- Two

## Analysis
| a | b |
|---|---|
| 1 | 2 |

## Conclusion
Buy it.

## Sources
1. https://a.b/c
"""
BOLD = """**Die Wärmepumpe**

**Zusammenfassung:** Sie lohnt sich.

**Hintergrund**
Alt.

**Wichtigste Ergebnisse:**
- Eins

**Analyse**

Gut.

**Fazit:** Kaufen.

**Quellen:** keine
"""
UNDERLINED = """La bomba de calor
=================

Resumen ejecutivo
-----------------
Vale la pena.

II. Antecedentes: Viejos.

## 📊 Hallazgos principales
Uno.

## Análisis y discusión
Bien.

Conclusión: Comprar.

__Fuentes__

1. Ninguna
"""


@pytest.mark.parametrize("text", [HASHES, BOLD, UNDERLINED])
@pytest.mark.parametrize("language", LANGUAGES)
def test_a_whole_report_misses_nothing(text: str, language: Language) -> None:
    assert missing_sections(text, language) == ()


@pytest.mark.parametrize(("text", "missing"), [
    (HASHES.replace("## Analysis\n| a | b |\n|---|---|\n| 1 | 2 |\n", ""), ("Analysis",)),
    (HASHES.replace("It pays.", ""), ("Executive Summary",)),
    (HASHES.replace("Old.", ""), ("Background",)),
    (HASHES.replace("# The Heat Pump: an Analysis of Costs\n", ""), ("Title",)),
    (HASHES.replace("## Conclusion", "```\n## Conclusion").replace("Buy it.", "Buy it.\n```"), ("Conclusion",)),
    (HASHES.replace("## Main Findings", "## Findings and Analysis"), ()),
    (HASHES.replace("## ", "# "), ()),
    ("Just some words about the background and the analysis.",
     ("Title", "Executive Summary", "Background", "Main Findings", "Analysis", "Conclusion", "Sources")),
    ("", tuple(section.names["en"] for section in SECTIONS)),
    ("Title: Heat\n\nSummary: It pays.",
     ("Background", "Main Findings", "Analysis", "Conclusion", "Sources")),
])
def test_what_is_missing_is_found(text: str, missing: tuple[str, ...]) -> None:
    assert missing_sections(text) == missing


def test_it_is_named_in_the_users_language() -> None:
    assert missing_sections(HASHES.replace("## Conclusion\nBuy it.\n", ""), "de") == ("Fazit",)
    assert missing_sections("", "es")[1] == "Resumen ejecutivo"
    assert "Fazit, Analyse" in ask_sections(("Fazit", "Analyse"))


@pytest.mark.parametrize("text", [
    HASHES.replace("## Executive Summary", "## TL;DR"), HASHES.replace("## Analysis", "## Evaluation"),
    HASHES.replace("## Analysis", "## Auswertung").replace("## Main Findings", "## Resultate"),
    HASHES.replace("## Executive Summary", "EXECUTIVE SUMMARY").replace("## 1. Background", "1. BACKGROUND"),
    HASHES.replace("## ", "## ").upper(), HASHES.replace("Executive Summary", "Résumé"), HASHES.replace("\n", "\r\n"),
])
def test_other_words_and_capitals_head_a_section_too(text: str) -> None:
    assert missing_sections(text) == ()


@pytest.mark.parametrize("text", [
    "Hello! What shall I report on?", "I'm sorry, but I can't help with that.",
    "Which of the reports do you mean? " * 20,
    "I'm sorry, but I can't help with that request, as it is about a thing that I do not know. " * 8,
])
def test_what_is_no_report_lacks_no_section(text: str) -> None:
    enforcer = Report()
    shown = enforcer.feed(text)
    assert enforcer.missing() == ()
    assert shown + enforcer.finish() == f"{text.rstrip(' ')}\n\n*{NONE['en']}*" or "## " not in shown
    assert "missing_sections" not in [finding.kind for finding in enforcer.findings]


FRENCH = """# Le thé

## L'essentiel
Le thé est une boisson qui est faite avec de l'eau chaude dans une tasse.

## Origines
Il vient de la Chine et il est très ancien.

## Ce que nous avons vu
Les feuilles sont dans l'eau.
"""


def test_a_report_in_another_language_with_headings_of_its_own_is_left_alone() -> None:
    enforcer = Report()
    shown = enforcer.feed(FRENCH)
    assert enforcer.missing() == ()
    assert shown + enforcer.finish() == f"{FRENCH}\n*{NONE['en']}*"


@pytest.mark.parametrize("lead", ["", "Here is the report:\n\n"])
def test_a_report_in_a_block_of_markdown_is_read(lead: str) -> None:
    text = f"{lead}```markdown\n{HASHES}```\nAnything else?"
    shown = whole(Report, text)
    assert shown == f"{lead}{HASHES}Anything else?\n\n*{NONE['en']}*"
    for seed in range(20):
        check_cuts(Report, text, seed)


def test_an_example_of_markdown_stays_a_block() -> None:
    text = HASHES.replace("Good", "Good").replace("Buy it.", "```markdown\n# x\n```")
    assert "```markdown\n# x\n```" in whole(Report, text)


@pytest.mark.parametrize(("text", "picked"), [
    (HASHES, "## Analysis\n| a | b |\n|---|---|\n| 1 | 2 |\n\n## Conclusion\nBuy it."),
    (f"Sure:\n```markdown\n{HASHES}```", "## Analysis\n| a | b |\n|---|---|\n| 1 | 2 |\n\n## Conclusion\nBuy it."),
    ("Sure!\n\n## Conclusion\nGood.\n### More\nYes.\n\n## Next\nNo.", "## Conclusion\nGood.\n### More\nYes."),
    ("**Analysis:** warm\n\nand hot\n\n**Conclusion**\nGood.",
     "**Analysis:** warm\n\nand hot\n\n**Conclusion**\nGood."),
    ("# Analysis\n\nWarm.\n\n# Conclusion\n\nGood.", "# Analysis\n\nWarm.\n\n# Conclusion\n\nGood."),
    ("I'm sorry, but I can't.", ""), ("## Analysis\n\n## Conclusion\n", ""), ("", ""),
    ("## Analysis\n```\n## Conclusion\n```", "## Analysis\n```\n## Conclusion\n```"),
])
def test_of_a_further_answer_only_what_is_missing_is_taken(text: str, picked: str) -> None:
    assert pick_sections(text, ("Analysis", "Conclusion")) == picked


def test_headings_tell_their_level_and_whether_anything_stands_under_them() -> None:
    found = [(heading.words, heading.level, heading.has_body) for heading in find_headings(HASHES)[:4]]
    assert found == [("The Heat Pump: an Analysis of Costs", 1, True), ("Executive Summary", 2, True),
                     ("Background", 2, True), ("History", 3, True)]


def test_a_whole_report_passes_with_our_list_of_sources() -> None:
    enforcer = Report(sources=(PAGE,))
    text = HASHES.partition("## Sources")[0]
    assert enforcer.feed(text) + enforcer.finish() == f"{text}## Sources\n\n1. [A page](<https://a.b/c>)"
    assert whole(lambda: Report(sources=(PAGE,)), HASHES) == HASHES


@pytest.mark.parametrize(("language", "note"), [
    ("en", "*This report has no section on: Background, Conclusion.*\n\n## Sources\n\n"),
    ("de", "*In diesem Bericht fehlen die Abschnitte: Hintergrund, Fazit.*\n\n## Quellen\n\n"),
    ("es", "*A este informe le faltan las secciones: Antecedentes, Conclusión.*\n\n## Fuentes\n\n"),
])
def test_what_is_missing_is_said_and_not_made_up(language: Language, note: str) -> None:
    text = "# T\n\n## Summary\nA.\n\n## Background\n\n## Findings\nB.\n\n## Analysis\nC."
    enforcer = Report(language=language)
    shown = enforcer.feed(text)
    assert len(enforcer.missing()) == 2
    assert shown + enforcer.finish() == f"{text}\n\n{note}*{NONE[language]}*"
    assert [finding.kind for finding in enforcer.findings] == ["missing_sections", "no_sources"]


def test_what_is_written_later_is_not_missing() -> None:
    text = HASHES.partition("## Conclusion")[0]
    enforcer = Report(sources=(PAGE,))
    enforcer.feed(text)
    assert enforcer.missing() == ("Conclusion",)
    assert enforcer.add("## Conclusion\nBuy it.") == "## Conclusion\nBuy it."
    assert enforcer.finish() == "\n\n## Sources\n\n1. [A page](<https://a.b/c>)"
    assert enforcer.findings == []


def test_a_list_of_its_own_is_called_unchecked_where_nothing_was_given() -> None:
    shown = whole(Report, HASHES)
    assert shown == HASHES + f"\n*{NONE['en']}*"


@pytest.mark.parametrize("text", ["", "\n"])
def test_nothing_is_said_of_nothing(text: str) -> None:
    assert whole(Report, text) == text


def test_nothing_is_added_where_more_will_come() -> None:
    assert whole(Report, "I will search first.", is_over=False) == "I will search first."


def test_what_is_added_stands_before_the_list_of_sources() -> None:
    head, _, _ = HASHES.partition("## Analysis")
    listed = "## Sources\n1. https://a.b/c\n"
    enforcer = Report()
    shown = enforcer.feed(head + listed) + enforcer.release()
    assert shown == head
    assert enforcer.missing() == ("Analysis", "Conclusion")
    shown += enforcer.add("## Analysis\nA.\n\n## Conclusion\nC.") + enforcer.finish()
    assert shown == f"{head}## Analysis\nA.\n\n## Conclusion\nC.\n\n{listed}\n*{NONE['en']}*"


def test_what_follows_a_list_of_sources_is_not_kept_back() -> None:
    enforcer = Report()
    assert enforcer.feed("# T\n\n## Sources\n- a\n\n## Conclusion\nB") == "# T\n\n## Sources\n- a\n\n## Conclusion\n"


@settings(max_examples=200)
@given(texts, cuts)
def test_no_cut_matters(text: str, seed: int) -> None:
    check_cuts(Report, text, seed)
    check_cuts(lambda: Report(sources=(PAGE,), language="de"), text, seed)


@pytest.mark.parametrize("text", [HASHES, BOLD, UNDERLINED])
def test_no_cut_matters_to_whole_reports(text: str) -> None:
    for seed in range(50):
        check_cuts(Report, text, seed)
        check_cuts(lambda: Report(sources=(PAGE,)), text, seed)
