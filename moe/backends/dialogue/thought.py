"""A thought that a model writes down, read piece by piece up to the mark that ends it."""

from __future__ import annotations

from ...core import Thinking
from .transcript import dangling


class Thought:
    """One thought, which `end` closes. White space around it is no part of it, so a piece's own end is held back."""

    def __init__(self, end: str = "</think>") -> None:
        self.is_over = False
        self._end = end
        self._has_begun = False

    def take(self, text: str, *, is_last: bool) -> tuple[list[Thinking], str]:
        """What of `text` is certainly thought, and what is left of it: after the mark once the thought is over."""
        thought, found, rest = text.partition(self._end)
        if found or is_last:
            certain = thought.rstrip()
        else:
            certain = thought[: len(thought) - dangling(thought, (self._end,))].rstrip()
            rest = thought[len(certain) :]
        self.is_over = bool(found)
        said = certain if self._has_begun else certain.lstrip()
        self._has_begun = self._has_begun or bool(said)
        return ([Thinking(said)] if said else []), rest
