"""Which encoder a config asks for."""

from __future__ import annotations

from pathlib import Path

import pytest

from moe.embed import load_embedder

from .kit import make_encoder


def test_the_chosen_encoder_is_the_one_set_up_made(tmp_path: Path) -> None:
    make_encoder(tmp_path / "encoder" / "words")
    assert load_embedder(None, tmp_path) is None
    (tmp_path / "encoder" / "current").write_text("words\n")
    chosen = load_embedder(None, tmp_path)
    assert chosen is not None and chosen.name == "words"
    assert load_embedder("", tmp_path) is None


@pytest.mark.parametrize("model_path", ["words", "someone/words", "models/encoder/words", "{folder}/encoder/words"])
def test_an_encoder_may_be_named_by_path_or_by_name(tmp_path: Path, model_path: str) -> None:
    folder = tmp_path / "models"
    make_encoder(folder / "encoder" / "words")
    embedder = load_embedder(model_path.format(folder=folder), folder)
    assert embedder is not None and embedder.name == "words"
