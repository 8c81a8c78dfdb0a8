"""An answer as it comes, and the telling of it to whoever reads."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from typing import Any

from msgspec import Struct

from ..backends.builtin import BUILTIN
from ..core import Chunk, Done, Started, Text, Thinking
from .terminal import Terminal


class Reply(Struct, frozen=True):
    """An answer under way: what the router decided, then Started, the content, and Done last.

    The chunks raise MoeError when the answer fails; `chunks.close()` gives it up.
    """

    expert: str
    stage: str
    confidence: float
    chunks: Generator[Chunk, None, None]


class Telling:
    """One reply being told. What was told so far is in `text`, also after it broke off or was stopped."""

    def __init__(self, reply: Reply, terminal: Terminal) -> None:
        self.text = ""
        self.thinking = ""
        self.started = Started(expert=reply.expert, model="")
        self.done = Done()
        self._reply = reply
        self._terminal = terminal
        self._at_line_start = True

    @property
    def is_answer(self) -> bool:
        """Whether a model spoke; the built-in explanation of why none did is no answer."""
        return BUILTIN not in (self.started.model, self.started.expert)

    def run(self, *, aloud: bool = True) -> None:
        """Takes the whole reply; `aloud`: and writes it as it comes. Raises MoeError."""
        with closing(self._reply.chunks) as chunks:
            try:
                for chunk in chunks:
                    self._take(chunk, aloud=aloud)
            finally:
                if aloud and not self._at_line_start:
                    self._write("\n")

    def summary(self) -> dict[str, Any]:
        """The whole answer as one JSON object."""
        told: dict[str, Any] = {
            "expert": self.started.expert, "model": self.started.model, "stage": self._reply.stage,
            "confidence": round(self._reply.confidence, 4), "text": self.text,
        }
        if self.thinking:
            told["thinking"] = self.thinking
        if self.started.failed:
            told["fallback"] = self.started.failed[0]
        if self.done.usage is not None:
            usage = self.done.usage
            told["usage"] = {"prompt_tokens": usage.prompt_tokens, "completion_tokens": usage.completion_tokens,
                             "estimated": usage.estimated}
        return told | {"finish": self.done.finish}

    def _take(self, chunk: Chunk, *, aloud: bool) -> None:
        if isinstance(chunk, Started):
            is_news, self.started = chunk != self.started, chunk
            if aloud and is_news:
                self._terminal.whisper(f"{self._byline()}\n")
        elif isinstance(chunk, Text):
            self.text += chunk.text
            if aloud:
                self._write(chunk.text)
        elif isinstance(chunk, Thinking):
            self.thinking += chunk.text
            if aloud:
                self._terminal.whisper(chunk.text)
        elif isinstance(chunk, Done):
            self.done = chunk

    def _byline(self) -> str:
        words = [self.started.expert, self.started.model, f"{self._reply.stage} {self._reply.confidence:.0%}"]
        if self.started.failed:
            words.append(f"in place of {self.started.failed[0]}")
        return " · ".join(dict.fromkeys(word for word in words if word))

    def _write(self, text: str) -> None:
        if self.is_answer:
            self._terminal.write(text)
        else:
            self._terminal.explain(text)
        self._at_line_start = text.endswith("\n") or (self._at_line_start and not text)
