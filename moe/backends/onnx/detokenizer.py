"""Token ids to text as they come: a character whose bytes are spread over several tokens is said when it is whole."""

from __future__ import annotations

from collections.abc import Callable, Sequence

# A character has four bytes at most, so after this many tokens bytes that make none will never make one.
MOST_PENDING = 8
BROKEN = "\ufffd"


class Detokenizer:
    """`decode` gives the text of some ids; tokens before a new one are decoded with it, for the spaces between."""

    def __init__(self, decode: Callable[[Sequence[int]], str]) -> None:
        self._decode = decode
        self._ids: list[int] = []
        self._said = 0  # of the ids: how many were decoded before the pending ones
        self._known = ""

    @property
    def is_within(self) -> bool:
        """Whether a character has begun that is not whole yet."""
        return len(self._ids) > self._said

    def peek(self, token: int) -> str:
        """What `token` would add, were it next; a character that is not whole is a sign of its own."""
        return self._decode([*self._ids, token])[len(self._known):]

    def feed(self, token: int) -> str:
        self._ids.append(token)
        text = self._decode(self._ids)
        pending = len(self._ids) - self._said
        if not text.endswith(BROKEN):
            return self._advance(text)
        return self._say_broken() if pending >= MOST_PENDING else ""

    def _say_broken(self) -> str:
        """All that will never be a character, without what may still begin one at the end."""
        begun = next((count for count in (3, 2, 1) if self._decode(self._ids[-count:]) == BROKEN), 0)
        split = len(self._ids) - begun
        self._ids, rest = self._ids[:split], self._ids[split:]
        piece = self._advance(self._decode(self._ids))
        self._ids += rest
        return piece

    def flush(self) -> str:
        """What the pending tokens are, whole or not."""
        return self._advance(self._decode(self._ids)) if len(self._ids) > self._said else ""

    def _advance(self, text: str) -> str:
        """The next piece; from now on only the tokens that made it are decoded along."""
        piece = text[len(self._known):]
        if piece:
            self._ids = self._ids[self._said:]
            self._known = self._decode(self._ids)
        self._said = len(self._ids)
        return piece
