"""The parts of a norm as people name them: "Abs. 1 Satz 2 Nr. 3", "I 2", "(1)", and several of them at once."""

from __future__ import annotations

import re

from ...store.law_names import sort_key

# One part: the values by what they are called, and "last" where it goes on to there.
Places = dict[str, str]

LETTERS_BEFORE_LAW = r"(?:bgb|stgb|hgb|zpo|stpo)(?!\w)"

_NUMBERED = r"[0-9]{1,3}(?:[a-z](?!\w)| (?-i:[a-eg-np-xz])(?![\w.]| ?[0-9]))?(?!\w)"
_ROMAN = r"(?-i:[IVX]{1,5})(?![\w.])"
_SIGNS = {
    "paragraph": r"(?:abs(?:\.|atz|ätze)?|para(?:\.|graph)|subsection|apartado|párr(?:\.|afo))",
    "sentence": r"(?:s\.|satz|sätze|sentence|frase)",
    "item": r"(?:nrn?\.?|nummern?|ziff(?:\.|ern?)|no\.|number|n[.º°]|núm(?:\.|ero))",
    "letter": r"(?:buchst(?:\.|aben?)?|lit\.|litera|letter|letra)",
}
_VALUES = {"paragraph": rf"{_NUMBERED}|{_ROMAN}", "sentence": r"[0-9]{1,2}(?!\w)", "item": _NUMBERED,
           "letter": r"[a-z]{1,2}(?!\w)"}
_LEVELS = tuple(_SIGNS)
_SIGNED = {name: re.compile(rf",? ?{_SIGNS[name]} ?({_VALUES[name]})", re.IGNORECASE) for name in _LEVELS}
PLACED = rf"(?:{'|'.join(_SIGNS.values())}) ?[0-9IVXa-z]"
_PLAIN = {name: re.compile(pattern, re.IGNORECASE) for name, pattern in (
    ("paragraph", rf"({_VALUES['paragraph']})"), ("sentence", rf"({_VALUES['sentence']})"),
    ("item", rf"({_NUMBERED})"), ("letter", r"(([a-z])\2?)(?!\w)"))}
_IN_BRACKETS = re.compile(r" ?\(([0-9]{1,3}[a-z]?)\)")
_SHORT = re.compile(rf" ({_ROMAN})")
_ALIKE = {"I": re.compile(rf"({_ROMAN})"), "()": re.compile(r"\(([0-9]{1,3}[a-z]?)\)")}
_SHORT_SENTENCE = re.compile(r" ([0-9]{1,2})(?![\w.])")
_AND = re.compile(r" ?(?:,|&|u\.|(?:und|and|y|sowie)(?!\w)) ?", re.IGNORECASE)
_TO = re.compile(r" ?(?:[-–—]|(?:bis(?: zu)?|to|through|hasta)(?!\w)) ?", re.IGNORECASE)
_ROMAN_VALUES = {"I": 1, "V": 5, "X": 10}


def read_places(text: str, place: int, *, is_plural: bool = False) -> tuple[list[Places], int]:
    """The parts named at `place`, one empty where there is none, and where they end.

    A bare number after a part is another of its kind, unless several norms are announced (`is_plural`).
    """
    first, place, form = _read_first(text, place)
    found = [first]
    while found[-1]:
        following = _read_last(text, place, found[-1], form) or _read_next(text, place, found[-1], form,
                                                                          is_plural=is_plural)
        if not following:
            break
        if "last" in following[0]:
            found.pop()
        found.append(following[0])
        place = following[1]
    return found, place


def _read_first(text: str, place: int) -> tuple[Places, int, str]:
    """The first part, and how its paragraph is written: "I", "()" or "" for with a sign."""
    for form, pattern in (("I", _SHORT), ("()", _IN_BRACKETS)):
        found = pattern.match(text, place)
        if found:
            parts, place = {"paragraph": spell_number(found[1])}, found.end()
            sentence = _SHORT_SENTENCE.match(text, place)
            if sentence:
                parts, place = parts | {"sentence": sentence[1]}, sentence.end()
            return *_read_deeper(text, place, parts), form
    return *_read_deeper(text, place, {}), ""


def _read_deeper(text: str, place: int, parts: Places) -> tuple[Places, int]:
    """What is named with its sign below the parts that are known."""
    for name in _LEVELS[_depth(parts) + 1:]:
        found = _SIGNED[name].match(text, place)
        if found:
            parts, place = parts | {name: spell_number(found[1])}, found.end()
    return parts, place


def _read_next(text: str, place: int, before: Places, form: str, *, is_plural: bool) -> tuple[Places, int] | None:
    """Another part after "and": with a sign of its own, or of the kind that was named last."""
    link = _AND.match(text, place)
    if not link:
        return None
    depth = _depth(before)
    for level in range(depth + 1):
        found = _SIGNED[_LEVELS[level]].match(text, link.end())
        if found:
            return _join(text, found.end(), before, level, spell_number(found[1]))
    if form and (depth == 0 or text[link.end():link.end() + 1] in ("I", "V", "X", "(")):
        found = _ALIKE[form].match(text, link.end())
        return _join(text, found.end(), before, 0, spell_number(found[1])) if found else None
    found = _PLAIN[_LEVELS[depth]].match(text, link.end())
    if is_plural or not found:
        return None
    return _join(text, found.end(), before, depth, spell_number(found[1]))


def _read_last(text: str, place: int, before: Places, form: str) -> tuple[Places, int] | None:
    """Where a row of parts ends, "Abs. 1 bis 3"."""
    link = _TO.match(text, place)
    if not link or "last" in before:
        return None
    depth = _depth(before)
    name = _LEVELS[depth]
    found = _SIGNED[name].match(text, link.end()) or _PLAIN[name].match(text, link.end())
    if form and depth == 0:
        found = _ALIKE[form].match(text, link.end())
    value = spell_number(found[1]) if found else ""
    return (before | {"last": value}, found.end()) if found and _is_after(value, before[name]) else None


def _join(text: str, place: int, before: Places, level: int, value: str) -> tuple[Places, int] | None:
    """The part with `value` beside the one before it, and what is named below it; they come in their order."""
    name = _LEVELS[level]
    newest = before.get("last") if level == _depth(before) else ""
    if not _is_after(value, newest or before[name]):
        return None
    kept = {each: before[each] for each in _LEVELS[:level] if each in before}
    return _read_deeper(text, place, kept | {name: value})


def _is_after(value: str, before: str) -> bool:
    return sort_key(value) > sort_key(before)


def _depth(parts: Places) -> int:
    return max((_LEVELS.index(name) for name in parts if name in _LEVELS), default=-1)


def spell_number(text: str) -> str:
    """A value as it is looked up, Roman numbers as others."""
    if text.isupper() and set(text) <= set(_ROMAN_VALUES):
        values = [_ROMAN_VALUES[letter] for letter in text]
        return str(sum(-value if value < following else value
                       for value, following in zip(values, (*values[1:], 0), strict=True)))
    return text.replace(" ", "").casefold()
