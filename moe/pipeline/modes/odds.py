"""The log probabilities of an answer that is changed on its way."""

from __future__ import annotations

from collections import deque

from ...core import Text, TokenLogprob


class Odds:
    """Those of what is passed on, as long as that is what was said: of changed text there are none."""

    def __init__(self) -> None:
        self._text = ""
        self._tokens: deque[TokenLogprob] = deque()
        self._ahead = 0  # so many letters of the first token were shown

    def heed(self, piece: Text) -> None:
        if piece.logprobs or self._tokens:
            self._text += piece.text
            self._tokens += piece.logprobs

    def give(self, shown: str) -> tuple[TokenLogprob, ...]:
        """Those of the tokens that end in `shown`. A token that is half of a character comes with its other half."""
        if not self._tokens:
            self._text = ""
            return ()
        tokens: list[TokenLogprob] = []
        if shown.startswith(self._text):
            tokens += self._tokens
        elif self._text.startswith(shown):
            self._text = self._text[len(shown):]
            self._ahead += len(shown)
            while self._tokens and len(self._tokens[0].token) <= self._ahead:
                tokens.append(self._tokens.popleft())
                self._ahead -= len(tokens[-1].token)
            return tuple(tokens)
        self._text, self._tokens, self._ahead = "", deque(), 0
        return tuple(tokens)
