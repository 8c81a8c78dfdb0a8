"""Citations: of what was given, in order, and never invented."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings

from moe.core import ChatRequest, Extract, Message, Role, Text, ToolResult
from moe.pipeline.modes.cited import Cited
from moe.pipeline.modes.fences import read
from moe.pipeline.modes.sources import NONE, UNCITED, Source, find_sources, list_sources, number_sources, says_none
from moe.tools.base import Language

from .cutting import check_cuts, cuts, texts, whole

PAGE, FILE = Source("A page [1]", "https://a.b/c"), Source("notes.pdf", "p. 3")
LIST = "\n\n## Sources\n\n1. [A page \\[1\\]](<https://a.b/c>)\n2. notes.pdf, p. 3"


def given_two() -> Cited:
    return Cited(sources=(PAGE, FILE))


def given_none() -> Cited:
    return Cited()


MARKED = ("Paris [1].", "Paris [7].", "Paris [1, 5].", "Paris.[2-4]", "Paris 【7†source】.", "[7] says so.", "- [7] a",
          "a[7] and list[8]", "[7](https://x.y/z)", "It prints [1, 2, 3].", "| [7] | [8] |", "Class [7] equals [10].")


@pytest.mark.parametrize("answer", MARKED)
@pytest.mark.parametrize("make", [given_two, given_none])
def test_no_mark_is_ever_taken_out(answer: str, make: Callable[[], Cited]) -> None:
    assert whole(make, answer).startswith(answer)
    for seed in range(5):
        check_cuts(make, answer, seed)


@pytest.mark.parametrize(("answer", "listed"), [
    ("Paris [1] and [2].", LIST), ("Paris [1, 2].", LIST), ("Paris [1-7].", LIST), ("Paris [Source 1]; 【2†x】.", LIST),
    ("Paris [2].", "\n\n## Sources\n\n- [2] notes.pdf, p. 3"), ("Paris [7].", ""), ("Paris.", ""), ("`a[1]`", ""),
    ("```\na [1]\n```\n", ""), ("So:\n\n    a [1]\n", ""),
])
def test_what_is_cited_is_listed_and_nothing_else(answer: str, listed: str) -> None:
    assert whole(given_two, answer) == answer.rstrip("\n") + (listed or "\n" * answer.count("\n", -1))


@pytest.mark.parametrize("own", [
    "## Sources\n\n1. Smith, https://x.y\n2. Jones (2020)\n", "**Sources:**\n- [1] Smith\n- [2] Jones",
    "Sources:\n[1] Smith\n[2] Jones\n", "### 📚 References\nSmith, J. Some title. 1999.\n", "# Quellen\n- https://x.y",
    "**Fuentes**\n1. https://x.y\n", "## 5. Bibliography\n* doi:10.1/2\n", "References:\r\n1. Smith\n\nHope it helps!",
])
def test_the_models_own_list_stays_and_ours_is_not_added(own: str) -> None:
    assert whole(given_two, f"Paris [1].\n\n{own}") == f"Paris [1].\n\n{own}"
    text = whole(given_none, f"Paris [1].\n\n{own}")
    assert text.startswith(f"Paris [1].\n\n{own}")
    assert text.endswith(f"\n\n*{NONE['en']}*")


@pytest.mark.parametrize("answer", [
    "The sources: a river [1], a lake [2].", "```\n## Sources\n```\n[1] and [2].",
    "## Sources of error\n\n[1] and [2].",
])
def test_other_words_and_code_are_no_list_of_sources(answer: str) -> None:
    assert whole(given_two, answer) == answer + LIST


@pytest.mark.parametrize("language", ["en", "de", "es"])
def test_without_sources_it_says_so_once_in_the_users_language(language: Language) -> None:
    def make() -> Cited:
        return Cited(language=language)

    assert whole(make, "Paris.") == f"Paris.\n\n*{NONE[language]}*"
    assert whole(make, "Paris [1].") == f"Paris [1].\n\n*{NONE[language]} {UNCITED[language]}*"
    assert says_none(NONE[language])
    assert whole(make, whole(make, "Paris [1].")) == whole(make, "Paris [1].")


@pytest.mark.parametrize("said", [
    "No sources were provided, so this is from memory.", "I answer without any sources.",
    "Mir lagen keine Quellen vor.", "Respondo sin fuentes.", "No hay fuentes disponibles.",
    "There are no external sources available to me.",
])
def test_a_model_that_says_so_itself_is_enough(said: str) -> None:
    assert whole(given_none, said) == said


@pytest.mark.parametrize("said", [
    "There is no source of light.", "Keine Quelle ist tief.", "All sources agree.", "The river has no sources of salt.",
    "Sin duda la fuente es bonita.",
])
def test_other_words_about_sources_are_not_that(said: str) -> None:
    assert whole(given_none, said).endswith(f"*{NONE['en']}*")


def test_the_models_own_list_stays_where_none_was_given_and_is_called_unchecked() -> None:
    answer = "Paris [1].\n\n## Sources\n\n[1] Smith 2020"
    enforcer = Cited()
    shown = enforcer.feed(answer) + enforcer.finish()
    assert shown == f"{answer}\n\n*{NONE['en']}*"
    assert [finding.kind for finding in enforcer.findings] == ["no_sources"]


@pytest.mark.parametrize("answer", ["", " \n"])
def test_nothing_is_said_of_nothing(answer: str) -> None:
    assert whole(given_two, answer) == answer


def test_nothing_is_added_where_more_will_come() -> None:
    assert whole(given_none, "I will search [1]", is_over=False) == "I will search [1]"


@pytest.mark.parametrize("text", [
    "What do bees do?\n[1] Bees pollinate plants, https://bees.example/a\n[2] Wasps eat flies\n",
    '<context>\n<source id="1" name="bees.pdf">Bees pollinate.</source>\n<source id="2" name="wasps.pdf">x</source>'
    "\n</context>\nWhat do bees do?",
    "Source 1: Bees pollinate plants.\nSource 2: Wasps eat flies.\n\nWhat?",
    "Quelle 1 - Bienen fliegen\nQuelle 2 - Wespen auch",
    "<source><source_id>1</source_id>Bees</source><source><source_id>2</source_id>Wasps</source>",
])
def test_numbered_sources_in_the_request_are_known(text: str) -> None:
    given = find_sources(ChatRequest(messages=(Message("user", (Text(text),)),)))
    assert (list(given.numbered), given.has_others) == ([1, 2], False)
    enforcer = Cited(given=given)
    answer = "Bees fly [1]. Wasps too [2]. Flies as well [3]."
    shown = enforcer.feed(answer) + enforcer.finish()
    assert shown.startswith(f"{answer}\n\n## Sources\n\n1. ")
    assert enforcer.findings == []


def sources_of(*turns: tuple[Role, str]) -> list[int]:
    request = ChatRequest(messages=tuple(Message(role, (Text(text),)) for role, text in turns))
    return list(find_sources(request).numbered)


TWO = "[1] Bees like to fly\n[2] Wasps eat many flies"


@pytest.mark.parametrize("text", [
    "[1] Bees like to fly", "[3] Bees like to fly\n[4] Wasps eat many flies", "[1] yes\n[2] no",
    f"```\n{TWO}\n```", "> x\n[1] 1 2 3\n> mean(x)\n[1] 2", "[1] INFO the server starts\n[2] ERROR the row is short",
    "[1] Go there by train\n[2] Go there by car\nWhich is better?", f"- {TWO}".replace("\n", "\n- "),
    "My tasks:\n[1] Wash the red car\n[2] Mow the front lawn", "[1]  0.25  0.50\n[2]  0.75  1.00",
])
def test_other_lines_with_numbers_are_no_sources(text: str) -> None:
    assert sources_of(("user", text)) == []


def test_the_newest_turn_with_sources_counts_and_none_of_the_systems() -> None:
    three = f"{TWO}\n[3] Ants live in big hills"
    assert sources_of(("user", three), ("assistant", "Ok."), ("user", TWO), ("user", "Thanks!")) == [1, 2]
    assert sources_of(("system", TWO), ("user", "What do bees do?")) == []


def test_of_a_text_to_work_on_nothing_is_said() -> None:
    for text, is_silent in (("Bees live in hives. " * 31, True), ("Bees live in hives. " * 20, False)):
        request = ChatRequest(messages=(Message("user", (Text(f"Shorten this:\n{text}"),)),))
        shown = whole(lambda request=request: Cited(given=find_sources(request)), "Bees [1].")  # type: ignore[misc]
        assert (shown == "Bees [1].") is is_silent


@pytest.mark.parametrize("part", [Extract("Bees [1] fly."), ToolResult("1", "web", "Bees fly.")])
def test_of_sources_without_numbers_all_stays(part: Extract | ToolResult) -> None:
    request = ChatRequest(messages=(Message("user", (Text("What do bees do?"), part)),))
    answer = "Bees fly [1]. 【7†x】\n\n## Sources\n\n- [1] Smith 2020"
    assert whole(lambda: Cited(given=find_sources(request)), answer) == answer


def test_the_models_own_words_and_menus_are_no_sources() -> None:
    turns = (Message("user", (Text("Which?\n[1] yes\n[2] no\nx = a[1] + b"),)),
             Message("assistant", (Text("[1] Bees fly"),)))
    assert find_sources(ChatRequest(messages=turns)).numbered == {}


def test_footnotes_stay_with_what_they_say() -> None:
    answer = "Bees fly [^1].\n\n## Sources\n\n[^1]: Smith 2020\n"
    assert whole(given_two, answer) == answer


def test_a_block_that_was_left_open_ends_before_what_is_added() -> None:
    assert whole(given_none, "So:\n```py\nx = 1") == f"So:\n```py\nx = 1\n```\n\n*{NONE['en']}*"


def test_sources_are_numbered_for_the_model_and_listed_for_the_reader() -> None:
    hostile = Source("x](http://evil) *y*\n## z", "javascript:alert(1)")
    assert number_sources((PAGE, hostile)) == (
        "[1] A page [1] — https://a.b/c\n[2] x](http://evil) *y* ## z — javascript:alert(1)")
    assert list_sources((hostile, Source(place="https://a.b")), "de") == (
        "## Quellen\n\n1. x\\](http://evil) \\*y\\* ## z, javascript:alert(1)\n2. <https://a.b>")


@settings(max_examples=400)
@given(texts, cuts)
def test_no_cut_matters(text: str, seed: int) -> None:
    check_cuts(given_two, text, seed)
    check_cuts(given_none, text, seed)


@settings(max_examples=200)
@given(texts)
def test_no_byte_of_code_is_altered(text: str) -> None:
    said = [piece.raw for piece in read(text) if piece.kind in ("code", "open", "close")]
    shown = whole(given_none, text)
    place = 0
    for raw in said:
        place = shown.index(raw, place) + len(raw)
