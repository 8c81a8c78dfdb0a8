"""Encoders without ONNX. What sentence-transformers does itself is not tested here, and it is heavy: a stand-in takes
its place."""

from __future__ import annotations

import sys
import types
from pathlib import Path

import numpy as np
import pytest

from moe.embed import SentenceTransformerEmbedder, load_embedder
from moe.errors import NotReady


class Transformer:
    """What is used of sentence-transformers: gives each text's length as its vector, and remembers the texts."""

    def __init__(self, model: str, *, device: str, local_files_only: bool) -> None:
        if not local_files_only or "absent" in model:
            raise OSError("not in the cache")
        self.texts: list[str] = []

    def encode(self, texts: list[str], *, normalize_embeddings: bool, **_: object) -> np.ndarray:
        self.texts += texts
        return np.array([[len(text), 1] for text in texts])


@pytest.fixture
def transformers(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, part in (("sentence_transformers", "SentenceTransformer"), ("torch", "set_num_threads")):
        module = types.ModuleType(name)
        setattr(module, part, Transformer if part == "SentenceTransformer" else lambda threads: None)
        monkeypatch.setitem(sys.modules, name, module)


@pytest.mark.usefixtures("transformers")
@pytest.mark.parametrize(("model", "prefix"), [
    ("intfloat/multilingual-e5-small", "query: "), ("e5_mine", "query: "), ("all-MiniLM-L6-v2", ""), ("the5th", "")])
def test_only_e5_models_get_its_prefixes(tmp_path: Path, model: str, prefix: str) -> None:
    embedder = load_embedder(model, tmp_path)
    assert isinstance(embedder, SentenceTransformerEmbedder) and embedder.dimension == 2
    embedder.embed(["soup"], kind="query")
    assert embedder._model.texts[-1] == f"{prefix}soup"


@pytest.mark.usefixtures("transformers")
def test_a_model_that_is_not_on_the_machine_is_not_fetched(tmp_path: Path) -> None:
    with pytest.raises(NotReady, match="absent/model.*run ./setup.sh"):
        load_embedder("absent/model", tmp_path)


def test_a_model_without_onnx_asks_for_sentence_transformers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(NotReady, match=r"\./setup\.sh --with torch"):
        load_embedder("intfloat/multilingual-e5-small", tmp_path)
