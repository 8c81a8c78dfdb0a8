"""How many answers take part in one step: learned, since a wider step is not always the cheaper one."""

from __future__ import annotations

_WIDTHS = (1, 2, 4, 8, 16, 32)
TRIES = 2
LOOK_AGAIN = 64
SMOOTHING = 0.2


class Pace:
    """What steps of each width cost. Some processors take four times as long for two tokens as for one, where the
    code for one is better than that for few; a width is worth what it gives per second, and is tried again from time
    to time, since other programs come and go."""

    def __init__(self) -> None:
        self._costs: dict[int, float] = {}
        self._tries: dict[int, int] = {}
        self._seen: dict[int, int] = {}
        self._steps = 0

    def choose(self, most: int) -> int:
        """The width of the next step, where `most` answers could take part."""
        self._steps += 1
        widths = [most, *(width for width in _WIDTHS if width < most)]
        for width in widths:
            if self._tries.get(width, 0) < TRIES:
                return width
        if self._steps % LOOK_AGAIN == 0:
            return min(widths, key=lambda width: self._seen[width])
        return max(widths, key=lambda width: width / self._costs[width])

    def learn(self, width: int, taken_s: float) -> None:
        """The first try is not counted: it may have built what the later ones use."""
        self._tries[width] = self._tries.get(width, 0) + 1
        self._seen[width] = self._steps
        known = self._costs.get(width)
        if known is None or self._tries[width] == TRIES:
            self._costs[width] = max(taken_s, 1e-9)
        else:
            self._costs[width] = known + SMOOTHING * (taken_s - known)
