"""Code and nothing else, as models really write it."""

from __future__ import annotations

import re
from functools import partial
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from moe.core import Message, Text
from moe.pipeline.modes.code import Begun, CodeOnly, find_begun
from moe.pipeline.modes.fences import Fence, read

from .cutting import check_cuts, cuts, pieces_of, texts, whole

PYTHON = "def f(x):\n\tif x:\n        return  'a  b'   \n\n\n    return None"


def says(role: Any, text: str) -> Message:
    return Message(role, (Text(text),))


def bare() -> CodeOnly:
    return CodeOnly(is_fenced=False)


@pytest.mark.parametrize(("answer", "shown"), [
    (f"Sure! Here's the function:\n\n```python\n{PYTHON}\n```\n\nHope this helps!", f"```python\n{PYTHON}\n```"),
    ("```python\nx = 1\n```", "```python\nx = 1\n```"),
    ("```\nx = 1\n```\n", "```\nx = 1\n```"),
    ("First:\n```python\nx = 1\n```\nThen:\n```python\ny = 2\n```\n", "```python\nx = 1\n```\n\n```python\ny = 2\n```"),
    ("```python\nx = 1\n```\nUsage:\n```py\nf()\n```\n", "```python\nx = 1\n```\n\n```py\nf()\n```"),
    ("```sh\npip install x\n```\nthen\n```python\nimport x\n```\nand\n```sh\npython a.py\n```",
     "```sh\npip install x\n```\n\n```python\nimport x\n```\n\n```sh\npython a.py\n```"),
    ("**app.py**\n```python\n# app.py\nx = 1\n```\n**util.py**\n```python\n# src/util.py\ny = 2\n```\n",
     "```python\n# app.py\nx = 1\n```\n\n```python\n# src/util.py\ny = 2\n```"),
    ("```html\n<!-- index.html -->\n<p>\n```\n```css\n/* style.css */\np {}\n```\n",
     "```html\n<!-- index.html -->\n<p>\n```\n\n```css\n/* style.css */\np {}\n```"),
    ("**app.py**\n```python\nx = 1\n```\n", "```python\n# app.py\nx = 1\n```"),
    ("Wrong:\n```py\nx = 1\n```\nRight:\n```py\nx = 2\n```\n", "```py\nx = 1\n```\n\n```py\nx = 2\n```"),
    ("Your README:\n```markdown\n# Tool\n## Install\n```\npip install tool\n```\n"
     "## Use\n```\ntool x\n```\nEnd\n```\nBye",
     "````markdown\n# Tool\n## Install\n```\npip install tool\n```\n## Use\n```\ntool x\n```\nEnd\n````"),
    ("```md\n# T\n```\nThen run it:\n```sh\nls\n```\n", "````md\n# T\n````\n\n```sh\nls\n```"),
    ("```md\n1. a\n\n    ```sh\n    ls\n    ```\n```\nBye", "````md\n1. a\n\n    ```sh\n    ls\n    ```\n````"),
    ("```js\nconst a = `\n```bash\nls\n```\n`;\nuse(a);\n```\nBye",
     "```js\nconst a = `\n```bash\nls\n```\n`;\nuse(a);\n```"),
    ("```diff\n ```sh\n-ls\n+- ```sh\n```\nBye", "```diff\n ```sh\n-ls\n+- ```sh\n```"),
    ("~~~python\nx = 1\n~~~\nbye", "```python\nx = 1\n```"),
    ("~~~md\n```py\nx\n```\n~~~\n", "````md\n```py\nx\n```\n````"),
    ("````md\n```py\nx\n```\n````\n", "`````md\n```py\nx\n```\n`````"),
    ("Your README:\n```markdown\n# T\n```bash\nls\n```\nend\n```\nDone.",
     "````markdown\n# T\n```bash\nls\n```\nend\n````"),
    ("```diff\n--- a\n+++ b\n@@ -1 +1 @@\n-old\n+new\n \n```\n",
     "```diff\n--- a\n+++ b\n@@ -1 +1 @@\n-old\n+new\n \n```"),
    ("1. Write\n\n   ```js\n   if (a) {\n     b();\n   }\n   ```\n2. Run", "```js\nif (a) {\n  b();\n}\n```"),
    ("Cut off:\n```go\nfunc main() {\n\tfmt.Print(", "```go\nfunc main() {\n\tfmt.Print(\n```"),
    ("```py\nx\n\n\n```\nbye", "```py\nx\n\n\n```"),
    ("```py\r\nx\r\ny\r\n```\r\n", "```py\nx\r\ny\r\n```"),
    ("```py\n\n\nx\n```", "```py\n\n\nx\n```"),
    ("```\n\n```\n```py\nx\n```", "```py\nx\n```"),
    ("**__init__.py**\n```py\n```\n**m.py**\n```py\nx\n```", "```py\n# __init__.py\n```\n\n```py\n# m.py\nx\n```"),
    ("Create `app.py`:\n\n```py\nx\n```\n\nand `b.yaml`:\n\n```yaml\na: 1\n```",
     "```py\n# app.py\nx\n```\n\n```yaml\n# b.yaml\na: 1\n```"),
    ("Run `main.py`:\n```sh\nls\n```", "```sh\nls\n```"),
    ("Use `f(x)`, as in\n```py\nf(1)\n```", "```py\nf(1)\n```"),
    ("Here: ```python\nx = 1\n```\nbye", "```python\nx = 1\n```"),
])
def test_words_go_and_code_stays_byte_for_byte(answer: str, shown: str) -> None:
    assert whole(CodeOnly, answer) == shown
    for seed in range(20):
        check_cuts(CodeOnly, answer, seed)


