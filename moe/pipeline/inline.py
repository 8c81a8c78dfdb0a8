"""An exact tool answers in a model's place: only for a prompt that is a question to it and nothing besides."""

from __future__ import annotations

from collections.abc import Generator

from ..config.schema import ToolsConfig
from ..core import ChatRequest, Chunk, Decision, Done, Extract, Message, Started, Text, Thinking
from ..experts import Expert
from ..routing.names import TOOLS
from ..tools.base import Language
from ..tools.questions.recogniser import Answered, Recogniser
from .settle import CHARS_PER_TOKEN

# Whose label and model a reply names; no expert of the config is meant.
SPEAKER = Expert(id=-1, label=TOOLS, type="builtin")
SOURCE: dict[Language, str] = {"en": "Source", "de": "Quelle", "es": "Fuente"}


class Inline:
    """Asked before the router; holds no request state."""

    def __init__(self, recogniser: Recogniser, config: ToolsConfig) -> None:
        self._recogniser = recogniser
        self._is_on = config.inline

    def find(self, request: ChatRequest) -> Answered | None:
        """The question with its answer; None where it is not certain that this is just what the client wants.

        A system prompt, tools, or a form of the client's may want another answer; and a conversation that was about
        anything else may give the same words another meaning.
        """
        if not (self._is_on and request.tools_inline and _is_plain(request)):
            return None
        *earlier, newest = request.user_texts or ("",)
        if not newest or any(self._recogniser.read(text) is None for text in earlier):
            return None
        found = self._recogniser.answer(newest)
        return found if found is not None and _fits(_tell(found), request) else None


def decide(found: Answered) -> Decision:
    """That a tool answers; it is certain, or would not be asked."""
    return Decision(expert=SPEAKER, stage="tool", confidence=1.0, model=found.asked.tool, tool=found.asked.tool,
                    virtual=True, reason="a tool knows it exactly")


def say(found: Answered) -> Generator[Chunk, None, None]:
    """The answer, as a model would give it."""
    yield Started(expert=TOOLS, model=found.asked.tool)
    yield Text(_tell(found))
    yield Done(finish="stop", tools=(found.asked.tool,))


def _tell(found: Answered) -> str:
    """All that a reader is shown of it."""
    outcome = found.outcome
    source = f"{SOURCE[found.asked.language]}: {outcome.source}" if outcome.source else ""
    working = "\n".join(step for step in outcome.steps if step != outcome.text)
    return "\n\n".join(filter(None, (outcome.text, outcome.body, working, source)))


def _is_plain(request: ChatRequest) -> bool:
    """Whether it is a chat of a user's and a model's words alone, the user's last."""
    asks_more = request.completion is not None or request.tools or request.format is not None
    if asks_more or request.logprobs is not None or not request.messages or request.messages[-1].role != "user":
        return False
    return all(map(_is_said, request.messages))


def _is_said(message: Message) -> bool:
    if message.role == "system":
        return not message.text.strip()
    kinds = {"user": (Text,), "assistant": (Text, Thinking)}.get(message.role, ())
    return bool(kinds) and all(isinstance(part, kinds) and not isinstance(part, Extract) for part in message.parts)


def _fits(said: str, request: ChatRequest) -> bool:
    """Whether no limit of the client's would cut it."""
    most = request.sampling.max_tokens
    is_cut = any(stop in said for stop in request.sampling.stop)
    return not is_cut and (most is None or len(said) <= most * CHARS_PER_TOKEN)
