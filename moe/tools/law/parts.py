"""A part of a norm's words: its paragraph, its sentence, its number in a list."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from ...errors import ToolError
from ...store.law_names import sort_key
from .references import Reference
from .sentences import LABEL, NUMBERED, split_certainly

PARAGRAPH = "\n\n"

# "Nr. 1 b" is that number where there is one, else letter b of number 1.
_LETTERED = re.compile(r"(\d+)([a-z])")
_NAMES = {"item": "Nr.", "letter": "Buchst."}
_LEVELS = ("paragraph", "sentence", "item", "letter")


class NotSingledOut(ToolError):
    """The sentences cannot be told apart with certainty; `words` are the whole in which the wanted one stands."""

    def __init__(self, number: str, words: str) -> None:
        super().__init__(f"Satz {number} cannot be told apart with certainty")
        self.words = words


def pick_part(paragraphs: Sequence[str], reference: Reference) -> str:
    """The words that are meant. Raises ToolError where the norm has no such part, and NotSingledOut."""
    values = [(name, value) for name in _LEVELS if (value := getattr(reference, name))]
    chosen = PARAGRAPH.join(paragraphs)
    for place, (name, value) in enumerate(values):
        last = reference.last if place == len(values) - 1 else ""
        if name == "paragraph":
            chosen = _pick_paragraphs(paragraphs, value, last)
        elif name == "sentence":
            chosen = _pick_sentences(chosen, value, last, is_alone=bool(reference.paragraph), of=paragraphs)
        else:
            chosen = _pick_items(chosen, value, last, _NAMES[name])
    return chosen


def number_paragraphs(paragraphs: Iterable[str]) -> list[tuple[str, str]]:
    """Each with its number, "" for what has none; what follows a numbered one without a number belongs to it."""
    found: list[tuple[str, str]] = []
    for text in paragraphs:
        begun = NUMBERED.match(text)
        if begun or not found or not found[-1][0]:
            found.append((begun[1] if begun else "", text))
        else:
            found[-1] = (found[-1][0], f"{found[-1][1]}\n\n{text}")
    return found


def _pick_paragraphs(paragraphs: Sequence[str], number: str, last: str) -> str:
    numbered = number_paragraphs(paragraphs)
    if number == "1" and len(numbered) == 1 and not numbered[0][0] and not last:
        return numbered[0][1]
    known = [own for own, _ in numbered if own]
    for wanted in (number, last or number):
        if known.count(wanted) != 1:
            told = f"it has {len(known)}: {', '.join(known)}" if known else "it is not divided into numbered ones"
            raise ToolError(f"there is no Abs. {wanted}; {told}")
    return PARAGRAPH.join(text for own, text in numbered
                          if own and sort_key(number) <= sort_key(own) <= sort_key(last or number))


def _pick_sentences(text: str, number: str, last: str, *, is_alone: bool, of: Sequence[str]) -> str:
    if not is_alone and len(number_paragraphs(of)) > 1:
        raise ToolError("it has several paragraphs (Absätze); say which, as in Abs. 1 Satz 2")
    sentences, are_all = split_certainly(text)
    first, end = int(number), int(last or number)
    if 1 <= first <= end <= len(sentences):
        return " ".join(sentences[first - 1:end])
    if not are_all:
        raise NotSingledOut(f"{number}-{last}" if last else number, text)
    raise ToolError(f"there is no Satz {end}; there are {len(sentences)}")


def _pick_items(text: str, label: str, last: str, name: str) -> str:
    """The lines that begin with the labels, and those under them that stand further in."""
    lines = text.split("\n")
    apart = _LETTERED.fullmatch(label)
    if apart and name == "Nr." and not last and not any(_is_labelled(line, label) for line in lines):
        return _pick_items(_pick_items(text, apart[1], "", name), apart[2], "", "Buchst.")
    start, depth = _find_item(lines, label, name)
    end = start if not last else _find_item(lines, last, name)[0]
    if end < start or last and _find_item(lines, last, name)[1] != depth:
        raise ToolError(f"{name} {label} to {last} do not follow each other")
    while end + 1 < len(lines) and len(lines[end + 1]) - len(lines[end + 1].lstrip(" ")) > depth:
        end += 1
    return "\n".join(line[depth:] for line in lines[start:end + 1])


def _is_labelled(line: str, label: str) -> bool:
    found = LABEL.match(line)
    return found is not None and found[2].casefold() == label


def _find_item(lines: Sequence[str], label: str, name: str) -> tuple[int, int]:
    """The line that begins with the label, and how far in it stands."""
    places = [(len(line) - len(line.lstrip(" ")), place) for place, line in enumerate(lines)
              if _is_labelled(line, label)]
    if not places:
        raise ToolError(f"there is no {name} {label}")
    depth = min(places)[0]
    places = [each for each in places if each[0] == depth]
    if len(places) > 1:
        raise ToolError(f"there are several {name} {label}; say in which paragraph (Absatz) and sentence (Satz)")
    return places[0][1], depth
