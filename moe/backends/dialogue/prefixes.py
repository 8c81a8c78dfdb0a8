"""Many texts as one pattern, in which beginnings that are alike are written once."""

from __future__ import annotations

import os.path
from collections.abc import Callable, Collection

DEEPEST = 40


def fold(texts: Collection[str], *, spell: Callable[[str], str], join: Callable[[list[str], bool], str]) -> str:
    """`spell` writes a text, `join` alternatives and whether they may all be missing: the whole pattern then matches
    each of `texts`. Whoever reads it decides by one letter which of them to follow, however many there are."""
    return _fold(texts, spell, join, 0)


def _fold(
    texts: Collection[str], spell: Callable[[str], str], join: Callable[[list[str], bool], str], depth: int
) -> str:
    groups: dict[str, list[str]] = {}
    for text in filter(None, texts):
        groups.setdefault(text[0] if depth < DEEPEST else text, []).append(text)
    if not groups:
        return ""
    heads = ((os.path.commonprefix(group), group) for group in groups.values())
    either = [spell(head) + _fold([text[len(head):] for text in group], spell, join, depth + 1)
              for head, group in heads]
    return join(either, "" in texts)
