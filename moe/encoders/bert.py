"""A BERT encoder as one ONNX graph: token ids in, one unit vector a sentence out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from .graph import Graph, Weights

if TYPE_CHECKING:
    from onnx import ModelProto

Pooling = Literal["mean", "cls"]

FAR = 1e9  # pushes a masked token out of every softmax


def build(weights: Weights, config: Mapping[str, Any], pooling: Pooling) -> ModelProto:
    """The whole encoder in fp32 from a BertModel's `weights` and its config.json."""
    from onnx import TensorProto, checker  # noqa: PLC0415

    graph = Graph(weights)
    x = embed_tokens(graph, config)
    mask = graph.add("Cast", "attention_mask", to=TensorProto.FLOAT)
    distance = graph.add("Sub", mask, graph.constant("one", np.array(1, np.float32)))
    bias = graph.add("Mul", distance, graph.constant("far", np.array(FAR, np.float32)))
    bias = graph.add("Reshape", bias, graph.shape(0, 1, 1, -1))
    for number in range(config["num_hidden_layers"]):
        x = add_layer(graph, f"encoder.layer.{number}", config, x=x, bias=bias)
    inputs: dict[str, Any] = {name: (np.int64, ["b", "t"]) for name in ("input_ids", "attention_mask")}
    model = graph.finish("bert", inputs=inputs, output=x, shape=["b", "t", config["hidden_size"]])
    pool(model, pooling)
    checker.check_model(model)
    return model


def dense(graph: Graph, x: str, layer: str) -> str:
    # Stored as torch's Linear stores it, (out, in).
    matrix = graph.constant(f"{layer}.weight", graph.weights[f"{layer}.weight"].astype(np.float32).T)
    return graph.add("Add", graph.add("MatMul", x, matrix), graph.weight(f"{layer}.bias"))


def norm(graph: Graph, x: str, layer: str, epsilon: float) -> str:
    weight, bias = graph.weight(f"{layer}.weight"), graph.weight(f"{layer}.bias")
    return graph.add("LayerNormalization", x, weight, bias, epsilon=epsilon)


def embed_tokens(graph: Graph, config: Mapping[str, Any]) -> str:
    words = graph.add("Gather", graph.weight("embeddings.word_embeddings.weight"), "input_ids")
    # All tokens are of type 0, so its vector is part of every position.
    table = graph.weights["embeddings.position_embeddings.weight"].astype(np.float32)
    table = table + graph.weights["embeddings.token_type_embeddings.weight"][0].astype(np.float32)
    positions = graph.constant("positions", table)
    length = graph.add("Shape", "input_ids", start=1)
    positions = graph.add("Slice", positions, graph.shape(0), length, graph.shape(0))
    return norm(graph, graph.add("Add", words, positions), "embeddings.LayerNorm", config["layer_norm_eps"])


def add_layer(graph: Graph, name: str, config: Mapping[str, Any], *, x: str, bias: str) -> str:
    epsilon = config["layer_norm_eps"]
    mixed = attend(graph, f"{name}.attention.self", config, x=x, bias=bias)
    attended = dense(graph, mixed, f"{name}.attention.output.dense")
    x = norm(graph, graph.add("Add", x, attended), f"{name}.attention.output.LayerNorm", epsilon)
    inner = graph.add("Gelu", dense(graph, x, f"{name}.intermediate.dense"))
    outer = dense(graph, inner, f"{name}.output.dense")
    return norm(graph, graph.add("Add", x, outer), f"{name}.output.LayerNorm", epsilon)


def attend(graph: Graph, name: str, config: Mapping[str, Any], *, x: str, bias: str) -> str:
    heads = config["num_attention_heads"]
    width = config["hidden_size"] // heads

    def split(part: str, order: Sequence[int]) -> str:
        apart = graph.add("Reshape", dense(graph, x, f"{name}.{part}"), graph.shape(0, 0, heads, width))
        return graph.add("Transpose", apart, perm=list(order))

    query, key, value = split("query", (0, 2, 1, 3)), split("key", (0, 2, 3, 1)), split("value", (0, 2, 1, 3))
    scale = graph.constant("scale", np.array(width**-0.5, np.float32))
    scores = graph.add("Add", graph.add("Mul", graph.add("MatMul", query, key), scale), bias)
    mixed = graph.add("MatMul", graph.add("Softmax", scores, axis=-1), value)
    together = graph.add("Transpose", mixed, perm=[0, 2, 1, 3])
    return graph.add("Reshape", together, graph.shape(0, 0, heads * width))


def pool(model: ModelProto, pooling: Pooling) -> None:
    """Turn a graph whose first output is token vectors (b, t, d) into one whose only output is `embedding` (b, d).

    Uses operators that mean the same in every opset from 11 on, so a ready-made graph can be finished too.
    """
    from onnx import TensorProto, helper, numpy_helper  # noqa: PLC0415

    graph = model.graph
    hidden = graph.output[0]
    width = hidden.type.tensor_type.shape.dim[2].dim_value
    if pooling == "cls":
        constants = {"pool_first": np.array(0, np.int64)}
        nodes = [helper.make_node("Gather", [hidden.name, "pool_first"], ["pooled"], axis=1)]
    else:
        # The sum will do: normalising takes the mean's divisor out again.
        constants = {"pool_row": np.array([0, 1, -1], np.int64), "pool_flat": np.array([0, -1], np.int64)}
        nodes = [
            helper.make_node("Cast", ["attention_mask"], ["pool_mask"], to=TensorProto.FLOAT),
            helper.make_node("Reshape", ["pool_mask", "pool_row"], ["pool_weights"]),
            helper.make_node("MatMul", ["pool_weights", hidden.name], ["pool_sum"]),
            helper.make_node("Reshape", ["pool_sum", "pool_flat"], ["pooled"]),
        ]
    nodes.append(helper.make_node("LpNormalization", ["pooled"], ["embedding"], axis=-1, p=2))
    graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in constants.items())
    graph.node.extend(nodes)
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["b", width or None]))


def drop_token_types(model: ModelProto) -> None:
    """Compute the input `token_type_ids` (all zero) inside the graph, where a graph asks for it."""
    from onnx import helper  # noqa: PLC0415

    for given in model.graph.input:
        if given.name == "token_type_ids":
            model.graph.input.remove(given)
            zeros = helper.make_node("Sub", ["input_ids", "input_ids"], ["token_type_ids"])
            model.graph.node.insert(0, zeros)
            return
