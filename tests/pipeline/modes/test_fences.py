"""Blocks of code, wherever a text is cut and however a model writes them."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings

from moe.pipeline.modes.fences import Fence, Reader, read

from .cutting import cuts, pieces_of, texts


def blocks(text: str) -> list[tuple[str, str]]:
    """(info, code) of each block."""
    found: list[tuple[str, str]] = []
    for piece in read(text):
        if piece.kind == "open":
            assert piece.fence is not None
            found.append((piece.fence.info, ""))
        elif piece.kind == "code":
            found[-1] = (found[-1][0], found[-1][1] + piece.code)
    return found


@pytest.mark.parametrize(("text", "expected"), [
    ("```python\nx\n```\n", [("python", "x\n")]),
    ("```\nx\n```", [("", "x\n")]),
    ("~~~ruby\nx\n```\ny\n~~~\n", [("ruby", "x\n```\ny\n")]),
    ("````\n```\nx\n```\n````\n", [("", "```\nx\n```\n")]),
    ("```python title=\"a.py\"\nx\n```", [("python title=\"a.py\"", "x\n")]),
    ("```py\nx\n\n\n```\n", [("py", "x\n\n\n")]),
    ("```py\r\nx\r\n```\r\n", [("py", "x\r\n")]),
    ("```py\nnever closed", [("py", "never closed")]),
    ("```py\nx\n``` \nafter\n", [("py", "x\n")]),
    ("1. First\n\n   ```py\n   if x:\n       y\n   ```\n", [("py", "if x:\n    y\n")]),
    ("10. First\n\n    ```py\n    x\n\n    y\n    ```\n", [("py", "x\n\ny\n")]),
    ("- ```diff\n  - old\n  + new\n  ```\n", [("diff", "- old\n+ new\n")]),
    ("- ```diff\n- old\n```\n", [("diff", "- old\n")]),
    ("> ```sh\n> ls\n>\n> pwd\n> ```\n", [("sh", "ls\n\npwd\n")]),
    ("\t```py\n\tx\n\t\ty\n\t```\n", [("py", "x\n\ty\n")]),
    ("```py\ndef f():\n    \"\"\"\n    ```\n    x\n    ```\n    \"\"\"\n```\n",
     [("py", "def f():\n    \"\"\"\n    ```\n    x\n    ```\n    \"\"\"\n")]),
    ("```markdown\n# T\n```bash\nls\n```\nend\n```\nafter\n", [("markdown", "# T\n```bash\nls\n```\nend\n")]),
    ("```python\ns = '```bash'\n```\nafter\n", [("python", "s = '```bash'\n")]),
    ("Here it is: ```python\nx\n```\nafter\n", [("python", "x\n")]),
    ("Write ``` to open\n", []),
    ("It ends with ```\nand so on", []),
    ("```print(1)``` is inline\n", []),
    ("`` ``` `` is inline\n", []),
    ("two `` ticks\n", []),
    ("```\n```\n", [("", "")]),
    ("", []),
])
def test_a_block_is_found_with_its_code(text: str, expected: list[tuple[str, str]]) -> None:
    assert blocks(text) == expected


def test_the_language_is_the_first_word_in_small_letters() -> None:
    assert Fence("```", "Python title=x").language == "python"
    assert Fence("```").language == ""


@settings(max_examples=300)
@given(texts, cuts)
def test_nothing_is_lost_and_no_cut_matters(text: str, seed: int) -> None:
    reader = Reader()
    fed = [piece for part in pieces_of(text, seed) for piece in reader.feed(part)]
    fed += reader.finish()
    assert "".join(piece.raw for piece in fed) == text

    def flat(pieces: object) -> list[tuple[str, str, Fence | None]]:
        return [(piece.kind, letter, piece.fence) for piece in pieces for letter in piece.raw]  # type: ignore[attr-defined]

    def code(pieces: object) -> str:
        return "".join(piece.code for piece in pieces)  # type: ignore[attr-defined]

    assert flat(fed) == flat(read(text))
    assert code(fed) == code(read(text))


def test_a_long_text_takes_time_by_its_length_only() -> None:
    reader = Reader()
    for _ in range(50_000):
        list(reader.feed(" " * 8))
    assert sum(len(piece.raw) for piece in reader.finish()) < 200
    assert len(read("a ` b\n" * 50_000)) >= 50_000


@settings(max_examples=300)
@given(texts, cuts)
def test_patience_loses_nothing_either(text: str, seed: int) -> None:
    for within in (None, Fence("```", "md"), Fence("~~~", "js")):
        whole, cut = Reader(is_patient=True, within=within), Reader(is_patient=True, within=within)
        pieces = [*whole.feed(text), *whole.finish()]
        fed = [piece for part in pieces_of(text, seed) for piece in cut.feed(part)] + [*cut.finish()]
        assert "".join(piece.raw for piece in fed) == text
        for kind in ("prose", "open", "code", "close"):
            assert ("".join(piece.raw for piece in fed if piece.kind == kind)
                    == "".join(piece.raw for piece in pieces if piece.kind == kind))


def test_who_is_patient_is_not_slow() -> None:
    reader = Reader(is_patient=True)
    pieces = [*reader.feed("```md\n# T\n```\n")]
    began = time.process_time()
    for _ in range(20_000):
        pieces += reader.feed("some words\n")
    assert [piece.kind for piece in pieces] == ["open", "code"]
    assert time.process_time() - began < 5
    assert [piece.kind for piece in reader.finish()][:2] == ["close", "prose"]
