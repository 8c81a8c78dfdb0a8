"""Which tool answers a prompt, what can be worked out within one, and which tools a model may want for it."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from re import Pattern

from msgspec import Struct

from ...errors import ToolError
from ..base import Outcome, Tool
from ..toolbox import Toolbox
from .question import LONGEST, Asked, Finder, Question, Reader, fold, pose

log = logging.getLogger("moe.tools")

LONGEST_WITH_TEXT = 20_000
LONGEST_TO_SEARCH = 8_000
MOST_FACTS = 5
# What a longer prompt wants done is said at its beginning or at its end.
ENDS_CHARS = 1_500
MOST_OFFERED = 6


class Answered(Struct, frozen=True):
    """A call with what came of it; `words` are those of the prompt that asked for it."""

    words: str
    asked: Asked
    outcome: Outcome


class Recogniser:
    """Deterministic, and holds nothing of what it reads."""

    def __init__(
        self, toolbox: Toolbox, *, readers: Iterable[Reader], finders: Iterable[Finder],
        cues: Mapping[str, Pattern[str]],
    ) -> None:
        """`cues`: what in a prompt, in small letters, speaks for each tool."""
        self._toolbox = toolbox
        self._readers = tuple(readers)
        self._finders = tuple(finders)
        self._cues = dict(cues)

    def read(self, prompt: str) -> Asked | None:
        """The call that `prompt` asks for, where it is one tool's question and nothing besides; calls nothing."""
        if len(prompt) > LONGEST_WITH_TEXT:
            return None
        readings = list(self._read(pose(prompt), is_long=len(prompt) > LONGEST))
        if not readings or any(reading != readings[0] for reading in readings):
            return None
        return readings[0] if readings[0].tool in self._toolbox else None

    def answer(self, prompt: str) -> Answered | None:
        """The answer where `prompt` is one tool's question and nothing besides; None where that is not certain."""
        asked = self.read(prompt)
        if asked is None:
            return None
        try:
            return Answered(prompt, asked, self._call(asked))
        except ToolError as error:
            log.debug("tool=%s leaves it to an expert: %s", asked.tool, type(error).__name__)
            return None

    def find(self, prompt: str) -> list[Answered]:
        """What stands in `prompt` and can be worked out exactly, each thing once, in its order."""
        text = prompt[:LONGEST_TO_SEARCH]
        folded = fold(text)
        found: dict[str, Answered] = {}
        for finder in self._finders:
            if not finder.cue.search(folded):
                continue
            for words, asked in finder.find(text):
                if asked.tool not in self._toolbox or words in found:
                    continue
                try:
                    found[words] = Answered(words, asked, self._call(asked))
                except ToolError as error:
                    log.debug("tool=%s finds nothing: %s", asked.tool, type(error).__name__)
                if len(found) == MOST_FACTS:
                    break
        return sorted(found.values(), key=lambda each: text.find(each.words))[:MOST_FACTS]

    def fitting(self, prompt: str) -> tuple[Tool, ...]:
        """The tools that a model may want for `prompt`, by what stands in it; none where nothing speaks for one."""
        folded = fold(_shorten(prompt))
        names = [name for name, cue in self._cues.items() if name in self._toolbox and cue.search(folded)]
        return tuple(self._toolbox.find(name) for name in names[:MOST_OFFERED])

    def _read(self, question: Question, *, is_long: bool) -> Iterable[Asked]:
        for reader in self._readers:
            if (reader.takes_text or not is_long) and reader.cue.search(question.folded):
                asked = reader.read(question)
                if asked is not None:
                    yield asked

    def _call(self, asked: Asked) -> Outcome:
        outcome = self._toolbox.call(asked.tool, asked.arguments, language=asked.language)
        if not outcome.is_whole:
            raise ToolError("not all that was asked for can be told for certain")
        return outcome


def _shorten(prompt: str) -> str:
    return prompt if len(prompt) <= 2 * ENDS_CHARS else f"{prompt[:ENDS_CHARS]}\n{prompt[-ENDS_CHARS:]}"
