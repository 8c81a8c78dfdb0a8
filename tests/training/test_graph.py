"""The classifier's graph against the same arithmetic written out by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnxruntime import InferenceSession

from moe.encoders.bert import Pooling
from moe.training.graph import build, list_large, sharpen
from moe.training.learner import Learnt
from tests.encoders.test_bert import CONFIG, IDS, encode_by_hand, random_weights

RANDOM = np.random.default_rng(11)
MATRIX, BIAS = RANDOM.normal(size=(16, 3)).astype(np.float32), RANDOM.normal(size=3).astype(np.float32)
WEIGHTS = random_weights(CONFIG)
LEARNT = Learnt(WEIGHTS, MATRIX, BIAS)


def ask(model: onnx.ModelProto | Path, ids: list[int]) -> np.ndarray:
    session = InferenceSession(str(model) if isinstance(model, Path) else model.SerializeToString())
    row = np.array([ids])
    return session.run(["logits"], {"input_ids": row, "attention_mask": np.ones_like(row)})[0][0]


def compute(pooling: str) -> np.ndarray:
    return encode_by_hand(WEIGHTS, CONFIG, IDS, pooling=pooling) @ MATRIX + BIAS


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_the_logits_are_the_head_s_of_the_unit_vector(pooling: Pooling) -> None:
    model = build(LEARNT, CONFIG, pooling, max_tokens=12)
    assert np.allclose(ask(model, IDS), compute(pooling), atol=1e-5)


def test_a_temperature_divides_the_logits_and_another_takes_its_place(tmp_path: Path) -> None:
    file = tmp_path / "model.onnx"
    onnx.save(build(LEARNT, CONFIG, "mean", max_tokens=12), str(file))
    for temperature in (2.5, 0.4):
        sharpen(file, temperature)
        assert np.allclose(ask(file, IDS), compute("mean") / temperature, atol=1e-4)


def test_positions_beyond_the_longest_text_are_left_out() -> None:
    model = build(LEARNT, CONFIG, "mean", max_tokens=5)
    table = next(each for each in model.graph.initializer if each.name == "positions")
    assert tuple(table.dims) == (5, 16)
    assert np.allclose(ask(model, IDS), compute("mean"), atol=1e-5)


def test_eight_bits_are_for_the_encoder_s_weights_and_not_for_the_head() -> None:
    model = build(LEARNT, CONFIG, "mean", max_tokens=12)
    chosen = {node.name: node for node in model.graph.node if node.name in list_large(model)}
    weights = {each.name for each in model.graph.initializer}
    large = {name for node in chosen.values() for name in node.input if name in weights}
    assert len([name for name in large if name.startswith("encoder.layer.")]) == 2 * 6
    assert "embeddings.word_embeddings.weight" in large
    assert "head.weight" not in large
