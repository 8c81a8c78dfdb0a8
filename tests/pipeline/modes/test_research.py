"""Citations: of what was given, in order, and never invented."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from moe.core import ChatRequest, Extract, Message, Text, ToolResult
from moe.pipeline.modes.cited import Cited
from moe.pipeline.modes.fences import read
from moe.pipeline.modes.sources import NONE, Source, find_sources, list_sources, number_sources, says_none
from moe.tools.base import Language

from .cutting import check_cuts, cuts, texts, whole

PAGE, FILE = Source("A page [1]", "https://a.b/c"), Source("notes.pdf", "p. 3")
LIST = "\n\n## Sources\n\n1. [A page \\[1\\]](<https://a.b/c>)\n2. notes.pdf, p. 3"


def given_two() -> Cited:
    return Cited(sources=(PAGE, FILE))


def given_none() -> Cited:
    return Cited()


def body(answer: str) -> str:
    shown = whole(given_two, answer)
    assert shown.endswith(LIST)
    return shown.removesuffix(LIST)


@pytest.mark.parametrize(("answer", "shown"), [
    ("Paris [1].", "Paris [1]."),
    ("Paris [7].", "Paris."),
    ("Paris [1][7], and [2] too.", "Paris [1], and [2] too."),
    ("Paris [1, 2].", "Paris [1, 2]."),
    ("Paris is big [1, 5].", "Paris is big [1]."),
    ("Paris is big.[2-4]", "Paris is big.[2]"),
    ("Paris 【7†source】.", "Paris."),
    ("Paris 【1】.", "Paris 【1】."),
    ("Bees fly [7].", "Bees fly."),
    ("Bees fly.[7]", "Bees fly."),
    ("It lives in a burrow [7] and eats ants [8, 9].", "It lives in a burrow and eats ants."),
    ("Bees fly.[7] So do wasps, too [8, 9]; and “flies” [7]", "Bees fly. So do wasps, too; and “flies”"),
    ("Bees fly in 2020 [7].\n- It is 30 % [7]\n\n> At 20 °C [7]!", "Bees fly in 2020.\n- It is 30 %\n\n> At 20 °C!"),
    ("蜜蜂会飞[7]。马 [8]，", "蜜蜂会飞。马，"),
    ("**Bees fly** [7], *they* [8].", "**Bees fly**, *they*."),
    ("Bees fly [7](https://x.y/z).", "Bees fly."),
    ("Paris [Source 7] or [Quelle 9] or [Fuente 2].", "Paris or or [Fuente 2]."),
    ("See [1](https://a.b/c) and [7](https://a.b/c).", "See [1](https://a.b/c) and [7](https://a.b/c)."),
    ("See [the page](https://x.y/z).", "See [the page](https://x.y/z)."),
])
def test_invented_marks_are_removed(answer: str, shown: str) -> None:
    assert body(answer) == shown
    for seed in range(20):
        check_cuts(given_two, answer, seed)


@pytest.mark.parametrize("answer", [
    "a[7] and my_list[8] and f()[9]", "a[0][7]", "`b [7]`", "``c ` [7]``", "the interval [3, 5]", "x ∈ [3, 9]", "= [7]",
    "sum([7, 8])", "[2020]", "[0]", "[3, 1, 2]", "[1-9]", "[a]", "[ ] todo", "[x] done", "\\[7\\]", "[7", "7]",
    "array[7]",
    "```\nx [7]\n```", "Words.\n\n    x [7]\n", "1. Do\n   ```py\n   y [7]\n   ```\n", "[7.5]", "[1234]", "[7]: https://x.y",
    "[7, 8, 9]", "data[7], sorted(data)[8], user[9].", "$A[7]$ and $B [8]$.", "<pre>data [7]</pre>",
    "<pre>\nand data [7]\n</pre>", "$$\nand beta [7]\n$$", "| so it is [7] | [8] |", "H[7]O", "[14]C",
    "class [7] equals [10]",
    "[7] yes / [8] no", "Say it: [7] yes or [8] no", "press [7].", "Drücken Sie [7].", "Pulse [7].", "As shown in [7].",
    "[7] says so.", "- [7] says so.", "Paris[7] is (see [8]) big ([9]).", "See [7](https://x.y/z).",
    "[7](https://x.y/z): it says so.", "It is in class [7] for users [8].", "The result is [7, 8].", "x [7].",
    "Paris[7].", "The list is: [7, 8, 9]", "Sorted list: [7, 8].", "Result [7, 8]",
    "These are sorted values [7, 8, 9].",
    "Bees fly [^7].\n\n[^7]: Smith", "Smith [7] says so.", "users [7] and [8]",
])
def test_what_is_no_mark_is_left_alone(answer: str) -> None:
    assert body(answer).rstrip() == answer.rstrip()
    for seed in range(10):
        check_cuts(given_two, answer, seed)


@pytest.mark.parametrize("own", [
    "## Sources\n\n1. Smith, https://x.y\n2. Jones (2020)\n", "**Sources:**\n- [1] Smith\n- [2] Jones",
    "Sources:\n[1] Smith\n[2] Jones\n", "### 📚 References\nSmith, J. Some title. 1999.\n", "# Quellen\n- https://x.y",
    "**Fuentes**\n1. https://x.y\n", "## 5. Bibliography\n* doi:10.1/2\n", "## Sources\n- notes.pdf\n",
])
def test_the_models_own_list_makes_room_for_ours(own: str) -> None:
    assert body(f"Paris [1].\n\n{own}").rstrip() == "Paris [1]."
    assert body(f"Paris [1].\n\n{own}\n## Next\n\nMore [7].") == "Paris [1].\n\n## Next\n\nMore."
    for seed in range(20):
        check_cuts(given_two, f"Paris [1].\n\n{own}\n## Next\n\nMore [7].", seed)


def test_words_after_a_list_without_a_heading_stay() -> None:
    assert body("A.\n\nSources:\n- https://x.y\n\nAsk me for more [7].") == "A.\n\nAsk me for more."


@pytest.mark.parametrize("answer", [
    "## Sources\n\n- Sunlight\n- Fatty fish", "**Sources:** sunlight, fish", "## Sources of error\n\nIn 2020 none.",
    "The sources: a river, a lake.", "```\n## Sources\nhttps://x.y\n```",
])
def test_a_section_that_lists_no_references_is_no_list_of_sources(answer: str) -> None:
    assert body(answer) == answer


@pytest.mark.parametrize("language", ["en", "de", "es"])
def test_without_sources_it_says_so_once_in_the_users_language(language: Language) -> None:
    def make() -> Cited:
        return Cited(language=language)

    assert whole(make, "Paris [1].") == f"Paris.\n\n*{NONE[language]}*"
    assert says_none(NONE[language])
    assert whole(make, whole(make, "Paris [1].")).count(NONE[language]) == 1


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
    assert shown == f"Paris.\n\n## Sources\n\n[1] Smith 2020\n\n*{NONE['en']}*"
    assert [finding.kind for finding in enforcer.findings] == ["marks_removed", "no_sources"]


@pytest.mark.parametrize("answer", ["", " \n"])
def test_nothing_is_said_of_nothing(answer: str) -> None:
    assert whole(given_two, answer) == answer


def test_nothing_is_added_where_more_will_come() -> None:
    assert whole(given_two, "I will search [7], first", is_over=False) == "I will search, first"


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
    shown = enforcer.feed("Bees fly [1]. Wasps too [2]. Flies as well [3].") + enforcer.finish()
    assert shown.startswith("Bees fly [1]. Wasps too [2]. Flies as well.\n\n## Sources\n\n1. ")
    assert [finding.kind for finding in enforcer.findings] == ["marks_removed"]


def test_a_list_of_its_own_stays_where_it_is_of_what_came_along() -> None:
    text = "[3] Bees pollinate plants, https://bees.example/a\n[5] Wasps eat flies\n\nWhat do they do?"
    given = find_sources(ChatRequest(messages=(Message("user", (Text(text),)),)))
    own = "Bees fly [3].\n\n## Sources\n\n- [3] https://bees.example/a\n- [5] Wasps eat flies (2020)\n"
    assert whole(lambda: Cited(given=given), own) == own
    ours = "## Sources\n\n- [3] Bees pollinate plants, https://bees.example/a\n- [5] Wasps eat flies"
    assert whole(lambda: Cited(given=given), "Bees fly [3].\n\n## Sources\n- [3] Smith 2020, Oxford\n").endswith(ours)


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
    assert body(answer) == answer.rstrip("\n")


def test_a_block_that_was_left_open_ends_before_what_is_added() -> None:
    assert whole(given_none, "So:\n```py\nx = 1") == f"So:\n```py\nx = 1\n```\n\n*{NONE['en']}*"


def test_it_streams() -> None:
    enforcer = given_two()
    assert enforcer.feed("Paris is the cap") == "Paris is the cap"
    assert enforcer.feed("ital [") == "ital"
    assert enforcer.feed("1") == ""
    assert enforcer.feed("], and") == " [1], and"


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
