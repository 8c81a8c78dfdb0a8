"""A prompt as readers see it, and what a reader is."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from msgspec import Struct

from ..base import Language

# A longer prompt is no question that a function answers, except those that bring a text along.
LONGEST = 400

_BLANKS = re.compile(r"\s+")
_OPENINGS = re.compile(
    r"[¿¡ ]*(?:please|pls|hey(?: there)?|hi(?: there)?|hello|ok(?:ay)?|quick question|"
    r"i (?:need|want|would like) to know|"
    r"(?:can|could|would|will) you(?: please)?(?: quickly)?(?: tell me| give me)?|(?:please )?tell me|give me|"
    r"do you know|let me know|"
    r"bitte|hallo|kurze frage|(?:kannst|könntest) du(?: mir)?(?: bitte)?(?: mal)?(?: sagen)?|"
    r"(?:können|könnten) sie(?: mir)?(?: bitte)?(?: sagen)?|sag(?:e|en)?(?: sie)? mir(?: bitte| mal)?|"
    r"ich (?:möchte|will|würde gern) wissen|weißt du|"
    r"por favor|hola|(?:me )?(?:puedes|podrías|puede|podría)(?: por favor)?(?: decirme| decir)?|dime|dígame|"
    r"quiero saber|necesito saber|sabes)(?![\w'’])\s*[,:;!.]?\s*",
)
_CLOSINGS = re.compile(r"\s*(?:[,;]?\s*(?:please|pls|thanks|thank you|thx|bitte|danke|por favor|gracias)|[?!.]+)$")


class Question(Struct, frozen=True):
    """One prompt without greetings, "please" and end marks, its blanks made single.

    `folded` is `text` in small letters, place for place. `whole` is the prompt as it came, for what is taken literally.
    """

    text: str
    folded: str
    whole: str


class Asked(Struct, frozen=True):
    """A call that a prompt asks for."""

    tool: str
    arguments: Mapping[str, Any]
    language: Language = "en"


class Reader(Struct, frozen=True):
    """Understands the questions to one tool, or a few that are alike.

    `cue` is searched in the folded text first and keeps `read` from being called for nothing; `read` gives None unless
    it has understood every word. `takes_text`: the prompt brings a text along and may be long.
    """

    cue: re.Pattern[str]
    read: Callable[[Question], Asked | None]
    takes_text: bool = False


class Finder(Struct, frozen=True):
    """Finds what one tool can work out in the midst of other words; `find` gives the words with the call."""

    cue: re.Pattern[str]
    find: Callable[[str], Iterator[tuple[str, Asked]]]


def fold(text: str) -> str:
    """In small letters, as long as before."""
    lower = text.lower()
    return lower if len(lower) == len(text) else "".join(_fold_letter(letter) for letter in text)


def _fold_letter(letter: str) -> str:
    lower = letter.lower()
    return lower if len(lower) == 1 else letter


def pose(prompt: str) -> Question:
    """The question of a prompt."""
    text = _BLANKS.sub(" ", prompt).strip()
    folded = fold(text)
    start, end = 0, len(text)
    while (opening := _OPENINGS.match(folded, start)) and opening.end() > start:
        start = opening.end()
    while closing := _CLOSINGS.search(folded, max(start, end - 24), end):
        end = closing.start()
    return Question(text[start:end].lstrip("¿¡ "), folded[start:end].lstrip("¿¡ "), prompt)
