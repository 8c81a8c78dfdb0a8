from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moe.routing.text import clean, find_question, is_chore, join_newest, says_anything

RETRIEVAL = ("### Task:\nRespond to the user query using the provided context, incorporating inline citations.\n\n"
             "### Guidelines:\n- Be brief.\n\n<context>\n<source id=\"1\">soup and fever</source>\n</context>\n\n")


@pytest.mark.parametrize(("text", "cleaned"), [
    ("  a\n\n b\t c ", "a b c"),
    ("see [the docs](https://x.org/a_b?c=d) and ![a cat](cat.png)", "see the docs and a cat"),
    ("# Title\n> said **he** `x`", "Title said he x"),
    ("C# and snake_case stay", "C# and snake_case stay"),
    ("[not a link] (aside)", "[not a link] (aside)"),
    ("*it*, ~~no~~, ***both*** and __this__", "it, no, both and this"),
    ("**bold *and more* words** (**x**)", "bold and more words (x)"),
    ("* one\n* **two**", "one two"),
    ("| a | b |\n|---|:-:|\n| 1 | x|y |", "a b 1 x y"),
    ("**12*17** `3*4`", "12*17 3*4"),
])
def test_markup_becomes_plain_words(text: str, cleaned: str) -> None:
    assert clean(text) == cleaned


@pytest.mark.parametrize("text", [
    "12*17?", "2 * 3", "a*b", "a*b*c", "2**3**4", "3 *4* 5", "2*(3)*5*(4)", "f(*args, **kwargs)", "5 * x and y * 3",
    "x|y", "a || b", "|x-3| + |y|", "~5", "~5 and ~6", "a~b", "ls *.py and *.txt",
])
def test_what_is_no_markup_stays_as_it_was_typed(text: str) -> None:
    assert clean(text) == text


def test_one_table_does_not_take_the_bars_of_other_lines() -> None:
    assert clean("| a |\n|---|\n| 1 |\nx|y") == "a 1 x|y"


def test_a_question_around_a_long_code_block_survives() -> None:
    cleaned = clean("Why does this fail?\n```python\n" + "x = 1\n" * 2000 + "```\nIt says NameError.")
    assert cleaned.startswith("Why does this fail? python x = 1") and cleaned.endswith("It says NameError.")
    assert len(cleaned) < 400


@settings(deadline=None)
@given(st.text(max_size=300) | st.text("[]()!`#>*_~|-:1a \n", max_size=300))
def test_cleaning_takes_any_text_and_never_adds_to_it(text: str) -> None:
    assert len(clean(text)) <= len(text)


@pytest.mark.parametrize("unit", ["[", "[a](", "![](", "`", "```", "_", "# ", "[]" * 9, "\n>", " *a", "*a ", "**a ",
                                  "***a", " ~~a", "~~1~", " __a", " *(", "*1 *", "|-", "\n|", "\n|-", "\n* ", "`a"])
def test_hostile_markup_of_a_megabyte_is_cut_first(unit: str) -> None:
    assert len(clean(unit * (1_000_000 // len(unit)))) <= 16_001


@pytest.mark.parametrize("prompt", [
    "### Task:\nGenerate a concise, 3-5 word title with an emoji summarizing the chat history.",
    "\n### Task:\nGenerate a concise title summarizing the chat history.",
    "### Task:\nGenerate 1-3 broad tags categorizing the main themes of the chat history",
    "### Task:\nSuggest 3-5 relevant follow-up questions or prompts that the user might naturally ask next",
    "### Task:\nAnalyze the chat history to determine the necessity of generating search queries",
    "### Task:\nGenerate a detailed prompt for am image generation task based on the given language and context.",
    "### Task:\nYou are an autocompletion system. Continue the text in `<text>`",
    "Your task is to reflect the speaker's likely facial expression with one emoji.\n\nMessage: ```hello```",
    "### Task:\nNenne drei Schlagworte.\n<chat_history>\nUSER: hallo\n</chat_history>",
])
def test_open_webuis_own_prompts_are_chores(prompt: str) -> None:
    assert is_chore(prompt)


@pytest.mark.parametrize("prompt", [
    "", "Generate a concise, 3-5 word title for my essay", "### Task:\nWrite a python function that adds",
    "Your task is to write a poem", "My homework says:\n### Task:\nGenerate a concise title",
    RETRIEVAL + "What is a fever?",
])
def test_what_a_person_asks_is_no_chore(prompt: str) -> None:
    assert not is_chore(prompt)


@pytest.mark.parametrize("asked", ["What is a fever?", "<user_query>\nWhat is a fever?\n</user_query>"])
def test_the_question_behind_retrieved_documents_is_found(asked: str) -> None:
    assert find_question(RETRIEVAL + asked) == "What is a fever?"


def test_any_other_text_is_its_own_question() -> None:
    assert find_question("what is <context> in python? </context>") == "what is <context> in python? </context>"
    assert find_question("### Task:\nadd 2 and 2") == "### Task:\nadd 2 and 2"
    assert find_question(RETRIEVAL) == RETRIEVAL


def test_reminders_around_a_question_are_no_part_of_it() -> None:
    note = "<system-reminder>\nUse the tools for law and medicine.\n</system-reminder>"
    assert find_question(f"{note}\nsolve x + 2 = 4 {note}") == "solve x + 2 = 4"
    assert find_question(note) == note
    assert find_question("what does <system-reminder> mean?") == "what does <system-reminder> mean?"


def test_joining_keeps_the_newest() -> None:
    assert join_newest(["oldest", "older", "new"], max_chars=12) == "new\nolder\nol"


@pytest.mark.parametrize("text", [
    "no", "x = y", "7", "²", "你", "مرحبا", "ア", "asdfghjkl qwerty", "((((ok", "👍 ja", "хай",
])
def test_a_word_a_number_or_a_formula_says_something(text: str) -> None:
    assert says_anything(text)


@pytest.mark.parametrize("text", ["", "xxxx", "XxXx", "k", "((((", "👍", "🤒🤧", "...", "?!", "a a a", "_ _", "ｘｘ"])
def test_one_letter_faces_and_marks_say_nothing(text: str) -> None:
    assert not says_anything(text)
