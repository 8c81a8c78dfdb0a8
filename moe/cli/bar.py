"""How far long work is, on standard error while somebody watches."""

from __future__ import annotations

from ..routing.heads import Heads
from .terminal import Terminal

WIDTH = 30


def draw(share: float, text: str, terminal: Terminal) -> None:
    """`share` from 0 to 1."""
    bar = ("#" * round(share * WIDTH)).ljust(WIDTH, ".")
    terminal.redraw(f"[{bar}] {share:4.0%}  {text}")


def await_head(heads: Heads, terminal: Terminal) -> None:
    """Waits for the head that is being fitted, if one is."""
    heads.wait(lambda share, step: draw(share, step, terminal))
    terminal.redraw("")
