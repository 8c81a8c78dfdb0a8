"""What a model file may do to its engine, and must not do to the server."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper, save

from moe.backends.onnx.backend import Onnx
from moe.backends.probe import probe
from moe.backends.shelf import Shelf
from moe.config import EngineConfig, MemoryConfig
from moe.core import ChatRequest, Message, Text
from moe.errors import NotReady
from moe.experts import Expert

from .onnx_kit import WORDS, make_chain
from .tiny import MODELS, write_random

ROOT = Path(__file__).parents[2]
# llama.cpp reads words by std::regex for these, and by code of its own for gpt-2's.
REGEX_WORDS = ["tekken", "gpt-4o", "deepseek-llm", "falcon"]


@pytest.fixture
def shelf() -> Iterator[Shelf]:
    made = Shelf(MemoryConfig())
    yield made
    made.close()


# -- ONNX


def with_loop(after: Any) -> list[Any]:
    """A graph that never ends."""
    shapes = [helper.make_tensor_value_info("turn", TensorProto.INT64, []),
              helper.make_tensor_value_info("go", TensorProto.BOOL, []),
              helper.make_tensor_value_info("x", TensorProto.FLOAT, None)]
    ends = [helper.make_tensor_value_info("on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("y", TensorProto.FLOAT, None)]
    body = helper.make_graph([helper.make_node("Identity", ["go"], ["on"]), helper.make_node("Identity", ["x"], ["y"])],
                             "body", shapes, ends)
    turns, go = numpy_helper.from_array(np.array(2**62), "turns"), numpy_helper.from_array(np.array(True), "start")
    return [[helper.make_node("Gather", ["after", "input_ids"], ["next"]),
             helper.make_node("Loop", ["turns", "start", "next"], ["logits"], body=body)], [after, turns, go]]


def with_much(after: Any) -> list[Any]:
    """One that wants 48 GB."""
    much = numpy_helper.from_array(np.array([12 * 10**9]), "much")
    one = numpy_helper.from_array(np.array([1.0], np.float32), "one")
    return [[helper.make_node("ConstantOfShape", ["much"], ["ones"], value=one),
             helper.make_node("ReduceSum", ["ones"], ["sum"]),
             helper.make_node("Gather", ["after", "input_ids"], ["next"]),
             helper.make_node("Add", ["next", "sum"], ["logits"])], [after, much]]


def write_chain(folder: Path, parts: Callable[[Any], list[Any]]) -> Path:
    make_chain(folder, graph=False)
    nodes, values = parts(numpy_helper.from_array(np.eye(len(WORDS), dtype=np.float32), "after"))
    slots = [helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["rows", "length"])]
    logits = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, None)]
    graph = helper.make_graph(nodes, "attack", slots, logits, values)
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), folder / "model.onnx")
    return folder


@pytest.mark.parametrize("attack, told", [(with_loop, "within 3 s"), (with_much, "ConstantOfShape")])
def test_a_graph_that_never_ends_or_wants_all_memory_fails_in_the_child(
    tmp_path: Path, shelf: Shelf, monkeypatch: pytest.MonkeyPatch, attack: Callable[[Any], list[Any]], told: str
) -> None:
    monkeypatch.setattr("moe.backends.probe.LEAST_S", 3.0)
    write_chain(tmp_path / "models" / "attack", attack)
    expert = Expert(id=1, label="l", type="local", model_path="attack")
    backend = Onnx(expert, EngineConfig(), shelf, tmp_path / "models")
    began = time.monotonic()
    with pytest.raises(NotReady, match=told):
        list(backend.chat(ChatRequest(messages=(Message("user", (Text("one"),)),))))
    assert time.monotonic() - began < 30
    assert shelf.loaded() == [] and backend.trouble("")


def test_a_template_that_never_ends_is_found_out_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("llama_cpp")
    monkeypatch.setattr("moe.backends.probe.LEAST_S", 3.0)
    turns = "{% for i in range(99999) %}"
    write_random(tmp_path / "endless.gguf", template=turns * 3 + "{% endfor %}" * 3)
    with pytest.raises(NotReady, match="within 3 s"):
        probe("gguf", tmp_path / "endless.gguf", size_bytes=1)


def test_a_sound_folder_passes_and_one_without_its_encoder_does_not(tmp_path: Path) -> None:
    copy = shutil.copytree(MODELS / "translate-t5", tmp_path / "t5")
    assert find_fault(copy) == ""
    (copy / "encoder_model.onnx").unlink()
    assert "encoder" in find_fault(copy)


def find_fault(folder: Path) -> str:
    """What the trial says against it, "" for nothing."""
    try:
        probe("onnx", folder, size_bytes=1)
    except NotReady as error:
        return error.message
    return ""


# -- words without an end


@pytest.mark.parametrize("pre", REGEX_WORDS)
def test_a_word_of_a_hundred_thousand_letters_does_not_end_the_process(tmp_path: Path, pre: str) -> None:
    pytest.importorskip("llama_cpp")
    (tmp_path / "models").mkdir()
    write_random(tmp_path / "models" / "m.gguf", tokenizer__ggml__pre=pre)
    script = textwrap.dedent(f"""
        from pathlib import Path
        from tests.backends.test_gguf import MemoryConfig, Shelf, asking, reach
        from moe.errors import UpstreamRefusal

        backend = reach("m.gguf", Shelf(MemoryConfig()), Path({str(tmp_path / "models")!r}))
        for letter in ("a", "!", "漢", " "):
            try:
                list(backend.chat(asking(letter * 100_000)))
            except UpstreamRefusal as error:
                print(error.code)
    """)
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=120,
                          check=False)
    assert done.returncode == 0, done.stderr[-500:]
    assert done.stdout.split() == ["context_length_exceeded"] * 4


def test_a_child_whose_parent_is_gone_ends_itself(tmp_path: Path) -> None:
    pytest.importorskip("llama_cpp")
    turns = "{% for i in range(99999) %}"
    file = write_random(tmp_path / "endless.gguf", template=turns * 3 + "{% endfor %}" * 3)
    script = f"from moe.backends import probe; probe.SPARE_S = 1; probe.main('gguf', {str(file)!r}, '1', '1')"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, timeout=60, check=False)
    assert done.returncode == -signal.SIGALRM
