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

# Small words that one language has and the others have not.
_SPOKEN: tuple[tuple[Language, re.Pattern[str]], ...] = (
    ("en", re.compile(r"\b(?:the|is|are|of|and|what|why|how|does|did|i|my|you|it|this|that|with|for|by|not|to)\b")),
    ("de", re.compile(r"\b(?:der|das|dem|den|des|und|ist|sind|ich|mir|mein|du|nicht|ein|eine|einen|wie|wieso|warum|"
                      r"mit|für|auf|von|vom|zu|zum|über|wir|bitte|dass|gibt|beträgt|ergibt|wenn|nur)\b")),
    ("es", re.compile(r"¿|¡|\b(?:el|la|los|las|de|del|y|es|son|que|qué|por|para|con|un|una|uno|cuánto|cómo|en|mi|mis|"
                      r"tu|se|al|si|lo|su|más|dame|hay)\b")),
)
_ENOUGH_TO_GUESS = 2000
_THREE_PLACES = re.compile(r"(?<![0-9.,])[1-9][0-9]{0,2},[0-9]{3}(?![0-9]|[.,][0-9])")


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


def is_unsettled(text: str, language: Language) -> bool:
    """Whether a number may be thousands or thousandths: "1,500" is written for both in Spanish, by country."""
    return language == "es" and bool(_THREE_PLACES.search(text))


def guess_language(folded: str) -> Language:
    """The one with most of its small words in the text; English where no other has more."""
    text = folded[:_ENOUGH_TO_GUESS]
    counts = {language: len(words.findall(text)) for language, words in _SPOKEN}
    return max(counts, key=counts.__getitem__)


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
