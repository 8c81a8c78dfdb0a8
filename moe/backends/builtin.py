"""The answer without a model: what is missing, who would have answered, and the exact next step."""

from __future__ import annotations

from collections.abc import Iterator

from ..core import ChatRequest, Chunk, Decision, Done, Text, Usage
from .base import Chunks, Modelless

_GENERAL = "No language model is connected yet, so this prompt cannot be answered."

# The model that a reply names where nobody can answer.
BUILTIN = "builtin"


class Builtin(Modelless):
    """Never fails and needs nothing."""

    def chat(self, request: ChatRequest) -> Chunks:
        yield from _say(_GENERAL)

    def explain(self, decision: Decision, tried: tuple[tuple[str, str], ...], advice: str) -> Iterator[Chunk]:
        """Tells of `decision`, of what was `tried` (label, reason) and gives `advice`, the next step."""
        expert = decision.expert.label
        lines = ["No language model could answer this prompt."]
        if decision.stage != "fallback":
            lines.append(f"It would have gone to the expert “{expert}” (confidence {decision.confidence:.0%}).")
        else:
            lines.append(f"No special expert fits it, so it would have gone to “{expert}”.")
        if tried:
            lines.append("Tried: " + "; ".join(f"{label}: {reason}" for label, reason in tried) + ".")
        lines.append(f"Next step: {advice}")
        yield from _say("\n\n".join(lines))

    def misfit(self, request: ChatRequest) -> str:
        """It may only speak on a plain chat: a program that asked for tools or a schema must see an error."""
        if request.tools or request.format is not None or request.completion is not None:
            return "no language model is connected"
        return ""

    def ignores(self, request: ChatRequest) -> tuple[str, ...]:
        return ()


def _say(text: str) -> Iterator[Chunk]:
    yield Text(text)
    yield Done(finish="stop", usage=Usage())
