"""Whether an answer is whole although a line of it could not be read."""

from __future__ import annotations

from ..errors import BadAnswer

_WHY = "a line of the answer cannot be read"


class Tally:
    """What came of one answer. A line that cannot be read may have been a part of it, or noise beside it.

    Noise it was where the server counted exactly as many tokens as pieces came, each of them one. Where that is not so,
    the answer has a hole: that is said at its end, or at once where nothing came before it, or a call is in play.
    """

    def __init__(self) -> None:
        self._pieces = 0
        self._has_begun = self._has_called = self._is_torn = False

    def add(self, *, pieces: int = 0, has_called: bool = False) -> None:
        """A good line. Raises BadAnswer for a call that may have lost a part."""
        self._pieces += pieces
        self._has_begun = True
        self._has_called = self._has_called or has_called
        self._look()

    def miss(self) -> None:
        """A line that cannot be read. Raises BadAnswer where it is certain that it matters."""
        self._is_torn = True
        self._look()

    def settle(self, tokens: float | None) -> None:
        """At the end, with the server's own count. Raises BadAnswer for an answer that may have a hole."""
        if self._is_torn and tokens != self._pieces:
            raise BadAnswer(_WHY)

    def _look(self) -> None:
        if self._is_torn and (self._has_called or not self._has_begun):
            raise BadAnswer(_WHY)
