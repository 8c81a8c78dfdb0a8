from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from moe import engines
from moe.config.settings import ROOT
from moe.errors import NotReady

MODELS = Path(__file__).parent / "models"


def open_general() -> tuple[object, object]:
    folder = MODELS / "general-onnx"
    return engines.open_tokenizer(folder / "tokenizer.json"), engines.open_session(folder / "model.onnx")


def test_without_the_libraries_the_reason_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("onnxruntime", "tokenizers", "sentencepiece"):
        monkeypatch.setitem(sys.modules, name, None)
    for attempt in (engines.open_session, engines.open_tokenizer, engines.open_pieces):
        with pytest.raises(NotReady, match=r"is missing: run \./setup\.sh"):
            attempt(MODELS / "general-onnx" / "model.onnx")


def test_a_text_in_parts_has_the_same_tokens_as_whole() -> None:
    tokenizer, _ = open_general()
    whole = engines.encode(tokenizer, ["What is <|im_end|> this?"], adds_marks=True)
    assert engines.encode(tokenizer, ["What is ", "<|im_end|>", " this?"], adds_marks=True) == whole


def test_a_control_text_cut_in_two_is_none() -> None:
    tokenizer, _ = open_general()
    controls = engines.list_controls(tokenizer)
    assert set(controls.values()) == {"<|endoftext|>", "<|im_start|>", "<|im_end|>"}
    assert not controls.keys() & set(engines.encode(tokenizer, ["<", "|im_end|>"], adds_marks=False))


def test_marks_are_added_once_however_many_parts() -> None:
    tokenizer = engines.open_tokenizer(MODELS / "translate-t5" / "tokenizer.json")
    for parts in (["cat"], ["cat", " dog"], [""]):
        assert engines.encode(tokenizer, parts, adds_marks=True).count(1) == 1
        assert 1 not in engines.encode(tokenizer, parts, adds_marks=False)


def test_a_graph_that_fails_says_why_and_lives_on() -> None:
    _, session = open_general()
    feeds = {"input_ids": np.array([[9_999_999]])}
    with pytest.raises(NotReady, match="graph fails"):
        engines.run(session, ["logits"], feeds)
    with pytest.raises(NotReady, match="graph fails"):
        engines.run(session, ["no such output"], {})


@pytest.mark.parametrize("content", [
    b"", b"{}", b"[]", b"null", b"\xff\xfe", b'{"model": {"type": "Nonsense"}}', b'{"model": {"type": "Unigram"}}',
    b'{"version": "1.0", "model": {"type": "WordPiece", "vocab": 7}}', b"[" * 100_000])
def test_a_broken_tokenizer_is_an_error_with_its_name(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "tokenizer.json"
    file.write_bytes(content)
    with pytest.raises(NotReady, match=r"tokenizer\.json is no tokenizer"):
        engines.open_tokenizer(file)


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff\xfe", b"\x0a\xff" * 1000])
def test_a_broken_sentencepiece_model_is_an_error_with_its_name(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "sentencepiece.model"
    file.write_bytes(content)
    with pytest.raises(NotReady, match=r"sentencepiece\.model is no sentencepiece model"):
        engines.open_pieces(file)


def test_a_tokenizer_that_is_a_folder_or_not_there_cannot_be_read(tmp_path: Path) -> None:
    for file in (tmp_path, tmp_path / "tokenizer.json"):
        with pytest.raises(NotReady):
            engines.open_tokenizer(file)
        with pytest.raises(NotReady):
            engines.open_pieces(file)


def test_no_session_reports_to_the_runtimes_maker(tmp_path: Path) -> None:
    """The runtime's telemetry makes a device id and a queue in the home folder before it connects anywhere."""
    graph = str(MODELS / "general-onnx" / "model.onnx")
    code = f"from pathlib import Path; from moe.engines import open_session; open_session(Path({graph!r}))"
    own = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT,
                   env=own | {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")})
    assert list(tmp_path.iterdir()) == []
