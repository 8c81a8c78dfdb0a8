"""The ONNX graph against the same arithmetic written out by hand."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
import pytest
from onnxruntime import InferenceSession

from moe.encoders import bert

CONFIG = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 24,
          "layer_norm_eps": 1e-12, "vocab_size": 50, "max_position_embeddings": 12}  # fmt: skip
IDS = [3, 41, 7, 7, 19]

Weights = Mapping[str, np.ndarray]
erf = np.vectorize(math.erf)


def random_weights(config: dict[str, Any], *, seed: int = 7) -> dict[str, np.ndarray]:
    """What a BertModel of this shape holds, with vectors of about the size that trained ones have."""
    width, inner, rng = config["hidden_size"], config["intermediate_size"], np.random.default_rng(seed)
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (config["vocab_size"], width),
        "embeddings.position_embeddings.weight": (config["max_position_embeddings"], width),
        "embeddings.token_type_embeddings.weight": (2, width),
        "embeddings.LayerNorm.weight": (width,), "embeddings.LayerNorm.bias": (width,),
    }  # fmt: skip
    for number in range(config["num_hidden_layers"]):
        name = f"encoder.layer.{number}"
        dense = {"attention.self.query": (width, width), "attention.self.key": (width, width),
                 "attention.self.value": (width, width), "attention.output.dense": (width, width),
                 "intermediate.dense": (inner, width), "output.dense": (width, inner)}  # fmt: skip
        for part, shape in dense.items():
            shapes |= {f"{name}.{part}.weight": shape, f"{name}.{part}.bias": shape[:1]}
        for part in ("attention.output.LayerNorm", "output.LayerNorm"):
            shapes |= {f"{name}.{part}.weight": (width,), f"{name}.{part}.bias": (width,)}
    return {
        key: (rng.normal(size=shape) * 0.3 + key.endswith("Norm.weight")).astype(np.float32)
        for key, shape in shapes.items()
    }


def encode_by_hand(weights: Weights, config: dict[str, Any], ids: list[int], *, pooling: str) -> np.ndarray:
    """BERT as its paper has it, one sentence and one head at a time, in double precision."""
    w = {key: value.astype(np.float64) for key, value in weights.items()}
    heads = config["num_attention_heads"]

    def dense(x: np.ndarray, name: str) -> np.ndarray:
        return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    def norm(x: np.ndarray, name: str) -> np.ndarray:
        centred = x - x.mean(axis=1, keepdims=True)
        scale = np.sqrt((centred**2).mean(axis=1, keepdims=True) + config["layer_norm_eps"])
        return centred / scale * w[f"{name}.weight"] + w[f"{name}.bias"]

    x = w["embeddings.word_embeddings.weight"][ids] + w["embeddings.position_embeddings.weight"][: len(ids)]
    x = norm(x + w["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
    for number in range(config["num_hidden_layers"]):
        layer = f"encoder.layer.{number}"
        projected = (dense(x, f"{layer}.attention.self.{part}") for part in ("query", "key", "value"))
        q, k, v = (np.split(matrix, heads, axis=1) for matrix in projected)
        mixed = []
        for head in range(heads):
            scores = np.exp(q[head] @ k[head].T / math.sqrt(q[head].shape[1]))
            mixed.append(scores / scores.sum(axis=1, keepdims=True) @ v[head])
        attended = dense(np.concatenate(mixed, axis=1), f"{layer}.attention.output.dense")
        x = norm(x + attended, f"{layer}.attention.output.LayerNorm")
        inner = dense(x, f"{layer}.intermediate.dense")
        inner = inner * 0.5 * (1 + erf(inner / math.sqrt(2)))
        x = norm(x + dense(inner, f"{layer}.output.dense"), f"{layer}.output.LayerNorm")
    vector = x[0] if pooling == "cls" else x.mean(axis=0)
    return vector / np.linalg.norm(vector)


def run(model: onnx.ModelProto, rows: list[list[int]], *, pad: int = 0) -> np.ndarray:
    longest = max(map(len, rows))
    ids = np.array([row + [pad] * (longest - len(row)) for row in rows])
    mask = np.array([[1] * len(row) + [0] * (longest - len(row)) for row in rows])
    session = InferenceSession(model.SerializeToString())
    return session.run(["embedding"], {"input_ids": ids, "attention_mask": mask})[0]


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_the_graph_computes_what_the_formulas_say(pooling: bert.Pooling) -> None:
    weights = random_weights(CONFIG)
    made = run(bert.build(weights, CONFIG, pooling), [IDS])[0]
    assert np.allclose(made, encode_by_hand(weights, CONFIG, IDS, pooling=pooling), atol=1e-5)


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_padding_and_neighbours_change_nothing(pooling: bert.Pooling) -> None:
    model = bert.build(random_weights(CONFIG), CONFIG, pooling)
    rows = [IDS, [3, 4], [9] * 12]
    together = run(model, rows, pad=11)
    alone = np.concatenate([run(model, [row]) for row in rows])
    assert np.allclose(together, alone, atol=1e-5)
    assert np.allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)


def test_half_precision_weights_give_the_same_vectors() -> None:
    weights = {key: value.astype(np.float16) for key, value in random_weights(CONFIG).items()}
    made = run(bert.build(weights, CONFIG, "mean"), [IDS])[0]
    assert np.allclose(made, encode_by_hand(weights, CONFIG, IDS, pooling="mean"), atol=1e-5)


def test_the_graph_asks_for_ids_and_mask_alone_and_gives_one_embedding() -> None:
    model = bert.build(random_weights(CONFIG), CONFIG, "mean")
    sides = [[(value.name, [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]) for value in side]
             for side in (model.graph.input, model.graph.output)]  # fmt: skip
    assert sides == [[("input_ids", ["b", "t"]), ("attention_mask", ["b", "t"])], [("embedding", ["b", 16])]]