@pytest.mark.parametrize(("answer", "code"), [
    (PYTHON, PYTHON),
    ("def f(x):\n    \"\"\"Gives x.\"\"\"\n    if x > 3:\n        return 1\n\n    return x\n", None),
    ("Here is the function:\n\ndef f(x):\n    return x\n\nLet me know if it works!", "def f(x):\n    return x"),
    ("SELECT name\nFROM users\nWHERE id = 1;", None),
    ("#!/bin/sh\nset -e\nrm -f \"$1\";", None),
    ("#include <stdio.h>\n\nint main(void) {\n  puts(\"Hi there, you.\");\n}\n", None),
    ("<ul>\n  <li>One</li>\n</ul>", None),
    ("const f = (x) => x * 2;", None),
    ("{\n  \"a\": 1,\n  \"b\": [2]\n}", None),
    ("`ls -la`", "ls -la"),
    ("ls -la | grep foo", None),
    ("#!/bin/bash\necho \"hello world.\"\nls", None),
    ("FROM python:3.11\nRUN pip install flask\nCMD [\"python\", \"app.py\"]", None),
    ("# Prints the sum of all.\nprint(sum(xs))", None),
    ("@app.route('/')\ndef index():\n    return 'Hello there, it works.'", None),
    ("git add .\ngit commit -m 'x'", None),
    ("package main\n\nimport \"fmt\"\n\nfunc main() {\n\tfmt.Println(\"hi\")\n}", None),
    ("Use this:\n\n    int main() {\n\n      return 0;\n    }\n\nThen compile it with care.\n",
     "int main() {\n\n  return 0;\n}"),
    ("Old style.\n\n\tx = 1\n\ty = 2\n", "x = 1\ny = 2"),
    ("One is this.\n\n    a = 1\n\nThe other is that.\n\n    b = 2\n", "a = 1\n\nb = 2"),
])
def test_code_without_a_fence_gets_one(answer: str, code: str | None) -> None:
    expected = answer.strip("\n") if code is None else code
    assert whole(CodeOnly, answer) == f"```\n{expected}\n```"
    assert whole(bare, answer) == expected
    for seed in range(5):
        check_cuts(CodeOnly, answer, seed)


@pytest.mark.parametrize("answer", [
    "I cannot help with that.",
    "Which language do you want it in?",
    "A list keeps its order; a set does not. Use `list` where it matters.",
    "Steps:\n\n1. Install it.\n\n    Then wait a while.\n2. Run it.",
    "Es gibt keinen Weg, das zu tun (leider).",
    "¿En qué lenguaje lo quieres?",
    "1. Open the menu.\n2. Choose Save.",
    "You need to:\n\n- install Python;\n- run pip;\n- start the app.",
    "To reverse a list you can use reversed() or slicing with [::-1].",
    "**Note:** this depends (a lot) on your setup; please tell me which version you use.",
    "| a | b |\n|---|---|\n| 1 | 2 |",
    "Import taxes are high. WITH regard to this, no.",
    "Key = value pairs are common in config files",
    "git is a tool.",
    "# A title\n\nSome words about it.",
    "```\n```",
    " ",
    "",
])
def test_an_answer_without_code_stays_as_it_is_and_is_told(answer: str) -> None:
    enforcer = CodeOnly()
    assert enforcer.feed(answer) + enforcer.finish() == answer
    assert [finding.kind for finding in enforcer.findings] == ["no_code"] * bool(answer.strip())


