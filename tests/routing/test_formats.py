from __future__ import annotations

import time

import pytest

from moe.routing.formats import FORMATS, find_formats


def formats_of(text: str) -> set[str]:
    return {FORMATS[place] for place in find_formats(text)}


@pytest.mark.parametrize(("text", "format"), [
    ("fix this:\n```\nx\n```", "fence"),
    ("def f(x):\n    return x", "code"),
    ("#include <stdio.h>", "code"),
    ("for (int i = 0; i < n; i++) { a[i] = b[i]; }", "symbols"),
    ("SELECT name FROM users WHERE age > 3", "sql"),
    ("please select the rows\nfrom the table", "sql"),
    (r"evaluate \frac{1}{2}", "latex"),
    ("what is $x^2$ at 3", "latex"),
    ("2x + 3 = 7", "equation"),
    ("17 * 3", "equation"),
    ("is that so?", "question"),
    ("¿Cómo estás?", "asks"),
    ("Warum ist das so", "asks"),
    ("Which is it?\nA) one\nB) two\nC) three", "options"),
    ("Übersetze das bitte", "translate"),
    ("tradúcelo", "translate"),
    ("say it in French", "to_language"),
    ("ins Deutsche bitte", "to_language"),
    ("what is in this picture", "picture"),
    ("| a | b |\n|---|---|", "table"),
    ("name,age,city\nann,3,rome\nbob,4,oslo", "csv"),
    ("2024-05-01 12:00:01 started", "log"),
    ("it says Error: no such file", "log"),
    ("sudo reboot does nothing", "path"),
    ("ping 10.0.0.1 fails", "path"),
    ("Sehr geehrte Frau Maier,\nich schreibe", "mail"),
    ('what does "the early bird catches it" mean', "quote"),
    ("one\ntwo\nthree\nfour", "lines"),
    ("room 4 is on the left side of the hall", "some_digits"),
    ("3141 592", "many_digits"),
])
def test_a_format_is_seen(text: str, format: str) -> None:
    assert format in formats_of(text)


@pytest.mark.parametrize("text", ["my head hurts", "erzähl mir etwas", "a long walk on the beach"])
def test_plain_words_have_a_length_and_nothing_else(text: str) -> None:
    (length,) = formats_of(text)
    assert length.startswith("words_")


def test_a_longer_text_is_of_a_longer_kind() -> None:
    kinds = [find_formats("word " * count)[-1] for count in (1, 5, 10, 20, 50, 100, 300, 500)]
    assert kinds == sorted(set(kinds)) and FORMATS[kinds[-1]] == "words_7"


@pytest.mark.parametrize("piece", [
    "\n", " ", "? ", "A) ", "select ", "a,", ",\n", '"a', ": ", "\t", "|", "dear ", "dear,\n", "$a", "1-", "1.", "a\n",
    "\n \n ", "a;", "x^", "(", "update a ", "?\n", "to ", "to  ", "\\", "{;", "é", "0x",
])
def test_no_text_takes_long(piece: str) -> None:
    began = time.process_time()
    find_formats(piece * 50_000)
    assert time.process_time() - began < 0.2
