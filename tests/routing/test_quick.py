"""The encoder's quick part is asked first, the whole one only where that is not sure."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from moe.config.schema import RouterConfig
from moe.embed import JoinedEmbedder, find_quick
from moe.routing.fit import fit_head
from moe.routing.meaning import SURE_AT_ONCE, Meaning
from moe.routing.rows import gather_rows
from moe.routing.text import clean

from .kit import WordEmbedder
from .prompts import ASKED, EXAMPLES, make_examples, make_experts

LABELS = tuple(EXAMPLES)
UNSURE = "zyx wvu tsr"


class Pair:
    """Two encoders that count what they were asked, joined; the second is the quick one."""

    def __init__(self, folder: Path, *, threshold: float = 0.25) -> None:
        self.slow, self.quick = WordEmbedder("slow"), WordEmbedder("quick")
        self.quick.name = "quick"
        joined = JoinedEmbedder("pair", [self.slow, self.quick], [1, 1], quick="quick")
        experts, part = make_experts(*LABELS), find_quick(joined)
        assert part is not None
        rows = gather_rows(experts, make_examples(*LABELS))
        vectors = joined.embed([clean(row.text) for row in rows], kind="query")
        self.head = fit_head(rows, vectors, len(LABELS), quick=part.columns)
        self.meaning = Meaning(experts, joined, folder, RouterConfig(confidence_threshold=threshold))
        self.meaning.adopt(self.head)
        self.slow.seen.clear()
        self.quick.seen.clear()


def test_what_the_quick_part_is_sure_of_needs_no_other(tmp_path: Path) -> None:
    pair = Pair(tmp_path)
    sure = 0
    for label, text in ASKED.items():
        before = len(pair.slow.seen)
        head, reading = pair.meaning.read_by(clean(text), text)
        assert LABELS[int(reading.shares.argmax())] == label
        assert (head is pair.head.quick) == (len(pair.slow.seen) == before)
        if head is pair.head.quick:
            sure += 1
            assert reading.shares.max() >= SURE_AT_ONCE
    assert sure


def test_what_it_is_not_sure_of_is_read_by_the_whole(tmp_path: Path) -> None:
    pair = Pair(tmp_path)
    head, reading = pair.meaning.read_by(UNSURE, UNSURE)
    assert head is pair.head and reading.shares.max() < SURE_AT_ONCE
    assert pair.slow.seen == [("query", UNSURE)]


def test_a_higher_threshold_is_asked_of_the_quick_part_too(tmp_path: Path) -> None:
    pair = Pair(tmp_path, threshold=1.0)
    for text in ASKED.values():
        assert pair.meaning.read_by(clean(text), text)[0] is pair.head


def test_another_text_can_be_rated_by_the_same_head(tmp_path: Path) -> None:
    pair = Pair(tmp_path)
    text = next(iter(ASKED.values()))
    for head in (pair.head, pair.head.quick):
        assert head is not None
        rated = pair.meaning.rate(clean(text), text, head)
        embedder = pair.quick if head is pair.head.quick else None
        vector = (embedder.embed([clean(text)], kind="query")[0] if embedder
                  else np.tile(pair.slow.embed([clean(text)], kind="query")[0], 2) * np.sqrt(0.5))
        assert rated == pytest.approx(head.read(vector, clean(text), text).scores, abs=1e-4)
