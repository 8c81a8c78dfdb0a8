"""Experts with examples for the tests of what is fitted, and an encoder of words that another process can open."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper, save
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.normalizers import Lowercase
from tokenizers.pre_tokenizers import Whitespace

from moe.experts import Example, Expert

EXAMPLES = {
    "doctor": ("my head hurts", "i have a fever", "which pill helps against pain", "my knee hurts at night",
               "is a fever of 39 bad", "the pill makes me dizzy", "pain in my back", "my throat hurts"),
    "chef": ("how long do i boil an egg", "a recipe for tomato soup", "bake bread without yeast",
             "what goes with rice", "boil the rice or bake it", "soup for two", "which oven heat for bread",
             "an egg recipe"),
    "coder": ("my python script crashes", "fix this function", "write a unit test for it",
              "why is the variable empty in python", "the function gives an error", "a python class for this",
              "sort the array in python", "the script gives an error at line 3"),
    "lawyer": ("can my landlord evict me", "is this contract valid", "who pays the court", "my landlord sued me",
               "end a contract early", "the court sent a letter", "the contract has no date", "sue my landlord"),
}
ASKED = {"doctor": "my back hurts and i have pain", "chef": "how do i bake rice with egg",
         "coder": "the python class gives an error", "lawyer": "the landlord broke the contract"}


def make_experts(*labels: str) -> list[Expert]:
    return [Expert(id=place, label=label, description=f"a {label}") for place, label in enumerate(labels, start=1)]


def make_examples(*labels: str, most: int = 8) -> dict[str, tuple[Example, ...]]:
    return {label: tuple(Example(text) for text in EXAMPLES[label][:most]) for label in labels}


def make_models(folder: Path) -> Path:
    """A models folder with an encoder whose vectors are the normalised sum of a text's words' axes."""
    texts = [text for own in EXAMPLES.values() for text in own] + list(ASKED.values())
    words = ["[UNK]", *sorted({word for text in texts for word in text.split()} | set(EXAMPLES))]
    home = folder / "encoder" / "words"
    home.mkdir(parents=True)
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["words"]),
        helper.make_node("ReduceSum", ["words", "one"], ["sum"], keepdims=0),
        helper.make_node("LpNormalization", ["sum"], ["embedding"], axis=1, p=2),
    ]
    graph = helper.make_graph(
        nodes, "words",
        [helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["b", "t"]),
         helper.make_tensor_value_info("attention_mask", TensorProto.INT64, ["b", "t"])],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["b", len(words)])],
        [numpy_helper.from_array(np.eye(len(words), dtype=np.float32), "table"),
         numpy_helper.from_array(np.array([1], dtype=np.int64), "one")],
    )
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), home / "model.onnx")
    tokenizer = Tokenizer(WordLevel({word: place for place, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = Lowercase(), Whitespace()
    tokenizer.save(str(home / "tokenizer.json"))
    card = {"name": "words", "sha256": "ab", "dimension": len(words), "max_tokens": 64, "query_prefix": "",
            "passage_prefix": ""}
    (home / "encoder.json").write_text(json.dumps(card))
    (folder / "encoder" / "current").write_text("words")
    return folder
