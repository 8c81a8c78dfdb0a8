from __future__ import annotations

import io
import logging
from pathlib import Path

import msgspec
import numpy as np
import pytest

from moe.routing.vectors import VectorCache, embed_experts

from .kit import CHEF, CODER, DOCTOR, WordEmbedder

EXPERTS = (CODER, DOCTOR, CHEF)


def test_a_second_build_embeds_nothing(tmp_path: Path) -> None:
    first, second = WordEmbedder(), WordEmbedder()
    made = embed_experts(EXPERTS, VectorCache(tmp_path, first))
    kept = embed_experts(EXPERTS, VectorCache(tmp_path, second))
    assert len(first.seen) == 15 and {kind for kind, _ in first.seen} == {"passage"}
    assert second.seen == []
    assert np.array_equal(made.keywords, kept.keywords) and np.array_equal(made.descriptions, kept.descriptions)
    assert made.starts.tolist() == kept.starts.tolist() == [0, 5, 9]


def test_only_new_texts_are_embedded(tmp_path: Path) -> None:
    embed_experts(EXPERTS, VectorCache(tmp_path, WordEmbedder()))
    embedder = WordEmbedder()
    changed = msgspec.structs.replace(CODER, keywords=(*CODER.keywords, "rust"))
    vectors = embed_experts((changed, DOCTOR, CHEF), VectorCache(tmp_path, embedder))
    assert embedder.seen == [("passage", "rust")]
    assert np.array_equal(vectors.keywords[5], WordEmbedder().embed(["rust"], kind="passage")[0])


def test_another_encoder_never_reads_the_first_ones_vectors(tmp_path: Path) -> None:
    embed_experts(EXPERTS, VectorCache(tmp_path, WordEmbedder()))
    other = WordEmbedder("words-2")
    embed_experts(EXPERTS, VectorCache(tmp_path, other))
    assert len(other.seen) == 15


def test_an_expert_without_keywords_is_known_by_its_description_else_by_its_label(tmp_path: Path) -> None:
    silent = msgspec.structs.replace(CODER, keywords=(" ",))
    nameless = msgspec.structs.replace(CHEF, keywords=(), description="")
    vectors = embed_experts((silent, nameless), VectorCache(tmp_path, WordEmbedder()))
    known = WordEmbedder().embed([CODER.description, "chef"], kind="passage")
    assert np.array_equal(vectors.keywords, known) and np.array_equal(vectors.descriptions, known)


def array_file() -> bytes:
    file = io.BytesIO()
    np.save(file, np.zeros(4))
    return file.getvalue()


@pytest.mark.parametrize("rubbish", [array_file(), b"", b"PK\x03\x04 not a zip", b"\x93NUMPY", b"{}"])
def test_a_broken_cache_file_is_told_and_made_anew(tmp_path: Path, rubbish: bytes,
                                                   caplog: pytest.LogCaptureFixture) -> None:
    embed_experts(EXPERTS, VectorCache(tmp_path, WordEmbedder()))
    [file] = tmp_path.iterdir()
    file.write_bytes(rubbish)
    with caplog.at_level(logging.WARNING):
        embed_experts(EXPERTS, VectorCache(tmp_path, WordEmbedder()))
    assert "making it anew" in caplog.text
    again = WordEmbedder()
    embed_experts(EXPERTS, VectorCache(tmp_path, again))
    assert again.seen == [] and list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("rows", [np.zeros((1, 3), np.float32), np.full((1, 512), np.nan, np.float32),
                                  np.zeros((1, 512), np.float64), np.array([["x"] * 512])])
def test_rows_of_another_shape_or_kind_are_not_taken(tmp_path: Path, rows: np.ndarray) -> None:
    np.savez(tmp_path / "words-1.npz", keys=np.zeros((1, 32), np.uint8), rows=rows)
    embedder = WordEmbedder()
    assert VectorCache(tmp_path, embedder).rows(["soup"]).shape == (1, 512)
    assert embedder.seen == [("passage", "soup")]


def test_a_folder_that_cannot_be_written_costs_only_time(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    with caplog.at_level(logging.WARNING):
        assert VectorCache(blocked, WordEmbedder()).rows(["soup", "soup"]).shape == (2, 512)
    assert "cannot be kept" in caplog.text
