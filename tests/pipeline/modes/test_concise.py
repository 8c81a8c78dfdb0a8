"""At most 120 words, whatever they are in, and nothing torn."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moe.pipeline.modes.concise import MOST_WORDS, Concise, ask_shorter, cut, needs_shortening, take_shorter
from moe.pipeline.modes.words import count_words, find_sentence_ends

from .cutting import check_cuts, cuts, texts

TEN = "This sentence has exactly ten words, no more than that."
CODE = "```python\n" + "\n".join(f"a{n} = call(b{n}, c{n})" for n in range(50)) + "\n```"
TABLE = "| name | value |\n|---|---|\n" + "\n".join(f"| n{n} | {n} |" for n in range(70)) + "\n"


def many(count: int) -> str:
    return " ".join([TEN] * count)


@pytest.mark.parametrize(("text", "count"), [
    ("", 0), ("one two", 2), ("don't", 1), ("it’s 3.14 or 1,000", 4), ("well-known", 2), ("and/or", 2),
    ("e.g. this", 2), ("foo_bar", 1), ("- item", 1), ("a — b", 2),
    ("**bold** _word_", 2), ("| a | b |", 2), ("🎉 yes", 1), ("a,b,c", 3),
    ("中文有六个字", 6), ("東京に行く", 5), ("한국어 문장", 2), ("Ärger über Öl", 3), ("नमस्ते दुनिया", 2), ("สวัสดีครับ", 3),
    ("привет мир", 2), ("12:30", 1), ("___", 0),
])
def test_words_are_counted(text: str, count: int) -> None:
    assert count_words(text) == count


@pytest.mark.parametrize(("text", "sentences"), [
    ("One. Two! Three?", ["One.", "Two!", "Three?"]),
    ("Ask Dr. Miller. He knows.", ["Ask Dr. Miller.", "He knows."]),
    ("Use z. B. Öl. Oder Fett.", ["Use z. B. Öl.", "Oder Fett."]),
    ("Am 3. Oktober. Dann nicht.", ["Am 3. Oktober.", "Dann nicht."]),
    ("It is 3.5 m. Long, e.g. here.", None),
    ("Call `a. B`. Then stop.", ["Call `a. B`.", "Then stop."]),
    ("Done! 🎉 Next one.", ["Done!", "🎉 Next one."]),
    ("这是一句。这是二句！完", ["这是一句。", "这是二句！", "完"]),
    ("", []),
    ("Ask Sr. García. He knows.", ["Ask Sr. García.", "He knows."]),
    ("Vea a la Sra. López. Bien.", ["Vea a la Sra. López.", "Bien."]),
    ("Take a, b etc. Then c.", ["Take a, b etc.", "Then c."]), ("z. B. Öl. Gut.", ["z. B. Öl.", "Gut."]),
    ("هل هذا صحيح؟ نعم. لا", ["هل هذا صحيح؟", "نعم.", "لا"]), ("یہ ہے۔ وہ", ["یہ ہے۔", "وہ"]),
    ("यह है। वह", ["यह है।", "वह"]),
])
def test_sentences_end_as_the_tool_counts_them(text: str, sentences: list[str] | None) -> None:
    ends = find_sentence_ends(text)
    found = [text[start:end].strip() for start, end in zip([0, *ends], ends, strict=False)]
    assert sentences is None or found == sentences


def test_120_words_are_not_too_many_and_121_are() -> None:
    assert not needs_shortening(many(12))
    assert cut(many(12)) == many(12)
    assert needs_shortening(many(12) + " More.")
    assert cut(many(12) + " More.") == many(12)
    assert "121 words" in ask_shorter(many(12) + " More.")


def test_it_is_cut_where_a_sentence_ends() -> None:
    assert cut(f"{many(11)} Here {many(1)}") == many(11)
    assert cut(f"{many(6)}\n\n{many(3)}\n{many(6)}") == f"{many(6)}\n\n{many(3)}\n{many(3)}"


def test_one_endless_sentence_is_cut_between_words() -> None:
    assert cut("word " * 200) == " ".join(["word"] * 120) + " …"
    assert cut("字" * 200) == "字" * 120 + " …"


def test_chinese_is_cut_at_its_own_marks() -> None:
    assert cut("这里有七个字呢。" * 30) == "这里有七个字呢。" * 17


@pytest.mark.parametrize("block", [CODE, TABLE, "$$\n" + " + ".join(f"x_{{{n}}}" for n in range(150)) + "\n$$\n"])
def test_a_block_is_whole_or_not_there_with_the_line_that_announces_it(block: str) -> None:
    assert cut(f"{many(5)}\n\nIt looks like this:\n\n{block}\n\n{many(9)}") == many(5)


@pytest.mark.parametrize("block", [CODE, TABLE.rstrip()])
def test_a_block_that_is_the_answer_stays_whole_and_is_told(block: str) -> None:
    enforcer = Concise()
    assert enforcer.feed(f"Here you are.\n\n{block}\n\n{many(9)}") == ""
    assert enforcer.finish() == f"Here you are.\n\n{block}"
    assert [finding.kind for finding in enforcer.findings] == ["cut", "over_limit"]


def test_a_short_block_is_kept_and_what_follows_is_cut() -> None:
    block = "```python\nx = 1\n# One. Two.\n```"
    assert cut(f"{many(2)}\n\n{block}\n\n{many(12)}") == f"{many(2)}\n\n{block}\n\n{many(9)}"


def test_a_list_keeps_whole_items() -> None:
    items = "\n".join(f"{n}. **Point {n}**: {TEN} {TEN}" for n in range(1, 12))
    shown = cut(f"There are many:\n\n{items}")
    assert shown == "There are many:\n\n" + "\n".join(items.split("\n")[:5])
    assert count_words(shown) <= MOST_WORDS


def test_an_item_over_several_lines_is_not_torn() -> None:
    items = "\n".join(f"- {TEN}\n  {TEN}\n  - {TEN}" for _ in range(9))
    shown = cut(items)
    assert items.startswith(shown)
    assert shown.count("\n  - ") == 4


def test_a_list_of_one_endless_item_is_cut_within_it() -> None:
    assert cut(f"The point:\n\n- {many(20)}") == f"The point:\n\n- {many(11)}"


def test_a_heading_is_never_the_end() -> None:
    assert cut(f"# Title\n\n{many(11)}\n\n## Next\n\n{'word ' * 50}") == f"# Title\n\n{many(11)}"
    assert cut(f"{many(11)}\n\n**Next:**\n\n{'word ' * 50}") == many(11)


def test_a_bold_passage_is_closed() -> None:
    assert cut(f"{many(11)}\n\n**{TEN} {TEN}** and on.") == f"{many(11)}\n\n**{TEN}**"
    assert cut(f"{many(10)}\n\n**{TEN} {TEN} {TEN}** and on.").endswith("than that.**")


@pytest.mark.parametrize("lead", [
    "Sure! Here is a shorter version:\n\n", "Here's the answer in fewer words, a short version:\n",
    "**Kürzere Fassung:**\n\n",
    "¡Claro! Aquí tienes una versión más corta:\n", "",
])
def test_what_announces_a_shorter_answer_is_none_of_it(lead: str) -> None:
    assert take_shorter(lead + many(5), many(20)) == many(5)


@pytest.mark.parametrize("text", ["", "ok", many(20), many(2), "I'm sorry, but I can't help with that. " * 7,
                                  "Here is a shorter version:"])
def test_what_is_no_shorter_answer_is_not_taken(text: str) -> None:
    assert take_shorter(text, many(20)) == ""


def test_a_list_keeps_the_line_before_it() -> None:
    text = f"You need these things:\n- {many(3)}"
    assert take_shorter(text, many(20)) == text


@pytest.mark.parametrize("text", ["", " ", "Yes.", "```\nx\n```", "- a\n- b"])
def test_what_is_short_is_left_as_it_is(text: str) -> None:
    enforcer = Concise()
    assert enforcer.feed(text) + enforcer.finish() == text
    assert enforcer.findings == []


@settings(max_examples=200)
@given(texts, cuts)
def test_no_cut_matters(text: str, seed: int) -> None:
    check_cuts(Concise, text, seed)
    check_cuts(Concise, f"{text}\n\n{many(13)}\n{text}", seed)


parts_of_prose = [TEN, "Kurz.", "- item one\n", "\n\n", "# Head\n", "1. x: \n", "字字。", "no end", "**b."]
sentences = st.lists(st.sampled_from(parts_of_prose), max_size=60)


@settings(max_examples=300)
@given(sentences)
def test_the_limit_holds_and_what_is_kept_is_the_beginning(parts: list[str]) -> None:
    text = " ".join(parts)
    shown = cut(text)
    assert count_words(shown) <= MOST_WORDS
    assert text.startswith(re.sub(r"(?:\*\*)?(?: …)?$", "", shown))
    assert bool(count_words(shown)) == bool(count_words(text))
