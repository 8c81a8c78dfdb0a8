"""What a turn asks of a mode: whether it is the first, and whether it asks for a plan."""

from __future__ import annotations

import re

from ...core import ChatRequest, ToolCall

_PLAN = re.compile(
    r"(?i)\b(?:plans?|steps?|schedule|itinerary|roadmap|how (?:do|to|can|should)|\w*pl[aä]ne?|schritte?n?|ablauf|"
    r"anleitung|wie (?:kann|soll|mache?)|planes|planifica\w*|pasos?|itinerario|cómo)\b")


def is_later(request: ChatRequest) -> bool:
    """Whether the model has spoken before or begun; calls of tools belong to the answer."""
    return any(message.role == "assistant" and not any(isinstance(part, ToolCall) for part in message.parts)
               for message in request.messages)


def asks_plan(request: ChatRequest) -> bool:
    """Whether a plan is what a later turn asks for; a first one does by its mode."""
    texts = request.user_texts
    return not is_later(request) or bool(texts and _PLAN.search(texts[-1]))
