"""Which folders are classifiers, and that every other folder is an error with a reason."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import load, save

from moe.errors import NotReady
from moe.routing.classifier import load_classifier, read_labels

MODELS = Path(__file__).parent.parent / "models"


def copy_classifier(folder: Path) -> Path:
    return Path(shutil.copytree(MODELS / "classifier", folder))


@pytest.mark.parametrize("path", ["classifier", "models/classifier", str(MODELS / "classifier")])
def test_its_folder_may_be_named_from_either_side(path: str) -> None:
    assert load_classifier(path, MODELS).labels == ("general", "code", "math")


@pytest.mark.parametrize(("path", "words"), [
    (None, "names none"), ("", "names none"), ("nowhere", "no folder on this machine"),
    ("general.gguf", "no folder on this machine")])
def test_without_a_folder_the_reason_is_told(path: str | None, words: str) -> None:
    with pytest.raises(NotReady, match=words):
        load_classifier(path, MODELS)


def spoil_labels(value: Any) -> Callable[[Path], object]:
    return lambda folder: (folder / "config.json").write_text(json.dumps({"id2label": value}))


def spoil_output(folder: Path) -> None:
    model = load(folder / "model.onnx")
    model.graph.input[0].name = "pixels"
    save(model, folder / "model.onnx")


@pytest.mark.parametrize(("spoil", "words"), [
    (lambda folder: (folder / "config.json").unlink(), "config.json cannot be read"),
    (lambda folder: (folder / "config.json").write_text("{"), "config.json cannot be read"),
    (lambda folder: (folder / "config.json").write_text("[" * 100_000), "config.json cannot be read"),
    (lambda folder: (folder / "config.json").write_text("[]"), "no usable id2label"),
    (lambda folder: os.truncate(folder / "config.json", 1 << 30), "too large"),
    (spoil_labels(None), "no usable id2label"),
    (spoil_labels(["code", "math"]), "no usable id2label"),
    (spoil_labels({"zero": "code"}), "no usable id2label"),
    (spoil_labels({}), "from 0 on"),
    (spoil_labels({"1": "code", "2": "math"}), "from 0 on"),
    (spoil_labels({"-1": "code", "0": "math"}), "from 0 on"),
    (spoil_labels({str(number): "x" for number in range(20_000)}), "from 0 on"),
    (spoil_labels({"0": "code", "1": "math"}), "shape .* for 2 labels"),
    (lambda folder: (folder / "tokenizer.json").unlink(), "tokenizer.json"),
    (lambda folder: (folder / "tokenizer.json").write_text("{}"), "no tokenizer"),
    (lambda folder: os.truncate(folder / "tokenizer.json", 1 << 30), "larger than"),
    (lambda folder: (folder / "model.onnx").write_bytes(b"?"), "no graph that can run"),
    (spoil_output, "no graph that can run|graph fails"),
    (lambda folder: shutil.copy(MODELS / "general-onnx" / "model.onnx", folder / "model.onnx"), "graph fails"),
])
def test_a_spoilt_folder_is_a_clear_error(tmp_path: Path, spoil: Callable[[Path], object], words: str) -> None:
    folder = copy_classifier(tmp_path / "classifier")
    spoil(folder)
    with pytest.raises(NotReady, match=words):
        load_classifier("classifier", tmp_path)


def test_labels_that_are_no_texts_are_written_as_such() -> None:
    assert read_labels({"id2label": {0: 7, "1": None, " 2": "x"}}, "m") == ("7", "None", "x")


def test_a_classifier_without_onnx_asks_for_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (copy_classifier(tmp_path / "classifier") / "model.onnx").unlink()
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(NotReady, match=r"\./setup\.sh --with torch"):
        load_classifier("classifier", tmp_path)


def save_transformers_folder(folder: Path) -> Any:
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("torch")
    words = transformers.PreTrainedTokenizerFast(tokenizer_file=str(MODELS / "classifier" / "tokenizer.json"),
                                                 pad_token="[PAD]", unk_token="[UNK]")
    words.save_pretrained(folder)
    config = transformers.BertConfig(
        vocab_size=len(words), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        id2label={0: "general", 1: "code", 2: "math"}, label2id={"general": 0, "code": 1, "math": 2})
    model = transformers.BertForSequenceClassification(config).eval()
    model.save_pretrained(folder)
    return model


@pytest.mark.slow
def test_a_folder_of_transformers_is_read_with_torch(tmp_path: Path) -> None:
    save_transformers_folder(tmp_path / "bert")
    classifier = load_classifier("bert", tmp_path)
    shares = [classifier.rate(text) for text in ("sort a list", "sort a list", "7 + 8", "word " * 4000)]
    assert classifier.labels == ("general", "code", "math")
    assert all(each.sum() == pytest.approx(1) and (each >= 0).all() for each in shares)
    assert np.array_equal(shares[0], shares[1]) and not np.array_equal(shares[0], shares[2])


@pytest.mark.slow
def test_weights_that_are_a_program_are_not_run(tmp_path: Path) -> None:
    model = save_transformers_folder(tmp_path / "bert")
    (tmp_path / "bert" / "model.safetensors").unlink()
    torch = pytest.importorskip("torch")
    torch.save(model.state_dict(), tmp_path / "bert" / "pytorch_model.bin")
    with pytest.raises(NotReady, match="no classifier that transformers can read"):
        load_classifier("bert", tmp_path)
