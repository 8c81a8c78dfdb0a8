"""Where an encoder is made: folders for one making, and the two steps that every graph goes through."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from .. import engines
from ..embed import GRAPH
from ..errors import MoeError

if TYPE_CHECKING:
    from onnx import ModelProto


class EncoderError(MoeError):
    """No encoder could be made; the text says why, for the person at the terminal."""

    code = "no_encoder"


class Workshop(NamedTuple):
    """One making's folders: `product` is moved into place, `scratch` thrown away, downloads outlive a failure."""

    product: Path
    scratch: Path
    downloads: Path


def quantise(model: ModelProto, shop: Workshop, *, only: Sequence[str] = ()) -> None:
    """Write the product's graph with eight-bit weights, in all of its nodes or in those named.

    Dynamic, per channel; the reduced range costs no fidelity that could be measured (MiniLM's mean cosine is .993
    against .994) and cannot saturate on a processor without VNNI.
    """
    import onnx  # noqa: PLC0415

    engines.keep_quiet()
    from onnxruntime.quantization import QuantType, quantize_dynamic  # noqa: PLC0415
    from onnxruntime.quantization.shape_inference import quant_pre_process  # noqa: PLC0415

    print("  Building and quantising the graph.", flush=True)
    full, prepared = shop.scratch / "full.onnx", shop.scratch / "prepared.onnx"
    onnx.save(model, str(full))
    quant_pre_process(full, prepared, skip_optimization=True, skip_symbolic_shape=True)
    quantize_dynamic(
        prepared, shop.product / GRAPH, weight_type=QuantType.QInt8, per_channel=True, reduce_range=True,
        nodes_to_quantize=list(only),
    )  # fmt: skip
