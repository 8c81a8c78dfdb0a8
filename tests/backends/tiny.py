"""Models for tests: the trained ones under tests/models, and random ones written here, whole or broken on purpose."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

MODELS = Path(__file__).parents[1] / "models"
GENERAL = MODELS / "general.gguf"
MATH = MODELS / "math.gguf"
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
ALIGNMENT = 32


def answers(name: str) -> list[tuple[str, str]]:
    """What a trained model has learned: (question, exact answer)."""
    rows = json.loads((MODELS / "answers.json").read_text(encoding="utf-8"))[name]
    return [(row["question"], row["answer"]) for row in rows]


class Short(int):
    """A number of 16 bits."""


class Signed(int):
    """One of 32, which may be below zero."""


_KINDS = {int: (5, "<i"), float: (6, "<f"), bool: (7, "<?"), Short: (2, "<H"), Signed: (5, "<i")}


def write_random(file: Path, *, template: str = CHATML, width: int = 32, context: int = 512, **values: Any) -> Path:
    """A GGUF of the llama architecture that runs and writes nonsense. `values` are further entries, dots as `__`."""
    tokens, _ = _vocabulary()
    entries = _entries(file.stem, template, width=width, context=context)
    entries |= {name.replace("__", "."): value for name, value in values.items()}
    entries = {name: value for name, value in entries.items() if value is not None}
    file.write_bytes(write_gguf(entries, _weights(width, len(tokens))))
    return file


def write_parts(folder: Path, name: str) -> list[Path]:
    """The same in two files, as llama.cpp splits them."""
    weights = list(_weights(32, len(_vocabulary()[0])).items())
    files = [folder / f"{name}-{place:05d}-of-00002.gguf" for place in (1, 2)]
    for place, file in enumerate(files):
        part = {"split.no": Short(place), "split.count": Short(2), "split.tensors.count": Signed(len(weights))}
        entries = part if place else {**_entries(name, CHATML, width=32, context=512), **part}
        file.write_bytes(write_gguf(entries, dict(weights[5:] if place else weights[:5])))
    return files


def _entries(name: str, template: str, *, width: int, context: int) -> dict[str, Any]:
    tokens, merges = _vocabulary()
    entries: dict[str, Any] = {
        "general.architecture": "llama", "general.name": name, "llama.context_length": context,
        "llama.embedding_length": width, "llama.block_count": 1, "llama.feed_forward_length": 2 * width,
        "llama.attention.head_count": 2, "llama.attention.head_count_kv": 2, "llama.rope.dimension_count": width // 2,
        "llama.attention.layer_norm_rms_epsilon": 1e-5, "llama.vocab_size": len(tokens),
        "tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": "gpt-2", "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": [1] * (len(tokens) - 3) + [3] * 3, "tokenizer.ggml.merges": merges,
        "tokenizer.ggml.bos_token_id": len(tokens) - 3, "tokenizer.ggml.eos_token_id": len(tokens) - 1,
        "tokenizer.ggml.add_bos_token": False,
    }
    return entries | ({"tokenizer.chat_template": template} if template else {})


def write_gguf(entries: Mapping[str, Any], tensors: Mapping[str, np.ndarray]) -> bytes:
    """The file format, version 3, with 32-bit floats as the only kind of tensor."""
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(entries))
    for name, value in entries.items():
        head += _text(name) + _value(value)
    data = b""
    for name, tensor in tensors.items():
        shape = tensor.shape[::-1]
        head += _text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, 0, len(data))
        data += _padded(tensor.astype("<f4").tobytes())
    return _padded(head) + data


def _weights(width: int, words: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    shapes = {
        "token_embd.weight": (words, width), "output_norm.weight": (width,),
        "blk.0.attn_norm.weight": (width,), "blk.0.ffn_norm.weight": (width,),
        **{f"blk.0.attn_{part}.weight": (width, width) for part in ("q", "k", "v", "output")},
        "blk.0.ffn_gate.weight": (2 * width, width), "blk.0.ffn_up.weight": (2 * width, width),
        "blk.0.ffn_down.weight": (width, 2 * width),
    }
    return {name: random.standard_normal(shape) if len(shape) > 1 else np.ones(shape) for name, shape in shapes.items()}


def _vocabulary() -> tuple[list[str], list[str]]:
    """Every byte as a token, spelled as GPT-2 spells them, two merges (none is not allowed) and ChatML's marks."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in shown]
    spelled = {byte: chr(byte) for byte in shown} | {byte: chr(256 + place) for place, byte in enumerate(hidden)}
    tokens = [spelled[byte] for byte in range(256)] + ["th", "in"]
    return [*tokens, "<|endoftext|>", "<|im_start|>", "<|im_end|>"], ["t h", "i n"]


def _value(value: Any) -> bytes:
    if isinstance(value, str):
        return struct.pack("<I", 8) + _text(value)
    if isinstance(value, list):
        if isinstance(value[0], str):
            return struct.pack("<IIQ", 9, 8, len(value)) + b"".join(_text(item) for item in value)
        return struct.pack("<IIQ", 9, 5, len(value)) + struct.pack(f"<{len(value)}i", *value)
    kind, form = (4, "<I") if type(value) is int and value >= 0 else _KINDS[type(value)]
    return struct.pack("<I", kind) + struct.pack(form, value)


def _text(text: str) -> bytes:
    data = text.encode("utf-8")
    return struct.pack("<Q", len(data)) + data


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % ALIGNMENT)
