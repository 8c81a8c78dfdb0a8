"""What the ONNX tests share: the test models, small graphs made by hand, and a way to ask."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper, save
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit

from moe.backends.base import Backend
from moe.backends.onnx.backend import Onnx
from moe.backends.shelf import Shelf
from moe.config import EngineConfig
from moe.core import ChatRequest, Chunk, Done, Message, Sampling, Text
from moe.experts import Expert

MODELS = Path(__file__).parent.parent / "models"
ANSWERS: dict[str, Any] = json.loads((MODELS / "answers.json").read_text("utf-8"))
STORY = next(each["answer"] for each in ANSWERS["general"] if "story" in each["question"])
WORDS = ("<end>", "one", "two", "three", "four")


def reach(path: str, shelf: Shelf, *, models: Path = MODELS, **engine: int) -> Onnx:
    expert = Expert(id=1, label="local", type="local", format="onnx", model_path=path)
    return Onnx(expert, EngineConfig(**engine), shelf, models)


def say(*texts: str, system: str = "", **fields: Any) -> ChatRequest:
    """A conversation of the texts, the user's turn first; at temperature 0 unless `sampling` says otherwise."""
    roles = ("user", "assistant")
    messages = [Message("system", (Text(system),))] if system else []
    messages += [Message(roles[place % 2], (Text(text),)) for place, text in enumerate(texts)]  # type: ignore[arg-type]
    return ChatRequest(**{"messages": tuple(messages), "sampling": Sampling(temperature=0), **fields})


def text_of(chunks: Iterable[Chunk]) -> str:
    return "".join(chunk.text for chunk in chunks if isinstance(chunk, Text))


def ask(model: Backend, *texts: str, **fields: Any) -> tuple[str, Done]:
    chunks = list(model.chat(say(*texts, **fields)))
    last = chunks[-1]
    assert isinstance(last, Done) and not any(isinstance(chunk, Done) for chunk in chunks[:-1])
    return text_of(chunks), last


def copy_model(name: str, folder: Path, *, but: Sequence[str] = ()) -> Path:
    """A copy of a test model as `folder`, without the files named in `but`."""
    shutil.copytree(MODELS / name, folder, ignore=shutil.ignore_patterns(*but))
    return folder


def make_chain(folder: Path, *, graph: bool = True, rows: np.ndarray | None = None, inputs: Sequence[str] = (),
               output: str = "logits") -> Path:
    """A model without a cache: after each of WORDS comes the next, and then the end."""
    folder.mkdir(parents=True)
    tokenizer = Tokenizer(WordLevel({word: place for place, word in enumerate(WORDS)}, unk_token="<end>"))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "config.json").write_text(json.dumps({"eos_token_id": 0, "max_position_embeddings": 16}))
    if graph:
        after = np.roll(np.eye(len(WORDS), dtype=np.float32), 1, axis=1) * 9 if rows is None else rows
        slots = [helper.make_tensor_value_info(name, TensorProto.INT64, ["rows", "length"])
                 for name in ("input_ids", *inputs)]
        save(helper.make_model(
            helper.make_graph([helper.make_node("Gather", ["after", "input_ids"], [output])], "chain", slots,
                              [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)],
                              [numpy_helper.from_array(after, "after")]),
            opset_imports=[helper.make_opsetid("", 17)], ir_version=8), folder / "model.onnx")
    return folder
