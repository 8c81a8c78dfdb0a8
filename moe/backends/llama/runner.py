"""What the scheduler needs of a model: the seam between the scheduling and llama.cpp."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from ..dialogue.plan import Plan
from .slots import Cells

Row = npt.NDArray[np.float32]
# (sequence, position of the first token, tokens, whether the last one's logits are wanted)
Part = tuple[int, int, Sequence[int], bool]


class Shape(Struct, frozen=True, kw_only=True):
    """How a model is opened. `cells`: tokens that its cache holds, all sequences together.

    `is_mapped`: the weights are left in the file, which is quick and trusts that the file stays as it is.
    """

    cells: int
    sequences: int
    threads: int
    batch_tokens: int = 512
    is_mapped: bool = False


class Chooser(Protocol):
    """Chooses the tokens of one answer."""

    def sample(self, place: int, row: Row) -> int: ...
    def accept(self, tokens: Sequence[int]) -> None: ...
    def close(self) -> None: ...


class Runner(Cells, Protocol):
    """A model with its context."""

    shape: Shape

    def decode(self, parts: Sequence[Part]) -> int: ...
    def logits(self, count: int) -> Row: ...
    def log_total(self, row: Row) -> float: ...
    def sampler(self, plan: Plan, grammar: str = "") -> Chooser: ...
    def piece(self, token: int) -> bytes: ...
    def text_of(self, token: int) -> str: ...
    def is_end(self, token: int) -> bool: ...
    def forget_all(self) -> None: ...
