"""Two encoders as one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from moe.embed import Embedder, JoinedEmbedder, OnnxEmbedder, find_quick, load_embedder, open_encoder
from moe.errors import NotReady

from .kit import WORDS, make_encoder, make_pair, make_pieces

TEXTS = ("soup salt", "fever", "salt salt soup")


@pytest.fixture
def parts(tmp_path: Path) -> tuple[Path, Path]:
    return make_encoder(tmp_path / "words"), make_pieces(tmp_path / "use")


def test_a_cosine_is_the_mean_of_the_parts_cosines(tmp_path: Path, parts: tuple[Path, Path]) -> None:
    pair = open_encoder(make_pair(tmp_path / "pair", *parts))
    rows = pair.embed(TEXTS, kind="passage")
    assert rows.dtype == np.float32 and rows.shape == (3, pair.dimension) == (3, len(WORDS) + 512)
    own = [OnnxEmbedder(part).embed(TEXTS, kind="passage") for part in parts]
    assert rows @ rows.T == pytest.approx((own[0] @ own[0].T + own[1] @ own[1].T) / 2, abs=1e-6)


def test_a_part_counts_by_its_weight(tmp_path: Path, parts: tuple[Path, Path]) -> None:
    pair = open_encoder(make_pair(tmp_path / "pair", *parts, weights=[3, 1]))
    rows = pair.embed(TEXTS, kind="passage")
    assert np.square(rows[:, :len(WORDS)]).sum(axis=1) == pytest.approx([0.75] * 3, abs=1e-6)
    assert np.linalg.norm(rows, axis=1) == pytest.approx([1] * 3, abs=1e-6)


def test_query_and_passage_reach_every_part(tmp_path: Path) -> None:
    own = {"query_prefix": "query: ", "passage_prefix": "passage: "}
    first, second = make_encoder(tmp_path / "one", **own), make_encoder(tmp_path / "two", **own)
    pair = open_encoder(make_pair(tmp_path / "pair", first, second))
    query, passage = pair.embed(["soup"], kind="query"), pair.embed(["soup"], kind="passage")
    alone = OnnxEmbedder(first)
    half = np.sqrt(0.5)
    assert query[0] == pytest.approx(np.tile(alone.embed(["soup"], kind="query")[0] * half, 2), abs=1e-6)
    assert passage[0] == pytest.approx(np.tile(alone.embed(["soup"], kind="passage")[0] * half, 2), abs=1e-6)


def test_nothing_gives_no_rows(tmp_path: Path, parts: tuple[Path, Path]) -> None:
    pair = open_encoder(make_pair(tmp_path / "pair", *parts))
    assert pair.embed([], kind="query").shape == (0, pair.dimension)


def test_a_caller_who_writes_into_a_row_spoils_no_other(tmp_path: Path, parts: tuple[Path, Path]) -> None:
    pair = open_encoder(make_pair(tmp_path / "pair", *parts))
    first = pair.embed(["soup"], kind="query")
    kept = first.copy()
    first[:] = 9
    assert np.array_equal(pair.embed(["soup"], kind="query"), kept)


def test_the_fingerprint_follows_the_parts_and_their_weights(tmp_path: Path, parts: tuple[Path, Path]) -> None:
    first, second = (OnnxEmbedder(part) for part in parts)

    def join(*own: Embedder, weights: tuple[float, ...] = (1, 1)) -> str:
        return JoinedEmbedder("pair", own, weights).fingerprint

    prints = [join(first, second), join(second, first), join(first, second, weights=(2, 1)), join(first, first),
              first.fingerprint, second.fingerprint]
    assert len(set(prints)) == len(prints)
    assert open_encoder(make_pair(tmp_path / "pair", *parts)).fingerprint == prints[0]


@pytest.mark.parametrize("name", ["words", "use"])
def test_the_part_that_is_asked_first_has_its_own_columns(tmp_path: Path, parts: tuple[Path, Path], name: str) -> None:
    pair = open_encoder(make_pair(tmp_path / "pair", *parts, weights=[3, 1], quick=name))
    quick = find_quick(pair)
    assert quick is not None and quick.embedder.name == name
    own = pair.embed(TEXTS, kind="query")[:, quick.columns]
    own /= np.linalg.norm(own, axis=1, keepdims=True)
    assert own == pytest.approx(quick.embedder.embed(TEXTS, kind="query"), abs=1e-6)


def test_no_part_is_asked_first_where_none_is_named(tmp_path: Path, parts: tuple[Path, Path]) -> None:
    assert find_quick(open_encoder(make_pair(tmp_path / "pair", *parts))) is None
    assert find_quick(open_encoder(make_pair(tmp_path / "other", *parts, quick="gone"))) is None
    assert find_quick(OnnxEmbedder(parts[0])) is None


@pytest.mark.parametrize("weights", [(), (1,), (1, 0), (1, -1)])
def test_weights_that_make_no_sense_are_refused(weights: tuple[float, ...], parts: tuple[Path, Path]) -> None:
    with pytest.raises(ValueError, match="weight above 0"):
        JoinedEmbedder("pair", [OnnxEmbedder(part) for part in parts], weights)


def test_the_chosen_encoder_may_be_a_pair(tmp_path: Path) -> None:
    encoders = tmp_path / "encoder"
    make_pair(encoders / "pair", make_encoder(encoders / "words"), make_pieces(encoders / "use"))
    (encoders / "current").write_text("pair\n")
    for path in (None, "pair", str(encoders / "pair")):
        chosen = load_embedder(path, tmp_path)
        assert chosen is not None and (chosen.name, chosen.dimension) == ("pair", len(WORDS) + 512)


@pytest.mark.parametrize("spoil", [
    lambda pair: (pair.parent / "words" / "model.onnx").unlink(),
    lambda pair: (pair.parent / "use" / "encoder.json").unlink(),
    lambda pair: (pair / "encoder.json").write_text('{"name": "pair", "parts": []}'),
    lambda pair: (pair / "encoder.json").write_text('{"name": "pair", "parts": 7, "weights": [1]}'),
    lambda pair: (pair / "encoder.json").write_text('{"name": "pair", "parts": ["words"], "weights": ["much"]}'),
    lambda pair: (pair / "encoder.json").write_text('{"name": "pair", "parts": ["pair"], "weights": [1]}'),
])
def test_a_spoilt_pair_names_the_command_that_mends_it(tmp_path: Path, parts: tuple[Path, Path],
                                                       spoil: Callable[[Path], object]) -> None:
    pair = make_pair(tmp_path / "pair", *parts)
    spoil(pair)
    with pytest.raises(NotReady, match=r"\./setup\.sh"):
        open_encoder(pair)
