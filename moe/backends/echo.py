"""A backend that says back what it was asked: for trying out a set-up, and for tests of everything above it."""

from __future__ import annotations

from ..core import ChatRequest, Done, Text, Usage
from .base import Chunks, Modelless
from .duration import unloads
from .wishes import find_asked


class Echo(Modelless):
    """Answers with the last user message (or the bare prompt), word by word; counts words as tokens."""

    def chat(self, request: ChatRequest) -> Chunks:
        if request.only_loads:
            yield Done(finish="unload" if unloads(request.keep_alive) else "load")
            return
        asked = request.completion.prompt if request.completion else next(iter(request.user_texts[-1:]), "")
        words = asked.split(" ") or [""]
        limit = request.sampling.max_tokens or len(words)
        for index, word in enumerate(words[:limit]):
            yield Text(word if index == 0 else f" {word}")
        usage = Usage(prompt_tokens=len(words), completion_tokens=min(limit, len(words)))
        yield Done(finish="length" if limit < len(words) else "stop", usage=usage)

    def misfit(self, request: ChatRequest) -> str:
        return "does not support tools" if request.tools else ""

    def ignores(self, request: ChatRequest) -> tuple[str, ...]:
        return find_asked(request, "logprobs", "logit_bias", "seed", "stop", "presence_penalty", "frequency_penalty",
                          "reasoning_effort")
