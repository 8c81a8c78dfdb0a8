"""A part of a norm's words: its paragraph, its sentence, its number in a list."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from ...errors import ToolError
from .references import Reference

INDENT = "   "

_NUMBERED = re.compile(r"\((\d+[a-z]?)\) ?")
_MARK = re.compile(r"(?<!\w)([⁰¹²³⁴-⁹]+) ?(?=[\wÄÖÜ„»\"(])")
_DIGITS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789")
_END = re.compile(r"[.!?][\"“”»)]*(?=\s+[A-ZÄÖÜ„»\"(§0-9])")
_LABEL = re.compile(r"( *)(\d{1,3}[a-z]{0,2}|[a-z]{1,2})[.)](?= |$)")
_COUNTED = re.compile(r"(?:§+|Absatz|Abs\.|Satz|Nummer|Nr\.|Artikel|Art\.|Anlage|Kapitel|Abschnitt|Teil|Buch|und|bis)"
                      r" ?$")
_SHORT = frozenset((
    "abs", "art", "nr", "bzw", "vgl", "ggf", "evtl", "usw", "sog", "buchst", "lit", "ziff", "i.v.m", "z.b", "d.h",
    "u.a", "z", "b", "d", "h", "i", "v", "m", "s", "st", "dr", "prof", "bgbl", "rgbl", "hrsg", "gem", "einschl", "inkl",
    "mio", "mrd", "tel", "max", "min",
))
_MONTH = re.compile(r"\s+(?:Januar|Februar|März|April|Mai|Juni|Juli|August|September|Oktober|November|Dezember)")


def pick_part(paragraphs: Sequence[str], reference: Reference) -> str:
    """The words that are meant. Raises ToolError where the norm has no such part."""
    chosen = "\n\n".join(paragraphs)
    if reference.paragraph:
        chosen = _pick_paragraph(paragraphs, reference.paragraph)
    if reference.sentence:
        chosen = _pick_sentence(chosen, int(reference.sentence), is_alone=bool(reference.paragraph), of=paragraphs)
    for label, name in ((reference.item, "Nr."), (reference.letter, "Buchst.")):
        if label:
            chosen = _pick_item(chosen, label, name)
    return chosen


def number_paragraphs(paragraphs: Iterable[str]) -> list[tuple[str, str]]:
    """Each with its number, "" for what has none; what follows a numbered one without a number belongs to it."""
    found: list[tuple[str, str]] = []
    for text in paragraphs:
        begun = _NUMBERED.match(text)
        if begun or not found or not found[-1][0]:
            found.append((begun[1] if begun else "", text))
        else:
            found[-1] = (found[-1][0], f"{found[-1][1]}\n\n{text}")
    return found


def split_sentences(text: str) -> list[str]:
    """By the numbers that some statutes give to their sentences, else by their ends; a list belongs to its sentence."""
    begun = _NUMBERED.match(text)
    body = text[begun.end():] if begun else text
    marks = [(found.start(), found[1].translate(_DIGITS)) for found in _MARK.finditer(body)]
    if [number for _, number in marks] == [str(place) for place in range(1, len(marks) + 1)] and len(marks) > 1:
        cuts = [place for place, _ in marks] + [len(body)]
        return [body[start:end].strip() for start, end in zip(cuts, cuts[1:], strict=False)]
    sentences, start = [], 0
    for found in _END.finditer(body):
        if _is_end(body, start, found):
            sentences.append(body[start:found.end()].strip())
            start = found.end()
    sentences.append(body[start:].strip())
    return [sentence for sentence in sentences if sentence]


def _is_end(body: str, start: int, found: re.Match[str]) -> bool:
    """Whether a sentence ends there, and not an abbreviation, a date or the label of a list."""
    if body[found.start()] != ".":
        return True
    line = body.rfind("\n", 0, found.start()) + 1
    label = _LABEL.match(body, line)
    if label and label.end() == found.end():
        return False
    word = max(body.rfind(" ", start, found.start()), body.rfind("\n", start, found.start()), start - 1) + 1
    last = body[word:found.start()].lstrip("(„»\"").casefold()
    if last in _SHORT:
        return False
    if last.isdecimal() or last in ("i", "ii", "iii", "iv", "v", "vi"):
        return bool(_COUNTED.search(body[max(start, word - 20):word])) and not _MONTH.match(body, found.end())
    return True


def _pick_paragraph(paragraphs: Sequence[str], number: str) -> str:
    numbered = number_paragraphs(paragraphs)
    for own, text in numbered:
        if own == number:
            return text
    if number == "1" and len(numbered) == 1 and not numbered[0][0]:
        return numbered[0][1]
    known = [own for own, _ in numbered if own]
    told = f"it has {len(known)}: {', '.join(known)}" if known else "it is not divided into numbered ones"
    raise ToolError(f"there is no Abs. {number}; {told}")


def _pick_sentence(text: str, number: int, *, is_alone: bool, of: Sequence[str]) -> str:
    if not is_alone and len(number_paragraphs(of)) > 1:
        raise ToolError("it has several paragraphs (Absätze); say which, as in Abs. 1 Satz 2")
    sentences = split_sentences(text)
    if not 1 <= number <= len(sentences):
        raise ToolError(f"there is no Satz {number}; there are {len(sentences)}")
    return sentences[number - 1]


def _pick_item(text: str, label: str, name: str) -> str:
    """A line that begins with the label, and the lines under it that stand further in."""
    lines = text.split("\n")
    places = [(len(found[1]), place) for place, line in enumerate(lines)
              if (found := _LABEL.match(line)) and found[2].casefold() == label]
    if not places:
        raise ToolError(f"there is no {name} {label}")
    depth = min(places)[0]
    places = [each for each in places if each[0] == depth]
    if len(places) > 1:
        raise ToolError(f"there are several {name} {label}; say in which paragraph (Absatz) and sentence (Satz)")
    start = end = places[0][1]
    while end + 1 < len(lines) and len(lines[end + 1]) - len(lines[end + 1].lstrip(" ")) > depth:
        end += 1
    return "\n".join(line[depth:] for line in lines[start:end + 1])
