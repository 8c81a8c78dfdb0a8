"""A very small BERT with random weights to begin from, and prompts of four topics in its words."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from safetensors.numpy import save_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.normalizers import Lowercase
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing

from moe.training.making import Teaching
from moe.training.prompts import Prompt, hold_out
from tests.encoders.test_bert import random_weights
from tests.routing.prompts import EXAMPLES

MARKS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
LABELS = tuple(sorted(EXAMPLES))
TOPICS = {label: sorted({word for text in EXAMPLES[label] for word in text.split()}) for label in LABELS}
SHAPE = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48,
         "max_position_embeddings": 40}
SCALE = 0.2  # smaller weights than trained ones have, for they are to be trained


def make_start(folder: Path, **about: Any) -> Path:
    """A BertModel as transformers save one; `about` is laid over its config.json, and its weights are as that says."""
    folder.mkdir(parents=True)
    words = [*MARKS, *sorted({word for words in TOPICS.values() for word in words})]
    sheet = {"model_type": "bert", "hidden_act": "gelu", "layer_norm_eps": 1e-12, "vocab_size": len(words), **SHAPE,
             **about}
    weights = {f"bert.{name}": (value - name.endswith("Norm.weight")) * SCALE + name.endswith("Norm.weight")
               for name, value in random_weights(sheet).items()}
    save_file({**weights, "cls.predictions.bias": weights["bert.embeddings.LayerNorm.bias"]},
              folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(sheet), "utf-8")
    tokenizer = Tokenizer(WordLevel({word: place for place, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = Lowercase(), Whitespace()
    tokenizer.post_processor = TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def make_prompts(count: int = 60, *, seed: int = 0, noise: float = 0.0) -> list[Prompt]:
    """`count` for each topic: four of its own words and two of any; a share of `noise` has another's label."""
    chance = random.Random(seed)
    every = [word for words in TOPICS.values() for word in words]
    prompts = []
    for label in LABELS:
        for _ in range(count):
            words = chance.choices(TOPICS[label], k=4) + chance.choices(every, k=2)
            chance.shuffle(words)
            said = chance.choice(LABELS) if chance.random() < noise else label
            prompts.append(Prompt(" ".join(words), said))
    return prompts


def make_teaching(prompts: list[Prompt] | None = None, *, share: float = 0.25) -> Teaching:
    prompts = prompts or make_prompts()
    return Teaching(prompts, hold_out(prompts, share, seed=0), LABELS)
