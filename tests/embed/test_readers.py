"""Text to a graph's inputs: both ends of a long text, and a table that is read row by row."""

from __future__ import annotations

import gc
import os
from pathlib import Path

import numpy as np
import pytest
import sentencepiece

from moe.embed import PIECES, TABLE, OnnxEmbedder, open_reader
from moe.embed.base import cut
from moe.embed.readers import ROW_BYTES, Table
from moe.errors import NotReady

from .kit import WORDS, make_encoder, make_pieces

TEXT = "soup salt fever " * 40


def test_both_ends_of_a_long_text_are_read_however_many_tokens_it_has(tmp_path: Path) -> None:
    reader = open_reader(make_encoder(tmp_path / "words"))
    ids = reader.read("soup " * 60 + "salt " * 60 + "fever " * 60, 16)["input_ids"]
    assert ids.tolist() == [[WORDS.index("soup")] * 12 + [WORDS.index("fever")] * 4]
    assert reader.read("soup salt", 16)["attention_mask"].tolist() == [[1, 1]]


@pytest.mark.parametrize("limit", [4, 5, 7, 64])
def test_a_cut_keeps_as_many_tokens_as_it_may(limit: int) -> None:
    tokens = list(range(100))
    kept = cut(tokens, limit)
    assert len(kept) == limit and kept[0] == 0 and kept[-1] == 99 and kept == sorted(kept)
    assert cut(tokens[:limit], limit) == tokens[:limit]


def test_pieces_come_with_their_marks_and_their_rows(tmp_path: Path) -> None:
    folder = make_pieces(tmp_path / "use")
    feeds = open_reader(folder).read("soup salt", 99)
    ids = feeds["input_ids"][0]
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(folder / PIECES))
    assert ids.tolist() == [pieces.bos_id(), *pieces.encode("soup salt"), pieces.eos_id()]
    table = np.fromfile(folder / TABLE, np.uint8).reshape(-1, ROW_BYTES)
    assert np.array_equal(feeds["rows"], table[ids])
    assert open_reader(folder).read(TEXT, 8)["rows"].shape == (8, ROW_BYTES)


def test_marks_that_stand_in_a_text_are_text(tmp_path: Path) -> None:
    ids = open_reader(make_pieces(tmp_path / "use")).read("</s> <s>", 99)["input_ids"][0].tolist()
    assert ids.count(1) == ids.count(2) == 1


def test_an_encoder_of_pieces_embeds_like_any_other(tmp_path: Path) -> None:
    encoder = OnnxEmbedder(make_pieces(tmp_path / "use"))
    rows = encoder.embed(["soup", "fever", "", "🍲" * 3, TEXT], kind="passage")
    assert rows.shape == (5, ROW_BYTES) and np.linalg.norm(rows, axis=1) == pytest.approx(np.ones(5), abs=1e-5)
    assert np.array_equal(rows[0], encoder.embed(["soup"], kind="query")[0])


def test_a_table_without_a_row_for_every_piece_is_refused(tmp_path: Path) -> None:
    folder = make_pieces(tmp_path / "use")
    with (folder / TABLE).open("r+b") as file:
        file.truncate(7 * ROW_BYTES)
    with pytest.raises(NotReady, match=r"7 rows for 23 pieces.*run \./setup\.sh"):
        OnnxEmbedder(folder)


@pytest.mark.parametrize("name", [PIECES, TABLE])
def test_a_part_that_cannot_be_read_names_the_command_that_mends_it(tmp_path: Path, name: str) -> None:
    folder = make_pieces(tmp_path / "use")
    (folder / name).unlink()
    (folder / PIECES).touch()
    with pytest.raises(NotReady, match=r"run \./setup\.sh"):
        OnnxEmbedder(folder)


def test_a_table_that_is_let_go_closes_its_file(tmp_path: Path) -> None:
    (tmp_path / TABLE).write_bytes(bytes(ROW_BYTES))
    table = Table(tmp_path / TABLE)
    descriptor = table._descriptor
    os.fstat(descriptor)
    del table
    gc.collect()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)
