"""Labelled prompts, and the experts that are made of them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import msgspec
import numpy as np
from msgspec import Struct

from moe.experts import Example

# The labels of prompts that no expert fits, and what a router answers to them.
OUTSIDE = frozenset({"fallback", "oos"})
FALLBACK = {"id": 0, "label": "fallback", "description": "Answers whatever no other expert fits.", "type": "echo"}


class Row(Struct, frozen=True):
    """A prompt and its label; `alt` are other labels that are right too."""

    text: str
    label: str
    alt: tuple[str, ...] = ()
    lang: str = ""

    @property
    def is_outside(self) -> bool:
        return self.label in OUTSIDE


class Answer(Struct, frozen=True):
    """A router's word: `confidence` is of the label it chose; `inside` is the greater, the surer it is that any
    expert fits."""

    label: str
    confidence: float
    inside: float


def read_rows(file: Path) -> list[Row]:
    """Raises OSError, ValueError for a line that is no labelled prompt."""
    lines = file.read_bytes().split(b"\n")
    return [msgspec.json.decode(line, type=Row) for line in lines if line.strip()]


def leave_out(rows: Sequence[Row], known: Collection[str]) -> list[Row]:
    """The rows whose text is not among `known`, whatever its case and spaces."""
    plain = {_plain(text) for text in known}
    return [row for row in rows if _plain(row.text) not in plain]


def list_languages(rows: Sequence[Row]) -> list[str]:
    """The languages of the prompts that have an expert, the most frequent first."""
    counts = Counter(row.lang for row in rows if not row.is_outside)
    return [lang for lang, _ in counts.most_common()]


def draw(rows: Sequence[Row], count: int, *, seed: int) -> tuple[list[Row], list[Row]]:
    """What is drawn, and the rest: so many rows of each label and language, five sixths of them at most."""
    random = np.random.default_rng(seed)
    groups: dict[tuple[str, str], list[int]] = {}
    for place, row in enumerate(rows):
        if not row.is_outside:
            groups.setdefault((row.label, row.lang), []).append(place)
    drawn = {int(place) for own in groups.values() for place in random.permutation(own)[:min(count, len(own) * 5 // 6)]}
    return [rows[i] for i in sorted(drawn)], [row for i, row in enumerate(rows) if i not in drawn]


def write_experts(rows: Sequence[Row], file: Path, *, base: Mapping[str, object] | None = None) -> None:
    """An experts file as a user would write it: an expert a label, known by its examples alone.

    `base` is a whole experts file whose experts get them in place of their own.
    """
    examples: dict[str, list[str]] = {}
    for row in rows:
        if not row.is_outside:
            examples.setdefault(row.label, []).append(row.text)
    experts = [FALLBACK, *({"id": place, "label": label, "type": "echo"} for place, label in enumerate(examples, 1))]
    if base is not None:
        experts = [{key: value for key, value in dict(expert).items() if key not in ("examples", "examples_file")}
                   for expert in base["experts"]]  # type: ignore[attr-defined]
    told = [{**expert, "examples": examples[expert["label"]]} if expert["label"] in examples else expert
            for expert in experts]
    file.write_text(json.dumps({"max_experts": len(told), "experts": told}, ensure_ascii=False), "utf-8")


def freeze_experts(file: Path, examples: Mapping[str, Sequence[Example]], frozen: Path) -> None:
    """Copies an experts file with the examples that were read from it, so that all systems learn from the same while
    somebody edits the original."""
    told = json.loads(file.read_text("utf-8"))
    packs = frozen.with_suffix("")
    packs.mkdir(exist_ok=True)
    for place, expert in enumerate(told["experts"]):
        own = examples.get(expert["label"], ())
        expert.pop("examples", None)
        expert.pop("examples_file", None)
        if own:
            expert["examples_file"] = f"{packs.name}/{place}.jsonl"
            (packs / f"{place}.jsonl").write_bytes(b"\n".join(map(msgspec.json.encode, own)))
    frozen.write_text(json.dumps(told), "utf-8")


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())
