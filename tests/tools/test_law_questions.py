"""Questions for the words of a statute: pure look-ups alone, and only of what is imported."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moe.store import Laws
from moe.tools.base import Setting
from moe.tools.law import TOOLS
from moe.tools.questions import law
from moe.tools.questions.question import fold, pose
from moe.tools.questions.recogniser import Recogniser
from moe.tools.toolbox import Toolbox
from tests.statutes import BGB, open_laws


def open_recogniser(store: Laws | None) -> Recogniser:
    return Recogniser(Toolbox(TOOLS, Setting(laws=store)), readers=law.READERS, finders=law.FINDERS, cues=law.CUES)


@pytest.fixture(scope="module")
def recogniser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recogniser]:
    with open_laws(tmp_path_factory.mktemp("laws")) as store:
        yield open_recogniser(store)


@pytest.mark.parametrize(("prompt", "title", "language"), [
    ("§ 242 BGB", "Leistung nach Treu und Glauben", "de"), ("§ 242 StGB", "Diebstahl", "de"),
    ("was steht in § 433 BGB?", "Vertragstypische Pflichten beim Kaufvertrag", "de"),
    ("zeig mir § 823 Abs. 1 BGB", "Schadensersatzpflicht", "de"), ("Wortlaut von § 434 BGB", "Sachmangel", "de"),
    ("what does § 242 BGB say", "Leistung nach Treu und Glauben", "en"),
    ("¿qué dice el § 242 BGB?", "Leistung nach Treu und Glauben", "es"),
    ("bgb 242", "Leistung nach Treu und Glauben", "de"), ("§ 242BGB", "Leistung nach Treu und Glauben", "de"),
    ("gg 1", "", "de"), ("§ 433 BGB Abs. 2", "Vertragstypische Pflichten beim Kaufvertrag", "de"),
    ("Bürgerliches Gesetzbuch § 434", "Sachmangel", "de"), ("Section 434 of the German BGB", "Sachmangel", "en"),
])
def test_a_look_up_is_answered_in_its_language(recogniser: Recogniser, prompt: str, title: str, language: str) -> None:
    found = recogniser.answer(prompt)
    assert found is not None
    assert (found.outcome.result["title"], found.asked.language) == (title, language)


@pytest.mark.parametrize("prompt", [
    "Was bedeutet § 242 BGB für meinen Vertrag?", "Erkläre § 242 BGB", "§ 242", "§ 242 XYZ", "§ 9999 BGB",
    "Art. 17 DSGVO", "§ 242 BGB und was folgt daraus?", "§ 433 Abs. 7 BGB", "§ 242 StGB Österreich", "§ 242 BGB a.F.",
    "Was steht in § 242 BGB (alte Fassung)?", "§ 433 BGB-E", "Was steht in § 1 Abs. 1 und 5 HGB?",
    "Wie verhält sich § 433 BGB zu § 535 BGB?",
])
def test_what_is_more_than_a_look_up_or_not_imported_is_the_expert_s(recogniser: Recogniser, prompt: str) -> None:
    assert recogniser.answer(prompt) is None


@pytest.mark.parametrize("prompt", ["§ 242 BGB", "Was steht in Art. 1 GG?", "bgb 242", "Gliederung des BGB"])
def test_with_nothing_imported_the_expert_answers(tmp_path: Path, prompt: str) -> None:
    assert open_recogniser(None).answer(prompt) is None
    assert open_recogniser(Laws(tmp_path / "laws.sqlite")).answer(prompt) is None
    assert open_recogniser(None).find(f"warum gilt {prompt} hier?") == []


def test_a_law_of_another_name_is_left_alone(tmp_path: Path) -> None:
    with open_laws(tmp_path, (BGB,)) as store:
        assert open_recogniser(store).answer("§ 242 StGB") is None


def test_citations_within_a_prompt_are_grounded_in_their_order(recogniser: Recogniser) -> None:
    found = recogniser.find("Mein Vermieter sagt, § 535 Abs. 1 S. 3 BGB gelte nicht wegen Art. 1 GG, § 242 des "
                            "Bürgerlichen Gesetzbuchs und § 5 unseres Vertrags. Stimmt das (vgl. § 999 BGB)?")
    assert [each.words for each in found] == ["§ 535 Abs. 1 S. 3 BGB", "Art. 1 GG",
                                              "§ 242 des Bürgerlichen Gesetzbuchs"]
    assert found[0].outcome.body == "Er hat die auf der Mietsache ruhenden Lasten zu tragen."


@pytest.mark.parametrize("prompt", [
    "Das steht in § 5 des Vertrags.", "Siehe Art. 5 unserer Satzung", "§ 1 BGBX", "see article 1 of this text",
    "Part 242 BGB", "§§ 433 ff. BGB sind lang", "Ist § 242 StGB (Österreich) streng?", "§ 433 BGB-E vs. heute?",
    "Gilt § 242 BGB a.F. noch?", "Was regelte die alte Fassung von § 242 BGB?", "Gilt § 242 StGB in der Schweiz?",
    "Der Entwurf des § 242 BGB ist gut", "Vergleiche § 433 Abs. 1 und 5 BGB bitte", "Erkläre Art. 1 Abs. 2 und 20 GG",
])
def test_what_is_no_certain_citation_is_not_grounded(recogniser: Recogniser, prompt: str) -> None:
    assert recogniser.find(prompt) == []


@pytest.mark.parametrize(("prompt", "name"), [
    ("Erkläre mir § 433 BGB", "legal_get_paragraph"), ("Was sagt das Mietrecht zur Kündigung?", "legal_search_laws"),
    ("Which German law covers theft?", "legal_fulltext_search"),
    ("Erkläre den Aufbau des BGB", "legal_get_law_overview"),
])
def test_tools_are_offered_where_something_speaks_for_them(recogniser: Recogniser, prompt: str, name: str) -> None:
    assert name in [tool.name for tool in recogniser.fitting(prompt)]


@pytest.mark.parametrize("prompt", ["Hallo, wie geht's?", "Das ist recht gut.", "What is 2+2?", "aufrecht gehen",
                                    "Write a poem about a cat"])
def test_nothing_is_offered_for_nothing(recogniser: Recogniser, prompt: str) -> None:
    assert recogniser.fitting(prompt) == ()


PROMPTS = st.one_of(st.text(max_size=200), st.lists(st.sampled_from(
    ["§", "§§", "242", "BGB", "Art.", "1", "GG", "was", "steht", "in", "Abs.", "ff.", "und", "zeig", "mir", "des", ",",
     "-", "what does", "say", "el", '"', "im", "Gliederung"]), max_size=30).map(" ".join))


@settings(max_examples=300, deadline=None)
@given(prompt=PROMPTS)
def test_no_prompt_is_too_much(recogniser: Recogniser, prompt: str) -> None:
    recogniser.answer(prompt)
    recogniser.find(prompt)
    recogniser.fitting(prompt)


@pytest.mark.parametrize("prompt", ["§ " * 195, "zeig mir " + "§ 1 " * 95, "art 1 " * 60, '"' * 390, "im " * 120 + '"',
                                    "was steht in " + "x " * 150 + "§ 1", "§ 1, " * 75, "§ 1 " + "a " * 90])
def test_a_hostile_prompt_takes_less_than_a_millisecond(prompt: str) -> None:
    question = pose(prompt)
    begun = time.process_time()
    for _ in range(20):
        for reader in law.READERS:
            if reader.cue.search(question.folded):
                reader.read(question)
    assert (time.process_time() - begun) / 20 < 0.003  # three times as long, for machines that are slow


@pytest.mark.parametrize("text", ["§ 1 " * 2000, "§ 1 BGB " * 1000, "Art. " * 1600, "§" * 8000])
def test_a_long_text_is_searched_soon(text: str) -> None:
    begun = time.process_time()
    for finder in law.FINDERS:
        if finder.cue.search(fold(text)):
            list(finder.find(text))
    assert time.process_time() - begun < 0.2
