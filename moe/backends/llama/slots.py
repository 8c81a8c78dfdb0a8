"""Which tokens each sequence of a context holds, and whose a new prompt can begin with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

# A prompt goes on with a slot's conversation if only a small part at the end differs, such as an answer that was
# worded anew. Else it is another conversation, which shares the beginning, and the slot's is kept.
TAIL_TOKENS = 64
TAIL_PART = 4


class Cells(Protocol):
    """The context's memory. `can_cut`: whether tokens at the end can be taken away again."""

    can_cut: bool

    def cut(self, sequence: int, length: int) -> bool: ...
    def share(self, source: int, target: int, start: int, end: int) -> None: ...


class Slot:
    """One sequence; `tokens` are those whose cells it holds."""

    def __init__(self, index: int) -> None:
        self.index = index
        self.tokens: list[int] = []
        self.is_taken = False
        self.used_at = 0


class Slots:
    """All sequences of one context; used by its scheduler only."""

    def __init__(self, cells: Cells, count: int, *, most_idle: int) -> None:
        """`most_idle`: tokens that conversations which nobody goes on with may hold. Every step looks past all cells
        in use, so what is kept for later slows down what is written now."""
        self._cells = cells
        self._most_idle = most_idle
        self._slots = [Slot(index) for index in range(count)]
        self._turn = 0

    def take(self, prompt: Sequence[int]) -> Slot:
        """A free slot that holds as much of the prompt's beginning as any does, but never all of it: the last token
        has to be evaluated. There must be a free one."""
        free = [slot for slot in self._slots if not slot.is_taken]
        slot = self._host(free, prompt) if self._cells.can_cut else self._continue(free, prompt)
        slot.is_taken = True
        return slot

    def adopt(self, slot: Slot, prompt: Sequence[int]) -> int:
        """Lets `slot` share what another has read of the same prompt meanwhile. Returns how many tokens it gained."""
        if not self._cells.can_cut:
            return 0
        donor = max(self._slots, key=lambda other: _usable(other, prompt))
        start, end = len(slot.tokens), _usable(donor, prompt)
        if end <= start:
            return 0
        self._cells.share(donor.index, slot.index, start, end)
        slot.tokens += donor.tokens[start:end]
        return end - start

    def leave(self, slot: Slot) -> None:
        """Its tokens stay, for whoever goes on with them."""
        self._turn += 1
        slot.used_at = self._turn
        slot.is_taken = False
        while sum(len(idle.tokens) for idle in self._slots if not idle.is_taken) > self._most_idle:
            self.evict()

    def forget(self, slot: Slot) -> None:
        self._cells.cut(slot.index, 0)
        slot.tokens = []

    def evict(self) -> bool:
        """Gives up the cells of the slot that was left first; False when none is left to give up."""
        idle = [slot for slot in self._slots if slot.tokens and not slot.is_taken]
        if not idle:
            return False
        self.forget(min(idle, key=lambda slot: slot.used_at))
        return True

    def _host(self, free: list[Slot], prompt: Sequence[int]) -> Slot:
        donor = max(self._slots, key=lambda slot: _usable(slot, prompt))
        length = _usable(donor, prompt)
        own = max(free, key=lambda slot: (_usable(slot, prompt), -len(slot.tokens)))
        if _usable(own, prompt) == length and len(own.tokens) - length <= min(TAIL_TOKENS, length // TAIL_PART):
            self._shorten(own, length)
            return own
        slot = min(free, key=lambda each: (bool(each.tokens), each.used_at))
        if slot is donor:
            self._shorten(slot, length)
        else:
            self.forget(slot)
            self.adopt(slot, prompt)
        return slot

    def _continue(self, free: list[Slot], prompt: Sequence[int]) -> Slot:
        """For memories that cannot be cut: a slot whose every token the prompt begins with, or an emptied one."""
        whole = [slot for slot in free if slot.tokens and _usable(slot, prompt) == len(slot.tokens)]
        if whole:
            return max(whole, key=lambda slot: len(slot.tokens))
        slot = min(free, key=lambda each: (bool(each.tokens), each.used_at))
        self.forget(slot)
        return slot

    def _shorten(self, slot: Slot, length: int) -> None:
        if length == len(slot.tokens):
            return
        if self._cells.cut(slot.index, length):
            del slot.tokens[length:]
        else:
            self.forget(slot)


def _usable(slot: Slot, prompt: Sequence[int]) -> int:
    return min(shared_length(slot.tokens, prompt), len(prompt) - 1)


def shared_length(one: Sequence[int], other: Sequence[int]) -> int:
    """How many tokens two sequences begin with alike; slices compare in C, so halving beats walking."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
