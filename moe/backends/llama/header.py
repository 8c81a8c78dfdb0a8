"""A GGUF file's header: what the model is, and whether the file can be whole. Nothing of llama.cpp is needed.

The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import math
import os
import struct
from pathlib import Path
from typing import Any

from msgspec import Struct

from ...errors import NotReady

VERSIONS = (2, 3)
READ_BYTES = (24 << 20, 104 << 20)  # nearly every header fits into the first part
MOST_ENTRIES = 1 << 16
LONGEST_ARRAY = 1 << 30
LONGEST_KEPT_TEXT = 1 << 20
MOST_DIMENSIONS = 4
_STRING, _ARRAY = 8, 9
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_READERS = {kind: struct.Struct("<" + letter) for kind, letter in _SCALARS.items()}
_U32, _U64 = struct.Struct("<I"), struct.Struct("<Q")
# ggml's tensor types: (elements in a block, bytes of a block). A type missing here is left to llama.cpp to judge.
_BLOCKS = {
    0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34), 9: (32, 36),
    10: (256, 84), 11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210), 15: (256, 292), 16: (256, 66),
    17: (256, 74), 18: (256, 98), 19: (256, 50), 20: (32, 18), 21: (256, 110), 22: (256, 82), 23: (256, 136),
    24: (1, 1), 25: (1, 2), 26: (1, 4), 27: (1, 8), 28: (1, 8), 29: (256, 56), 30: (1, 2), 34: (256, 54),
    35: (256, 66), 39: (32, 17),
}
# general.file_type, as llama.cpp's llama_ftype numbers them.
_QUANTIZATIONS = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K", 11: "Q3_K_S", 12: "Q3_K_M",
    13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S", 17: "Q5_K_M", 18: "Q6_K", 19: "IQ2_XXS", 20: "IQ2_XS",
    22: "IQ3_XS", 23: "IQ3_XXS", 24: "IQ1_S", 25: "IQ4_NL", 26: "IQ3_S", 27: "IQ3_M", 28: "IQ2_S", 29: "IQ2_M",
    30: "IQ4_XS", 31: "IQ1_M", 32: "BF16", 36: "TQ1_0", 37: "TQ2_0", 38: "MXFP4",
}
# Architectures that llama.cpp loads and that do not write text from left to right.
_OTHERS = frozenset({"t5", "t5encoder", "gemma-embedding", "wavtokenizer-dec", "dream", "llada", "llada-moe"})


class Header(Struct, frozen=True, kw_only=True):
    """`values` holds the metadata without its arrays, `lengths` the arrays' lengths; sizes in bytes, 0 = not told."""

    values: dict[str, Any]
    lengths: dict[str, int]
    parameters: int
    file_bytes: int

    def value(self, name: str, default: Any = None) -> Any:
        """A value of the model's own architecture, such as "context_length"."""
        return self.values.get(f"{self.architecture}.{name}", default)

    def number(self, name: str, default: int = 0) -> int:
        value = self.value(name, default)
        return value if type(value) is int else default

    @property
    def architecture(self) -> str:
        return str(self.values.get("general.architecture", ""))

    @property
    def writes_text(self) -> bool:
        """Whether it is a language model, and no encoder, adapter or projector, as far as the header tells."""
        is_model = self.values.get("general.type", "model") == "model" and "tokenizer.ggml.model" in self.values
        is_encoder = self.value("attention.causal") is False or bool(self.value("pooling_type"))
        return is_model and not is_encoder and self.architecture not in _OTHERS

    @property
    def context_length(self) -> int:
        return self.number("context_length")

    @property
    def template(self) -> str:
        found = self.values.get("tokenizer.chat_template", "")
        return found if isinstance(found, str) else ""

    @property
    def quantization(self) -> str:
        return _QUANTIZATIONS.get(self.values.get("general.file_type", -1), "")

    @property
    def parameter_size(self) -> str:
        """In Ollama's form: "1.5B", "135M"."""
        count = self.parameters
        return f"{count / 1e9:.3g}B" if count >= 1e9 else f"{count / 1e6:.3g}M"

    @property
    def license(self) -> str:
        return str(self.values.get("general.license") or "")

    @property
    def info(self) -> dict[str, Any]:
        """The metadata as Ollama's `model_info`: arrays are null, the template and the name stand elsewhere."""
        left_out = ("general.name", "tokenizer.chat_template")
        told = {name: value for name, value in self.values.items() if name not in left_out}
        return {**told, **dict.fromkeys(self.lengths), "general.parameter_count": self.parameters}

    @property
    def cell_bytes(self) -> int:
        """What one token takes in the cache, at 16 bits; an upper estimate where layers differ."""
        layers, heads = self.number("block_count"), self.number("attention.head_count", 1) or 1
        head = self.number("embedding_length") // heads
        width = self.number("attention.key_length", head) + self.number("attention.value_length", head)
        return max(0, layers * self.number("attention.head_count_kv", heads) * width * 2)


