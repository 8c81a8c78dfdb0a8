"""Answers cut into pieces, and whether an enforcer minds."""

from __future__ import annotations

import random
from collections.abc import Callable

from hypothesis import strategies as st

from moe.pipeline.modes.enforcer import Enforcer

# What the texts of models are made of, as far as any mode looks at it.
PARTS = [
    "```", "````", "~~~", "`", "``", "\n", "\n\n", "\r\n", "python", "markdown", "diff", " ", "  ", "    ", "\t", "> ",
    "- ", "* ", "1. ", "2. ", "12) ", "# ", "## ", "**", "a b", "x = [1]", "x[2]", "[1]", " [7]", "[", "]", "[1, 9]",
    "[2](http://a.b/)", "【3†x】", "[^1]", "Sources", "Quellen:", "Step 1", "Schritt ", "2", ".", ":", "! ", "Word. ",
    "Ü", "。", "| a | b |", "|---|---|", "$$", "\\[", "https://a.b/c", "# app.py\n", "def f():\n", "    return 1\n",
    "--- ", "+ a\n", "## Sources\n", "**References:**\n", "- [1] https://x.y\n", "\n\n    ", " " * 70,
]
texts = st.lists(st.sampled_from(PARTS), max_size=24).map("".join)
cuts = st.integers(0, 2**32)


def pieces_of(text: str, seed: int) -> list[str]:
    """`text` in pieces of one to nine characters."""
    rng, out = random.Random(seed), []
    while text:
        size = rng.randint(1, 9)
        out.append(text[:size])
        text = text[size:]
    return out


def whole(make: Callable[[], Enforcer], text: str, *, is_over: bool = True) -> str:
    enforcer = make()
    return enforcer.feed(text) + enforcer.finish(is_over=is_over)


def told(make: Callable[[], Enforcer], text: str, seed: int) -> tuple[str, list[object]]:
    enforcer = make()
    shown = "".join(map(enforcer.feed, pieces_of(text, seed)))
    return shown + enforcer.finish(), list(enforcer.findings)


def check_cuts(make: Callable[[], Enforcer], text: str, seed: int) -> None:
    """Any way to cut it gives the same text and the same findings as the whole."""
    enforcer = make()
    expected = enforcer.feed(text) + enforcer.finish()
    assert told(make, text, seed) == (expected, enforcer.findings)
