"""Writes trained weights: as GGUF, and as ONNX whose weights are float16 on disk and float32 in use."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import gguf
import numpy as np
import onnx
import torch
from gguf import GGMLQuantizationType as Quantization
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from .chat import SPECIAL, TEMPLATE
from .llama import Llama

SMALLEST = 64


def write_gguf(model: Llama, tokenizer_json: str, path: Path, *, quantization: str) -> None:
    writer = gguf.GGUFWriter(str(path), "llama")
    shape = model.shape
    writer.add_name(path.stem)
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.inner)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_rope_dimension_count(shape.head_width)
    writer.add_rope_freq_base(shape.rope_base)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_file_type({"F16": 1, "Q8_0": 7}[quantization])
    _add_vocabulary(writer, tokenizer_json)
    for name, weights in model.named_parameters():
        array = np.ascontiguousarray(weights.detach().numpy(), dtype=np.float32)
        if array.ndim == 1:
            writer.add_tensor(name, array)
        else:
            kind = getattr(Quantization, quantization)
            writer.add_tensor(name, gguf.quants.quantize(array, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _add_vocabulary(writer: gguf.GGUFWriter, tokenizer_json: str) -> None:
    model = json.loads(tokenizer_json)["model"]
    tokens = sorted(model["vocab"], key=model["vocab"].__getitem__)
    kinds = [gguf.TokenType.CONTROL if token in SPECIAL else gguf.TokenType.NORMAL for token in tokens]
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges([pair if isinstance(pair, str) else " ".join(pair) for pair in model["merges"]])
    text_end, turn_end = tokens.index("<|endoftext|>"), tokens.index("<|im_end|>")
    writer.add_bos_token_id(text_end)
    writer.add_eos_token_id(turn_end)
    writer.add_eot_token_id(turn_end)
    writer.add_pad_token_id(text_end)
    writer.add_add_bos_token(False)
    writer.add_chat_template(TEMPLATE)


class Cached(nn.Module):
    """The model with a cache, its inputs and outputs named as optimum names them; positions given or counted."""

    def __init__(self, model: Llama, *, takes_positions: bool) -> None:
        super().__init__()
        self.model = model
        self.takes_positions = takes_positions

    def forward(self, ids: Tensor, mask: Tensor, *rest: Tensor) -> tuple[Tensor, ...]:
        length, total = ids.shape[1], mask.shape[1]
        queries = torch.arange(length) + (total - length)
        past = rest[1:] if self.takes_positions else rest
        positions = rest[0] if self.takes_positions else (mask.cumsum(1) - 1)[:, total - length:]
        seen = (torch.arange(total)[None, None, :] <= queries[None, :, None]) & (mask[:, None, :] > 0)
        bias = torch.where(seen, 0.0, -1e9)[:, None].to(torch.float32)
        logits, present = self.model(ids, positions, bias, list(zip(past[::2], past[1::2], strict=True)))
        return (logits, *(tensor for pair in present for tensor in pair))


def write_causal_onnx(model: Llama, path: Path, *, takes_positions: bool) -> None:
    shape, rows, length, before = model.shape, 2, 5, 3
    layers = [f"{layer}.{kind}" for layer in range(shape.layers) for kind in ("key", "value")]
    past = [torch.zeros(rows, shape.kv_heads, before, shape.head_width) for _ in layers]
    inputs = {"input_ids": torch.zeros(rows, length, dtype=torch.long),
              "attention_mask": torch.ones(rows, length + before, dtype=torch.long)}
    if takes_positions:
        inputs["position_ids"] = torch.arange(before, before + length)[None].expand(rows, length)
    inputs |= dict(zip((f"past_key_values.{name}" for name in layers), past, strict=True))
    axes = {"input_ids": {0: "batch", 1: "length"}, "attention_mask": {0: "batch", 1: "total"},
            "position_ids": {0: "batch", 1: "length"}, "logits": {0: "batch", 1: "length"}}
    axes |= {f"past_key_values.{name}": {0: "batch", 2: "past"} for name in layers}
    axes |= {f"present.{name}": {0: "batch", 2: "total"} for name in layers}
    export(Cached(model, takes_positions=takes_positions), inputs, ["logits", *(f"present.{n}" for n in layers)],
           path, axes=axes)


def export(module: nn.Module, inputs: dict[str, Tensor], outputs: Sequence[str], path: Path, *,
           axes: dict[str, dict[int, str]]) -> None:
    named = {name: axes[name] for name in (*inputs, *outputs)}
    torch.onnx.export(module.eval(), tuple(inputs.values()), str(path), input_names=list(inputs),
                      output_names=list(outputs), dynamic_axes=named, opset_version=17, dynamo=False,
                      do_constant_folding=False)
    onnx.save(shrink(onnx.load(str(path))), str(path))


def shrink(model: onnx.ModelProto) -> onnx.ModelProto:
    """Keeps every large float32 weight as float16, with a Cast that onnxruntime folds away, and cuts names short."""
    casts = []
    for weights in model.graph.initializer:
        if weights.data_type == TensorProto.FLOAT and int(np.prod(weights.dims)) >= SMALLEST:
            name = weights.name
            weights.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weights).astype(np.float16), f"{name}_16"))
            casts.append(helper.make_node("Cast", [f"{name}_16"], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    shorten(model.graph)
    onnx.checker.check_model(model)
    return model


def shorten(graph: onnx.GraphProto) -> None:
    """The exporter's long names are a tenth of so small a file."""
    kept = {value.name for value in graph.output}
    made = [name for node in graph.node for name in node.output if name and name not in kept]
    short = {name: f"v{index}" for index, name in enumerate(made)}
    for node in graph.node:
        node.ClearField("doc_string")
        node.ClearField("name")
        for names in (node.input, node.output):
            for index, name in enumerate(names):
                names[index] = short.get(name, name)
