"""The routing benchmark: its figures are right, and each router it compares really learns and answers."""

from __future__ import annotations

import hashlib
import json
import math
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from moe.config import read_config
from moe.embed import Kind, Rows
from moe.experts import Expert
from moe.routing.vectors import VectorCache
from tests.bench.lemoe import Formula
from tests.bench.marks import cover, mark, measure_ece
from tests.bench.process import ROOT
from tests.bench.prompts import Answer, Row, draw, freeze_experts, leave_out, read_rows, write_experts
from tests.bench.rivals import Ask, Encoder, Lessons, ask_centroids, ask_linear, ask_neighbours, ask_words

ROWS = [
    Row(text, label, lang="en")
    for label, texts in {
        "cooking": ["bake bread with flour", "boil the pasta", "a recipe for soup", "roast a chicken", "fry an egg",
                    "bread recipe", "soup with pasta"],
        "sailing": ["hoist the main sail", "anchor the boat", "wind and tide", "tie a bowline knot", "steer the boat",
                    "sail against the wind", "a knot for the anchor"],
    }.items() for text in texts
]


class Words:
    """A bag of words as a unit vector: enough meaning for a test."""

    name, fingerprint, dimension = "words", "words" * 8, 64

    def embed(self, texts: Sequence[str], *, kind: Kind) -> Rows:
        rows = np.zeros((len(texts), self.dimension), dtype=np.float32)
        for row, text in zip(rows, texts, strict=True):
            for word in text.lower().split():
                row[hashlib.sha256(word.encode()).digest()[0] % self.dimension] += 1
        return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)


@pytest.fixture
def encoder(tmp_path: Path) -> Encoder:
    return Encoder(Words(), VectorCache(tmp_path / "vectors", Words(), kind="query"))


def test_accuracy_counts_alternatives_only_when_lenient_and_leaves_out_what_no_expert_fits() -> None:
    rows = [Row("a", "x", lang="en"), Row("b", "x", alt=("y",), lang="de"), Row("c", "y", lang="en"), Row("d", "oos")]
    answers = [Answer("x", 0.9, 0.9), Answer("y", 0.8, 0.8), Answer("fallback", 0.6, 0.4), Answer("fallback", 0.9, 0.1)]
    marks = mark(rows, answers)
    assert marks.strict == pytest.approx(1 / 3)
    assert marks.lenient == pytest.approx(2 / 3)
    assert marks.by_language == {"de": 1.0, "en": 0.5}
    assert marks.macro_f1 == pytest.approx((2 / 3 + 0) / 2)
    assert marks.auroc == 1.0


def test_nothing_outside_leaves_the_auroc_unmeasured() -> None:
    assert math.isnan(mark([Row("a", "x", lang="en")], [Answer("x", 1.0, 1.0)]).auroc)


def test_ece_is_the_distance_between_confidence_and_accuracy() -> None:
    right = np.arange(3000) % 10 < 7
    assert measure_ece(np.full(3000, 0.7), right) == pytest.approx(0, abs=0.01)
    assert measure_ece(np.full(3000, 0.9), right) == pytest.approx(0.2, abs=0.01)


def test_coverage_takes_the_surest() -> None:
    confidence = np.array([0.9, 0.8, 0.7, 0.6, 0.1])
    assert cover(confidence, np.array([True, True, True, True, False])) == 1.0
    assert cover(confidence, np.array([False, True, True, True, True])) == 0.75


def test_a_draw_leaves_some_of_every_label_for_the_test() -> None:
    drawn, rest = draw([*ROWS, Row("unknown", "oos")], 15, seed=0)
    assert [sum(row.label == label for row in drawn) for label in ("cooking", "sailing", "oos")] == [5, 5, 0]
    assert len(drawn) + len(rest) == len(ROWS) + 1
    assert draw(ROWS, 3, seed=1) != draw(ROWS, 3, seed=2)


def test_prompts_that_an_expert_has_are_left_out() -> None:
    assert leave_out(ROWS, ["Boil  the PASTA"]) == [row for row in ROWS if row.text != "boil the pasta"]


def test_what_is_drawn_becomes_experts_that_the_product_reads(tmp_path: Path) -> None:
    experts, frozen = tmp_path / "experts.json", tmp_path / "frozen.json"
    write_experts([*ROWS, Row("unknown", "oos")], experts)
    (tmp_path / "config.json").write_text("{}", "utf-8")
    config = read_config(tmp_path, experts_file=experts)
    assert [expert.label for expert in config.experts] == ["fallback", "cooking", "sailing"]
    freeze_experts(experts, config.examples, frozen)
    experts.unlink()
    assert read_config(tmp_path, experts_file=frozen).examples == config.examples
    assert Lessons.of(config).texts == [row.text for row in ROWS]


@pytest.mark.parametrize("teach", [ask_neighbours, ask_centroids, ask_linear])
def test_each_rival_learns_from_the_experts_vectors(teach: Callable[[Lessons, Encoder], Ask], encoder: Encoder) -> None:
    ask = teach(Lessons([row.text for row in ROWS], [row.label for row in ROWS]), encoder)
    assert ask("pasta with soup and bread").label == "cooking"
    answer = ask("anchor and sail the boat")
    assert answer.label == "sailing"
    assert 0.5 < answer.confidence <= 1


def test_tf_idf_learns_without_an_encoder() -> None:
    ask = ask_words(Lessons([row.text for row in ROWS], [row.label for row in ROWS]))
    assert ask("the boat and the wind").label == "sailing"


def test_the_formula_as_shipped_takes_its_words_when_the_softmax_is_unsure() -> None:
    experts = [Expert(id=0, label="fallback", description="anything else", type="echo"),
               *(Expert(id=i, label=f"e{i}", description=f"about {word}", keywords=(word,), type="echo")
                 for i, word in enumerate(("bread", "boat", "wind", "knot", "soup", "tide", "flour", "egg"), 1))]
    formula = Formula(experts, "fallback", Words())
    assert formula("boat").label == "e2"
    lost = formula("zzz qqq")
    assert lost.label == "fallback"
    assert lost.confidence == pytest.approx(1 - lost.inside)


def test_the_whole_benchmark_runs_on_a_file(tmp_path: Path) -> None:
    file, told = tmp_path / "prompts.jsonl", tmp_path / "told.json"
    file.write_text("".join(json.dumps({"text": row.text, "label": row.label, "lang": "en"}) + "\n" for row in ROWS))
    assert read_rows(file) == ROWS
    command = [sys.executable, "-m", "tests.bench.routing", str(file), "--few", "5", "--draws", "2", "--only", "words",
               "--only", "keyword", "--json", str(told)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    section = json.loads(told.read_text("utf-8"))[0]
    assert section["errors"] == []
    assert [row["router"] for row in section["rows"]] == ["TF-IDF + logistic regression", "ours, keyword mode"]
    assert all(0 <= float(row["strict"]) <= 1 for row in section["rows"])
