"""An ONNX graph in the making."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from onnx import ModelProto

Weights = Mapping[str, "np.ndarray[Any, Any]"]
Shape = list[str | int]

OPSET = 20  # the first with Gelu
IR_VERSION = 9  # the one of opset 20; older runtimes refuse a newer one


class Graph:
    """Nodes and constants over a model's `weights`; every method but `finish` gives the name of its result."""

    def __init__(self, weights: Weights) -> None:
        self.weights = weights
        self.nodes: list[Any] = []
        self.constants: dict[str, Any] = {}

    def add(self, op: str, *inputs: str, name: str = "", **attributes: Any) -> str:
        from onnx import helper  # noqa: PLC0415

        name = name or f"{op.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(inputs), [name], name=name, **attributes))
        return name

    def split(self, x: str, parts: int) -> list[str]:
        """Equal parts of the last axis."""
        from onnx import helper  # noqa: PLC0415

        names = [f"split_{len(self.nodes)}_{number}" for number in range(parts)]
        self.nodes.append(helper.make_node("Split", [x], names, name=names[0], axis=-1, num_outputs=parts))
        return names

    def constant(self, name: str, value: np.ndarray[Any, Any]) -> str:
        from onnx import numpy_helper  # noqa: PLC0415

        self.constants.setdefault(name, numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def shape(self, *dimensions: int) -> str:
        return self.constant("shape" + "_".join(map(str, dimensions)), np.array(dimensions, np.int64))

    def weight(self, key: str) -> str:
        return self.constant(key, self.weights[key].astype(np.float32))

    def finish(self, name: str, *, inputs: Mapping[str, tuple[type, Shape]], output: str, shape: Shape) -> ModelProto:
        """The model; `inputs` by their numpy type and their shape, `output` as float32 of `shape`."""
        from onnx import TensorProto, helper  # noqa: PLC0415

        given = [
            helper.make_tensor_value_info(key, helper.np_dtype_to_tensor_dtype(np.dtype(kind)), sizes)
            for key, (kind, sizes) in inputs.items()
        ]
        made = helper.make_tensor_value_info(output, TensorProto.FLOAT, shape)
        body = helper.make_graph(self.nodes, name, given, [made], list(self.constants.values()))
        return helper.make_model(body, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
