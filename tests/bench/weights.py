"""Writes a llama of SmolLM's 135M shape with random weights: its speed is real, its text is not.

Run by an environment that has gguf and numpy: `python weights.py FILE`.
"""

from __future__ import annotations

import sys

import gguf
import numpy as np
import numpy.typing as npt

LAYERS, WIDTH, HEADS, KV_HEADS, INNER, VOCABULARY, CONTEXT = 30, 576, 9, 3, 1536, 49152, 8192
HEAD_WIDTH = WIDTH // HEADS
CONTROL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SPREAD = 0.05


def write(file: str) -> None:
    writer = gguf.GGUFWriter(file, "llama")
    writer.add_name("random 135m")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_rope_dimension_count(HEAD_WIDTH)
    writer.add_rope_freq_base(10000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    _add_vocabulary(writer)
    _add_weights(writer)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _add_vocabulary(writer: gguf.GGUFWriter) -> None:
    """A token for each byte, one merge (the list may not be empty), the control tokens, and words to say."""
    tokens = [*_spell_bytes(), "th", *CONTROL]
    kinds = [gguf.TokenType.NORMAL] * (len(tokens) - len(CONTROL)) + [gguf.TokenType.CONTROL] * len(CONTROL)
    tokens += [f"\u0120w{number}" for number in range(len(tokens), VOCABULARY)]
    kinds += [gguf.TokenType.NORMAL] * (VOCABULARY - len(kinds))
    writer.add_vocab_size(VOCABULARY)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges(["t h"])
    writer.add_bos_token_id(tokens.index("<|endoftext|>"))
    writer.add_eos_token_id(tokens.index("<|im_end|>"))
    writer.add_eot_token_id(tokens.index("<|im_end|>"))
    writer.add_add_bos_token(False)
    writer.add_chat_template(TEMPLATE)


def _spell_bytes() -> list[str]:
    """GPT-2's spelling: what can be printed stands for itself, the rest for characters from 256 on."""
    printable = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = iter(range(256, 512))
    return [chr(byte) if byte in printable else chr(next(others)) for byte in range(256)]


def _add_weights(writer: gguf.GGUFWriter) -> None:
    chance = np.random.default_rng(135)

    def add(name: str, *shape: int) -> None:
        writer.add_tensor(f"{name}.weight", _draw(chance, shape))

    words = _draw(chance, (VOCABULARY, WIDTH))
    words[256 : 256 + 1 + len(CONTROL)] = 0.0  # never the likeliest: no answer ends before its time
    writer.add_tensor("token_embd.weight", words)
    for layer in range(LAYERS):
        for name in ("attn_norm", "ffn_norm"):
            writer.add_tensor(f"blk.{layer}.{name}.weight", np.ones(WIDTH, np.float32))
        add(f"blk.{layer}.attn_q", WIDTH, WIDTH)
        add(f"blk.{layer}.attn_k", KV_HEADS * HEAD_WIDTH, WIDTH)
        add(f"blk.{layer}.attn_v", KV_HEADS * HEAD_WIDTH, WIDTH)
        add(f"blk.{layer}.attn_output", WIDTH, WIDTH)
        add(f"blk.{layer}.ffn_gate", INNER, WIDTH)
        add(f"blk.{layer}.ffn_up", INNER, WIDTH)
        add(f"blk.{layer}.ffn_down", WIDTH, INNER)
    writer.add_tensor("output_norm.weight", np.ones(WIDTH, np.float32))


def _draw(chance: np.random.Generator, shape: tuple[int, ...]) -> npt.NDArray[np.float16]:
    return (chance.standard_normal(shape, dtype=np.float32) * SPREAD).astype(np.float16)


if __name__ == "__main__":
    write(sys.argv[1])