def test_words_before_a_call_of_a_tool_are_left_out() -> None:
    assert whole(CodeOnly, "I will look at the file first.", is_over=False) == ""


@pytest.mark.parametrize(("answer", "shown", "plain"), [
    ("### `app/main.py`\n```python\nx = 1\n```\n### `app/util.py`\n\nIt helps:\n\n```python\ny = 2\n```\n",
     "```python\n# app/main.py\nx = 1\n```\n\n```python\n# app/util.py\ny = 2\n```",
     "# app/main.py\nx = 1\n\n# app/util.py\ny = 2"),
    ("```python title=\"b.py\"\nx\n```\n```js:src/c.js\ny\n```",
     "```python title=\"b.py\"\nx\n```\n\n```js:src/c.js\ny\n```", "# b.py\nx\n\n// src/c.js\ny"),
    ("**run.py**\n```python\n#!/usr/bin/env python3\n# -*- coding: utf-8 -*-\nx\n```",
     "```python\n#!/usr/bin/env python3\n# -*- coding: utf-8 -*-\n# run.py\nx\n```", None),
    ("**app.py**\n```python\n#!/usr/bin/python\n# === app.py ===\nx\n```",
     "```python\n#!/usr/bin/python\n# === app.py ===\nx\n```", None),
    ("**app.py**\n```python\n\"\"\"app.py\"\"\"\nx\n```", "```python\n\"\"\"app.py\"\"\"\nx\n```", None),
    ("**package.json**\n```json\n{}\n```", "```json title=\"package.json\"\n{}\n```", "{}"),
    ("**Makefile**\n```\nall:\n```", "```\n# Makefile\nall:\n```", "# Makefile\nall:"),
    ("**.env**\n```\nA=1\n```", "```\n# .env\nA=1\n```", None),
    ("1. **File: `index.html`** (the page):\n\n```html\n<!DOCTYPE html>\n<p>\n```",
     "```html\n<!DOCTYPE html>\n<!-- index.html -->\n<p>\n```", None),
    ("### a.php\n```php\n<?php\necho 1;\n```", "```php\n<?php\n// a.php\necho 1;\n```", None),
    ("### a.php\n```php\n<p><?= 1 ?></p>\n```", "```php title=\"a.php\"\n<p><?= 1 ?></p>\n```", "<p><?= 1 ?></p>"),
    ("### a.py\n~~~python\nx\n~~~", "```python\n# a.py\nx\n```", None),
    ("### a.py\n```python\nx", "```python\n# a.py\nx\n```", None),
    ("Read `data.csv` with this:\n```python\nx\n```", "```python\nx\n```", "x"),
    ("- `app.py` - the app\n- `util.py` - helpers\n\n```sh\nls\n```", "```sh\nls\n```", "ls"),
    ("### `a.py`\n```python\nx\n```\nRun it:\n```sh\npython a.py\n```",
     "```python\n# a.py\nx\n```\n\n```sh\npython a.py\n```", None),
    ("### Version 3.11\n```python\nx\n```", "```python\nx\n```", "x"),
    ("So it is done:\n```python\n# Makefile\nx\n```\n```python\n# app.py:\ny\n```",
     "```python\n# Makefile\nx\n```\n\n```python\n# app.py:\ny\n```", None),
])
def test_each_file_is_a_block_that_says_its_name(answer: str, shown: str, plain: str | None) -> None:
    assert whole(CodeOnly, answer) == shown
    if plain is not None:
        assert whole(bare, answer) == plain
    for seed in range(20):
        check_cuts(CodeOnly, answer, seed)
        check_cuts(bare, answer, seed)


@pytest.mark.parametrize(("answer", "shown"), [
    ("    return 1\n```\nDone.", "```python\n    return 1\n```"),
    ("    return 1\n```\nThen run:\n```sh\nls\n```\n", "```python\n    return 1\n```\n\n```sh\nls\n```"),
    ("    if x:\n        return 1\n\n    return 2", "```python\n    if x:\n        return 1\n\n    return 2\n```"),
    ("Sure, here is the rest:\n```python\n    return 1\n```\nDone.", "```python\n    return 1\n```"),
    ("Continuing:\n```\n    return 1\n```\nDone.", "```\n    return 1\n```"),
    ("```\n    return 1\n```\nDone.", "```\n    return 1\n```"),
    ("It gives one.", "It gives one."),
    ("", ""),
])
def test_an_answer_may_go_on_with_a_block_of_the_one_before(answer: str, shown: str) -> None:
    begun = find_begun((says("user", "Go"), says("assistant", "Here:\n```python\ndef f():"), says("user", "continue")))

    def make() -> CodeOnly:
        return CodeOnly(begun=begun)

    assert whole(make, answer) == shown
    for seed in range(20):
        check_cuts(make, answer, seed)


