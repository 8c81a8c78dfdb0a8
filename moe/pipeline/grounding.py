"""What tools find in a prompt that is more than a question to one of them: handed to the expert as a fact."""

from __future__ import annotations

from msgspec import structs

from ..config.schema import ToolsConfig
from ..core import ChatRequest, Decision, Extract, Message
from ..routing.text import is_housekeeping
from ..tools.base import Outcome
from ..tools.questions.recogniser import Recogniser

# In a longer turn a fact is rarely what is asked, and to search it at every turn of a conversation would take long.
LONGEST = 4_000
LONGEST_FACT, MOST_CHARS = 4_000, 6_000
HEADING = "Worked out exactly by this server's tools, and right; use these values as they are:"


class Grounding:
    """Adds the facts after each turn of the user's they were found in: what a model has read of a conversation stays
    as it was when the next turn comes, so that nothing has to be read again. Holds no request state."""

    def __init__(self, recogniser: Recogniser, config: ToolsConfig) -> None:
        self._recogniser = recogniser
        self._is_on = config.ground

    def add(self, request: ChatRequest, decision: Decision) -> ChatRequest:
        """`request` with what can be worked out of it; as it came for a model asked by its own name."""
        is_raw = decision.stage == "raw" and not decision.virtual
        if not self._is_on or is_raw or request.completion is not None or is_housekeeping(request):
            return request
        messages = tuple(map(self._ground, request.messages))
        is_same = all(new is old for new, old in zip(messages, request.messages, strict=True))
        return request if is_same else structs.replace(request, messages=messages)

    def _ground(self, message: Message) -> Message:
        words = message.own_words if message.role == "user" else ""
        if not words or len(words) > LONGEST:
            return message
        facts = _choose([_spell(found.outcome) for found in self._recogniser.find(words)])
        if not facts:
            return message
        note = "\n".join(("<verified>", HEADING, *(f"- {fact}" for fact in facts), "</verified>"))
        return structs.replace(message, parts=(*message.parts, Extract(note)))


def _choose(facts: list[str]) -> list[str]:
    """Those there is room for, each whole: half a statute would be a wrong one."""
    chosen, left = [], MOST_CHARS
    for fact in facts:
        if len(fact) <= min(left, LONGEST_FACT):
            chosen.append(fact)
            left -= len(fact)
    return chosen


def _spell(outcome: Outcome) -> str:
    return "\n".join(filter(None, (outcome.text, outcome.body, outcome.source)))
