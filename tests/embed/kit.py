"""Small encoder folders whose vectors can be told by hand."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import sentencepiece
from onnx import TensorProto, helper, numpy_helper, save
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from moe.embed import PIECES, TABLE
from moe.embed.readers import ROW_BYTES

WORDS = ("[UNK]", "query", "passage", ":", "soup", "salt", "fever")


def make_encoder(folder: Path, **about: object) -> Path:
    """An encoder folder whose graph gives the normalised mean of its words' axes."""
    folder.mkdir(parents=True)
    mean = [
        helper.make_node("Gather", ["table", "input_ids"], ["words"]),
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["mask", "two"], ["column"]),
        helper.make_node("Mul", ["words", "column"], ["kept"]),
        helper.make_node("ReduceSum", ["kept", "one"], ["sum"], keepdims=0),
        helper.make_node("LpNormalization", ["sum"], ["embedding"], axis=1, p=2),
    ]
    graph = helper.make_graph(
        mean, "words",
        [helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["b", "t"]),
         helper.make_tensor_value_info("attention_mask", TensorProto.INT64, ["b", "t"])],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["b", len(WORDS)])],
        [numpy_helper.from_array(np.eye(len(WORDS), dtype=np.float32), "table"),
         numpy_helper.from_array(np.array([1], dtype=np.int64), "one"),
         numpy_helper.from_array(np.array([2], dtype=np.int64), "two")],
    )
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), folder / "model.onnx")
    tokenizer = Tokenizer(WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))
    return write_card(folder, dimension=len(WORDS), **about)


def make_pieces(folder: Path) -> Path:
    """An encoder of sentencepiece's words: the normalised sum of its tokens' rows."""
    folder.mkdir(parents=True)
    words = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["soup salt fever", "query: soup", "passage: salt"] * 20), model_writer=words,
        vocab_size=24, hard_vocab_limit=False, minloglevel=9)  # fmt: skip
    (folder / PIECES).write_bytes(words.getvalue())
    np.random.default_rng(5).integers(0, 64, (24, ROW_BYTES), np.uint8).tofile(folder / TABLE)
    total = [
        helper.make_node("Cast", ["rows"], ["vectors"], to=TensorProto.FLOAT),
        helper.make_node("ReduceSum", ["vectors", "first"], ["sum"], keepdims=1),
        helper.make_node("LpNormalization", ["sum"], ["embedding"], axis=1, p=2),
    ]
    graph = helper.make_graph(
        total, "pieces",
        [helper.make_tensor_value_info("input_ids", TensorProto.INT64, [1, "t"]),
         helper.make_tensor_value_info("rows", TensorProto.UINT8, ["t", ROW_BYTES])],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, [1, ROW_BYTES])],
        [numpy_helper.from_array(np.array([0], dtype=np.int64), "first")],
    )
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), folder / "model.onnx")
    return write_card(folder, dimension=ROW_BYTES, sha256="cd")


def make_pair(folder: Path, *parts: Path, **about: object) -> Path:
    """A folder that joins encoders which lie beside it."""
    folder.mkdir(parents=True)
    card = {"name": folder.name, "parts": [part.name for part in parts], "weights": [1] * len(parts), **about}
    (folder / "encoder.json").write_text(json.dumps(card))
    return folder


def write_card(folder: Path, **about: object) -> Path:
    card = {"name": folder.name, "sha256": "ab", "max_tokens": 16, "query_prefix": "", "passage_prefix": "", **about}
    (folder / "encoder.json").write_text(json.dumps(card))
    return folder


def axes(*words: str) -> np.ndarray:
    row = np.zeros(len(WORDS), dtype=np.float32)
    row[[WORDS.index(word) for word in words]] = 1
    return row / np.linalg.norm(row)
