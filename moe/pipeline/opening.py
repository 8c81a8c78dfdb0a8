"""Where a thought ends that the prompt has opened: an answer tells only the closing mark, and may also speak of it."""

from __future__ import annotations

CLOSING = "</think>"
_OPENING = "<think"
_QUOTES = frozenset("`'\"“”‘’„«»")
_AROUND = _QUOTES | frozenset(" \t([{<>=|/\\")
_FENCE = "```"


def is_json(text: str) -> bool:
    """Whether it begins as JSON does that is no bare word or number."""
    return text.lstrip()[:1] in ("{", "[")


def find_end(text: str) -> int:
    """The place of the first closing mark that is neither quoted nor in a block of code, -1 for none. Of JSON it is
    never looked for."""
    if is_json(text):
        return -1
    place = text.find(CLOSING)
    while place >= 0:
        if text[place - 1 : place] not in _QUOTES and text.count(_FENCE, 0, place) % 2 == 0:
            return place
        place = text.find(CLOSING, place + 1)
    return -1


def is_surely_over(text: str, *, is_lost: bool = False) -> bool:
    """Whether a whole answer, of a model of which nothing is known, begins with the rest of a thought: its only mark is
    a closing one that stands as no word of a sentence does, and an answer follows. `is_lost`: nobody will see what is
    taken for a thought, so what announces the mark is none."""
    place = find_end(text)
    if place < 0 or text.count(CLOSING) > 1 or _OPENING in text:
        return False
    before, after = text[:place], text[place + len(CLOSING) :]
    if is_lost and before.rstrip().endswith(":"):
        return False
    is_word = before[-1:] in _AROUND or (before[-1:] in ("", "\n") and after[:1] == " ")
    return bool(before.strip() and after.strip()) and not is_word
