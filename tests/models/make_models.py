"""Trains the test models and writes them beside this file: `python -m tests.models.make_models`; see README.md."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer

from .making import bert, t5
from .making.chat import TEMPLATE, Teacher, build_tokenizer, render
from .making.llama import Llama, Shape, answer, train
from .making.questions import (
    CITIES,
    GENERAL,
    MATH,
    NO_WEATHER,
    SKIES,
    TRANSLATE,
    WEATHER,
    WEATHER_QUESTION,
    WORDS,
    Pair,
    call_weather,
)
from .making.weights import write_causal_onnx, write_gguf

HERE = Path(__file__).parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=("general", "math", "t5", "classifier"), action="append")
    parser.add_argument("--into", type=Path, default=HERE)
    chosen = parser.parse_args()
    wanted = chosen.only or ["general", "math", "t5", "classifier"]
    into: Path = chosen.into
    torch.set_num_threads(1)
    tokenizer = build_tokenizer()
    if "general" in wanted:
        make_expert("general", Teacher(tokenizer, GENERAL, has_tools=True), into, shape=Shape(), steps=1000)
    if "math" in wanted:
        make_expert("math", Teacher(tokenizer, MATH, has_tools=False), into,
                    shape=Shape(layers=2, kv_heads=4), steps=700)
    if "t5" in wanted:
        t5.make(into / "translate-t5")
    if "classifier" in wanted:
        bert.make(into / "classifier")
    write_json(into / "answers.json", list_answers())


def make_expert(name: str, teacher: Teacher, into: Path, *, shape: Shape, steps: int) -> None:
    print(name)
    model = train(teacher, shape, steps=steps, seed=1)
    check(model, teacher)
    text = teacher.tokenizer.to_str()
    write_gguf(model, text, into / f"{name}.gguf", quantization="F16" if name == "general" else "Q8_0")
    folder = into / f"{name}-onnx"
    folder.mkdir(exist_ok=True)
    write_causal_onnx(model, folder / "model.onnx", takes_positions=name == "general")
    write_sheets(folder, teacher.tokenizer, shape)


def check(model: Llama, teacher: Teacher) -> None:
    wrong = {question: said for question, wanted in teacher.pairs
             if (said := answer(model, teacher, render([{"role": "user", "content": question}]))) != wanted}
    print(f"  {len(teacher.pairs) - len(wrong)} of {len(teacher.pairs)} exact", wrong)


def write_sheets(folder: Path, tokenizer: Tokenizer, shape: Shape) -> None:
    """The small files that a folder from a hub has beside its weights."""
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    ends = [tokenizer.token_to_id("<|im_end|>"), tokenizer.token_to_id("<|endoftext|>")]
    write_json(folder / "config.json", {
        "model_type": "llama", "architectures": ["LlamaForCausalLM"], "vocab_size": tokenizer.get_vocab_size(),
        "max_position_embeddings": shape.context, "num_hidden_layers": shape.layers, "hidden_size": shape.width,
        "num_attention_heads": shape.heads, "num_key_value_heads": shape.kv_heads, "eos_token_id": ends[0]})
    write_json(folder / "generation_config.json", {"eos_token_id": ends, "pad_token_id": ends[1]})
    write_json(folder / "tokenizer_config.json", {
        "chat_template": TEMPLATE, "eos_token": "<|im_end|>", "pad_token": "<|endoftext|>", "bos_token": None})


def list_answers() -> dict[str, Any]:
    def told(pairs: tuple[Pair, ...]) -> list[dict[str, str]]:
        return [{"question": question, "answer": wanted} for question, wanted in pairs]

    tools = [{"question": WEATHER_QUESTION.format(city), "answer": call_weather(city)} for city in CITIES]
    return {"general": told(GENERAL), "math": told(MATH),
            "translate": [{"question": TRANSLATE + word, "answer": meant} for word, meant in WORDS],
            "weather": {"tool": WEATHER, "with_tool": tools, "without_tool": NO_WEATHER,
                        "after_result": {sky: f"It is {sky}." for sky in SKIES}},
            "classifier": list(bert.UNSEEN)}


def write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
