"""What an answer has to keep to, word for word as the user wrote it: figures, dates, quotations, limits."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from .spelling import DATES, LIMITS, NUMBERS, QUOTED, REFERENCES, SIMPLE

MOST, MOST_CHARS = 24, 1_500
# Of a long text so much of its beginning and of its end is read.
READ_HEAD, READ_TAIL = 12_000, 4_000
LEAD = "Keep to, verbatim:"
# What is lost the least is given up first where there are too many: a number alone before a limit.
_KINDS: tuple[tuple[re.Pattern[str], ...], ...] = (LIMITS, DATES, NUMBERS, REFERENCES, QUOTED, SIMPLE)
_FENCED = re.compile(r"(?ms)^[ \t]{0,3}(`{3,}|~{3,}).*?(?:^[ \t]{0,3}\1|\Z)")
# The numbers of a list are not what it says; a day at the beginning of a line is.
_ITEM = re.compile(r"(?m)^[ \t]*\d{1,2}(?:\)|\.(?!\s[^\W\d_]+\s\d{4}))(?=\s)")
_BLANKS = " \t\u00a0\u202f"


def find_constraints(text: str) -> tuple[str, ...]:
    """Each as it stands in `text`, once, in its order; of too many the least telling are left out, the longest of them
    first. Code is not searched."""
    found: dict[str, int] = {}
    for piece in _pieces(text):
        for words, kind in _find(piece):
            found[words] = min(kind, found.get(words, kind))
    kept: set[str] = set()
    left = MOST_CHARS
    for words in sorted(found, key=lambda words: (found[words], len(words)))[:MOST]:
        if len(words) <= left:
            kept.add(words)
            left -= len(words)
    return tuple(words for words in found if words in kept)


def lacks(task_text: str, constraints: Sequence[str]) -> tuple[str, ...]:
    """Those that do not stand in it as they are: "5" does not stand in "15" or "5.2"."""
    return tuple(words for words in constraints if words not in task_text or not _stands_in(words, task_text))


def carry(task_text: str, constraints: Sequence[str]) -> str:
    """`task_text` with a line of those that it lacks."""
    missing = lacks(task_text, constraints)
    return f"{task_text}\n{LEAD} {'; '.join(missing)}" if missing else task_text


def _stands_in(words: str, text: str) -> bool:
    before = r"(?<!\w)(?<!\d[.,])" if words[:1].isalnum() else ""
    after = r"(?!\w)(?![.,]\d)" if words[-1:].isalnum() else ""
    return re.search(f"{before}{re.escape(words)}{after}", text) is not None


def _pieces(text: str) -> tuple[str, ...]:
    """All of a text, or of a long one its two ends, cut between words."""
    if len(text) <= READ_HEAD + READ_TAIL:
        return (text,)
    return (*text[:READ_HEAD].rsplit(None, 1)[:1], *text[-READ_TAIL:].split(None, 1)[-1:])


def _find(text: str) -> Iterator[tuple[str, int]]:
    """With the kind of each, in their order; what stands in a longer one is part of that."""
    masked = _ITEM.sub(_blank, _FENCED.sub(_blank, text))
    spans = [(match.start(), match.end(), kind)
             for kind, patterns in enumerate(_KINDS) for pattern in patterns for match in pattern.finditer(masked)]
    taken: list[tuple[int, int, int]] = []
    end = 0
    for start, stop, kind in sorted(spans, key=lambda span: (span[0], -span[1], span[2])):
        if start >= end:
            taken.append((start, stop, kind))
            end = stop
        elif stop - start > end - taken[-1][0]:  # they overlap, and the longer one says more
            taken[-1] = (start, stop, kind)
            end = stop
    for start, stop, kind in taken:
        words = text[start:stop].strip(_BLANKS)
        if words:
            yield words, kind


def _blank(match: re.Match[str]) -> str:
    return "\n" * len(match[0])
