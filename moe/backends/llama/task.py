"""An answer while it is being written: a job with its place in the context."""

from __future__ import annotations

from .job import Job
from .runner import Chooser
from .slots import Slot


class Task:
    """`leader` is another task that reads the same beginning just now, up to `led_tokens`; `shared` counts the tokens
    whose cells are another's too."""

    def __init__(self, job: Job, chooser: Chooser) -> None:
        self.job = job
        self.chooser = chooser
        self.slot = Slot(-1)
        self.leader: Task | None = None
        self.led_tokens = 0
        self.shared = 0
        self.served_at = 0

    @property
    def pending(self) -> int:
        """How many of its tokens the model has not read yet."""
        return len(self.job.tokens) - len(self.slot.tokens)

    @property
    def is_writing(self) -> bool:
        return self.pending == 1 and self.job.written > 0