def read_header(file: Path, *, is_whole: bool = True) -> Header:
    """Reads and checks a GGUF file's header. Raises NotReady for a file that cannot be a whole GGUF; one that is
    not `is_whole`, but a later part of a model, need not say what it is.

    It is read and not mapped: a file that shrinks under a mapping kills the process.
    """
    try:
        with file.open("rb") as opened:
            size = os.fstat(opened.fileno()).st_size
            data = b""
            for limit in READ_BYTES:
                data += opened.read(limit)
                try:
                    return _Reader(data, size).read(is_whole=is_whole)
                except struct.error:
                    if len(data) >= size:
                        break
    except OSError as error:
        raise NotReady(f"{file.name} cannot be read: {error.strerror}", reason="model file unreadable") from error
    except _Broken as error:
        raise NotReady(f"{file.name} is not a usable GGUF file: {error}", reason="broken model file") from error
    raise NotReady(f"{file.name} is not a usable GGUF file: it ends within its header", reason="broken model file")


class _Broken(Exception):
    """What is wrong with the file, in words."""


class _Reader:
    """Walks through the header; every length is checked against the file's `size` before it is believed.

    Raises struct.error at the end of `data`, which may hold the file's beginning only.
    """

    def __init__(self, data: bytes, size: int) -> None:
        self._data = data
        self._size = size
        self._at = 0

    def read(self, *, is_whole: bool) -> Header:
        if self._data[:4] != b"GGUF":
            raise _Broken(f"it begins with {self._data[:4]!r}, not with b'GGUF'")
        self._at = 4
        version = self._number(_U32)
        if version not in VERSIONS:
            raise _Broken(f"its version {version} is not one of {VERSIONS}")
        tensors, entries = self._number(_U64), self._number(_U64)
        if tensors > MOST_ENTRIES or entries > MOST_ENTRIES:
            raise _Broken(f"it counts {tensors} tensors and {entries} entries")
        values: dict[str, Any] = {}
        lengths: dict[str, int] = {}
        for _ in range(entries):
            self._entry(values, lengths)
        parameters = self._check_tensors(tensors, values.get("general.alignment", 32))
        header = Header(values=values, lengths=lengths, parameters=parameters, file_bytes=self._size)
        if is_whole and not header.architecture:
            raise _Broken("it does not say its architecture")
        return header

    def _entry(self, values: dict[str, Any], lengths: dict[str, int]) -> None:
        key = self._text()
        kind = self._number(_U32)
        if key in values or key in lengths:
            raise _Broken(f"the entry {key[:60]!r} stands twice")
        if kind == _ARRAY:
            lengths[key] = self._skip_array()
        elif kind == _STRING:
            values[key] = self._text()
        elif kind in _READERS:
            values[key] = self._number(_READERS[kind])
        else:
            raise _Broken(f"the entry {key[:60]!r} is of the unknown kind {kind}")

    def _skip_array(self) -> int:
        kind = self._number(_U32)
        length: int = self._number(_U64)
        if length > LONGEST_ARRAY:
            raise _Broken(f"an array of {length} entries")
        if kind in _READERS:
            self._skip(_READERS[kind].size * length)
        elif kind == _STRING:
            if length * _U64.size > self._size - self._at:
                raise _Broken(f"an array of {length} texts, longer than the file")
            for _ in range(length):
                self._skip(self._number(_U64))
        else:
            raise _Broken(f"an array of the unknown kind {kind}")
        return length

    def _check_tensors(self, count: int, alignment: object) -> int:
        """The number of parameters. Every tensor must lie inside the file."""
        if type(alignment) is not int or not 0 < alignment <= 1 << 20 or alignment & (alignment - 1):
            raise _Broken(f"an alignment of {alignment!r}")
        ends, parameters = [0], 0
        for name, elements, kind, offset in [self._tensor() for _ in range(count)]:
            width, size = _BLOCKS.get(kind, (1, 0))
            if offset % alignment or elements % width:
                raise _Broken(f"the tensor {name[:60]!r} does not fit its blocks")
            ends.append(offset + elements // width * size)
            parameters += elements
        start = -(-self._at // alignment) * alignment
        if start + max(ends) > self._size:
            raise _Broken(f"it has {self._size} bytes, its tensors end at {start + max(ends)}: not wholly downloaded?")
        return parameters

    def _tensor(self) -> tuple[str, int, int, int]:
        """A tensor's name, number of elements, type and offset."""
        name, dimensions = self._text(), self._number(_U32)
        if dimensions > MOST_DIMENSIONS:
            raise _Broken(f"the tensor {name[:60]!r} has {dimensions} dimensions")
        elements: int = math.prod([self._number(_U64) for _ in range(dimensions)])
        return name, elements, self._number(_U32), self._number(_U64)

    def _number(self, kind: struct.Struct) -> Any:
        (value,) = kind.unpack_from(self._data, self._at)
        self._at += kind.size
        return value

    def _text(self) -> str:
        length = self._number(_U64)
        start = self._at
        self._skip(length)
        if length > LONGEST_KEPT_TEXT:
            raise _Broken(f"a text of {length} bytes")
        if start + length > len(self._data):
            raise struct.error
        return self._data[start : start + length].decode("utf-8", "replace")

    def _skip(self, length: int) -> None:
        if length > self._size - self._at:
            raise _Broken(f"at byte {self._at} something {length} bytes long begins, beyond the end of the file")
        self._at += length
