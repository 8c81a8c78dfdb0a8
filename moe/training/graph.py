"""What was learnt as an ONNX graph: token ids in, one calibrated score for each label out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..encoders import bert
from ..encoders.bert import Pooling
from .learner import Learnt

if TYPE_CHECKING:
    from onnx import ModelProto

HEAD, SHARPNESS = "head", "sharpness"
POSITIONS = "embeddings.position_embeddings.weight"


def build(learnt: Learnt, sheet: Mapping[str, Any], pooling: Pooling, *, max_tokens: int) -> ModelProto:
    """`sheet` is the encoder's config.json. Longer texts than `max_tokens` have no place in it."""
    from onnx import TensorProto, checker, helper, numpy_helper  # noqa: PLC0415

    weights = {**learnt.weights, POSITIONS: learnt.weights[POSITIONS][:max_tokens]}
    model = bert.build(weights, sheet, pooling)
    graph = model.graph
    constants = {"head.weight": learnt.matrix, "head.bias": learnt.bias, SHARPNESS: np.ones(1)}
    graph.initializer.extend(numpy_helper.from_array(np.ascontiguousarray(value, dtype=np.float32), name)
                             for name, value in constants.items())
    graph.node.extend([
        helper.make_node("MatMul", [graph.output[0].name, "head.weight"], ["matched"], name=HEAD),
        helper.make_node("Add", ["matched", "head.bias"], ["scores"]),
        helper.make_node("Mul", ["scores", SHARPNESS], ["logits"]),
    ])
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["b", len(learnt.bias)]))
    checker.check_model(model)
    return model


def list_large(model: ModelProto) -> list[str]:
    """The nodes that bear eight bits: the encoder's, in which the time is spent and the weights lie. Not the head."""
    large = ("MatMul", "Gather")
    return [node.name for node in model.graph.node if node.op_type in large and node.name not in ("", HEAD)]


def sharpen(file: Path, temperature: float) -> None:
    """Divides the scores that a graph gives by `temperature`, in place of what they were divided by before."""
    import onnx  # noqa: PLC0415

    model = onnx.load(str(file))
    constant = next(each for each in model.graph.initializer if each.name == SHARPNESS)
    constant.CopyFrom(onnx.numpy_helper.from_array(np.array([1 / temperature], dtype=np.float32), SHARPNESS))
    onnx.save(model, str(file))
