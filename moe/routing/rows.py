"""What the hybrid scorer learns from: the experts' examples, keywords, descriptions and labels, as weighted rows."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from ..experts import Example, Expert
from .formats import FORMATS

# Part of every head's name: a change of what is fitted, or of how a prompt is read, must raise it.
FIT_VERSION = 5
ENOUGH_EXAMPLES = 20
KEYWORD_WEIGHT = 0.3


class Row(Struct, frozen=True, gc=False):
    """A text that belongs to the expert at the place `expert`."""

    text: str
    expert: int
    weight: float = 1.0
    source: str = ""


class Task(Struct, frozen=True, kw_only=True):
    """One fit: experts by their labels, rows in their order, and where the encoder and the result are.

    `quick` is the name of the encoder's part that is asked first, "" where it has none.
    """

    labels: tuple[str, ...]
    rows: tuple[Row, ...]
    fingerprint: str
    quick: str
    model_path: str | None
    models_folder: str
    data_folder: str

    @property
    def key(self) -> str:
        """What a head's file is named by: the same for the same rows, labels and encoder wherever they are."""
        told = (FIT_VERSION, FORMATS, self.fingerprint, self.quick, self.labels, self.rows)
        return hashlib.sha256(msgspec.msgpack.encode(told)).hexdigest()[:32]


def find_file(task: Task) -> Path:
    """Where the task's head is or will be."""
    return Path(task.data_folder) / "heads" / f"{task.key}.npz"


def gather_rows(experts: Sequence[Expert], examples: Mapping[str, Sequence[Example]]) -> tuple[Row, ...]:
    """Each expert has one row at least: its label."""
    rows: list[Row] = []
    for place, expert in enumerate(experts):
        own = examples.get(expert.label, ())
        rows += [Row(example.text, place, source=example.source) for example in own]
        weight = KEYWORD_WEIGHT if len(own) >= ENOUGH_EXAMPLES else 1.0
        rows += [Row(keyword, place, weight) for keyword in expert.keywords if keyword.strip()]
        rows += [Row(text, place) for text in (expert.description, expert.label.replace("_", " ")) if text.strip()]
    return tuple(rows)
