"""GGUF files that say one text, whatever they are asked, and are as sure of each word of it as they are told to be.

What such a model writes hangs on its last token alone: every piece of the text is a token of its own, and its row of
numbers leads to the piece after it. A prompt ends with a line's end, from which the first one follows.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import numpy as np

from ..backends.tiny import CHATML, write_gguf

BEGIN, END = "<|im_start|>", "<|im_end|>"
MERGES = ["t h", "i n"]  # none is not allowed
EPSILON = 1e-5
HEADS = 2


def write_saying(
    file: Path, text: str, *, sure: float = 0.99, context: int = 8192, template: str = CHATML, **values: Any
) -> Path:
    """A GGUF of the llama architecture. `sure`: the probability of each of its tokens at temperature 1; at temperature
    0 it says `text` as long as that is more than any other token's. `values` are further entries, dots as `__`."""
    base = _spell_bytes()
    pieces = split(text, {*base.values(), *(merge.replace(" ", "") for merge in MERGES)}, base)
    marks = ["<|endoftext|>", BEGIN, END]
    tokens = [*base.values(), *(merge.replace(" ", "") for merge in MERGES), *pieces, *marks]
    width = -(-(len(pieces) + 1) // 32) * 32
    entries: dict[str, Any] = {
        "general.architecture": "llama", "general.name": file.stem, "llama.context_length": context,
        "llama.embedding_length": width, "llama.block_count": 1, "llama.feed_forward_length": 32,
        "llama.attention.head_count": HEADS, "llama.attention.head_count_kv": HEADS,
        "llama.rope.dimension_count": width // HEADS, "llama.attention.layer_norm_rms_epsilon": EPSILON,
        "llama.vocab_size": len(tokens), "tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": "gpt-2",
        "tokenizer.ggml.tokens": tokens, "tokenizer.ggml.merges": MERGES,
        "tokenizer.ggml.token_type": [1] * (len(tokens) - len(marks)) + [3] * len(marks),
        "tokenizer.ggml.bos_token_id": tokens.index(marks[0]), "tokenizer.ggml.eos_token_id": tokens.index(END),
        "tokenizer.ggml.add_bos_token": False, "tokenizer.chat_template": template,
    }
    entries |= {name.replace("__", "."): value for name, value in values.items()}
    chain = [tokens.index(piece) for piece in (base[ord("\n")], *pieces, END)]
    file.write_bytes(write_gguf(entries, _weigh(chain, len(tokens), width, sure)))
    return file


def split(text: str, taken: set[str], base: dict[int, str]) -> list[str]:
    """Words with the blanks before them, as the vocabulary spells them; what is in it already goes on to the next."""
    pieces: list[str] = []
    rest = ""
    for word in re.findall(r"\s*\S+|\s+$", text):
        rest += "".join(base[byte] for byte in word.encode())
        if rest not in taken:
            taken.add(rest)
            pieces.append(rest)
            rest = ""
    while rest:
        assert pieces, f"there are no words in {text!r}"
        rest = pieces.pop() + rest
        if rest not in taken:
            pieces.append(rest)
            rest = ""
    return pieces


def _weigh(chain: list[int], words: int, width: int, sure: float) -> dict[str, np.ndarray]:
    """Of the attention and the layer behind it nothing comes, so that a token's own numbers arrive at the end."""
    here, ahead = np.zeros((words, width)), np.zeros((words, width))
    logit = math.log(sure * (words - 1) / (1 - sure))
    for place, (token, following) in enumerate(zip(chain, chain[1:], strict=False)):
        here[token, place] = 1
        ahead[following, place] = logit * math.sqrt(1 / width + EPSILON)  # which the norm before it takes away
    parts = {f"blk.0.attn_{part}.weight": np.zeros((width, width)) for part in ("q", "k", "v", "output")}
    return {
        "token_embd.weight": here, "output.weight": ahead, "output_norm.weight": np.ones(width),
        "blk.0.attn_norm.weight": np.ones(width), "blk.0.ffn_norm.weight": np.ones(width), **parts,
        "blk.0.ffn_gate.weight": np.zeros((32, width)), "blk.0.ffn_up.weight": np.zeros((32, width)),
        "blk.0.ffn_down.weight": np.zeros((width, 32)),
    }


def _spell_bytes() -> dict[int, str]:
    """Every byte as GPT-2 spells it."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = (byte for byte in range(256) if byte not in shown)
    spelled = {byte: chr(byte) for byte in shown} | {byte: chr(256 + place) for place, byte in enumerate(hidden)}
    return {byte: spelled[byte] for byte in range(256)}