@pytest.mark.parametrize(("answer", "shown"), [
    ("\n    return 1\n```\nDone.", "\n    return 1\n```"),
    ("\n    return 1", "\n    return 1\n```"),
    ("1", "1\n```"),
    ("    return 1\n```\nRun:\n```sh\nls\n```\n", "    return 1\n```\n\n```sh\nls\n```"),
    ("Here it is:\n```python\ndef f():\n    return 1\n```\nDone.", "```python\ndef f():\n    return 1\n```"),
    ("```python\ndef f():\n    return 1\n```\nDone.", "```python\ndef f():\n    return 1\n```"),
    ("I cannot help with that.", "I cannot help with that."),
    ("```\nDone.", "```\nDone."),
    ("", ""),
])
@pytest.mark.parametrize("prefill", ["```python\ndef f():", "```python"])
def test_a_turn_that_is_gone_on_with_has_its_opening_already(prefill: str, answer: str, shown: str) -> None:
    begun = find_begun((says("user", "Go"), says("assistant", prefill)))

    def make() -> CodeOnly:
        return CodeOnly(begun=begun)

    assert whole(make, answer) == shown
    for seed in range(20):
        check_cuts(make, answer, seed)


def test_what_was_begun_streams_after_its_first_line() -> None:
    enforcer = CodeOnly(begun=find_begun((says("assistant", "```python"),)))
    assert enforcer.feed("\ndef f():") == ""
    assert enforcer.feed("\n    ret") == "\ndef f():\n    ret"


@pytest.mark.parametrize("turns", [
    (), (says("user", "```python"),), (says("assistant", "```python\nx\n```"), says("user", "continue")),
    (says("assistant", "```python\nx"), says("tool", "1"), says("user", "continue")),
])
def test_what_nobody_left_open_is_not_begun(turns: tuple[Message, ...]) -> None:
    assert find_begun(turns) is None


def test_who_wants_no_fences_gets_the_bare_code() -> None:
    answer = "Here:\n```py\nx = 1\n```\nand\n```sh\nls\n```\nBye"
    assert whole(bare, answer) == "x = 1\n\nls"


def test_code_streams_from_the_first_fence_on() -> None:
    enforcer = CodeOnly()
    assert enforcer.feed("Sure, here it is:\n\n```python\n") == ""
    assert enforcer.feed("import os\nprint(") == "```python\nimport os\nprint("
    assert enforcer.feed("os.getcwd())") == "os.getcwd())"
    assert enforcer.feed("\n``") == ""
    assert enforcer.feed("`\nThat was it.") == "\n```"
    assert enforcer.finish() == ""


code_lines = st.lists(st.text(st.characters(exclude_characters="`~\n\r"), max_size=12), min_size=1, max_size=6)


@settings(max_examples=200)
@given(code_lines, cuts, st.sampled_from(["```", "````", "~~~"]))
@example(["  ", "x", ""], 0, "```")
def test_every_byte_of_a_block_is_kept(lines: list[str], seed: int, mark: str) -> None:
    code = "\n".join(lines)
    answer = f"Words.\n{mark}text\n{code}\n{mark}\nWords."
    enforcer = CodeOnly()
    shown = "".join(map(enforcer.feed, pieces_of(answer, seed))) + enforcer.finish()
    if code.strip():
        assert re.fullmatch(rf"(`{{3,4}})text\n{re.escape(code)}\n\1", shown)


@settings(max_examples=300)
@given(texts, cuts)
def test_no_cut_matters(text: str, seed: int) -> None:
    check_cuts(CodeOnly, text, seed)
    check_cuts(bare, text, seed)
    for is_same in (False, True):
        check_cuts(partial(CodeOnly, begun=Begun(Fence("```", "python"), is_same)), text, seed)


@settings(max_examples=300)
@given(texts)
def test_what_is_shown_reads_as_the_same_code(text: str) -> None:
    """But for names of files, and for rows of marks where an open block ends."""
    code = "".join(piece.code for piece in read(text, is_patient=True))
    shown = read(whole(CodeOnly, text), is_patient=True)
    if code.strip():
        assert _bones("".join(piece.code for piece in shown)) == _bones(code)
        assert not [piece for piece in shown if piece.kind == "prose" and piece.raw.strip()]


def _bones(code: str) -> str:
    return "".join(code.replace("`", "").split()).replace("#app.py", "")
