"""One graph as an encoder: its rows, its cut, its cache."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from moe.embed import OnnxEmbedder, Rows, excerpt
from moe.errors import NotReady

from .kit import WORDS, axes, make_encoder


@pytest.fixture
def encoder(tmp_path: Path) -> OnnxEmbedder:
    return OnnxEmbedder(make_encoder(tmp_path / "words"))


def watch(embedder: OnnxEmbedder, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of texts in each run of the model from now on."""
    sizes: list[int] = []
    run = embedder._run_one

    def count(text: str) -> Rows:
        sizes.append(1)
        return run(text)

    monkeypatch.setattr(embedder, "_run_one", count)
    return sizes


def test_each_text_becomes_a_unit_row_in_its_own_place(encoder: OnnxEmbedder) -> None:
    texts = ["soup salt", "fever", "soup soup soup salt salt salt fever fever fever soup", "salt"]
    rows = encoder.embed(texts, kind="passage")
    assert rows.dtype == np.float32 and rows.shape == (4, encoder.dimension)
    assert np.linalg.norm(rows, axis=1) == pytest.approx(np.ones(4), abs=1e-6)
    assert rows[0] == pytest.approx(axes("soup", "salt")) and rows[1] == pytest.approx(axes("fever"))
    assert rows[3] == pytest.approx(axes("salt"))
    alone = [encoder.embed([text], kind="query")[0] for text in texts]
    assert np.stack(alone) == pytest.approx(rows, abs=1e-6)


def test_nothing_gives_no_rows(encoder: OnnxEmbedder) -> None:
    assert encoder.embed([], kind="query").shape == encoder.embed([], kind="passage").shape == (0, len(WORDS))


def test_each_kind_gets_its_prefix(tmp_path: Path) -> None:
    e5 = OnnxEmbedder(make_encoder(tmp_path / "e5", query_prefix="query: ", passage_prefix="passage: "))
    assert e5.embed(["soup"], kind="query")[0] == pytest.approx(axes("query", ":", "soup"))
    assert e5.embed(["soup"], kind="passage")[0] == pytest.approx(axes("passage", ":", "soup"))


def test_a_lone_surrogate_is_embedded_like_any_text(encoder: OnnxEmbedder) -> None:
    assert np.isfinite(encoder.embed(["\ud800 soup", "\udfff"], kind="query")).all()
    assert np.isfinite(encoder.embed(["\ud800"], kind="query")).all()


def test_a_huge_text_is_cut_before_it_reaches_the_tokenizer(encoder: OnnxEmbedder,
                                                            monkeypatch: pytest.MonkeyPatch) -> None:
    lengths: list[int] = []
    run = encoder._batches._encode

    def measure(texts: Sequence[str]) -> Rows:
        lengths.extend(map(len, texts))
        return run(texts)

    monkeypatch.setattr(encoder._batches, "_encode", measure)
    encoder.embed(["soup " * 200_000], kind="query")
    assert lengths == [64]


def test_an_excerpt_has_both_ends() -> None:
    assert excerpt("short", 5) == "short"
    assert excerpt("begin" + "." * 1000 + "end", 20) == "begin.......... .end"


def test_a_query_asked_again_is_not_run_again(encoder: OnnxEmbedder, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = watch(encoder, monkeypatch)
    first, again = (encoder.embed(["soup"], kind="query") for _ in range(2))
    assert sizes == [1] and np.array_equal(first, again)
    encoder.embed(["soup"], kind="passage")
    assert sizes == [1, 1]


def test_no_caller_can_spoil_a_kept_row(encoder: OnnxEmbedder) -> None:
    row = encoder.embed(["soup"], kind="query")
    with pytest.raises(ValueError, match="read-only"):
        row[0, 0] = 9


def test_only_so_many_queries_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = OnnxEmbedder(make_encoder(tmp_path / "words"), queries_kept=2)
    sizes = watch(encoder, monkeypatch)
    for text in ("soup", "salt", "fever", "soup"):
        encoder.embed([text], kind="query")
    assert len(sizes) == 4


def test_the_fingerprint_follows_what_changes_a_passages_vector(tmp_path: Path) -> None:
    cards: list[dict[str, object]] = [{}, {"sha256": "cd"}, {"passage_prefix": "passage: "}, {"max_tokens": 8}]
    prints = [OnnxEmbedder(make_encoder(tmp_path / str(i) / "words", **card)).fingerprint
              for i, card in enumerate(cards)]
    assert len(set(prints)) == 4
    assert OnnxEmbedder(make_encoder(tmp_path / "again" / "words")).fingerprint == prints[0]


@pytest.mark.parametrize("spoil", [
    lambda folder: (folder / "encoder.json").unlink(), lambda folder: (folder / "encoder.json").write_text("{"),
    lambda folder: (folder / "encoder.json").write_text("[]"), lambda folder: (folder / "model.onnx").write_bytes(b"?"),
    lambda folder: (folder / "tokenizer.json").write_text("{}"), lambda folder: (folder / "tokenizer.json").unlink(),
])
def test_a_spoilt_folder_names_the_command_that_mends_it(tmp_path: Path, spoil: Callable[[Path], object]) -> None:
    folder = make_encoder(tmp_path / "words")
    spoil(folder)
    with pytest.raises(NotReady, match=r"\./setup\.sh"):
        OnnxEmbedder(folder)
